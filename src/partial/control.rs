//! Recorded control flow of known values. What is unknown goes through it as the derivative in reverse of a region.

use smallvec::SmallVec;

use super::Partial;
use super::program::{Args, Operand, Program};
use crate::continuation::unwinding::raise;
use crate::error::{At, Error};
use crate::language::control::continuation_passing::{
    Captured, Function, Leaves, Region, Site, reals, with_reals,
};
use crate::language::control::{Control, Pulled, Wanted};
use crate::language::real::Real;
use crate::language::shape::Shape;
use crate::language::state::Leaf;
use crate::sealed::Internal;

/// A value that flows where only known ones do.
pub(super) fn known_value<T: Real>(Site { op, at }: Site, x: Partial<T>) -> T {
    match Partial::known(&x) {
        Some(value) => value.clone(),
        None => {
            x.program().into_iter().for_each(|program| program.want_in_control_flow());
            let reason = "a tangent or adjoint of `linearize` or `pullback`, which is not known yet, flows through \
                          recorded control flow";
            raise(Error::Argument { op, reason: reason.into(), at })
        }
    }
}

pub(super) fn known<T: Real>(at: Site, leaves: Leaves<Partial<T>>) -> Leaves<T> {
    with_reals(leaves, |x| known_value(at, x))
}

pub(super) fn lifted<T: Real>(leaves: Leaves<T>) -> Leaves<Partial<T>> {
    with_reals(leaves, Partial::from_value)
}

fn all_known<T: Real>(values: &[Option<Partial<T>>]) -> Option<Vec<Option<T>>> {
    let known = |value: &Option<Partial<T>>| match value {
        Some(value) => value.known().cloned().map(Some),
        None => Some(None),
    };
    values.iter().map(known).collect()
}

impl<T: Control> Control for Partial<T> {
    const RECORDS: bool = T::RECORDS;

    fn with_region(
        internal: Internal,
        at: Site,
        body: &mut dyn FnMut() -> Leaves<Self>,
    ) -> (Region, Captured<Self>) {
        let (region, captured) = T::with_region(internal, at, &mut || known(at, body()));
        (region, captured.map(lifted))
    }
    fn close_region(internal: Internal, at: Site, region: &Region, inside: Leaves<Self>) {
        T::close_region(internal, at, region, known(at, inside));
    }
    fn apply_region(internal: Internal, at: Site, region: &Region, inputs: Leaves<Self>) -> Leaves<Self> {
        lifted(T::apply_region(internal, at, region, known(at, inputs)))
    }
    fn pull_region(internal: Internal, at: Site, region: &Region, wanted: Wanted<Self>) -> Pulled<Self> {
        let Wanted { inputs, adjoints, seeds, values } = wanted;
        let inputs = known(at, inputs);
        let lift = |values: Vec<T>| values.into_iter().map(Partial::from_value).collect();
        if let Some(seeds) = all_known(&seeds) {
            let pulled = T::pull_region(internal, at, region, Wanted { inputs, adjoints, seeds, values });
            return Pulled { values: lift(pulled.values), adjoints: lift(pulled.adjoints) };
        }
        let values = match values {
            true => {
                reals(&T::apply_region(internal, at, region, inputs.clone())).map(Partial::lift).collect()
            }
            false => Vec::new(),
        };
        let unknown = seeds.iter().flatten();
        let program = Program::common(unknown.clone().filter_map(Partial::program), at.at);
        let program = program.expect("some seed is unknown");
        let shape = |(leaf, &wanted): (&Leaf<T>, &bool)| match leaf {
            Leaf::Real(x) if wanted => Some(x.lengths(internal)),
            _ => None,
        };
        let shapes: Vec<Shape> = inputs.iter().zip(&adjoints).filter_map(shape).collect();
        let seeded: Vec<bool> = seeds.iter().map(Option::is_some).collect();
        let (count, region) = (inputs.len(), region.clone());
        let operands: SmallVec<_> =
            inputs.into_iter().map(Operand::Known).chain(unknown.map(Partial::operand)).collect();
        let pull = move |args: &mut Args<'_, T>| {
            let inputs = (0..count).map(|_| args.leaf()).collect();
            let seeds = seeded.iter().map(|&seeded| seeded.then(|| args.real())).collect();
            let wanted = Wanted { inputs, adjoints: adjoints.clone(), seeds, values: false };
            T::pull_region(internal, at, &region, wanted).adjoints
        };
        Pulled { values, adjoints: Self::steps(operands, &program, &shapes, pull) }
    }
    fn forward_region(
        internal: Internal,
        at: Site,
        region: &Region,
        inputs: Leaves<Self>,
        wanted: &[bool],
    ) -> Region {
        T::forward_region(internal, at, region, known(at, inputs), wanted)
    }

    fn ensure_at(internal: Internal, at: At, condition: &T::Bool, message: &str) {
        T::ensure_at(internal, at, condition, message);
    }
    fn scratch(internal: Internal, f: &mut dyn FnMut()) {
        T::scratch(internal, f);
    }
    fn each_row(internal: Internal, at: At, leaf: Leaf<Self>) -> Leaf<Self> {
        let leaf = leaf.map_real(|x| known_value(Site { op: "vmap", at }, x));
        T::each_row(internal, at, leaf).map_real(Partial::from_value)
    }
    fn filler(internal: Internal, at: Site, leaf: &Leaf<Self>) -> Leaf<Self> {
        T::filler(internal, at, &leaf.clone().map_real(|x| known_value(at, x))).map_real(Partial::from_value)
    }
    fn record_cond(
        internal: Internal,
        at: Site,
        condition: &T::Bool,
        then: &mut dyn FnMut() -> Leaves<Self>,
        otherwise: &mut dyn FnMut() -> Leaves<Self>,
    ) -> Leaves<Self> {
        let (mut then, mut otherwise) = (|| known(at, then()), || known(at, otherwise()));
        lifted(T::record_cond(internal, at, condition, &mut then, &mut otherwise))
    }
    fn record_fix(
        internal: Internal,
        at: Site,
        x: Leaves<Self>,
        results: &[Leaf<Self>],
        body: Function<'_, Self>,
    ) -> Leaves<Self> {
        let results = known(at, results.to_vec());
        lifted(T::record_fix(internal, at, known(at, x), &results, &|call, x| {
            known(at, body(&|x| lifted(call(known(at, x))), lifted(x)))
        }))
    }
}
