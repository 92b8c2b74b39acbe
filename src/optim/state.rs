//! What an optimiser remembers.

use super::unlike;
use crate::error::{Error, Result};
use crate::language::params::{Params, Path};
use crate::language::real::Real;
use crate::language::state::{Confined, Leaf, State};
use crate::language::structure::{Structure, map_params};

/// What an optimiser remembers of parameters `P`: the count of updates, and some structures like `P`.
///
/// It is itself a structure of parameters. Its leaves are named `step`, and for each remembered value, say
/// `exp_avg`, `exp_avg.<name of the parameter>`.
///
/// The count is a real number of the interpretation; in `f32` it is exact up to 2²⁴ updates and then stays,
/// where every formula that uses it has long since converged.
#[derive(Clone, Debug)]
pub struct OptState<P: Params> {
    /// How many updates there have been: a scalar.
    pub(super) count: P::Leaf,
    /// Each remembered value's name, and the value for every parameter.
    slots: Vec<(&'static str, P)>,
}

impl<P: Params + Clone> OptState<P> {
    /// Zeros in the shapes of the parameters, for each of the given names.
    pub(super) fn new(slots: &[&'static str], params: &P) -> OptState<P> {
        let zeros = || {
            let mut zeros = params.clone();
            zeros.visit_mut(&mut Path::default(), &mut |_, leaf| *leaf = leaf.zeros_like());
            zeros
        };
        OptState { count: P::Leaf::constant(0.0), slots: slots.iter().map(|&name| (name, zeros())).collect() }
    }
}

impl<P: Params> OptState<P> {
    /// The count of updates, a scalar of the interpretation.
    pub fn count(&self) -> &P::Leaf {
        &self.count
    }

    /// What is remembered under a name (`"exp_avg"`), in the structure of the parameters.
    pub fn slot(&self, name: &str) -> Option<&P> {
        self.slots.iter().find(|(slot, _)| *slot == name).map(|(_, value)| value)
    }

    /// Whether this is the state of an optimiser with these slots over these parameters, which have these names.
    pub(super) fn check(&self, slots: &[&'static str], params: &P, names: &[String]) -> Result<()> {
        let mine: Vec<&str> = self.slots.iter().map(|(name, _)| *name).collect();
        if mine != slots {
            return Err(Error::Structure(format!(
                "the optimiser remembers {slots:?}, but its state holds {mine:?}"
            )));
        }
        for (slot, value) in &self.slots {
            if value.names() != names {
                return Err(Error::Structure(format!(
                    "the parameters are {names:?}, but the state's {slot} belongs to {:?}",
                    value.names()
                )));
            }
            if let Some(name) = unlike(params, value) {
                return Err(Error::Structure(format!(
                    "the state's {slot} of {name} is not of the parameter's shape"
                )));
            }
        }
        Ok(())
    }

    /// Moves all remembered values out, those of one parameter next to each other.
    pub(super) fn take_leaves(&mut self) -> Vec<P::Leaf> {
        let mut columns: Vec<std::vec::IntoIter<P::Leaf>> = Vec::new();
        for (_, value) in &mut self.slots {
            let mut column = Vec::new();
            value.visit_mut(&mut Path::default(), &mut |_, leaf| {
                column.push(std::mem::replace(leaf, P::Leaf::constant(0.0)));
            });
            columns.push(column.into_iter());
        }
        let mut leaves = Vec::new();
        while let Some(first) = columns.first_mut().and_then(Iterator::next) {
            leaves.push(first);
            leaves.extend(columns[1..].iter_mut().flat_map(Iterator::next));
        }
        leaves
    }

    /// Moves them back in.
    pub(super) fn put_leaves(&mut self, leaves: Vec<P::Leaf>) {
        let width = self.slots.len();
        let mut leaves: Vec<Option<P::Leaf>> = leaves.into_iter().map(Some).collect();
        for (k, (_, value)) in self.slots.iter_mut().enumerate() {
            let mut column = leaves.iter_mut().skip(k).step_by(width);
            value.visit_mut(&mut Path::default(), &mut |_, leaf| {
                *leaf = column.next().and_then(Option::take).expect("what was taken out");
            });
        }
    }
}

impl<P: Params> Params for OptState<P> {
    type Leaf = P::Leaf;
    type With<U: Real> = OptState<P::With<U>>;

    fn map_named<U: Real>(
        &self,
        path: &mut Path,
        f: &mut dyn FnMut(&Path, &P::Leaf) -> U,
    ) -> OptState<P::With<U>> {
        OptState {
            count: path.descend("step", |path| f(path, &self.count)),
            slots: self
                .slots
                .iter()
                .map(|(name, value)| (*name, path.descend(*name, |path| value.map_named(path, f))))
                .collect(),
        }
    }

    fn visit_mut(&mut self, path: &mut Path, f: &mut dyn FnMut(&Path, &mut P::Leaf)) {
        path.descend("step", |path| f(path, &mut self.count));
        for (name, value) in &mut self.slots {
            path.descend(*name, |path| value.visit_mut(path, f));
        }
    }
}

// SAFETY: components are moved or cloned, and kept nowhere.
unsafe impl<T: Real, P: Params<Leaf = T> + Confined<T>> Confined<T> for OptState<P> {}

impl<T: Real, P: Params<Leaf = T> + State<T>> State<T> for OptState<P> {
    fn flatten(&self, leaves: &mut Vec<Leaf<T>>) {
        self.count.flatten(leaves);
        self.slots.iter().for_each(|(_, value)| value.flatten(leaves));
    }
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Leaf<T>>) -> OptState<P> {
        OptState {
            count: self.count.rebuild(leaves),
            slots: self.slots.iter().map(|(name, value)| (*name, value.rebuild(leaves))).collect(),
        }
    }
    fn outline(&self, lengths: &mut Vec<usize>) {
        lengths.push(self.slots.len());
        self.slots.iter().for_each(|(_, value)| value.outline(lengths));
    }
}

impl<T: Real, P: Params<Leaf = T> + State<T>> Structure<T> for OptState<P> {
    type With<U: Real> = OptState<P::With<U>>;
    fn map_components<U: Real>(
        &self,
        path: &mut Path,
        f: &mut dyn FnMut(&Path, Leaf<T>) -> Leaf<U>,
    ) -> OptState<P::With<U>> {
        map_params(self, path, f)
    }
}
