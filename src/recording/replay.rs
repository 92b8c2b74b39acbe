//! Writing a piece of the program again over other interpretations: each statement is what the model once asked of
//! recorded values, asked of others.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use antiphon_staging::{
    Binary, Block, Cell as ProgramCell, Comparison, Expr, Func, Reduction, Scalar, Stmt, Target, Unary,
    Update, Value,
};

use super::region::{Piece, Pull, pull};
use super::tensor::Again;
use super::{Located, Recorded, RecordedBool, RecordedInt, Recorder, recorder};
use crate::continuation::unwinding::{OrRaise, operator, raise};
use crate::error::{At, Error};
use crate::forward::Dual;
use crate::language::at::Write;
use crate::language::control::continuation_passing::{Call, Leaves, PutRow, Region, Site, with_reals};
use crate::language::control::{Control, Pulled, Wanted};
use crate::language::real::Real;
use crate::language::shape::Axes;
use crate::language::state::Leaf;
use crate::language::tensor::Tensor;
use crate::reverse::Var;
use crate::sealed::INTERNAL;

impl Piece {
    /// Writes the piece over another interpretation.
    pub(super) fn replay<T: Replayed>(&self, at: Site, inputs: Leaves<T>) -> Leaves<T> {
        let (recorder, home) = (recorder(), self.home());
        assert_eq!(inputs.len(), self.inputs().len(), "as many inputs as the region has");
        let values = self.inputs().iter().copied().zip(inputs).collect();
        let replay = Replay {
            recorder: &recorder,
            home: &home,
            at,
            values: RefCell::new(values),
            sums: RefCell::default(),
            depth: Cell::new(0),
        };
        replay.block(self.block, None);
        self.results.iter().map(|result| replay.get(home.values(std::slice::from_ref(result))[0])).collect()
    }
}

/// Interpretations that pieces of a program are written over.
pub(super) trait Replayed: Tensor<Int = RecordedInt, Bool = RecordedBool> {
    /// Whether what a piece ensures and prints is written: once, with its value.
    const SHOWS: bool = false;
    fn constant_of(x: Recorded) -> Self;
    fn recorded(&self) -> Recorded;
    /// An operator of the host over this interpretation.
    fn again(again: &dyn Again, operands: &[&Self]) -> Self;
    /// The results of a piece that is a checkpoint.
    fn checkpoint(at: Site, piece: &Rc<Piece>, inputs: Leaves<Self>) -> Leaves<Self>;
    /// [`pull`] over this interpretation.
    fn pull(at: Site, piece: &Rc<Piece>, wanted: Wanted<Self>) -> Pulled<Self>;
}

impl Replayed for Recorded {
    const SHOWS: bool = true;
    fn constant_of(x: Recorded) -> Self {
        x
    }
    fn recorded(&self) -> Recorded {
        *self
    }
    fn again(again: &dyn Again, operands: &[&Self]) -> Self {
        again.recorded(operands)
    }
    fn checkpoint(at: Site, piece: &Rc<Piece>, inputs: Leaves<Self>) -> Leaves<Self> {
        piece.apply(at, true, inputs)
    }
    fn pull(at: Site, piece: &Rc<Piece>, wanted: Wanted<Self>) -> Pulled<Self> {
        pull(at, piece, wanted)
    }
}

impl Replayed for Var<'_, Recorded> {
    fn constant_of(x: Recorded) -> Self {
        Var::lift(&x)
    }
    fn recorded(&self) -> Recorded {
        *self.primal()
    }
    fn again(again: &dyn Again, operands: &[&Self]) -> Self {
        again.variable(operands)
    }
    fn checkpoint(at: Site, piece: &Rc<Piece>, inputs: Leaves<Self>) -> Leaves<Self> {
        let region = Region { again: true, ..Region::new(Rc::clone(piece) as Rc<dyn Any>) };
        Self::apply_region(INTERNAL, at, &region, inputs)
    }
    fn pull(at: Site, piece: &Rc<Piece>, wanted: Wanted<Self>) -> Pulled<Self> {
        Self::pull_region(INTERNAL, at, &Region::new(Rc::clone(piece) as Rc<dyn Any>), wanted)
    }
}

impl Replayed for Dual<Recorded> {
    fn constant_of(x: Recorded) -> Self {
        Dual::lift(&x)
    }
    fn recorded(&self) -> Recorded {
        *self.primal()
    }
    fn again(again: &dyn Again, operands: &[&Self]) -> Self {
        again.dual(operands)
    }
    fn checkpoint(at: Site, piece: &Rc<Piece>, inputs: Leaves<Self>) -> Leaves<Self> {
        let (moves, primals, tangents) = parts(inputs, &[]);
        let forward = piece.forward(at, &moves);
        let mut results = forward.apply(at, true, primals.into_iter().chain(tangents).collect());
        let mut tangents = results.split_off(piece.results.len()).into_iter();
        let dual = |primal| Dual::new(primal, tangents.next().expect("one each").real());
        with_reals(results, dual)
    }
    /// With `ẏ = f′(x)ẋ` and `x̄ = f′(x)ᵀȳ`: as `x̄ = ∂/∂ẋ ⟨ȳ, ẏ⟩`, and its tangent is `∂/∂x (⟨ȳ̇, y⟩ + ⟨ȳ, ẏ⟩)`, both
    /// come of the piece with tangents.
    fn pull(at: Site, piece: &Rc<Piece>, wanted: Wanted<Self>) -> Pulled<Self> {
        let Wanted { inputs, adjoints: wanted, seeds, values } = wanted;
        let (moves, primals, tangents) = parts(inputs, &wanted);
        let forward = Rc::new(piece.forward(at, &moves));
        let mut both = wanted.clone();
        both.extend(wanted.iter().zip(&moves).filter(|(_, moves)| **moves).map(|(wanted, _)| *wanted));
        let inputs = primals.into_iter().chain(tangents).collect();
        let (seeds, tangents): (Vec<_>, Vec<_>) = seeds
            .into_iter()
            .map(|seed| match seed.map(Dual::into_parts) {
                Some((primal, tangent)) => (Some(primal), tangent),
                None => (None, None),
            })
            .unzip();
        let seeds = tangents.into_iter().chain(seeds).collect();
        let mut pulled = pull(at, &forward, Wanted { inputs, adjoints: both, seeds, values });
        let half = |all: &mut Vec<Recorded>| all.split_off(all.len() / 2);
        let tangents = half(&mut pulled.values);
        let adjoints = half(&mut pulled.adjoints);
        let duals = |primals: Vec<Recorded>, tangents: Vec<Recorded>| {
            primals.into_iter().zip(tangents).map(|(primal, tangent)| Dual::new(primal, tangent)).collect()
        };
        Pulled { values: duals(pulled.values, tangents), adjoints: duals(adjoints, pulled.adjoints) }
    }
}

/// The inputs of a piece with tangents: which move, since they have tangents or are `wanted`, all values, and the
/// tangents of those that move.
fn parts(inputs: Leaves<Dual<Recorded>>, wanted: &[bool]) -> (Vec<bool>, Leaves<Recorded>, Leaves<Recorded>) {
    let (mut moves, mut primals, mut tangents) = (Vec::new(), Vec::new(), Vec::new());
    for (i, leaf) in inputs.into_iter().enumerate() {
        let mut tangent = None;
        primals.push(leaf.map_real(|x| {
            let (primal, of_primal) = x.into_parts();
            let wanted = wanted.get(i).is_some_and(|wanted| *wanted);
            tangent = of_primal.or_else(|| wanted.then(|| primal.zeros_like()));
            primal
        }));
        moves.push(tangent.is_some());
        tangents.extend(tangent.map(Leaf::Real));
    }
    (moves, primals, tangents)
}

/// What calls and statements inside of a function or a loop refer to.
struct Scope<'s, T: Real> {
    what: Referred<'s, T>,
    outer: Option<&'s Scope<'s, T>>,
}

enum Referred<'s, T: Real> {
    Function(Func, Call<'s, T>),
    Rows(ProgramCell, PutRow<'s, T>),
}

/// A piece that is being written over an interpretation.
struct Replay<'r, T: Real> {
    recorder: &'r Recorder,
    /// The recording that the piece is of, if it is not of this one.
    home: &'r Recorder,
    at: Site,
    values: RefCell<HashMap<Value, Leaf<T>>>,
    /// What the cells of a derivative hold that was taken of recorded values themselves.
    sums: RefCell<HashMap<ProgramCell, Sum<T>>>,
    /// In how many blocks this is.
    depth: Cell<usize>,
}

/// What was accumulated, in a block; outside of it, nobody knows how often it is run.
struct Sum<T> {
    depth: usize,
    value: Option<T>,
}

impl<T: Replayed> Replay<'_, T> {
    fn get(&self, value: Value) -> Leaf<T> {
        if let Some(leaf) = self.values.borrow().get(&value) {
            return leaf.clone();
        }
        // From outside of the piece.
        self.home.leaf(value).map_real(T::constant_of)
    }

    fn real(&self, value: Value) -> T {
        self.get(value).real()
    }

    fn int(&self, value: Value) -> RecordedInt {
        self.get(value).int()
    }

    /// The value itself, without derivatives.
    fn bare(&self, value: Value) -> Value {
        match self.get(value) {
            Leaf::Real(x) => self.recorder.value_of(T::recorded(&x).0),
            Leaf::Int(i) => self.recorder.value_of(i.0),
            Leaf::Bool(b) => self.recorder.value_of(b.0),
        }
    }

    fn all(&self, values: &[Value]) -> Leaves<T> {
        values.iter().map(|&value| self.get(value)).collect()
    }

    fn set(&self, value: Value, leaf: Leaf<T>) {
        self.values.borrow_mut().insert(value, leaf);
    }

    fn set_all(&self, values: &[Value], leaves: Leaves<T>) {
        values.iter().zip(leaves).for_each(|(&value, leaf)| self.set(value, leaf));
    }

    fn block(&self, block: Block, scope: Option<&Scope<'_, T>>) -> Leaves<T> {
        let data = self.home.builder.block(block);
        self.depth.set(self.depth.get() + 1);
        self.statements(&data.stmts, scope);
        self.depth.set(self.depth.get() - 1);
        self.all(&data.results)
    }

    /// What a cell of this block holds is exchanged; what it held.
    fn exchange(&self, cell: ProgramCell, change: impl FnOnce(Option<T>) -> Option<T>) -> Option<T> {
        let held = match self.sums.borrow_mut().get_mut(&cell) {
            Some(sum) if sum.depth == self.depth.get() => sum.value.take(),
            _ => self.no_derivative(),
        };
        let value = change(held.clone());
        self.sums.borrow_mut().insert(cell, Sum { depth: self.depth.get(), value });
        held
    }

    /// What is added to a cell.
    fn update(&self, cell: ProgramCell, update: &Update) -> T {
        match update {
            Update::Add(g) => self.real(*g),
            Update::Matmul(of, _) | Update::Slice { g: of, .. } | Update::Rows { g: of, .. } => {
                let expr =
                    update.as_expr(&self.home.builder.cell_ty(cell)).expect("an update of the recorder's");
                self.expression(*of, &expr).real()
            }
            Update::Write { indices, g, axes, .. } => {
                // It is what a read of these rows pulls back.
                let shape = self.home.builder.cell_ty(cell).shape;
                let n = shape[..*axes].iter().product();
                self.real(*g).scatter_rows(&self.int(*indices), n).reshape(&shape)
            }
            Update::Replace(_) => unreachable!("only optimised programs have it"),
        }
    }

    fn zeros(&self, cell: ProgramCell) -> T {
        T::zeros(&self.home.builder.cell_ty(cell).shape)
    }

    fn statements(&self, stmts: &[Stmt], scope: Option<&Scope<'_, T>>) {
        let mut rest = stmts;
        while let [stmt, after @ ..] = rest {
            rest = after;
            match stmt {
                Stmt::Let(value, expr) => {
                    let at = self.home.builder.line_of(*value).map_or(self.at.at, At::of);
                    let leaf = operator(at, || self.expression(*value, expr));
                    if let (Some(name), Leaf::Real(x)) = (self.home.builder.name_of(*value), &leaf) {
                        x.name_with(&|| name.clone());
                    }
                    self.set(*value, leaf);
                }
                Stmt::Cell(cell) if !self.home.regions.rows.borrow().contains(cell) => {
                    self.sums.borrow_mut().insert(*cell, Sum { depth: self.depth.get(), value: None });
                }
                // What `record_rows` writes.
                Stmt::Cell(cell) => {
                    let end =
                        after.iter().position(|stmt| matches!(stmt, Stmt::Take(_, taken) if taken == cell));
                    let (Some(end), Some(Stmt::Accumulate(..))) = (end, after.first()) else {
                        self.no_derivative()
                    };
                    let Stmt::Take(ys, _) = after[end] else { unreachable!("it was just found") };
                    let shape = self.home.builder.cell_ty(*cell).shape;
                    let (rows, _) = T::record_rows(INTERNAL, self.at, &shape, &mut |put| {
                        let what = Referred::Rows(*cell, put);
                        self.statements(&after[1..end], Some(&Scope { what, outer: scope }));
                        Leaves::new()
                    });
                    self.set(ys, Leaf::Real(rows));
                    rest = &after[end + 1..];
                }
                Stmt::Accumulate(cell, Update::Rows { indices, g })
                    if self.home.regions.rows.borrow().contains(cell) =>
                {
                    let put = find(scope, |what| match what {
                        Referred::Rows(other, put) if other == cell => Some(*put),
                        _ => None,
                    });
                    let Some(put) = put else { self.no_derivative() };
                    put(&self.int(*indices), self.real(*g));
                }
                Stmt::If { condition, then, otherwise, results } => {
                    let condition = self.get(*condition).bool();
                    let joined = T::record_cond(
                        INTERNAL,
                        self.at,
                        &condition,
                        &mut || self.block(*then, scope),
                        &mut || self.block(*otherwise, scope),
                    );
                    self.set_all(results, joined);
                }
                Stmt::Probe(probe, value) if T::SHOWS => {
                    let (kind, at) = self.home.builder.probe_of(*probe);
                    let value = self.bare(*value);
                    self.recorder.builder.probe(kind, value, at).located().or_raise();
                }
                Stmt::Probe(..) | Stmt::Define(_) => {}
                Stmt::Call { target: Target::Func(func), args, continuations, results }
                    if continuations.is_empty() =>
                {
                    let found = self.call(*func, self.all(args), results, scope);
                    self.set_all(results, found);
                }
                Stmt::Accumulate(cell, update) => {
                    let more = operator(self.at.at, || self.update(*cell, update));
                    self.exchange(*cell, |held| {
                        Some(match held {
                            Some(held) => operator(self.at.at, || held + more),
                            None => more,
                        })
                    });
                }
                Stmt::Take(value, cell) => {
                    let held = self.exchange(*cell, |_| None).unwrap_or_else(|| self.zeros(*cell));
                    self.set(*value, Leaf::Real(held));
                }
                Stmt::Present(value, cell) => {
                    let present = self.exchange(*cell, |held| held).is_some();
                    let flag = RecordedBool(self.recorder.wrap(self.recorder.flag(present)));
                    self.set(*value, Leaf::Bool(flag));
                }
                Stmt::Call { .. } | Stmt::Row(..) => self.no_derivative(),
            }
        }
    }

    /// A derivative in reverse that was taken of recorded values themselves: a program that is no longer in direct
    /// style.
    fn no_derivative(&self) -> ! {
        let reason = "inside of control flow that is differentiated twice in reverse, a derivative is of variables of \
                      the derivatives around it, not of recorded values";
        raise(Error::Argument { op: self.at.op, reason: reason.into(), at: self.at.at })
    }

    fn call(
        &self,
        func: Func,
        args: Leaves<T>,
        results: &[Value],
        scope: Option<&Scope<'_, T>>,
    ) -> Leaves<T> {
        let known = find(scope, |what| match what {
            Referred::Function(other, call) if *other == func => Some(*call),
            _ => None,
        });
        if let Some(call) = known {
            return call(args);
        }
        let deferred = self.home.regions.pulls.borrow().get(&func).map(Rc::clone);
        if let Some(Pull { region, wanted, seeded, values }) = deferred.as_deref() {
            let mut inputs = args;
            let mut seeds = inputs.split_off(region.inputs().len()).into_iter().map(Leaf::real);
            let seeds = seeded.iter().map(|&seeded| if seeded { seeds.next() } else { None }).collect();
            let wanted = Wanted { inputs, adjoints: wanted.clone(), seeds, values: *values };
            let pulled = T::pull(self.at, region, wanted);
            return pulled.values.into_iter().chain(pulled.adjoints).map(Leaf::Real).collect();
        }
        let checkpoint = self.home.regions.checkpoints.borrow().get(&func).map(Rc::clone);
        if let Some(piece) = checkpoint {
            return <T as Replayed>::checkpoint(self.at, &piece, args);
        }
        let data = self.home.builder.func(func);
        let like: Leaves<T> = results.iter().map(|&result| self.like(result)).collect();
        let line = data.origin.line.map_or(self.at.at, At::of);
        let at = Site { op: if data.is_loop { "while_loop" } else { self.at.op }, at: line };
        T::record_fix(INTERNAL, at, args, &like, &|call, arguments| {
            self.set_all(&data.params, arguments);
            self.block(data.body, Some(&Scope { what: Referred::Function(func, call), outer: scope }))
        })
    }

    /// A value of the same type.
    fn like(&self, value: Value) -> Leaf<T> {
        let ty = self.home.builder.ty(value);
        self.copied(&Expr::Fill { value: Scalar::of(ty.dtype, 0.0), shape: ty.shape })
    }

    fn expression(&self, value: Value, expr: &Expr) -> Leaf<T> {
        let is_real = |value: Value| matches!(self.get(value), Leaf::Real(_));
        let real = |value: Value| self.real(value);
        let axis = |axis: usize| axis as isize;
        let y = match expr {
            Expr::Host { host, operands, .. } => {
                let again = self.home.hosts.borrow().get(host).map(Rc::clone);
                let again = again.expect("it was noted when it was recorded");
                let operands: Vec<T> = operands.iter().map(|&operand| real(operand)).collect();
                T::again(&*again, &operands.iter().collect::<Vec<_>>())
            }
            _ if !expr.operands().into_iter().any(is_real) => return self.copied(expr),
            Expr::Unary(op, x) => {
                let x = real(*x);
                match op {
                    Unary::Neg => -x,
                    Unary::Recip => x.recip(),
                    Unary::Abs => x.abs(),
                    Unary::Sign => x.sign(),
                    Unary::Exp => x.exp(),
                    Unary::Expm1 => x.expm1(),
                    Unary::Log => x.log(),
                    Unary::Log1p => x.log1p(),
                    Unary::Sqrt => x.sqrt(),
                    Unary::Sin => x.sin(),
                    Unary::Cos => x.cos(),
                    Unary::Tan => x.tan(),
                    Unary::Tanh => x.tanh(),
                    Unary::Sigmoid => x.sigmoid(),
                    Unary::Softplus => x.softplus(),
                    Unary::Relu => x.relu(),
                    Unary::Erf => x.erf(),
                    Unary::Erfc => x.erfc(),
                    Unary::Exp2 => x.exp2(),
                    Unary::Log2 => x.log2(),
                    Unary::Log10 => x.log10(),
                    Unary::Cbrt => x.cbrt(),
                    Unary::Sinh => x.sinh(),
                    Unary::Cosh => x.cosh(),
                    Unary::Asin => x.asin(),
                    Unary::Acos => x.acos(),
                    Unary::Atan => x.atan(),
                    Unary::Asinh => x.asinh(),
                    Unary::Acosh => x.acosh(),
                    Unary::Atanh => x.atanh(),
                    Unary::Lgamma => x.lgamma(),
                    Unary::I0 => x.i0(),
                    Unary::I1 => x.i1(),
                    Unary::Floor => x.floor(),
                    Unary::Ceil => x.ceil(),
                    Unary::Round => x.round(),
                    Unary::Trunc => x.trunc(),
                    Unary::Not => unreachable!("its operand is no real"),
                }
            }
            Expr::Powi(x, n) => real(*x).powi(*n),
            Expr::Clamp { x, low, high } => real(*x).clamp(bound(*low), bound(*high)),
            Expr::Binary(op, a, b) => {
                let (a, b) = (real(*a), real(*b));
                match op {
                    Binary::Add => a + b,
                    Binary::Sub => a - b,
                    Binary::Mul => a * b,
                    Binary::Div => a / b,
                    Binary::Pow => a.pow(&b),
                    Binary::Atan2 => a.atan2(&b),
                    Binary::Hypot => a.hypot(&b),
                    Binary::Fmod => a.fmod(&b),
                    Binary::Maximum => a.maximum(&b),
                    Binary::Minimum => a.minimum(&b),
                    Binary::And | Binary::Or | Binary::FloorDivide => {
                        unreachable!("their operands are no reals")
                    }
                }
            }
            Expr::Compare(op, a, b) => {
                let (a, b) = (real(*a), real(*b));
                return Leaf::Bool(match op {
                    Comparison::Less => a.less(&b),
                    Comparison::LessEqual => a.less_equal(&b),
                    Comparison::Equal => a.equal(&b),
                });
            }
            Expr::Select { mask, then, otherwise } => {
                T::select(&self.get(*mask).bool(), &real(*then), &real(*otherwise))
            }
            Expr::Reshape(..) if self.home.regions.rules.borrow().contains_key(&value) => {
                let (rule, operands) = self.home.regions.rules.borrow()[&value].clone();
                let operands: Vec<T> = operands.iter().map(|&operand| real(operand)).collect();
                T::again(&*rule, &operands.iter().collect::<Vec<_>>())
            }
            Expr::Reshape(x, _) if self.home.regions.detached.borrow().contains(&value) => real(*x).detach(),
            Expr::After(x, token) => real(*x).after(INTERNAL, &real(*token)),
            Expr::Reshape(x, shape) => real(*x).reshape(shape),
            Expr::Permute(x, order) => real(*x).permute(order),
            Expr::Broadcast(x, shape) => real(*x).broadcast_to(shape),
            Expr::Reduce(op, x, axes) => {
                let axes = Axes::from(&axes[..]);
                match op {
                    Reduction::Sum => real(*x).sum(axes),
                    Reduction::Max => real(*x).max(axes),
                    Reduction::LogSumExp => real(*x).logsumexp(axes),
                }
            }
            Expr::Argmax(x, along) => return Leaf::Int(real(*x).argmax(axis(*along))),
            Expr::Matmul(a, b) => real(*a).batch_matmul(&real(*b)),
            Expr::Concat(parts, along) => {
                let parts: Vec<T> = parts.iter().map(|&part| real(part)).collect();
                T::concat(&parts, axis(*along))
            }
            Expr::Slice { x, axis: along, start, end, step } => {
                real(*x).slice_step(axis(*along), *start..*end, *step)
            }
            Expr::Pad { x, axis: along, padding } => real(*x).pad(axis(*along), *padding),
            Expr::Flip(x, along) => real(*x).flip(axis(*along)),
            Expr::GatherRows { x, indices } => real(*x).gather_rows(&self.int(*indices)),
            Expr::ScatterRows { x, indices, rows } => real(*x).scatter_rows(&self.int(*indices), *rows),
            Expr::WriteRows { x, indices, rows, axes, add } => {
                let write = if *add { Write::Add } else { Write::Set { distinct: false } };
                real(*x).write_rows(write, *axes, &self.int(*indices), &real(*rows))
            }
            Expr::GatherLast { x, indices } => real(*x).gather_last(&self.int(*indices)),
            Expr::ScatterLast { x, indices, length } => real(*x).scatter_last(&self.int(*indices), *length),
            Expr::Conv2d { image, kernel, window } => real(*image).conv2d(&real(*kernel), *window),
            Expr::Conv2dImage { y_bar, kernel, size, window } => {
                real(*y_bar).conv2d_image(&real(*kernel), *size, *window)
            }
            Expr::Conv2dKernel { image, y_bar, size, window } => {
                real(*image).conv2d_kernel(&real(*y_bar), *size, *window)
            }
            Expr::Unfold2d { image, kernel, window } => real(*image).unfold2d(*kernel, *window),
            Expr::Fold2d { x, size, kernel, window } => real(*x).fold2d(*size, *kernel, *window),
            Expr::Convert(x, _) => return Leaf::Int(real(*x).to_int()),
            Expr::Fill { .. } | Expr::Array(_) | Expr::Uniform { .. } => {
                unreachable!("they have no real operand")
            }
        };
        Leaf::Real(y)
    }

    /// An operator without real operands: the same of what stands for them.
    fn copied(&self, expr: &Expr) -> Leaf<T> {
        let mut expr = expr.clone();
        for operand in expr.operands_mut() {
            *operand = self.bare(*operand);
        }
        self.recorder.leaf(self.recorder.builder.emit(expr).located().or_raise()).map_real(T::constant_of)
    }
}

fn bound(limit: Scalar) -> f64 {
    limit.real().expect("limits of reals are real")
}

fn find<'s, T: Real, R>(
    scope: Option<&'s Scope<'s, T>>,
    f: impl Fn(&'s Referred<'s, T>) -> Option<R>,
) -> Option<R> {
    let mut scope = scope;
    while let Some(Scope { what, outer }) = scope {
        if let Some(found) = f(what) {
            return Some(found);
        }
        scope = *outer;
    }
    None
}
