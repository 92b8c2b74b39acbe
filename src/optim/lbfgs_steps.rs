//! L-BFGS, a step at a time.

use super::lbfgs::Lbfgs;
use super::unlike;
use crate::continuation::unwinding::catch;
use crate::error::{Error, Result};
use crate::language::params::{Params, Path};
use crate::language::real::{Mask, Real};
use crate::language::state::{Leaf, State};
use crate::language::structure::{Structure, map_params};
use crate::language::tensor::Tensor;

/// What [`Lbfgs::update`] remembers of parameters `P`. Like [`OptState`](super::OptState) it is a structure of
/// parameters, which is saved with them: `step`, the count; `params` and `gradient`, as they were before the last step;
/// and of each step that is remembered, the last one at the end, `steps`, the changes of the parameters, `changes`,
/// those of the gradient, and `curvatures`, the inverse of their product, zero where nothing is remembered.
#[derive(Clone, Debug)]
pub struct LbfgsState<P: Params> {
    count: P::Leaf,
    params: P,
    gradient: P,
    steps: Vec<P>,
    changes: Vec<P>,
    curvatures: Vec<P::Leaf>,
}

impl Lbfgs {
    /// The state before the first [`update`](Lbfgs::update).
    pub fn init<P: Params + Clone>(&self, params: &P) -> LbfgsState<P> {
        let mut zeros = params.clone();
        zeros.visit_mut(&mut Path::default(), &mut |_, leaf| *leaf = leaf.zeros_like());
        let each = || vec![zeros.clone(); self.history];
        LbfgsState {
            count: P::Leaf::constant(0.0),
            params: zeros.clone(),
            gradient: zeros.clone(),
            steps: each(),
            changes: each(),
            curvatures: vec![P::Leaf::constant(0.0); self.history],
        }
    }

    /// One step along the method's direction, as long as `lr` says: an update over any interpretation, which may be
    /// part of a compiled [`TrainingStep`](crate::TrainingStep). Of the settings it has [`history`](Lbfgs::history)
    /// only.
    ///
    /// It is a step of `torch.optim.LBFGS` without a line search: the first one, of which nothing is known, is
    /// `lr·min(1, 1/‖g‖₁)` times the gradient. Steps along which the gradient does not grow are not remembered, and a
    /// direction that leads upwards is given up for the gradient, with all that is remembered. As the method does, it
    /// wants the same function at each step. Where the steps have to be found, [`minimize`](Lbfgs::minimize) does that.
    ///
    /// ```
    /// use antiphon::optim::{Lbfgs, LbfgsState};
    /// use antiphon::{NdArray, Real, Result, Tensor, TrainingStep, value_and_grad};
    /// /// Toward the least value of (x − 1)² + 10·(y − x)².
    /// fn step<T: Tensor>((x, state): &mut (T, LbfgsState<T>), lr: &T) -> Result<T> {
    ///     let weights = T::from_elements(&[2], &[1.0, 10.0])?;
    ///     let (value, gradient) = value_and_grad(
    ///         |x| {
    ///             let first = x.slice(0, 0..1);
    ///             let apart = antiphon::Tensor::concat(&[first.clone() - 1.0, x.slice(0, 1..2) - first], 0);
    ///             (apart.square() * &antiphon::Var::lift(&weights)).sum(..)
    ///         },
    ///         x,
    ///     )?;
    ///     Lbfgs { history: 4, ..Lbfgs::default() }.update(state, x, &gradient, lr)?;
    ///     Ok(value)
    /// }
    /// let x = NdArray::from(vec![-1.0, 2.0]);
    /// let start = (x.clone(), Lbfgs { history: 4, ..Lbfgs::default() }.init(&x));
    /// let mut training = TrainingStep::eager(start, |state, lr| step(state, lr));
    /// let lr = NdArray::scalar(0.8);
    /// for _ in 0..30 {
    ///     training.call(&lr)?;
    /// }
    /// assert!(training.call(&lr)?.item() < 1e-12);
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Structure`] if the gradient or the state belong to other parameters, or are not of their shapes, or the
    /// state remembers another number of steps; [`Error::Operand`] if the learning rate is not a single number. Nothing
    /// is changed then.
    pub fn update<P, G>(
        &self,
        state: &mut LbfgsState<P>,
        params: &mut P,
        gradient: &G,
        lr: &P::Leaf,
    ) -> Result<()>
    where
        P: Params<Leaf: Tensor> + Clone,
        G: Params<Leaf = P::Leaf>,
    {
        check_like("the gradient", params, gradient)?;
        check_like("the state", params, &state.params)?;
        if state.steps.len() != self.history {
            return Err(Error::Structure(format!(
                "the optimiser remembers {} steps, but its state holds {}",
                self.history,
                state.steps.len()
            )));
        }
        lr.check_scalar("update")?;
        catch(|| {
            let (w, g) = (params.leaves(), gradient.leaves());
            let mut history = History::of(state);
            let known = P::Leaf::constant(0.5).less(&state.count);
            history.push(&known, apart(&w, &state.params.leaves()), apart(&g, &state.gradient.leaves()));
            let (direction, slope) = history.direction(&g);
            let downhill = slope.less(&P::Leaf::constant(0.0));
            let first = dot_of(&g, |g| g.abs().sum(..)).recip().minimum(&P::Leaf::constant(1.0));
            let length = P::Leaf::select(&known, &P::Leaf::constant(1.0), &first) * lr;
            let next: Vec<P::Leaf> = w
                .iter()
                .zip(direction.iter().zip(&g))
                .map(|(w, (d, g))| {
                    w.clone() + P::Leaf::select(&downhill, d, &-g.clone()) * &length.broadcast_like(w)
                })
                .collect();
            for curvature in &mut history.curvatures {
                *curvature = P::Leaf::select(&downhill, curvature, &P::Leaf::constant(0.0));
            }
            history.put(state);
            put(&mut state.params, w);
            put(&mut state.gradient, g);
            state.count = state.count.clone() + 1.0;
            put(params, next);
            Ok(())
        })
    }
}

/// That a structure has the parameters' names and shapes.
fn check_like<P: Params, Q: Params<Leaf = P::Leaf>>(what: &str, params: &P, other: &Q) -> Result<()> {
    let (names, others) = (params.names(), other.names());
    if names != others {
        return Err(Error::Structure(format!("the parameters are {names:?}, {what} is of {others:?}")));
    }
    match unlike(params, other) {
        Some(name) => Err(Error::Structure(format!("{what} of {name} is not of the parameter's shape"))),
        None => Ok(()),
    }
}

/// The leaves of what is remembered.
struct History<T> {
    steps: Vec<Vec<T>>,
    changes: Vec<Vec<T>>,
    curvatures: Vec<T>,
}

impl<T: Tensor> History<T> {
    fn of<P: Params<Leaf = T>>(state: &LbfgsState<P>) -> History<T> {
        let leaves = |all: &[P]| all.iter().map(P::leaves).collect();
        History {
            steps: leaves(&state.steps),
            changes: leaves(&state.changes),
            curvatures: state.curvatures.clone(),
        }
    }

    fn put<P: Params<Leaf = T>>(self, state: &mut LbfgsState<P>) {
        state.steps.iter_mut().zip(self.steps).for_each(|(step, leaves)| put(step, leaves));
        state.changes.iter_mut().zip(self.changes).for_each(|(change, leaves)| put(change, leaves));
        state.curvatures = self.curvatures;
    }

    /// Remembers a step in place of the oldest one, if there was one, along which the gradient grew.
    fn push(&mut self, known: &T::Bool, step: Vec<T>, change: Vec<T>) {
        let (along, squares) = (dot(&step, &change), dot(&change, &change));
        let grew = known.and(&along.greater(&(squares * 1e-10)));
        let inverse = T::select(&grew, &along, &T::constant(1.0)).recip();
        let shift = |all: &mut Vec<Vec<T>>, new: Vec<T>| {
            for i in 0..all.len() {
                let later = if i + 1 < all.len() { all[i + 1].clone() } else { new.clone() };
                let kept = all[i].iter().zip(&later).map(|(old, new)| T::select(&grew, new, old));
                all[i] = kept.collect();
            }
        };
        shift(&mut self.steps, step);
        shift(&mut self.changes, change);
        for i in 0..self.curvatures.len() {
            let later = self.curvatures.get(i + 1).unwrap_or(&inverse);
            self.curvatures[i] = T::select(&grew, later, &self.curvatures[i]);
        }
    }

    /// `−H·g`, where `H` is what the steps say of the inverse of the Hessian, by the recursion of two loops; and its
    /// product with `g`.
    fn direction(&self, g: &[T]) -> (Vec<T>, T) {
        let mut q: Vec<T> = g.iter().map(|g| -g.clone()).collect();
        let add = |q: &mut Vec<T>, by: &T, along: &[T]| {
            for (q, along) in q.iter_mut().zip(along) {
                *q = q.clone() + along.clone() * &by.broadcast_like(along);
            }
        };
        let mut alphas = Vec::with_capacity(self.steps.len());
        let remembered = self.steps.iter().zip(&self.changes).zip(&self.curvatures);
        for ((step, change), curvature) in remembered.clone().rev() {
            let alpha = dot(step, &q) * curvature;
            add(&mut q, &-alpha.clone(), change);
            alphas.push(alpha);
        }
        if let (Some(change), Some(curvature)) = (self.changes.last(), self.curvatures.last()) {
            let is_there = T::constant(0.0).less(curvature);
            let scale = (dot(change, change) * curvature).recip();
            let scale = T::select(&is_there, &scale, &T::constant(1.0));
            q.iter_mut().for_each(|q| *q = q.clone() * &scale.broadcast_like(q));
        }
        for (((step, change), curvature), alpha) in remembered.zip(alphas.into_iter().rev()) {
            let beta = dot(change, &q) * curvature;
            add(&mut q, &(alpha - beta), step);
        }
        let slope = dot(&q, g);
        (q, slope)
    }
}

/// The sum of a number for each leaf.
fn dot_of<'a, T: Tensor + 'a>(leaves: impl IntoIterator<Item = &'a T>, f: impl Fn(&T) -> T) -> T {
    leaves.into_iter().map(f).fold(T::constant(0.0), |sum, x| sum + x)
}

fn dot<T: Tensor>(a: &[T], b: &[T]) -> T {
    a.iter().zip(b).map(|(a, b)| (a.clone() * b).sum(..)).fold(T::constant(0.0), |sum, x| sum + x)
}

fn apart<T: Tensor>(a: &[T], b: &[T]) -> Vec<T> {
    a.iter().zip(b).map(|(a, b)| a.clone() - b).collect()
}

/// Puts leaves in place of a structure's own.
fn put<P: Params>(params: &mut P, leaves: Vec<P::Leaf>) {
    let mut leaves = leaves.into_iter();
    params.visit_mut(&mut Path::default(), &mut |_, leaf| {
        *leaf = leaves.next().expect("one for each");
    });
}

/// The names of the parts, in order.
const PARTS: [&str; 3] = ["steps", "changes", "curvatures"];

impl<P: Params> Params for LbfgsState<P> {
    type Leaf = P::Leaf;
    type With<U: Real> = LbfgsState<P::With<U>>;

    fn map_named<U: Real>(
        &self,
        path: &mut Path,
        f: &mut dyn FnMut(&Path, &P::Leaf) -> U,
    ) -> LbfgsState<P::With<U>> {
        LbfgsState {
            count: path.descend("step", |path| f(path, &self.count)),
            params: path.descend("params", |path| self.params.map_named(path, f)),
            gradient: path.descend("gradient", |path| self.gradient.map_named(path, f)),
            steps: path.descend(PARTS[0], |path| self.steps.map_named(path, f)),
            changes: path.descend(PARTS[1], |path| self.changes.map_named(path, f)),
            curvatures: path.descend(PARTS[2], |path| self.curvatures.map_named(path, f)),
        }
    }

    fn visit_mut(&mut self, path: &mut Path, f: &mut dyn FnMut(&Path, &mut P::Leaf)) {
        path.descend("step", |path| f(path, &mut self.count));
        path.descend("params", |path| self.params.visit_mut(path, f));
        path.descend("gradient", |path| self.gradient.visit_mut(path, f));
        path.descend(PARTS[0], |path| self.steps.visit_mut(path, f));
        path.descend(PARTS[1], |path| self.changes.visit_mut(path, f));
        path.descend(PARTS[2], |path| self.curvatures.visit_mut(path, f));
    }
}

impl<T: Real, P: Params<Leaf = T> + State<T>> State<T> for LbfgsState<P> {
    fn flatten(&self, leaves: &mut Vec<Leaf<T>>) {
        self.count.flatten(leaves);
        self.params.flatten(leaves);
        self.gradient.flatten(leaves);
        State::<T>::flatten(&self.steps, leaves);
        State::<T>::flatten(&self.changes, leaves);
        State::<T>::flatten(&self.curvatures, leaves);
    }
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Leaf<T>>) -> LbfgsState<P> {
        LbfgsState {
            count: self.count.rebuild(leaves),
            params: self.params.rebuild(leaves),
            gradient: self.gradient.rebuild(leaves),
            steps: State::<T>::rebuild(&self.steps, leaves),
            changes: State::<T>::rebuild(&self.changes, leaves),
            curvatures: State::<T>::rebuild(&self.curvatures, leaves),
        }
    }
    fn outline(&self, lengths: &mut Vec<usize>) {
        self.params.outline(lengths);
        State::<T>::outline(&self.steps, lengths);
    }
}

impl<T: Real, P: Params<Leaf = T> + State<T>> Structure<T> for LbfgsState<P> {
    type With<U: Real> = LbfgsState<P::With<U>>;
    fn map_components<U: Real>(
        &self,
        path: &mut Path,
        f: &mut dyn FnMut(&Path, Leaf<T>) -> Leaf<U>,
    ) -> LbfgsState<P::With<U>> {
        map_params(self, path, f)
    }
}
