//! Recorded control flow over [`Dual`]: a value flows as two, itself and its tangent.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Dual, DualAdjoint};
use crate::error::{At, CpsResult};
use crate::language::control::checkpoint::Body;
use crate::language::control::continuation_passing::{
    Arm, BodyTo, Captured, Function, Leaves, Region, Site, To, with_reals,
};
use crate::language::control::{Control, Pulled, Wanted};
use crate::language::state::Leaf;
use crate::sealed::Internal;

/// Values and their tangents. An absent tangent flows as zeros.
pub(super) fn components<T: Control>(leaves: impl IntoIterator<Item = Leaf<Dual<T>>>) -> Leaves<T> {
    let mut components = Vec::new();
    for leaf in leaves {
        match leaf {
            Leaf::Real(x) => components.extend([Leaf::Real(x.primal.clone()), Leaf::Real(x.tangent())]),
            Leaf::Int(i) => components.push(Leaf::Int(i)),
            Leaf::Bool(b) => components.push(Leaf::Bool(b)),
        }
    }
    components
}

/// The values whose [`components`] these are.
pub(super) fn duals<T: Control>(components: Leaves<T>) -> Leaves<Dual<T>> {
    let (mut components, mut duals) = (components.into_iter(), Vec::new());
    while let Some(leaf) = components.next() {
        duals.push(leaf.map_real(|primal| {
            let Some(Leaf::Real(tangent)) = components.next() else { panic!("every value has a tangent") };
            Dual { primal, tangent: Some(tangent) }
        }));
    }
    duals
}

/// Values, each with its tangent if it has one, and which have.
fn parts<T: Control>(leaves: Leaves<Dual<T>>) -> (Leaves<T>, Vec<bool>) {
    let (mut parts, mut moving) = (Vec::new(), Vec::new());
    for leaf in leaves {
        let mut tangent = None;
        parts.push(leaf.map_real(|x| {
            let (primal, of_primal) = x.into_parts();
            tangent = of_primal;
            primal
        }));
        moving.push(tangent.is_some());
        parts.extend(tangent.map(Leaf::Real));
    }
    (parts, moving)
}

/// The values whose [`parts`] these are.
fn whole<T: Control>(parts: Leaves<T>, moving: &[bool]) -> Leaves<Dual<T>> {
    let mut parts = parts.into_iter();
    let mut next = || parts.next().expect("a component for each part");
    moving
        .iter()
        .map(|moving| {
            let primal = next();
            let tangent = moving.then(|| next().real());
            primal.map_real(|primal| Dual { primal, tangent })
        })
        .collect()
}

fn split<T: Control>(adjoints: Vec<DualAdjoint<T>>) -> Vec<T::Adjoint> {
    adjoints.into_iter().flat_map(|adjoint| [adjoint.primal, adjoint.tangent]).collect()
}

fn pairs<T: Control>(adjoints: Vec<T::Adjoint>) -> Vec<DualAdjoint<T>> {
    let (mut adjoints, mut pairs) = (adjoints.into_iter(), Vec::new());
    while let (Some(primal), Some(tangent)) = (adjoints.next(), adjoints.next()) {
        pairs.push(DualAdjoint { primal, tangent });
    }
    pairs
}

/// A continuation of values as one of their components.
fn lower<T: Control>(k: To<'_, Dual<T>>) -> impl FnMut(Leaves<T>) -> CpsResult<Vec<T::Adjoint>> {
    |components| Ok(split(k(duals(components))?))
}

/// A continuation of components as one of values.
fn lift<T: Control>(k: To<'_, T>) -> impl FnMut(Leaves<Dual<T>>) -> CpsResult<Vec<DualAdjoint<T>>> {
    |values| Ok(pairs(k(components(values))?))
}

/// Which components of the values are wanted: both of each real one that is.
fn both<T: Control>(inputs: &[Leaf<Dual<T>>], wanted: &[bool]) -> Vec<bool> {
    let real = |leaf: &Leaf<Dual<T>>| if matches!(leaf, Leaf::Real(_)) { 2 } else { 1 };
    inputs.iter().zip(wanted).flat_map(|(leaf, &wanted)| std::iter::repeat_n(wanted, real(leaf))).collect()
}

impl<T: Control> Control for Dual<T> {
    const RECORDS: bool = T::RECORDS;
    const CONTINUES: bool = T::CONTINUES;

    unsafe fn checkpoint_at<'f>(
        internal: Internal,
        at: Site,
        x: Leaves<Self>,
        f: Body<'f, Self>,
    ) -> Leaves<Self>
    where
        Self: 'f,
    {
        let (x, moving) = parts(x);
        let result: Rc<RefCell<Vec<bool>>> = Rc::default();
        let f: Body<'_, T> = {
            let result = Rc::clone(&result);
            Rc::new(move |x| {
                let (y, moving) = parts(f(whole(x, &moving)));
                result.replace(moving);
                y
            })
        };
        // SAFETY: it owns the function, which owns what it uses, as the caller promises.
        let y = unsafe { T::checkpoint_at(internal, at, x, f) };
        let moving = result.borrow();
        whole(y, &moving)
    }
    fn with_region(
        internal: Internal,
        at: Site,
        body: &mut dyn FnMut() -> Leaves<Self>,
    ) -> (Region, Captured<Self>) {
        let (region, captured) = T::with_region(internal, at, &mut || components(body()));
        // What was captured below has no tangent outside; nothing uses the one that it has inside.
        let outside = with_reals(captured.outside, Dual::constant_of);
        let inside = with_reals(captured.inside, |primal| {
            let tangent = Some(primal.placeholder(internal, None));
            Dual { primal, tangent }
        });
        (region, Captured { outside, inside })
    }
    fn close_region(internal: Internal, at: Site, region: &Region, inside: Leaves<Self>) {
        T::close_region(internal, at, region, components(inside));
    }
    fn apply_region(internal: Internal, at: Site, region: &Region, inputs: Leaves<Self>) -> Leaves<Self> {
        duals(T::apply_region(internal, at, region, components(inputs)))
    }
    /// With `y + εẏ = f(x) + ε·f′(x)ẋ` the region computes `(y, ẏ)` of `(x, ẋ)`. The adjoint `x̄ + εx̄̇` of `ȳ + εȳ̇`
    /// has `x̄ = f′ᵀȳ = ∂/∂ẋ ⟨ȳ, ẏ⟩` and `x̄̇ = ∂/∂x (⟨ȳ̇, y⟩ + ⟨ȳ, ẏ⟩)`: primal and tangent change places.
    fn pull_region(internal: Internal, at: Site, region: &Region, wanted: Wanted<Self>) -> Pulled<Self> {
        let Wanted { inputs, adjoints, seeds, values } = wanted;
        let adjoints = both(&inputs, &adjoints);
        let seeds = seeds.into_iter().flat_map(|seed| match seed {
            Some(Dual { primal, tangent }) => [tangent, Some(primal)],
            None => [None, None],
        });
        let wanted = Wanted { inputs: components(inputs), adjoints, seeds: seeds.collect(), values };
        let pulled = T::pull_region(internal, at, region, wanted);
        fn in_pairs<T>(components: Vec<T>, pair: impl Fn(T, T) -> Dual<T>) -> Vec<Dual<T>> {
            let mut components = components.into_iter();
            let next = || Some(pair(components.next()?, components.next()?));
            std::iter::from_fn(next).collect()
        }
        Pulled {
            values: in_pairs(pulled.values, |primal, tangent| Dual { primal, tangent: Some(tangent) }),
            adjoints: in_pairs(pulled.adjoints, |tangent, primal| Dual { primal, tangent: Some(tangent) }),
        }
    }
    fn forward_region(
        internal: Internal,
        at: Site,
        region: &Region,
        inputs: Leaves<Self>,
        wanted: &[bool],
    ) -> Region {
        let wanted = both(&inputs, wanted);
        T::forward_region(internal, at, region, components(inputs), &wanted)
    }

    fn ensure_at(internal: Internal, at: At, condition: &T::Bool, message: &str) {
        T::ensure_at(internal, at, condition, message);
    }
    fn scratch(internal: Internal, f: &mut dyn FnMut()) {
        T::scratch(internal, f);
    }
    fn each_row(internal: Internal, at: At, leaf: Leaf<Self>) -> Leaf<Self> {
        let each = |x| T::each_row(internal, at, Leaf::Real(x)).real();
        match leaf {
            Leaf::Real(x) => Leaf::Real(Dual { primal: each(x.primal), tangent: x.tangent.map(each) }),
            Leaf::Int(i) => Leaf::Int(T::each_row(internal, at, Leaf::Int(i)).int()),
            Leaf::Bool(b) => Leaf::Bool(T::each_row(internal, at, Leaf::Bool(b)).bool()),
        }
    }
    fn filler(internal: Internal, at: Site, leaf: &Leaf<Self>) -> Leaf<Self> {
        T::filler(internal, at, &leaf.clone().map_real(|x| x.primal)).map_real(Dual::constant_of)
    }
    fn record_cond(
        internal: Internal,
        at: Site,
        condition: &T::Bool,
        then: &mut dyn FnMut() -> Leaves<Self>,
        otherwise: &mut dyn FnMut() -> Leaves<Self>,
    ) -> Leaves<Self> {
        duals(T::record_cond(internal, at, condition, &mut || components(then()), &mut || {
            components(otherwise())
        }))
    }
    fn record_fix(
        internal: Internal,
        at: Site,
        x: Leaves<Self>,
        results: &[Leaf<Self>],
        body: Function<'_, Self>,
    ) -> Leaves<Self> {
        let results = components(results.iter().cloned());
        duals(T::record_fix(internal, at, components(x), &results, &|call, x| {
            components(body(&|x| duals(call(components(x))), duals(x)))
        }))
    }
    fn branch_to(
        internal: Internal,
        at: Site,
        condition: &T::Bool,
        then: Arm<'_, Self>,
        otherwise: Arm<'_, Self>,
        join: To<'_, Self>,
    ) -> CpsResult<()> {
        T::branch_to(
            internal,
            at,
            condition,
            &mut |join| then(&mut lift(join)),
            &mut |join| otherwise(&mut lift(join)),
            &mut lower(join),
        )
    }
    fn fix_to(
        internal: Internal,
        at: Site,
        x: Leaves<Self>,
        results: &[Leaf<Self>],
        body: BodyTo<'_, Self>,
        k: To<'_, Self>,
    ) -> CpsResult<Vec<DualAdjoint<T>>> {
        let results = components(results.iter().cloned());
        let adjoints = T::fix_to(
            internal,
            at,
            components(x),
            &results,
            &mut |call, x, k| {
                let call = |x: Leaves<Self>, k: To<'_, Self>| Ok(pairs(call(components(x), &mut lower(k))?));
                Ok(split(body(&call, duals(x), &mut lift(k))?))
            },
            &mut lower(k),
        )?;
        Ok(pairs(adjoints))
    }
}
