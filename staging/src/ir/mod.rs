//! Programs: arenas of values, cells, blocks and functions.
//!
//! A [`Program`] is a function of its inputs. Its body is a [`BlockData`]: statements in A-normal form and the results
//! that the block yields. Nothing is mutable but *cells*, the accumulators in which adjoints are collected.
//! There are no φ-nodes: a join point is a local function that both arms of an `if` call. Local functions capture the
//! values and cells in scope at their definition. A *continuation* is a function from a primal to its adjoint,
//! `k : T → T̄`; it is passed down to calls and never stored or returned, so that captured frames may live on a stack.

pub mod build;
pub mod error;
pub mod expr;
pub mod host;
pub mod ids;
pub mod infer;
pub mod print;
pub mod probe;
pub mod tensor;
pub mod types;
pub mod verify;

use std::fmt;
use std::panic::Location;

use crate::ir::expr::{Expr, Padding};
use crate::ir::host::HostData;
use crate::ir::ids::{Block, Cell, Cont, Func, Host, PrimaryMap, Probe, Value};
use crate::ir::probe::ProbeData;
use crate::ir::types::Type;

/// What a value or a cell is called in a program's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// What the source calls it.
    Given(String),
    /// The adjoint of a value, whose name it has with `_bar`.
    AdjointOf(Value),
    /// Another value took its place, and its name.
    Of(Value),
}

/// Where a step of a program comes from. It is for the reader: no code depends on it, and so its [`fmt::Debug`], of
/// which the names of compiled code are made, says nothing.
#[derive(Clone, Copy, Default)]
pub struct Origin {
    /// The line of the source.
    pub line: Option<&'static Location<'static>>,
    /// Whether it is part of a backward pass.
    pub backward: bool,
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}

/// What is known of a value besides its definition.
#[derive(Clone, Debug)]
pub struct ValueData {
    /// Its type.
    pub ty: Type,
    /// What it is called, if it is called anything.
    pub name: Option<Name>,
    /// Where it was computed first.
    pub origin: Origin,
}

/// What is known of a cell: an accumulator of one type, which is empty (zero) when its definition has run.
#[derive(Clone, Debug)]
pub struct CellData {
    /// Type of what is accumulated: reals.
    pub ty: Type,
    /// What it is called, if it is called anything.
    pub name: Option<Name>,
}

/// A continuation parameter: a function from values to values that the caller passes.
#[derive(Clone, Debug)]
pub struct ContData {
    /// Its name.
    pub name: String,
    /// Types of its parameters.
    pub params: Vec<Type>,
    /// Types of its results.
    pub results: Vec<Type>,
}

/// A local function.
#[derive(Clone, Debug)]
pub struct FuncData {
    /// Its name.
    pub name: String,
    /// Value parameters.
    pub params: Vec<Value>,
    /// Continuation parameters.
    pub continuations: Vec<Cont>,
    /// Types of the results.
    pub results: Vec<Type>,
    /// The body, which yields the results.
    pub body: Block,
    /// Where it comes from.
    pub origin: Origin,
    /// Whether the source has a loop here, and no function.
    pub is_loop: bool,
}

/// Statements, and the values that the block yields.
#[derive(Clone, Debug, Default)]
pub struct BlockData {
    /// Run in order.
    pub stmts: Vec<Stmt>,
    /// Yielded at the end.
    pub results: Vec<Value>,
}

impl BlockData {
    /// Whether it does nothing and yields nothing.
    pub fn is_empty(&self) -> bool {
        self.stmts.is_empty() && self.results.is_empty()
    }
}

/// What a call runs, or passes on as a continuation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A local function.
    Func(Func),
    /// A continuation parameter.
    Cont(Cont),
}

/// What is added to a cell. An empty cell counts as zeros, but the first addition stores its operand exactly (so −0
/// stays −0); a later one changes only the elements that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the fields are the operands that each variant's line names")]
pub enum Update {
    /// `cell += g`.
    Add(Value),
    /// `cell += a × b`.
    Matmul(Value, Value),
    /// `cell[.., start + i·step, ..] += g[.., i, ..]` along `axis`, for `count` values of `i`.
    Slice { axis: usize, start: usize, step: usize, count: usize, g: Value },
    /// `cell[indices[i]] += g[i]`.
    Rows { indices: Value, g: Value },
    /// `cell = g`, whatever it held. It is written by [`in_place`](crate::optimise::in_place) alone, as is the next.
    Replace(Value),
    /// `cell[indices[i]] += g[i]`, or `= g[i]`, one after the other, where the first `axes` axes of the cell count as
    /// one.
    Write { indices: Value, g: Value, axes: usize, add: bool },
}

impl Update {
    /// What an empty cell of a type holds after this, if an operator gives that: for `Add`, a reshape of the operand to
    /// its own shape.
    pub fn as_expr(&self, cell: &Type) -> Option<Expr> {
        Some(match *self {
            Update::Write { .. } | Update::Replace(_) => return None,
            Update::Add(g) => Expr::Reshape(g, cell.shape.clone()),
            Update::Matmul(a, b) => Expr::Matmul(a, b),
            Update::Rows { indices, g } => Expr::ScatterRows { x: g, indices, rows: cell.shape[0] },
            Update::Slice { axis, start, step, g, count } => {
                let covered = if count == 0 { 0 } else { (count - 1) * step + 1 };
                let after = cell.shape[axis] - start - covered;
                Expr::Pad { x: g, axis, padding: Padding { before: start, after, interior: step - 1 } }
            }
        })
    }
    /// The values that it reads.
    pub fn operands(&self) -> impl Iterator<Item = Value> + use<> {
        let (a, b) = match *self {
            Update::Add(g) | Update::Replace(g) | Update::Slice { g, .. } => (g, None),
            Update::Matmul(a, b) => (a, Some(b)),
            Update::Rows { indices, g } | Update::Write { indices, g, .. } => (indices, Some(g)),
        };
        std::iter::once(a).chain(b)
    }
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the fields are what each variant's line names")]
pub enum Stmt {
    /// Binds a value to an expression.
    Let(Value, Expr),
    /// Brings an empty cell into being.
    Cell(Cell),
    /// Adds to a cell.
    Accumulate(Cell, Update),
    /// Binds what was accumulated (zeros if nothing was) and empties the cell.
    Take(Value, Cell),
    /// Binds whether anything was accumulated since the cell was last empty. A backward rule that no adjoint reaches
    /// must be skipped, not run with zeros: `0·∞` is NaN.
    Present(Value, Cell),
    /// Binds rows of what was accumulated (zeros if nothing was), at indices that are data; the cell keeps them. As
    /// many of its first axes count as one as the rows' other axes leave.
    Row(Value, Cell, Value),
    /// Runs one of two blocks and binds what it yields.
    If { condition: Value, then: Block, otherwise: Block, results: Vec<Value> },
    /// Brings a local function into scope; it captures what is in scope here, and itself.
    Define(Func),
    /// Calls a function or a continuation and binds its results.
    Call { target: Target, args: Vec<Value>, continuations: Vec<Target>, results: Vec<Value> },
    /// Looks at a value: prints it, or ends the run if it is not what it has to be.
    Probe(Probe, Value),
}

impl Stmt {
    /// Calls `f` with every value that the statement itself reads (not those that its blocks read).
    pub fn for_each_use(&self, mut f: impl FnMut(Value)) {
        match self {
            Stmt::Let(_, expr) => expr.operands().into_iter().for_each(f),
            Stmt::Accumulate(_, update) => update.operands().for_each(f),
            Stmt::If { condition, .. } => f(*condition),
            Stmt::Row(_, _, index) => f(*index),
            Stmt::Call { args, .. } => args.iter().copied().for_each(f),
            Stmt::Probe(_, value) => f(*value),
            Stmt::Cell(_) | Stmt::Take(..) | Stmt::Present(..) | Stmt::Define(_) => {}
        }
    }
    /// Calls `f` with every value that the statement itself reads, to be exchanged.
    pub fn for_each_use_mut(&mut self, mut f: impl FnMut(&mut Value)) {
        match self {
            Stmt::Let(_, expr) => expr.operands_mut().into_iter().for_each(f),
            Stmt::Accumulate(_, update) => match update {
                Update::Add(g) | Update::Replace(g) | Update::Slice { g, .. } => f(g),
                Update::Matmul(a, b)
                | Update::Rows { indices: a, g: b }
                | Update::Write { indices: a, g: b, .. } => [a, b].into_iter().for_each(f),
            },
            Stmt::If { condition, .. } => f(condition),
            Stmt::Row(_, _, index) => f(index),
            Stmt::Call { args, .. } => args.iter_mut().for_each(f),
            Stmt::Probe(_, value) => f(value),
            Stmt::Cell(_) | Stmt::Take(..) | Stmt::Present(..) | Stmt::Define(_) => {}
        }
    }
    /// The cell that it reads, empties or adds to itself.
    pub fn touched(&self) -> Option<Cell> {
        match self {
            Stmt::Accumulate(cell, _)
            | Stmt::Take(_, cell)
            | Stmt::Present(_, cell)
            | Stmt::Row(_, cell, _) => Some(*cell),
            Stmt::Let(..)
            | Stmt::Cell(_)
            | Stmt::If { .. }
            | Stmt::Define(_)
            | Stmt::Call { .. }
            | Stmt::Probe(..) => None,
        }
    }
    /// What it passes on as continuations.
    pub fn targets_passed(&self) -> impl Iterator<Item = Target> {
        let passed = if let Stmt::Call { continuations, .. } = self { continuations.as_slice() } else { &[] };
        passed.iter().copied()
    }
    /// What it calls, first, and passes on.
    pub fn targets(&self) -> impl Iterator<Item = Target> {
        let (called, passed) = match self {
            Stmt::Call { target, continuations, .. } => (Some(target), continuations.as_slice()),
            Stmt::Let(..)
            | Stmt::Cell(_)
            | Stmt::Accumulate(..)
            | Stmt::Take(..)
            | Stmt::Present(..)
            | Stmt::Row(..)
            | Stmt::If { .. }
            | Stmt::Define(_)
            | Stmt::Probe(..) => (None, [].as_slice()),
        };
        called.into_iter().chain(passed).copied()
    }
    /// What it calls, first, and passes on, to be exchanged.
    pub fn targets_mut(&mut self) -> impl Iterator<Item = &mut Target> {
        let (called, passed) = match self {
            Stmt::Call { target, continuations, .. } => (Some(target), continuations.as_mut_slice()),
            Stmt::Let(..)
            | Stmt::Cell(_)
            | Stmt::Accumulate(..)
            | Stmt::Take(..)
            | Stmt::Present(..)
            | Stmt::Row(..)
            | Stmt::If { .. }
            | Stmt::Define(_)
            | Stmt::Probe(..) => (None, [].as_mut_slice()),
        };
        called.into_iter().chain(passed)
    }
    /// The values that it binds.
    pub fn results(&self) -> &[Value] {
        match self {
            Stmt::Let(v, _) | Stmt::Take(v, _) | Stmt::Present(v, _) | Stmt::Row(v, ..) => {
                std::slice::from_ref(v)
            }
            Stmt::If { results, .. } | Stmt::Call { results, .. } => results,
            Stmt::Cell(_) | Stmt::Accumulate(..) | Stmt::Define(_) | Stmt::Probe(..) => &[],
        }
    }
}

/// A recorded program.
#[derive(Clone, Debug)]
pub struct Program {
    /// All values.
    pub values: PrimaryMap<Value, ValueData>,
    /// All cells.
    pub cells: PrimaryMap<Cell, CellData>,
    /// All blocks.
    pub blocks: PrimaryMap<Block, BlockData>,
    /// All functions.
    pub funcs: PrimaryMap<Func, FuncData>,
    /// All continuation parameters.
    pub conts: PrimaryMap<Cont, ContData>,
    /// All probes.
    pub probes: PrimaryMap<Probe, ProbeData>,
    /// All calls of functions of the host.
    pub hosts: PrimaryMap<Host, HostData>,
    /// The function that is the program: its parameters are the inputs, its results the outputs.
    pub entry: Func,
}

impl Program {
    /// Type of a value.
    pub fn ty(&self, value: Value) -> &Type {
        &self.values[value].ty
    }
    /// Types of several values.
    pub fn types(&self, values: &[Value]) -> Vec<Type> {
        values.iter().map(|&v| self.ty(v).clone()).collect()
    }
    /// A new value, yet to be bound.
    pub fn value(&mut self, ty: Type) -> Value {
        self.values.push(ValueData { ty, name: None, origin: Origin::default() })
    }
    /// A new value, yet to be bound, which comes from where another one does.
    pub fn value_like(&mut self, ty: Type, like: Value) -> Value {
        let origin = self.values[like].origin;
        self.values.push(ValueData { ty, name: None, origin })
    }
    /// Forgets the lines of the source.
    pub fn forget_lines(&mut self) {
        self.values.values_mut().for_each(|value| value.origin.line = None);
        self.funcs.values_mut().for_each(|func| func.origin.line = None);
    }
    /// The blocks nested in a statement, directly.
    pub fn children(&self, stmt: &Stmt) -> impl Iterator<Item = Block> + use<> {
        let (a, b) = match *stmt {
            Stmt::If { then, otherwise, .. } => (Some(then), Some(otherwise)),
            Stmt::Define(func) => (Some(self.funcs[func].body), None),
            Stmt::Let(..)
            | Stmt::Cell(_)
            | Stmt::Accumulate(..)
            | Stmt::Take(..)
            | Stmt::Present(..)
            | Stmt::Row(..)
            | Stmt::Call { .. }
            | Stmt::Probe(..) => (None, None),
        };
        a.into_iter().chain(b)
    }
    /// All blocks that are part of the program, each before those nested in it, in the order of the text.
    pub fn reachable(&self) -> Vec<Block> {
        self.within(self.funcs[self.entry].body)
    }
    /// A block and all blocks nested in it, in the order of the text.
    pub fn within(&self, block: Block) -> Vec<Block> {
        let mut order = Vec::new();
        let mut pending = vec![block];
        while let Some(block) = pending.pop() {
            order.push(block);
            let children: Vec<Block> =
                self.blocks[block].stmts.iter().flat_map(|stmt| self.children(stmt)).collect();
            pending.extend(children.into_iter().rev());
        }
        order
    }
    /// Number of statements in all reachable blocks: the size of the program.
    pub fn len(&self) -> usize {
        self.reachable().into_iter().map(|block| self.blocks[block].stmts.len()).sum()
    }
    /// Whether the program has no statement.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// All expressions in the program, in the order of the text.
    pub fn exprs(&self) -> Vec<&Expr> {
        let stmts = self.reachable().into_iter().flat_map(|block| &self.blocks[block].stmts);
        stmts.filter_map(|stmt| if let Stmt::Let(_, expr) = stmt { Some(expr) } else { None }).collect()
    }
}
