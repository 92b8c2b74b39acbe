//! Regions: pieces of the program in direct style, and their derivatives.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use antiphon_staging::{Block, Cell as ProgramCell, Dtype, Expr, Func, Signature, Stmt, Target, Type, Value};

use super::tensor::Again;
use super::{Located, Recorded, RecordedBool, RecordedInt, Recorder, recorder, recorder_of};
use crate::continuation::unwinding::{OrRaise, blame, operator, raise};
use crate::continuation::{Level, reset_at};
use crate::error::At;
use crate::forward::Dual;
use crate::language::control::continuation_passing::{Captured, Leaves, Region, Site};
use crate::language::control::{Pulled, Wanted};
use crate::language::node::{Held, OwnedNode, node_for, node_in};
use crate::language::real::Real;
use crate::language::state::Leaf;
use crate::reverse::Var;

/// A rule, and its operands.
type Ruled = (Rc<dyn Again>, Vec<Value>);

/// What the recorder knows of regions.
#[derive(Default)]
pub(super) struct Regions {
    /// How many are being recorded, one inside of the other.
    depth: Cell<usize>,
    /// Values that nothing flows back through, inside of regions.
    pub(super) detached: RefCell<HashSet<Value>>,
    /// Cells that an array is written to row by row. Others are adjoints.
    pub(super) rows: RefCell<HashSet<ProgramCell>>,
    /// Values whose derivatives are what a rule says, of operands.
    pub(super) rules: RefCell<HashMap<Value, Ruled>>,
    /// What is a derivative of a region inside of another one: calls of these functions, which are never defined.
    pub(super) pulls: RefCell<HashMap<Func, Rc<Pull>>>,
    /// What is a checkpoint inside of a region: calls of these functions, which are never defined either.
    pub(super) checkpoints: RefCell<HashMap<Func, Rc<Piece>>>,
}

/// The arguments of a [`pull`], but for the values.
pub(super) struct Pull {
    pub(super) region: Rc<Piece>,
    pub(super) wanted: Vec<bool>,
    /// Which results have a seed.
    pub(super) seeded: Vec<bool>,
    pub(super) values: bool,
}

/// A [`Region`] of a program.
pub(super) struct Piece {
    /// The recording that it is a piece of.
    home: u64,
    pub(super) block: Block,
    pub(super) results: Leaves<Recorded>,
    inputs: OnceCell<Vec<Value>>,
}

impl Piece {
    pub(super) fn of(region: &Region) -> Rc<Piece> {
        region.piece().expect("regions of programs are pieces of them")
    }

    pub(super) fn inputs(&self) -> &[Value] {
        self.inputs.get().expect("a region is closed before it is used")
    }

    pub(super) fn home(&self) -> Rc<Recorder> {
        recorder_of(self.home)
    }
}

/// Restores the number of open regions when dropped.
struct Inside<'a>(&'a Recorder);

impl Inside<'_> {
    fn of(recorder: &Recorder) -> Inside<'_> {
        let depth = &recorder.regions.depth;
        depth.set(depth.get() + 1);
        Inside(recorder)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let depth = &self.0.regions.depth;
        depth.set(depth.get() - 1);
    }
}

impl Recorder {
    pub(super) fn is_inside(&self) -> bool {
        self.regions.depth.get() > 0
    }

    /// The same value with no derivative: inside of a region, it is another one that is known to have none.
    pub(super) fn detached(&self, x: Recorded) -> Recorded {
        if !self.is_inside() {
            return x;
        }
        let value = self.value_of(x.0);
        let detached =
            self.builder.emit(Expr::Reshape(value, self.builder.ty(value).shape)).located().or_raise();
        self.regions.detached.borrow_mut().insert(detached);
        Recorded(self.wrap(detached))
    }

    /// The same value, of which a rule says how it depends on these: outside of regions, the variables around it know.
    #[track_caller]
    pub(super) fn with_rule(
        &self,
        y: Recorded,
        operands: &[&Recorded],
        rule: impl FnOnce() -> Rc<dyn Again>,
    ) -> Recorded {
        if !self.is_inside() {
            return y;
        }
        let value = self.value_of(y.0);
        self.at(blame(At::caller()));
        let ruled =
            self.builder.emit(Expr::Reshape(value, self.builder.ty(value).shape)).located().or_raise();
        let operands = operands.iter().map(|x| self.value_of(x.0)).collect();
        self.regions.rules.borrow_mut().insert(ruled, (rule(), operands));
        Recorded(self.wrap(ruled))
    }

    /// A value of this one's type and name, or of another shape, that stands for an input of a region.
    pub(super) fn placeholder(&self, like: Recorded, shape: Option<&[usize]>) -> Recorded {
        let like = self.value_of(like.0);
        let mut ty = self.builder.ty(like);
        if let Some(shape) = shape {
            ty.shape = shape.into();
        }
        let input = self.builder.parameter(ty);
        self.name_like(&[input], &[like]);
        Recorded(self.wrap(input))
    }

    pub(super) fn leaf(&self, value: Value) -> Leaf<Recorded> {
        let handle = self.wrap(value);
        match self.builder.ty(value).dtype {
            Dtype::F32 | Dtype::F64 => Leaf::Real(Recorded(handle)),
            Dtype::I64 => Leaf::Int(RecordedInt(handle)),
            Dtype::Bool => Leaf::Bool(RecordedBool(handle)),
        }
    }
}

pub(super) fn with_region(body: &mut dyn FnMut() -> Leaves<Recorded>) -> (Region, Captured<Recorded>) {
    let recorder = recorder();
    let piece = Piece::record(&recorder, body);
    (Region::new(Rc::new(piece)), Captured { outside: Vec::new(), inside: Vec::new() })
}

impl Piece {
    fn record(recorder: &Recorder, body: impl FnOnce() -> Leaves<Recorded>) -> Piece {
        let _balance = super::control::Balance::of(recorder);
        let _inside = Inside::of(recorder);
        recorder.begin_arm();
        let results = body();
        let block = recorder.builder.end(&recorder.values(&results)).located().or_raise();
        Piece { home: recorder.id, block, results, inputs: OnceCell::new() }
    }

    pub(super) fn close(&self, inside: &[Leaf<Recorded>]) {
        let inputs = recorder().values(inside);
        assert!(self.inputs.set(inputs).is_ok(), "a region is closed once");
    }

    /// The results, once more; of what is computed `again` for its derivative, inside of a region only that it is.
    pub(super) fn apply(&self, at: Site, again: bool, inputs: Leaves<Recorded>) -> Leaves<Recorded> {
        let recorder = recorder();
        if !again || !recorder.is_inside() {
            return self.replay(at, inputs);
        }
        let home = self.home();
        let (closed, args) = self.closed(&recorder, inputs);
        let types = |recorder: &Recorder, values: &[Value]| -> Vec<Type> {
            values.iter().map(|&value| recorder.builder.ty(value)).collect()
        };
        let results = types(&home, &home.values(&self.results));
        let func =
            recorder.builder.declare(Signature::new("checkpoint", &types(&recorder, &args), &results), &[]);
        recorder.regions.checkpoints.borrow_mut().insert(func, Rc::new(closed));
        let results = recorder.builder.call(Target::Func(func), &args, &[]).located().or_raise();
        results.into_iter().map(|value| recorder.leaf(value)).collect()
    }

    /// The same piece, of which what it uses of the region around it are inputs as well: there, they stand for
    /// something else later. All of them.
    fn closed(&self, recorder: &Recorder, inputs: Leaves<Recorded>) -> (Piece, Vec<Value>) {
        let (free, home) = (self.free(), self.home());
        let outside = free.iter().map(|&value| recorder.value_of(home.wrap(value)));
        let args: Vec<Value> = recorder.values(&inputs).into_iter().chain(outside).collect();
        let inside: Vec<Value> = self.inputs().iter().copied().chain(free).collect();
        let inputs = OnceCell::from(inside);
        (Piece { home: self.home, block: self.block, results: self.results.clone(), inputs }, args)
    }

    /// The piece with tangents.
    pub(super) fn forward(&self, at: Site, wanted: &[bool]) -> Piece {
        let (recorder, home) = (recorder(), self.home());
        let mut inside: Leaves<Recorded> = Vec::new();
        let mut tangents: Leaves<Recorded> = Vec::new();
        let mut duals: Leaves<Dual<Recorded>> = Vec::new();
        for (&input, &wanted) in self.inputs().iter().zip(wanted) {
            let input = recorder.builder.parameter(home.builder.ty(input));
            let leaf = recorder.leaf(input);
            let dual = match &leaf {
                Leaf::Real(primal) if wanted => {
                    let tangent = recorder.placeholder(*primal, None);
                    tangents.push(Leaf::Real(tangent));
                    Leaf::Real(Dual::new(*primal, tangent))
                }
                Leaf::Real(primal) => Leaf::Real(Dual::lift(primal)),
                Leaf::Int(i) => Leaf::Int(*i),
                Leaf::Bool(b) => Leaf::Bool(*b),
            };
            inside.push(leaf);
            duals.push(dual);
        }
        inside.extend(tangents);
        let piece = Piece::record(&recorder, || {
            let (mut results, mut tangents) = (Vec::new(), Vec::new());
            for leaf in self.replay(at, duals) {
                results.push(leaf.map_real(|x| {
                    tangents.push(Leaf::Real(x.tangent()));
                    *x.primal()
                }));
            }
            results.extend(tangents);
            results
        });
        piece.close(&inside);
        piece
    }

    /// Values that it uses and does not define, its inputs aside.
    fn free(&self) -> Vec<Value> {
        fn visit(recorder: &Recorder, block: Block, used: &mut Vec<Value>, defined: &mut HashSet<Value>) {
            let data = recorder.builder.block(block);
            for stmt in &data.stmts {
                stmt.for_each_use(|value| used.push(value));
                match stmt {
                    Stmt::If { then, otherwise, .. } => {
                        visit(recorder, *then, used, defined);
                        visit(recorder, *otherwise, used, defined);
                    }
                    Stmt::Define(func) => {
                        let func = recorder.builder.func(*func);
                        defined.extend(func.params);
                        visit(recorder, func.body, used, defined);
                    }
                    _ => {}
                }
                defined.extend(stmt.results().iter().copied());
            }
            used.extend(data.results);
        }
        let (mut used, mut defined) = (Vec::new(), HashSet::new());
        visit(&self.home(), self.block, &mut used, &mut defined);
        defined.extend(self.inputs().iter().copied());
        used.retain(|&value| defined.insert(value));
        used
    }
}

/// The derivative of a piece in reverse.
pub(super) fn pull(at: Site, piece: &Rc<Piece>, wanted: Wanted<Recorded>) -> Pulled<Recorded> {
    let recorder = recorder();
    if recorder.is_inside() {
        return defer(&recorder, piece, wanted);
    }
    let Wanted { inputs, adjoints, seeds, values } = wanted;
    let level = Level::fresh();
    let owners: Vec<Option<OwnedNode<Recorded>>> = inputs
        .iter()
        .zip(adjoints)
        .map(|(leaf, wanted)| match leaf {
            Leaf::Real(x) if wanted => Some(node_for::<Recorded>(*x)),
            _ => None,
        })
        .collect();
    let place = Recorded::place();
    let mut kept = Vec::new();
    let ran = reset_at(<Var<'_, Recorded> as Real>::NESTING, level, at.at, || {
        let variables: Leaves<Var<'_, Recorded>> = inputs
            .iter()
            .zip(&owners)
            .map(|(leaf, owner)| match (leaf, owner) {
                // SAFETY: nodes of recorded values are shared.
                (Leaf::Real(_), Some(owner)) => Leaf::Real(unsafe { Var::active(owner, level) }),
                (Leaf::Real(x), None) => Leaf::Real(Var::lift(x)),
                (Leaf::Int(i), _) => Leaf::Int(*i),
                (Leaf::Bool(b), _) => Leaf::Bool(*b),
            })
            .collect();
        let results = piece.replay(at, variables);
        let reals =
            results.into_iter().filter_map(|leaf| if let Leaf::Real(y) = leaf { Some(y) } else { None });
        for (y, seed) in reals.zip(&seeds) {
            if let Some(seed) = seed {
                y.accumulate(operator(at.at, || seed.broadcast_like(y.primal())));
            }
            if values {
                kept.push(y.primal().leave_for(place));
            }
        }
        Ok(())
    });
    if let Err(error) = ran {
        raise(*error);
    }
    let value = |left| Recorded::take_adjoint(&left).expect("a value was left");
    let adjoint = |owner: &OwnedNode<Recorded>| {
        let node = node_in::<Recorded>(owner);
        node.take_adjoint().unwrap_or_else(|| node.value().zeros_like())
    };
    Pulled {
        values: kept.into_iter().map(value).collect(),
        adjoints: owners.iter().flatten().map(adjoint).collect(),
    }
}

/// [`pull`] in a region, whose derivatives ask for the piece itself.
fn defer(recorder: &Recorder, piece: &Rc<Piece>, wanted: Wanted<Recorded>) -> Pulled<Recorded> {
    let Wanted { inputs, adjoints: mut wanted, seeds, values } = wanted;
    let (builder, home) = (&recorder.builder, piece.home());
    let (closed, inputs) = piece.closed(recorder, inputs);
    let adjoints = inputs.iter().zip(&wanted).filter(|(_, wanted)| **wanted).map(|(&x, _)| builder.ty(x));
    let reals = if values { home.reals(&piece.results) } else { Vec::new() };
    let given = reals.len();
    let results: Vec<Type> = reals.into_iter().chain(adjoints).collect();
    wanted.resize(inputs.len(), false);
    let args: Vec<Value> =
        inputs.into_iter().chain(seeds.iter().flatten().map(|seed| recorder.value_of(seed.0))).collect();
    let types: Vec<Type> = args.iter().map(|&value| builder.ty(value)).collect();
    let func = builder.declare(Signature::new("pull", &types, &results), &[]);
    let seeded = seeds.iter().map(Option::is_some).collect();
    let pull = Pull { region: Rc::new(closed), wanted, seeded, values };
    recorder.regions.pulls.borrow_mut().insert(func, Rc::new(pull));
    let results = builder.call(Target::Func(func), &args, &[]).located().or_raise();
    let mut results: Vec<Recorded> =
        results.into_iter().map(|value| Recorded(recorder.wrap(value))).collect();
    let adjoints = results.split_off(given);
    Pulled { values: results, adjoints }
}
