//! [`interpret`]: the reference semantics of programs. Slow and obvious: the oracle for every optimisation and for
//! compiled code.

mod contraction;
mod elementwise;
pub(crate) mod index;
mod reduction;
mod structural;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::interpret::contraction::Contraction;
use crate::ir::build::expect;
use crate::ir::error::{Error, Result};
use crate::ir::expr::Expr;
use crate::ir::ids::{Block, Cell, Cont, Func, Value};
use crate::ir::infer::infer;
use crate::ir::tensor::{ConcreteTensor, look_for_memory};
use crate::ir::types::{Scalar, Type};
use crate::ir::{Program, Stmt, Target, Update};

/// How many calls and branches may be nested when nothing else is asked for.
pub const DEPTH: usize = 1 << 20;

/// Results of a verified program on these inputs.
///
/// # Errors
/// [`Error::Types`] if the inputs do not fit; [`Error::Index`] from gathers and scatters; [`Error::Depth`] if more than
/// [`DEPTH`] calls and branches are nested; [`Error::Memory`] if an array is larger than the system grants.
pub fn interpret(program: &Program, inputs: &[ConcreteTensor]) -> Result<Vec<ConcreteTensor>> {
    interpret_within(program, inputs, DEPTH)
}

/// As [`interpret`], with a depth limit of one's own. Nesting takes no native stack.
///
/// # Errors
/// As [`interpret`].
pub fn interpret_within(
    program: &Program,
    inputs: &[ConcreteTensor],
    depth: usize,
) -> Result<Vec<ConcreteTensor>> {
    let entry = &program.funcs[program.entry];
    let types: Vec<Type> = inputs.iter().map(ConcreteTensor::ty).collect();
    expect("inputs", &program.types(&entry.params), &types)?;
    let scope = Rc::new(Scope::default());
    for (&param, input) in entry.params.iter().zip(inputs) {
        scope.bind(param, Rc::new(input.clone()));
    }
    let mut machine = Machine { program, frames: vec![Frame::new(entry.body, scope, Vec::new())], depth };
    let results = machine.run();
    // Innermost first: a frame's scope may hold those of frames below, and a long chain must not drop recursively.
    while machine.frames.pop().is_some() {}
    Ok(results?.iter().map(|result| result.as_ref().clone()).collect())
}

/// Value of a pure expression, given its operands'.
///
/// # Errors
/// [`Error::Operands`] if they do not fit; [`Error::Index`] from gathers and scatters.
pub fn evaluate(expr: &Expr, operands: &[&ConcreteTensor]) -> Result<ConcreteTensor> {
    let types: Vec<Type> = operands.iter().map(|x| x.ty()).collect();
    let positions = expr.operands();
    let position = |v: Value| positions.iter().position(|&w| w == v);
    let ty = infer(expr, |v| &types[position(v).expect("an operand of the expression")])?;
    apply(expr, operands, &ty)
}

/// The same for an expression that is known to fit, of a known type.
fn apply(expr: &Expr, operands: &[&ConcreteTensor], ty: &Type) -> Result<ConcreteTensor> {
    // The result, its index space, and for each operand the position of every element.
    let largest = operands.iter().map(|x| x.size()).fold(ty.size(), usize::max);
    look_for_memory(largest.saturating_mul(operands.len() + 2))?;
    let contract = |contraction: Contraction| Ok(contraction::contract(contraction, operands, ty));
    match *expr {
        Expr::Fill { value, ref shape } => Ok(ConcreteTensor::fill(shape, value)),
        Expr::Array(ref tensor) => Ok(tensor.as_ref().clone()),
        Expr::Unary(op, _) => Ok(elementwise::map([operands[0]], ty, |[x]| elementwise::unary(op, x))),
        Expr::Powi(_, n) => Ok(elementwise::map([operands[0]], ty, |[x]| elementwise::powi(x, n))),
        Expr::Clamp { low, high, .. } => {
            Ok(elementwise::map([operands[0]], ty, |[x]| elementwise::clamp(x, low, high)))
        }
        Expr::Binary(op, ..) => {
            Ok(elementwise::map([operands[0], operands[1]], ty, |[a, b]| elementwise::binary(op, a, b)))
        }
        Expr::Compare(op, ..) => {
            Ok(elementwise::map([operands[0], operands[1]], ty, |[a, b]| elementwise::compare(op, a, b)))
        }
        Expr::Select { .. } => {
            let all = [operands[0], operands[1], operands[2]];
            Ok(elementwise::map(all, ty, |[mask, a, b]| if mask == Scalar::Bool(true) { a } else { b }))
        }
        Expr::Convert(_, dtype) => {
            Ok(elementwise::map([operands[0]], ty, |[x]| elementwise::convert(x, dtype)))
        }
        Expr::Uniform { .. } => Ok(elementwise::uniform(operands[0], ty)),
        Expr::Reduce(op, _, ref axes) => Ok(reduction::reduce(op, operands[0], axes, ty)),
        Expr::Argmax(_, axis) => Ok(reduction::argmax(operands[0], axis, ty)),
        Expr::Matmul(..) => contract(Contraction::Matmul),
        Expr::Conv2d { window, .. } => contract(Contraction::Conv2d(window)),
        Expr::Conv2dImage { size, window, .. } => contract(Contraction::Conv2dImage { size, window }),
        Expr::Conv2dKernel { window, .. } => contract(Contraction::Conv2dKernel(window)),
        Expr::Fold2d { size, kernel, window, .. } => contract(Contraction::Fold2d { size, kernel, window }),
        Expr::After(..) => Ok(operands[0].clone()),
        Expr::Reshape(..) => Ok(structural::reshape(operands[0], ty)),
        Expr::Permute(_, ref order) => Ok(structural::permute(operands[0], order, ty)),
        Expr::Broadcast(..) => Ok(structural::broadcast(operands[0], ty)),
        Expr::Concat(_, axis) => Ok(structural::concat(operands, axis, ty)),
        Expr::Slice { axis, start, step, .. } => Ok(structural::slice(operands[0], axis, start, step, ty)),
        Expr::Pad { axis, padding, .. } => Ok(structural::pad(operands[0], axis, padding, ty)),
        Expr::Flip(_, axis) => Ok(structural::flip(operands[0], axis, ty)),
        Expr::GatherRows { .. } => structural::gather_rows(operands[0], operands[1], ty),
        Expr::ScatterRows { .. } => structural::scatter_rows(operands[0], operands[1], ty),
        Expr::WriteRows { axes, add, .. } => {
            structural::write_rows(operands[0], operands[1], operands[2], axes, add)
        }
        Expr::GatherLast { .. } => structural::gather_last(operands[0], operands[1], ty),
        Expr::ScatterLast { length, .. } => structural::scatter_last(operands[0], operands[1], length, ty),
        Expr::Unfold2d { kernel, window, .. } => Ok(structural::unfold2d(operands[0], kernel, window, ty)),
        Expr::Host { .. } => {
            let reason = "which function it is stands in the program".into();
            Err(Error::Operands { op: "host", operands: operands.iter().map(|x| x.ty()).collect(), reason })
        }
    }
}

/// Zeros, if there is memory for them.
fn zeros(ty: &Type) -> Result<ConcreteTensor> {
    look_for_memory(ty.size())?;
    Ok(ConcreteTensor::zeros(ty))
}

/// A closure: code and the scope of its definition.
#[derive(Clone)]
struct Closure {
    func: Func,
    scope: Rc<Scope>,
}

/// What one activation of a function has bound, and the scope that it captured.
#[derive(Default)]
struct Scope {
    values: RefCell<HashMap<Value, Rc<ConcreteTensor>>>,
    cells: RefCell<HashMap<Cell, Option<ConcreteTensor>>>,
    funcs: RefCell<Vec<Func>>,
    conts: HashMap<Cont, Closure>,
    captured: Option<Rc<Scope>>,
}

impl Scope {
    fn bind(&self, value: Value, tensor: Rc<ConcreteTensor>) {
        self.values.borrow_mut().insert(value, tensor);
    }
}

/// The innermost scope from this one outwards of which something holds.
fn find(mut scope: &Rc<Scope>, holds: impl Fn(&Scope) -> bool) -> &Rc<Scope> {
    while !holds(scope) {
        scope = scope.captured.as_ref().expect("a verified program uses only what is in scope");
    }
    scope
}

fn value(scope: &Rc<Scope>, value: Value) -> Rc<ConcreteTensor> {
    let scope = find(scope, |s| s.values.borrow().contains_key(&value));
    scope.values.borrow()[&value].clone()
}

fn closure(scope: &Rc<Scope>, target: Target) -> Closure {
    match target {
        Target::Func(func) => {
            Closure { func, scope: find(scope, |s| s.funcs.borrow().contains(&func)).clone() }
        }
        Target::Cont(cont) => find(scope, |s| s.conts.contains_key(&cont)).conts[&cont].clone(),
    }
}

fn with_cell<R>(scope: &Rc<Scope>, cell: Cell, f: impl FnOnce(&mut Option<ConcreteTensor>) -> R) -> R {
    let scope = find(scope, |s| s.cells.borrow().contains_key(&cell));
    f(scope.cells.borrow_mut().get_mut(&cell).expect("it was found there"))
}

/// A block being run.
struct Frame {
    block: Block,
    next: usize,
    scope: Rc<Scope>,
    /// What the frame below binds to the block's results.
    results: Vec<Value>,
}

impl Frame {
    fn new(block: Block, scope: Rc<Scope>, results: Vec<Value>) -> Frame {
        Frame { block, next: 0, scope, results }
    }
}

struct Machine<'p> {
    program: &'p Program,
    frames: Vec<Frame>,
    depth: usize,
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Vec<Rc<ConcreteTensor>>> {
        loop {
            let frame = self.frames.last_mut().expect("the frame of the entry is popped last, and returns");
            let block = &self.program.blocks[frame.block];
            let scope = frame.scope.clone();
            if let Some(stmt) = block.stmts.get(frame.next) {
                frame.next += 1;
                self.stmt(stmt, &scope)?;
                continue;
            }
            let yielded: Vec<Rc<ConcreteTensor>> = block.results.iter().map(|&v| value(&scope, v)).collect();
            let Some(Frame { results, .. }) = self.frames.pop() else { return Ok(yielded) };
            let Some(below) = self.frames.last() else { return Ok(yielded) };
            for (result, tensor) in results.into_iter().zip(yielded) {
                below.scope.bind(result, tensor);
            }
        }
    }

    fn push(&mut self, frame: Frame) -> Result<()> {
        if self.frames.len() >= self.depth {
            return Err(Error::Depth { limit: self.depth });
        }
        self.frames.push(frame);
        Ok(())
    }

    fn stmt(&mut self, stmt: &Stmt, scope: &Rc<Scope>) -> Result<()> {
        let program = self.program;
        match stmt {
            Stmt::Let(v, expr) => {
                let operands: Vec<Rc<ConcreteTensor>> =
                    expr.operands().into_iter().map(|v| value(scope, v)).collect();
                let operands: Vec<&ConcreteTensor> = operands.iter().map(Rc::as_ref).collect();
                let result = match expr {
                    Expr::Host { host, .. } => program.hosts[*host].apply(&operands),
                    expr => apply(expr, &operands, program.ty(*v)),
                };
                scope.bind(*v, Rc::new(result?));
            }
            Stmt::Cell(cell) => {
                scope.cells.borrow_mut().insert(*cell, None);
            }
            Stmt::Accumulate(cell, update) => {
                let ty = &program.cells[*cell].ty;
                let sum = with_cell(scope, *cell, Option::take);
                let sum = accumulate(sum, update, ty, |v| value(scope, v))?;
                with_cell(scope, *cell, |slot| *slot = Some(sum));
            }
            Stmt::Take(v, cell) => {
                let sum = with_cell(scope, *cell, Option::take);
                let sum = match sum {
                    Some(sum) => sum,
                    None => zeros(program.ty(*v))?,
                };
                scope.bind(*v, Rc::new(sum));
            }
            Stmt::Present(v, cell) => {
                let present = with_cell(scope, *cell, |slot| slot.is_some());
                scope.bind(*v, Rc::new(ConcreteTensor::from(present)));
            }
            Stmt::Row(v, cell, index) => {
                let ty = &program.cells[*cell].ty;
                let index = value(scope, *index);
                let row = with_cell(scope, *cell, |slot| {
                    let zeros = if slot.is_none() { Some(zeros(ty)?) } else { None };
                    let held = slot.as_ref().or(zeros.as_ref()).expect("one of the two");
                    let row = program.ty(*v);
                    let axes = ty.shape.len() + index.shape().len() - row.shape.len();
                    structural::rows(held, &index, axes, row)
                })?;
                scope.bind(*v, Rc::new(row));
            }
            Stmt::If { condition, then, otherwise, results } => {
                let holds = value(scope, *condition).at(0) == Scalar::Bool(true);
                let arm = if holds { *then } else { *otherwise };
                self.push(Frame::new(arm, scope.clone(), results.clone()))?;
            }
            Stmt::Define(func) => scope.funcs.borrow_mut().push(*func),
            Stmt::Probe(probe, v) => program.probes[*probe].look(value(scope, *v).data().into())?,
            Stmt::Call { target, args, continuations, results } => {
                let callee = closure(scope, *target);
                let data = &program.funcs[callee.func];
                let passed = continuations.iter().map(|&k| closure(scope, k));
                let conts = data.continuations.iter().copied().zip(passed).collect();
                let inner = Rc::new(Scope { conts, captured: Some(callee.scope), ..Scope::default() });
                for (&param, &arg) in data.params.iter().zip(args) {
                    inner.bind(param, value(scope, arg));
                }
                self.push(Frame::new(data.body, inner, results.clone()))?;
            }
        }
        Ok(())
    }
}

/// What a cell holds after an update.
fn accumulate(
    sum: Option<ConcreteTensor>,
    update: &Update,
    ty: &Type,
    value: impl Fn(Value) -> Rc<ConcreteTensor>,
) -> Result<ConcreteTensor> {
    let sum = match (sum, update) {
        (_, Update::Replace(g)) => return Ok((*value(*g)).clone()),
        (None, Update::Write { .. }) => Some(zeros(ty)?),
        (sum, _) => sum,
    };
    let Some(mut sum) = sum else {
        let expr = update.as_expr(ty).expect("others are operators on nothing");
        let operands: Vec<Rc<ConcreteTensor>> = expr.operands().into_iter().map(&value).collect();
        let operands: Vec<&ConcreteTensor> = operands.iter().map(Rc::as_ref).collect();
        return if let Update::Add(_) = update {
            Ok(operands[0].clone())
        } else {
            apply(&expr, &operands, ty)
        };
    };
    match *update {
        Update::Add(g) => elementwise::add_at(&mut sum, &value(g), |i| i),
        Update::Matmul(a, b) => {
            let product = apply(&Expr::Matmul(a, b), &[&value(a), &value(b)], ty)?;
            elementwise::add_at(&mut sum, &product, |i| i);
        }
        Update::Slice { axis, start, step, g, .. } => {
            let g = value(g);
            let places = structural::slice_places(&ty.shape, g.shape(), axis, start, step);
            elementwise::add_at(&mut sum, &g, |i| places[i]);
        }
        Update::Rows { indices, g } => {
            let places = structural::row_places("scatter_rows", &value(indices), &ty.shape)?;
            elementwise::add_at(&mut sum, &value(g), |i| places[i]);
        }
        Update::Replace(_) => unreachable!("it was done above"),
        Update::Write { indices, g, axes, add } => {
            return structural::write_rows(&sum, &value(indices), &value(g), axes, add);
        }
    }
    Ok(sum)
}
