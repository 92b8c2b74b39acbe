//! Recorded control flow: branches, local functions and continuations of the program.

use std::cell::RefCell;
use std::rc::Rc;

use antiphon_staging::{self as staging, Block, Func, ProbeKind, Signature, Target, Type, Value};

use super::adjoint::Passed;
use super::region::{self, Piece};
use super::{Located, Recorded, RecordedAdjoint, RecordedBool, RecordedInt, Recorder, probe, recorder};
use crate::continuation::unwinding::OrRaise;
use crate::error::{At, CpsResult, Result};
use crate::language::control::continuation_passing::{
    Arm, BodyTo, Captured, Function, Leaves, Region, Site, To,
};
use crate::language::control::{Control, Pulled, Wanted, not_single};
use crate::language::shape::Shape;
use crate::language::state::Leaf;
use crate::sealed::Internal;

/// Restores the open blocks when an error leaves some open, so that it can be handled while recording.
pub(super) struct Balance<'a> {
    recorder: &'a Recorder,
    depth: usize,
}

impl Balance<'_> {
    pub(super) fn of(recorder: &Recorder) -> Balance<'_> {
        Balance { recorder, depth: recorder.builder.depth() }
    }
}

impl Drop for Balance<'_> {
    fn drop(&mut self) {
        drop(self.recorder.builder.set_aside(self.depth));
    }
}

impl Recorder {
    pub(super) fn values(&self, leaves: &[Leaf<Recorded>]) -> Vec<Value> {
        let value = |leaf: &Leaf<Recorded>| match leaf {
            Leaf::Real(x) => self.value_of(x.0),
            Leaf::Int(i) => self.value_of(i.0),
            Leaf::Bool(b) => self.value_of(b.0),
        };
        leaves.iter().map(value).collect()
    }

    /// Values with the kinds of `like`.
    fn leaves(&self, like: &[Leaf<Recorded>], values: &[Value]) -> Leaves<Recorded> {
        let leaf = |(like, &value): (&Leaf<Recorded>, &Value)| match like {
            Leaf::Real(_) => Leaf::Real(Recorded(self.wrap(value))),
            Leaf::Int(_) => Leaf::Int(RecordedInt(self.wrap(value))),
            Leaf::Bool(_) => Leaf::Bool(RecordedBool(self.wrap(value))),
        };
        like.iter().zip(values).map(leaf).collect()
    }

    fn types(&self, leaves: &[Leaf<Recorded>]) -> Vec<Type> {
        self.values(leaves).into_iter().map(|value| self.builder.ty(value)).collect()
    }

    /// Gives values without a name those of others.
    pub(super) fn name_like(&self, values: &[Value], like: &[Value]) {
        for (&value, &like) in values.iter().zip(like) {
            if let (None, Some(name)) = (self.builder.name_of(value), self.builder.name_of(like)) {
                self.builder.name(value, &name);
            }
        }
    }

    /// Types of the real ones.
    pub(super) fn reals(&self, leaves: &[Leaf<Recorded>]) -> Vec<Type> {
        let reals = leaves.iter().filter_map(|leaf| if let Leaf::Real(x) = leaf { Some(x) } else { None });
        reals.map(|x| self.builder.ty(self.value_of(x.0))).collect()
    }

    /// Types of the adjoints of the real ones, each with whether it is present.
    fn adjoint_types(&self, leaves: &[Leaf<Recorded>]) -> Vec<Type> {
        let flag = Type::scalar(antiphon_staging::Dtype::Bool);
        self.reals(leaves).into_iter().flat_map(|ty| [ty, flag.clone()]).collect()
    }

    /// Adjoints that a function returned, each with whether it is present.
    fn returned(&self, like: &[Leaf<Recorded>], results: &[Value]) -> Vec<RecordedAdjoint> {
        let pairs = self.reals(like).into_iter().zip(results.chunks(2));
        let adjoint = |(ty, pair): (Type, &[Value])| {
            RecordedAdjoint::passed(self, ty, Some(Passed { value: pair[0], present: Some(pair[1]) }))
        };
        pairs.map(adjoint).collect()
    }

    /// That values which go the same way have the same types.
    fn same_types(&self, what: &str, site: Site, expected: &[Type], leaves: &[Leaf<Recorded>]) -> Result<()> {
        let found = self.types(leaves);
        if expected == found {
            return Ok(());
        }
        let list = |types: &[Type]| {
            types.iter().skip(site.own_values()).map(Type::to_string).collect::<Vec<_>>().join(", ")
        };
        let types = format!("({}) and ({})", list(expected), list(&found));
        Err(site.disagreement(&format!("{what} values of different types: {types}")))
    }

    /// A condition, which has to be a single truth value, of whatever rank.
    fn condition(&self, condition: &RecordedBool, at: Site) -> Result<Value> {
        let value = self.value_of(condition.0);
        let ty = self.builder.ty(value);
        match ty.size() {
            _ if ty.shape.is_empty() => Ok(value),
            1 => self.builder.emit(staging::Expr::Reshape(value, Shape::default())).located(),
            _ => Err(not_single(at, &ty.shape)),
        }
    }

    /// One arm of a branch in direct style.
    fn arm(&self, arm: &mut dyn FnMut() -> Leaves<Recorded>) -> (Block, Leaves<Recorded>) {
        self.begin_arm();
        let results = arm();
        let block = self.builder.end(&self.values(&results)).located().or_raise();
        (block, results)
    }

    /// A function that the user's control flow becomes, yet to be defined.
    fn function(&self, site: Site, signature: Signature, continuations: &[Signature]) -> Func {
        self.at(site.at);
        let func = self.builder.declare(signature, continuations);
        if site.is_loop() {
            self.builder.name_loop(func);
        }
        func
    }

    /// A local function from primals to adjoints, defined here, that may be passed as a continuation. Its parameters
    /// have the names of those values, if they have any.
    fn continuation(&self, like: &[Leaf<Recorded>], names: &[Value], k: To<'_, Recorded>) -> CpsResult<Func> {
        let signature = Signature::new("k", &self.types(like), &self.adjoint_types(like));
        let func = self.builder.declare(signature, &[]);
        let (params, _) = self.builder.define(func);
        self.name_like(&params, &self.values(like));
        self.name_like(&params, names);
        let adjoints = k(self.leaves(like, &params))?;
        let results: Vec<Value> = adjoints.iter().flat_map(|adjoint| adjoint.pass_all(self)).collect();
        self.builder.end(&results).located()?;
        Ok(func)
    }
}

/// What becomes of the results of a recursive function, in words.
const RESULTS: &str = "a recursive function gives";

impl Control for Recorded {
    const RECORDS: bool = true;
    const CONTINUES: bool = true;

    fn with_region(_: Internal, _: Site, body: &mut dyn FnMut() -> Leaves<Self>) -> (Region, Captured<Self>) {
        region::with_region(body)
    }
    fn close_region(_: Internal, _: Site, region: &Region, inside: Leaves<Self>) {
        Piece::of(region).close(&inside);
    }
    fn apply_region(_: Internal, at: Site, region: &Region, inputs: Leaves<Self>) -> Leaves<Self> {
        Piece::of(region).apply(at, region.again, inputs)
    }
    fn pull_region(_: Internal, at: Site, region: &Region, wanted: Wanted<Self>) -> Pulled<Self> {
        region::pull(at, &Piece::of(region), wanted)
    }
    fn forward_region(
        _: Internal,
        at: Site,
        region: &Region,
        _inputs: Leaves<Self>,
        wanted: &[bool],
    ) -> Region {
        Region::new(Rc::new(Piece::of(region).forward(at, wanted)))
    }

    fn ensure_at(_: Internal, at: At, condition: &RecordedBool, message: &str) {
        probe(ProbeKind::Ensure(message.into()), condition.0, at);
    }
    fn scratch(_: Internal, f: &mut dyn FnMut()) {
        /// Also when an error leaves it.
        struct Trying<'a>(&'a Recorder, bool);
        impl Drop for Trying<'_> {
            fn drop(&mut self) {
                self.0.builder.set_trying(self.1);
            }
        }
        let recorder = recorder();
        let _balance = Balance::of(&recorder);
        let _trying = Trying(&recorder, recorder.builder.set_trying(true));
        recorder.begin_arm();
        f();
    }

    fn record_cond(
        _: Internal,
        at: Site,
        condition: &RecordedBool,
        then: &mut dyn FnMut() -> Leaves<Self>,
        otherwise: &mut dyn FnMut() -> Leaves<Self>,
    ) -> Leaves<Self> {
        let recorder = recorder();
        recorder.at(at.at);
        let condition = recorder.condition(condition, at).or_raise();
        let _balance = Balance::of(&recorder);
        let (then, results) = recorder.arm(then);
        let types = recorder.types(&results);
        let (otherwise, others) = recorder.arm(otherwise);
        recorder.same_types(at.arms(), at, &types, &others).or_raise();
        recorder.at(at.at);
        let joined = recorder.builder.branch(condition, then, otherwise).located().or_raise();
        recorder.name_like(&joined, &recorder.values(&results));
        recorder.leaves(&results, &joined)
    }

    fn record_fix(
        _: Internal,
        at: Site,
        x: Leaves<Self>,
        results: &[Leaf<Self>],
        body: Function<'_, Self>,
    ) -> Leaves<Self> {
        let recorder = recorder();
        let _balance = Balance::of(&recorder);
        let (types, result_types) = (recorder.types(&x), recorder.types(results));
        let func = recorder.function(at, Signature::new("f", &types, &result_types), &[]);
        let call = |argument: Leaves<Self>| {
            recorder.same_types(at.calls(), at, &types, &argument).or_raise();
            recorder.at(at.at);
            let y = recorder.builder.call(Target::Func(func), &recorder.values(&argument), &[]);
            recorder.leaves(results, &y.located().or_raise())
        };
        let (params, _) = recorder.builder.define(func);
        recorder.name_like(&params, &recorder.values(&x));
        let y = body(&call, recorder.leaves(&x, &params));
        recorder.same_types(RESULTS, at, &result_types, &y).or_raise();
        recorder.builder.end(&recorder.values(&y)).located().or_raise();
        call(x)
    }

    fn branch_to(
        _: Internal,
        at: Site,
        condition: &RecordedBool,
        then: Arm<'_, Self>,
        otherwise: Arm<'_, Self>,
        join: To<'_, Self>,
    ) -> CpsResult<()> {
        let recorder = recorder();
        recorder.at(at.at);
        let builder = &recorder.builder;
        let condition = recorder.condition(condition, at)?;
        let _balance = Balance::of(&recorder);
        let depth = builder.depth();
        // Both arms compute their results before the join point is recorded, and go backward after it: what they
        // know of the adjoints is then known while recording.
        let mut point = None;
        let mut other = None;
        recorder.begin_arm();
        then(&mut |results| {
            let outer = builder.set_aside(depth);
            let types = recorder.types(&results);
            recorder.begin_arm();
            otherwise(&mut |others| {
                recorder.same_types(at.arms(), at, &types, &others)?;
                let inner = builder.set_aside(depth);
                recorder.at(at.at);
                let recorded = Join::record(&recorder, [&results, &others], join)?;
                builder.resume(inner);
                recorder.at(at.at);
                let adjoints = recorded.call(&recorder, &others)?;
                point = Some(recorded);
                Ok(adjoints)
            })?;
            other = Some(builder.end(&[]).located()?);
            builder.resume(outer);
            recorder.at(at.at);
            point.as_ref().expect("recorded by the other arm").call(&recorder, &results)
        })?;
        let then = builder.end(&[]).located()?;
        let otherwise = other.expect("recorded inside of the first arm");
        recorder.at(at.at);
        builder.branch(condition, then, otherwise).located()?;
        Ok(())
    }

    fn fix_to(
        _: Internal,
        at: Site,
        x: Leaves<Self>,
        results: &[Leaf<Self>],
        body: BodyTo<'_, Self>,
        k: To<'_, Self>,
    ) -> CpsResult<Vec<RecordedAdjoint>> {
        let recorder = recorder();
        let builder = &recorder.builder;
        let _balance = Balance::of(&recorder);
        let (types, result_types) = (recorder.types(&x), recorder.types(results));
        let k_signature = Signature::new("k", &result_types, &recorder.adjoint_types(results));
        let signature = Signature::new("f", &types, &recorder.adjoint_types(&x));
        let func = recorder.function(at, signature, &[k_signature]);
        let (params, continuations) = builder.define(func);
        let finished = RefCell::new(Vec::new());
        recorder.name_like(&params, &recorder.values(&x));
        let call = |argument: Leaves<Self>, k: To<'_, Self>| -> CpsResult<Vec<RecordedAdjoint>> {
            recorder.same_types(at.calls(), at, &types, &argument)?;
            let arguments = recorder.values(&argument);
            recorder.name_like(&params, &arguments);
            let names: Vec<Value> = finished.borrow().clone();
            recorder.at(at.at);
            let k = recorder.continuation(results, &names, k)?;
            recorder.at(at.at);
            let adjoints = builder.call(Target::Func(func), &arguments, &[Target::Func(k)]);
            Ok(recorder.returned(&argument, &adjoints.located()?))
        };
        let adjoints = body(&call, recorder.leaves(&x, &params), &mut |y| {
            recorder.same_types(RESULTS, at, &result_types, &y)?;
            finished.replace(recorder.values(&y));
            recorder.at(at.at);
            let finish = Target::Cont(continuations[0]);
            let adjoints = builder.call(finish, &recorder.values(&y), &[]).located()?;
            Ok(recorder.returned(&y, &adjoints))
        })?;
        let adjoints: Vec<Value> = adjoints.iter().flat_map(|adjoint| adjoint.pass_all(&recorder)).collect();
        builder.end(&adjoints).located()?;
        call(x, k)
    }
}

/// A recorded join point, and what is known of the adjoints that it returns.
struct Join {
    func: Func,
    /// Of each real leaf: absent, or present, or (`Some(true)`) only the running program knows.
    adjoints: Vec<(Type, Option<bool>)>,
}

impl Join {
    /// Of arms with these results, which have the same types.
    fn record(
        recorder: &Recorder,
        [like, others]: [&[Leaf<Recorded>]; 2],
        k: To<'_, Recorded>,
    ) -> CpsResult<Join> {
        let builder = &recorder.builder;
        let func = builder.declare(Signature::new("join", &recorder.types(like), &[]), &[]);
        let (params, _) = builder.define(func);
        recorder.name_like(&params, &recorder.values(like));
        recorder.name_like(&params, &recorder.values(others));
        let collected = k(recorder.leaves(like, &params))?;
        let (mut results, mut adjoints) = (Vec::new(), Vec::new());
        for (ty, adjoint) in recorder.reals(like).into_iter().zip(&collected) {
            let passed = adjoint.pass(recorder);
            results
                .extend(passed.iter().flat_map(|passed| std::iter::once(passed.value).chain(passed.present)));
            adjoints.push((ty, passed.map(|passed| passed.present.is_some())));
        }
        builder.end_with(func, &results).located()?;
        Ok(Join { func, adjoints })
    }

    /// Calls the join point; the adjoints that it returns.
    fn call(&self, recorder: &Recorder, leaves: &[Leaf<Recorded>]) -> CpsResult<Vec<RecordedAdjoint>> {
        let results = recorder.builder.call(Target::Func(self.func), &recorder.values(leaves), &[]);
        let mut results = results.located()?.into_iter();
        let adjoint = |(ty, known): &(Type, Option<bool>)| {
            let passed = known.and_then(|dynamic| {
                let value = results.next()?;
                Some(Passed { value, present: if dynamic { results.next() } else { None } })
            });
            RecordedAdjoint::passed(recorder, ty.clone(), passed)
        };
        Ok(self.adjoints.iter().map(adjoint).collect())
    }
}
