//! Recorded control flow of all rows: a value flows as an array of all rows, since arms and rounds may differ in
//! whether it is the same for all. Integers and truth values that a function is called with stay as they are: a counter
//! decides for all rows at once. A region, which becomes an operator, is one of such arrays too.
//!
//! Control flow on conditions that differ from row to row does not come here; see `language/control/rows.rs`.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use super::{Batch, BatchAdjoint, BatchBool, BatchInt, map};
use crate::continuation::unwinding::{operator, raise};
use crate::error::{At, CpsResult, Error};
use crate::language::control::checkpoint::Body;
use crate::language::control::continuation_passing::{
    Arm, BodyTo, Captured, Function, Leaves, Region, Site, To, reals,
};
use crate::language::control::{Control, Pulled, Wanted, rows};
use crate::language::real::{Mask, Real};
use crate::language::shape::{self, Shape};
use crate::language::state::Leaf;
use crate::language::tensor::{IntTensor, Tensor};
use crate::sealed::Internal;

/// The number of rows, which is known from [`vmap`](crate::vmap).
pub(super) fn count<T: Tensor>(at: At) -> usize {
    rows::count::<BatchBool<T::Bool>>().unwrap_or_else(|| {
        let reason = "a value of a batch is used outside of the vmap that it belongs to".into();
        raise(Error::Recording { reason, at })
    })
}

/// How the values that flow into control flow, or out of it, do.
#[derive(Clone)]
pub(super) enum Way {
    /// As arrays of all rows, except for integers among the first ones, which are the recording's own.
    Results { own: usize },
    /// Likewise, but integers and truth values are the same for all rows where this says so.
    Arguments { same: Vec<bool> },
}

impl Way {
    /// All of them as arrays of all rows.
    pub(super) const OF_ROWS: Way = Way::Results { own: 0 };

    pub(super) fn results(at: Site) -> Way {
        Way::Results { own: at.own_values() }
    }
    fn arguments<T: Tensor>(x: &[Leaf<Batch<T>>]) -> Way {
        let same = x.iter().map(|leaf| match leaf {
            Leaf::Real(_) => false,
            Leaf::Int(i) => !i.batched,
            Leaf::Bool(b) => !b.batched,
        });
        Way::Arguments { same: same.collect() }
    }
    fn is_same<T: Real>(&self, i: usize, leaf: &Leaf<T>) -> bool {
        match self {
            Way::Results { own } => i < *own && !matches!(leaf, Leaf::Real(_)),
            Way::Arguments { same } => same.get(i) == Some(&true),
        }
    }

    /// Values as they flow.
    pub(super) fn components<T: Tensor>(&self, at: Site, leaves: Leaves<Batch<T>>) -> Leaves<T> {
        let rows = count::<T>(at.at);
        let component = |(i, leaf): (usize, Leaf<Batch<T>>)| {
            let leaf = match leaf {
                leaf if !self.is_same(i, &leaf) => return map::spread(leaf, rows),
                leaf => map::whole(leaf),
            };
            leaf.unwrap_or_else(|| {
                let reason = format!(
                    "{}: an integer or truth value that is the same for all rows of the batch at first differs from \
                     row to row later: make it of something that differs from the start",
                    at.op
                );
                raise(Error::Recording { reason, at: at.at })
            })
        };
        leaves.into_iter().enumerate().map(component).collect()
    }

    /// The values whose [`components`](Way::components) these are.
    pub(super) fn values<T: Tensor>(&self, components: Leaves<T>) -> Leaves<Batch<T>> {
        let value = |(i, leaf): (usize, Leaf<T>)| match leaf {
            leaf if self.is_same(i, &leaf) => map::same_for_all(leaf),
            leaf => map::of_rows(leaf),
        };
        components.into_iter().enumerate().map(value).collect()
    }

    /// A continuation of values as one of their components.
    fn lower<T: Tensor>(&self, k: To<'_, Batch<T>>) -> impl FnMut(Leaves<T>) -> CpsResult<Vec<T::Adjoint>> {
        |components| Ok(of_rows(k(self.values(components))?))
    }

    /// A continuation of components as one of values.
    fn lift<T: Tensor>(
        &self,
        at: Site,
        k: To<'_, T>,
    ) -> impl FnMut(Leaves<Batch<T>>) -> CpsResult<Vec<BatchAdjoint<T>>> {
        move |values| {
            let adjoints = k(self.components(at, values))?;
            Ok(for_rows(at, adjoints))
        }
    }
}

fn of_rows<T: Tensor>(adjoints: Vec<BatchAdjoint<T>>) -> Vec<T::Adjoint> {
    adjoints.into_iter().map(BatchAdjoint::into_each).collect()
}

fn for_rows<T: Tensor>(at: Site, adjoints: Vec<T::Adjoint>) -> Vec<BatchAdjoint<T>> {
    let rows = count::<T>(at.at);
    adjoints.into_iter().map(|each| BatchAdjoint::of_rows(each, rows)).collect()
}

/// A region of a batch: one of arrays of all rows.
struct OfRows {
    region: Region,
    /// Which of its inputs are arrays of all rows. The others are what the interpretation below has captured itself.
    inputs: OnceCell<Vec<bool>>,
    /// The shapes of a row of its real results.
    results: Vec<Shape>,
}

impl OfRows {
    fn of(region: &Region) -> Rc<OfRows> {
        region.piece().expect("regions of batches are of their rows")
    }

    /// The region of arrays of all rows.
    fn below(&self, again: bool) -> Region {
        Region { again, ..self.region.clone() }
    }

    fn into_region(self) -> Region {
        Region::new(Rc::new(self))
    }

    fn inputs(&self) -> &[bool] {
        self.inputs.get().expect("a region is closed before it is used")
    }

    /// Inputs as they flow.
    fn components<T: Tensor>(&self, at: Site, inputs: Leaves<Batch<T>>) -> Leaves<T> {
        let rows = count::<T>(at.at);
        let component = |(leaf, &of_rows): (Leaf<Batch<T>>, &bool)| match of_rows {
            true => map::spread(leaf, rows),
            false => map::whole(leaf).expect("what was captured below is the same for all rows"),
        };
        inputs.into_iter().zip(self.inputs()).map(component).collect()
    }

    /// Adjoints of the real results as they flow.
    fn seeds<T: Tensor>(&self, at: Site, seeds: Vec<Option<Batch<T>>>) -> Vec<Option<T>> {
        let rows = count::<T>(at.at);
        let all = |(seed, shape): (Option<Batch<T>>, &Shape)| {
            let seed = seed?;
            Some(if seed.shape() == *shape { seed } else { seed.broadcast_to(shape) }.spread(rows))
        };
        operator(at.at, || seeds.into_iter().zip(&self.results).map(all).collect())
    }
}

/// The values of which these are arrays of all rows.
fn each_of_rows<T: Tensor>(values: Vec<T>) -> Vec<Batch<T>> {
    values.into_iter().map(Batch::of_rows).collect()
}

impl<T: Tensor> Control for Batch<T> {
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
        let (x, same) = map::parts(x);
        let result: Rc<RefCell<Vec<bool>>> = Rc::default();
        let f: Body<'_, T> = {
            let result = Rc::clone(&result);
            Rc::new(move |x| {
                let (y, same) = map::parts(f(map::of_parts(x, &same)));
                result.replace(same);
                y
            })
        };
        // SAFETY: it owns the function, which owns what it uses, as the caller promises.
        let y = unsafe { T::checkpoint_at(internal, at, x, f) };
        let same = result.borrow();
        map::of_parts(y, &same)
    }
    fn ensure_at(internal: Internal, at: At, condition: &BatchBool<T::Bool>, message: &str) {
        let of_account = match rows::live::<BatchBool<T::Bool>>() {
            Some(live) => condition.or(&live.not()),
            None => condition.clone(),
        };
        T::ensure_at(internal, at, &of_account.value, message);
    }
    fn with_region(
        internal: Internal,
        at: Site,
        body: &mut dyn FnMut() -> Leaves<Self>,
    ) -> (Region, Captured<Self>) {
        let mut results = Vec::new();
        let (region, captured) = T::with_region(internal, at, &mut || {
            let leaves = body();
            results = reals(&leaves).map(Batch::shape).collect();
            Way::results(at).components(at, leaves)
        });
        let captured = captured.map(|leaves| leaves.into_iter().map(map::same_for_all).collect());
        (OfRows { region, inputs: OnceCell::new(), results }.into_region(), captured)
    }
    fn close_region(internal: Internal, at: Site, region: &Region, inside: Leaves<Self>) {
        let region = OfRows::of(region);
        let of_rows = |leaf: &Leaf<Self>| map::whole(leaf.clone()).is_none();
        assert!(region.inputs.set(inside.iter().map(of_rows).collect()).is_ok(), "a region is closed once");
        let inside = region.components(at, inside);
        T::close_region(internal, at, &region.region, inside);
    }
    fn apply_region(internal: Internal, at: Site, region: &Region, inputs: Leaves<Self>) -> Leaves<Self> {
        let (again, region) = (region.again, OfRows::of(region));
        let inputs = region.components(at, inputs);
        Way::results(at).values(T::apply_region(internal, at, &region.below(again), inputs))
    }
    fn pull_region(internal: Internal, at: Site, region: &Region, wanted: Wanted<Self>) -> Pulled<Self> {
        let (again, region) = (region.again, OfRows::of(region));
        let Wanted { inputs, adjoints, seeds, values } = wanted;
        let of_rows = adjoints.iter().zip(region.inputs()).all(|(wanted, of_rows)| *of_rows || !wanted);
        assert!(of_rows, "what was captured below has its derivative there");
        let (inputs, seeds) = (region.components(at, inputs), region.seeds(at, seeds));
        let wanted = Wanted { inputs, adjoints, seeds, values };
        let Pulled { values, adjoints } = T::pull_region(internal, at, &region.below(again), wanted);
        Pulled { values: each_of_rows(values), adjoints: each_of_rows(adjoints) }
    }
    fn forward_region(
        internal: Internal,
        at: Site,
        region: &Region,
        inputs: Leaves<Self>,
        wanted: &[bool],
    ) -> Region {
        let region = OfRows::of(region);
        let tangents = wanted.iter().filter(|wanted| **wanted);
        let of_rows: Vec<bool> = region.inputs().iter().chain(tangents).copied().collect();
        let inputs = region.components(at, inputs);
        let forward = T::forward_region(internal, at, &region.region, inputs, wanted);
        let results = [region.results.clone(), region.results.clone()].concat();
        OfRows { region: forward, inputs: OnceCell::from(of_rows), results }.into_region()
    }

    fn scratch(internal: Internal, f: &mut dyn FnMut()) {
        T::scratch(internal, f);
    }
    fn each_row(internal: Internal, at: At, leaf: Leaf<Self>) -> Leaf<Self> {
        let rows = count::<T>(at);
        match leaf {
            Leaf::Real(x) => {
                Leaf::Real(Batch::of_rows(T::each_row(internal, at, Leaf::Real(x.spread(rows))).real()))
            }
            Leaf::Int(i) => {
                Leaf::Int(BatchInt::of_rows(T::each_row(internal, at, Leaf::Int(i.spread(rows))).int()))
            }
            Leaf::Bool(b) => {
                let all = b.spread::<T>(rows);
                Leaf::Bool(BatchBool::of_rows(T::each_row(internal, at, Leaf::Bool(all)).bool()))
            }
        }
    }
    fn filler(_: Internal, _at: Site, leaf: &Leaf<Self>) -> Leaf<Self> {
        // As operators take of rows that are of no account.
        match leaf {
            Leaf::Real(x) => Leaf::Real(Batch::lift(&T::ones(&x.row_shape()))),
            Leaf::Int(i) => {
                let shape = i.row_shape();
                let zeros = vec![0; shape::size(&shape)];
                let zeros = T::Int::from_elements(&shape, &zeros).expect("as many elements as the shape has");
                Leaf::Int(BatchInt::lift(&zeros))
            }
            Leaf::Bool(b) => Leaf::Bool(BatchBool::lift(&T::ones(&b.row_shape()).less(&T::constant(0.5)))),
        }
    }
    fn record_cond(
        internal: Internal,
        at: Site,
        condition: &BatchBool<T::Bool>,
        then: &mut dyn FnMut() -> Leaves<Self>,
        otherwise: &mut dyn FnMut() -> Leaves<Self>,
    ) -> Leaves<Self> {
        let way = Way::results(at);
        way.values(T::record_cond(
            internal,
            at,
            &condition.value,
            &mut || way.components(at, then()),
            &mut || way.components(at, otherwise()),
        ))
    }
    fn record_fix(
        internal: Internal,
        at: Site,
        x: Leaves<Self>,
        results: &[Leaf<Self>],
        body: Function<'_, Self>,
    ) -> Leaves<Self> {
        let (arguments, way) = (Way::arguments(&x), Way::results(at));
        let results = way.components(at, results.to_vec());
        way.values(T::record_fix(internal, at, arguments.components(at, x), &results, &|call, x| {
            let call = |x: Leaves<Self>| way.values(call(arguments.components(at, x)));
            way.components(at, body(&call, arguments.values(x)))
        }))
    }
    fn branch_to(
        internal: Internal,
        at: Site,
        condition: &BatchBool<T::Bool>,
        then: Arm<'_, Self>,
        otherwise: Arm<'_, Self>,
        join: To<'_, Self>,
    ) -> CpsResult<()> {
        let way = Way::results(at);
        T::branch_to(
            internal,
            at,
            &condition.value,
            &mut |join| then(&mut way.lift(at, join)),
            &mut |join| otherwise(&mut way.lift(at, join)),
            &mut way.lower(join),
        )
    }
    fn fix_to(
        internal: Internal,
        at: Site,
        x: Leaves<Self>,
        results: &[Leaf<Self>],
        body: BodyTo<'_, Self>,
        k: To<'_, Self>,
    ) -> CpsResult<Vec<BatchAdjoint<T>>> {
        let (arguments, way) = (Way::arguments(&x), Way::results(at));
        let results = way.components(at, results.to_vec());
        let adjoints = T::fix_to(
            internal,
            at,
            arguments.components(at, x),
            &results,
            &mut |call, x, k| {
                let call = |x: Leaves<Self>, k: To<'_, Self>| {
                    let adjoints = call(arguments.components(at, x), &mut way.lower(k))?;
                    Ok(for_rows(at, adjoints))
                };
                Ok(of_rows(body(&call, arguments.values(x), &mut way.lift(at, k))?))
            },
            &mut way.lower(k),
        )?;
        Ok(for_rows(at, adjoints))
    }
}
