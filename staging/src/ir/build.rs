//! [`Builder`]: records a program, one operator at a time.

use std::cell::RefCell;
use std::fmt;
use std::panic::Location;

use smallvec::SmallVec;

use crate::ir::error::{Error, Result};
use crate::ir::expr::{Binary, Comparison, Expr, Unary};
use crate::ir::host::{HostData, HostFunction};
use crate::ir::ids::{Block, Cell, Cont, Func, Host, PrimaryMap, Probe, SecondaryMap, Value};
use crate::ir::infer::{check_update, infer, row};
use crate::ir::probe::{ProbeData, ProbeKind, check_probe};
use crate::ir::types::{Dtype, Scalar, Type};
use crate::ir::verify::verify;
use crate::ir::{
    BlockData, CellData, ContData, FuncData, Name, Origin, Program, Stmt, Target, Update, ValueData,
};

/// Name and types of a continuation parameter.
#[derive(Clone, Debug)]
pub struct Signature {
    /// Its name.
    pub name: String,
    /// Types of its parameters.
    pub params: Vec<Type>,
    /// Types of its results.
    pub results: Vec<Type>,
}

impl Signature {
    /// A signature from its parts.
    pub fn new(name: &str, params: &[Type], results: &[Type]) -> Signature {
        Signature { name: name.into(), params: params.into(), results: results.into() }
    }
}

struct State {
    program: Program,
    /// Blocks begun and not ended, innermost last.
    open: Vec<Block>,
    /// How many statements were recorded.
    count: usize,
    /// Whether a block is one of them.
    is_open: SecondaryMap<Block, bool>,
    /// Whether what is recorded is abandoned in any case.
    trying: bool,
    /// Where values are bound; nowhere, if a piece of the program is only a pattern.
    homes: SecondaryMap<Value, Option<Block>>,
    /// Functions that are defined, by their bodies.
    defined: SecondaryMap<Block, Option<Definition>>,
    /// Where what is recorded next comes from.
    origin: Origin,
}

/// The definition of a function.
#[derive(Clone)]
struct Definition {
    /// The block that it is a statement of.
    block: Block,
    /// Cells that are to come into being right before it, when the program is finished: the function captures them.
    cells: Vec<Cell>,
}

/// Records a program. All methods take a shared reference and return small `Copy` ids, so that an interpretation of a
/// model can hold one and append to it from operators.
///
/// Statements go to the innermost open block. A function may be called before it is [defined](Builder::define), as long
/// as its definition precedes the call in the finished program: so an `if`'s arms can be recorded first, calling a join
/// point whose parameter types only they reveal, then the join point, then the `if`.
///
/// ```
/// use antiphon_staging::{Builder, Dtype, ConcreteTensor, Type, interpret};
/// let b = Builder::new("square");
/// let x = b.input("x", Type::scalar(Dtype::F64));
/// let y = b.mul(x, x)?;
/// let program = b.finish(&[y])?;
/// assert_eq!(program.to_string(), "fn square(x: f64) -> f64 {\n    v0: f64 = x * x\n    return v0\n}\n");
/// assert_eq!(interpret(&program, &[ConcreteTensor::from(3.0)])?, [ConcreteTensor::from(9.0)]);
/// # Ok::<(), antiphon_staging::Error>(())
/// ```
pub struct Builder {
    state: RefCell<State>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").finish_non_exhaustive()
    }
}

impl Builder {
    /// An empty program of this name, whose body is open.
    pub fn new(name: &str) -> Builder {
        let mut blocks = PrimaryMap::new();
        let body = blocks.push(BlockData::default());
        let mut funcs = PrimaryMap::new();
        let entry = funcs.push(FuncData {
            name: name.into(),
            params: vec![],
            continuations: vec![],
            results: vec![],
            body,
            origin: Origin::default(),
            is_loop: false,
        });
        let program = Program {
            values: PrimaryMap::new(),
            cells: PrimaryMap::new(),
            blocks,
            funcs,
            conts: PrimaryMap::new(),
            probes: PrimaryMap::new(),
            hosts: PrimaryMap::new(),
            entry,
        };
        let builder = Builder {
            state: RefCell::new(State {
                program,
                open: vec![],
                count: 0,
                is_open: SecondaryMap::new(),
                trying: false,
                homes: SecondaryMap::new(),
                defined: SecondaryMap::new(),
                origin: Origin::default(),
            }),
        };
        builder.state.borrow_mut().open(body);
        builder
    }
    /// A further input of the program.
    pub fn input(&self, name: &str, ty: Type) -> Value {
        let program = &mut self.state.borrow_mut().program;
        let value = program.value(ty);
        program.values[value].name = Some(Name::Given(name.into()));
        let entry = program.entry;
        program.funcs[entry].params.push(value);
        value
    }
    /// The program's inputs so far, in order.
    pub fn inputs(&self) -> Vec<Value> {
        let program = &self.state.borrow().program;
        program.funcs[program.entry].params.clone()
    }

    /// The finished, verified program.
    ///
    /// # Errors
    /// Whatever [`verify`] finds; [`Error::Unbalanced`] if a block is still open.
    pub fn finish(self, results: &[Value]) -> Result<Program> {
        self.state.borrow().check_scope(results)?;
        let State { mut program, open, mut defined, .. } = self.state.into_inner();
        let [body] = open[..] else {
            return Err(Error::Unbalanced {
                problem: if open.is_empty() { "ended twice" } else { "left open" },
            });
        };
        program.blocks[body].results = results.into();
        place_cells(&mut program, &mut defined);
        let entry = program.entry;
        program.funcs[entry].results = program.types(results);
        verify(&program)?;
        Ok(program)
    }
    /// Says which line of the source is recorded from now on, if it is known.
    pub fn at(&self, line: Option<&'static Location<'static>>) {
        self.state.borrow_mut().origin.line = line;
    }
    /// Says whether a backward pass is recorded from now on; whether one was before.
    pub fn set_backward(&self, backward: bool) -> bool {
        std::mem::replace(&mut self.state.borrow_mut().origin.backward, backward)
    }
    /// The line of the source that a value was recorded at, if it is known.
    pub fn line_of(&self, value: Value) -> Option<&'static Location<'static>> {
        self.state.borrow().program.values[value].origin.line
    }
    /// Says that a function is a loop in the source.
    pub fn name_loop(&self, func: Func) {
        self.state.borrow_mut().program.funcs[func].is_loop = true;
    }
    /// Type of a value.
    pub fn ty(&self, value: Value) -> Type {
        self.state.borrow().program.ty(value).clone()
    }
    /// Type of a cell.
    pub fn cell_ty(&self, cell: Cell) -> Type {
        self.state.borrow().program.cells[cell].ty.clone()
    }
    /// Gives a value the name it has in the source.
    pub fn name(&self, value: Value, name: &str) {
        self.state.borrow_mut().program.values[value].name = Some(Name::Given(name.into()));
    }
    /// The name that the source gave a value.
    pub fn name_of(&self, value: Value) -> Option<String> {
        match &self.state.borrow().program.values[value].name {
            Some(Name::Given(name)) => Some(name.clone()),
            _ => None,
        }
    }
    /// Says that a value is the adjoint of another, if it has no name.
    pub fn name_adjoint(&self, adjoint: Value, of: Value) {
        self.state.borrow_mut().program.values[adjoint].name.get_or_insert(Name::AdjointOf(of));
    }
    /// Gives a cell a name.
    pub fn name_cell(&self, cell: Cell, name: &str) {
        self.state.borrow_mut().program.cells[cell].name = Some(Name::Given(name.into()));
    }
    /// Says that a cell collects the adjoint of a value.
    pub fn name_adjoint_cell(&self, cell: Cell, of: Value) {
        self.state.borrow_mut().program.cells[cell].name = Some(Name::AdjointOf(of));
    }

    /// A value that no statement binds, of a piece of the program that is only a pattern to write others by.
    pub fn parameter(&self, ty: Type) -> Value {
        self.state.borrow_mut().program.value(ty)
    }
    /// A block as far as it was recorded.
    pub fn block(&self, block: Block) -> BlockData {
        self.state.borrow().program.blocks[block].clone()
    }
    /// A function as it was declared.
    pub fn func(&self, func: Func) -> FuncData {
        self.state.borrow().program.funcs[func].clone()
    }

    /// Appends a pure operator.
    ///
    /// # Errors
    /// [`Error::Operands`] if it does not accept its operands; then nothing is appended.
    pub fn emit(&self, expr: Expr) -> Result<Value> {
        let mut state = self.state.borrow_mut();
        state.check_scope(&expr.operands())?;
        let ty = infer(&expr, |v| state.program.ty(v))?;
        let value = state.program.value(ty);
        state.push(Stmt::Let(value, expr));
        Ok(value)
    }
    /// A literal.
    pub fn literal(&self, value: Scalar) -> Value {
        let mut state = self.state.borrow_mut();
        let literal = state.program.value(Type::scalar(value.dtype()));
        state.push(Stmt::Let(literal, Expr::literal(value)));
        literal
    }
    /// A real literal of a dtype.
    pub fn real(&self, dtype: Dtype, value: f64) -> Value {
        self.literal(Scalar::of(dtype, value))
    }
    /// An elementwise function. Errors as [`emit`](Builder::emit).
    pub fn unary(&self, op: Unary, x: Value) -> Result<Value> {
        self.emit(Expr::Unary(op, x))
    }
    /// An elementwise function of two. Errors as [`emit`](Builder::emit).
    pub fn binary(&self, op: Binary, a: Value, b: Value) -> Result<Value> {
        self.emit(Expr::Binary(op, a, b))
    }
    /// `a + b`. Errors as [`emit`](Builder::emit).
    pub fn add(&self, a: Value, b: Value) -> Result<Value> {
        self.binary(Binary::Add, a, b)
    }
    /// `a · b`, elementwise. Errors as [`emit`](Builder::emit).
    pub fn mul(&self, a: Value, b: Value) -> Result<Value> {
        self.binary(Binary::Mul, a, b)
    }
    /// `a < b`. Errors as [`emit`](Builder::emit).
    pub fn less(&self, a: Value, b: Value) -> Result<Value> {
        self.emit(Expr::Compare(Comparison::Less, a, b))
    }

    /// An empty cell for reals of this type.
    pub fn cell(&self, ty: Type) -> Cell {
        let mut state = self.state.borrow_mut();
        let cell = state.program.cells.push(CellData { ty, name: None });
        state.push(Stmt::Cell(cell));
        cell
    }
    /// Adds to a cell.
    ///
    /// # Errors
    /// [`Error::Operands`] if the update does not fit the cell.
    pub fn update(&self, cell: Cell, update: Update) -> Result<()> {
        let mut state = self.state.borrow_mut();
        let operands: SmallVec<[Value; 2]> = update.operands().collect();
        state.check_scope(&operands)?;
        let program = &state.program;
        check_update(&program.cells[cell].ty, &update, |v| program.ty(v))?;
        state.push(Stmt::Accumulate(cell, update));
        Ok(())
    }
    /// `cell += g`. Errors as [`update`](Builder::update).
    pub fn accumulate(&self, cell: Cell, g: Value) -> Result<()> {
        self.update(cell, Update::Add(g))
    }
    /// What was accumulated, or zeros; the cell is empty afterwards.
    pub fn take(&self, cell: Cell) -> Value {
        let mut state = self.state.borrow_mut();
        let ty = state.program.cells[cell].ty.clone();
        let value = state.program.value(ty);
        state.push(Stmt::Take(value, cell));
        value
    }
    /// Whether anything was accumulated since the cell was last empty.
    pub fn present(&self, cell: Cell) -> Value {
        let mut state = self.state.borrow_mut();
        let value = state.program.value(Type::scalar(Dtype::Bool));
        state.push(Stmt::Present(value, cell));
        value
    }

    /// Row `index` of what was accumulated, or zeros; the cell keeps it.
    ///
    /// # Errors
    /// [`Error::Operands`] if the cell has no rows or the index is no integer.
    pub fn row(&self, cell: Cell, index: Value) -> Result<Value> {
        let mut state = self.state.borrow_mut();
        state.check_scope(&[index])?;
        let ty = row(&state.program.cells[cell].ty, state.program.ty(index))?;
        let value = state.program.value(ty);
        state.push(Stmt::Row(value, cell, index));
        Ok(value)
    }

    /// Looks at a value whenever the program comes by: prints it, or ends the run if it is not what it has to be. `at`
    /// is the line of the source that asks for it.
    ///
    /// # Errors
    /// [`Error::Operands`] if what has to hold is no truth value, or what has to be finite no real.
    pub fn probe(&self, kind: ProbeKind, value: Value, at: &'static Location<'static>) -> Result<()> {
        let mut state = self.state.borrow_mut();
        state.check_scope(&[value])?;
        let ty = state.program.ty(value).clone();
        check_probe(&kind, &ty)?;
        let probe = state.program.probes.push(ProbeData { kind, ty, at });
        state.push(Stmt::Probe(probe, value));
        Ok(())
    }

    /// What a function of the host computes of operands: a value of this type, and the number of the call. `at` is the
    /// line of the source that calls it.
    ///
    /// # Errors
    /// Where the operands are not in scope.
    pub fn host(
        &self,
        function: &HostFunction,
        operands: &[Value],
        result: Type,
        at: &'static Location<'static>,
    ) -> Result<(Value, Host)> {
        let host = {
            let mut state = self.state.borrow_mut();
            let data = HostData {
                function: function.clone(),
                operands: state.program.types(operands),
                result: result.clone(),
                at,
            };
            let known = state.program.hosts.iter().find(|(_, known)| **known == data).map(|(host, _)| host);
            known.unwrap_or_else(|| state.program.hosts.push(data))
        };
        Ok((self.emit(Expr::Host { host, operands: operands.to_vec(), ty: result })?, host))
    }

    /// What is known of a call of a function of the host.
    pub fn host_of(&self, host: Host) -> HostData {
        self.state.borrow().program.hosts[host].clone()
    }

    /// What a probe looks for, and the line of the source that asks for it.
    pub fn probe_of(&self, probe: Probe) -> (ProbeKind, &'static Location<'static>) {
        let ProbeData { kind, at, .. } = &self.state.borrow().program.probes[probe];
        (kind.clone(), at)
    }

    /// Begins a block that is not yet part of the program; pass what [`end`](Builder::end) returns to
    /// [`branch`](Builder::branch).
    pub fn begin(&self) {
        let mut state = self.state.borrow_mut();
        let block = state.program.blocks.push(BlockData::default());
        state.open(block);
    }
    /// Ends the innermost open block, which yields `results`.
    ///
    /// # Errors
    /// [`Error::Unbalanced`] if only the program's own body is open.
    pub fn end(&self, results: &[Value]) -> Result<Block> {
        let mut state = self.state.borrow_mut();
        if state.open.len() < 2 {
            return Err(Error::Unbalanced { problem: "ended twice" });
        }
        state.check_scope(results)?;
        let block = state.open.pop().expect("at least two are open");
        state.is_open[block] = false;
        state.program.blocks[block].results = results.into();
        Ok(block)
    }
    /// The open blocks, innermost last.
    pub fn open(&self) -> Vec<Block> {
        self.state.borrow().open.clone()
    }
    /// How many statements were recorded, those of abandoned blocks included.
    pub fn count(&self) -> usize {
        self.state.borrow().count
    }
    /// How many blocks are open.
    pub fn depth(&self) -> usize {
        self.state.borrow().open.len()
    }
    /// Says whether what is recorded from now on is abandoned in any case, so that it may use values that are not in
    /// scope; what was said before.
    pub fn set_trying(&self, trying: bool) -> bool {
        std::mem::replace(&mut self.state.borrow_mut().trying, trying)
    }
    /// Sets the open blocks beyond the outermost `depth` aside, so that recording goes on in what encloses them, until
    /// they are [resumed](Builder::resume). Blocks that never are, and were not yet made part of the program, are
    /// abandoned.
    pub fn set_aside(&self, depth: usize) -> Vec<Block> {
        let state = &mut *self.state.borrow_mut();
        let depth = depth.min(state.open.len());
        let aside = state.open.split_off(depth);
        aside.iter().for_each(|&block| state.is_open[block] = false);
        aside
    }
    /// Opens blocks again that were [set aside](Builder::set_aside) where recording is now.
    pub fn resume(&self, blocks: Vec<Block>) {
        let state = &mut *self.state.borrow_mut();
        blocks.into_iter().for_each(|block| state.open(block));
    }
    /// Runs `f`, what of which is recorded in the innermost open block goes to its beginning, so that the functions
    /// which are defined in it know it: it uses nothing of the block.
    pub fn at_front<R>(&self, f: impl FnOnce() -> R) -> R {
        let innermost = || {
            let state = self.state.borrow();
            let block = *state.open.last().expect("the program's body is open until it is finished");
            (block, state.program.blocks[block].stmts.len())
        };
        let (block, before) = innermost();
        let result = f();
        self.state.borrow_mut().program.blocks[block].stmts[..].rotate_left(before);
        result
    }
    /// An empty cell in an enclosing open block, in scope wherever recording may now be inside of that block.
    pub fn cell_in(&self, block: Block, ty: Type) -> Cell {
        let State { program, open, count, defined, .. } = &mut *self.state.borrow_mut();
        *count += 1;
        let cell = program.cells.push(CellData { ty, name: None });
        // A function whose body is being recorded captures what is defined before it.
        let inner = open.iter().skip_while(|&&outer| outer != block).nth(1);
        match inner.and_then(|&body| defined[body].as_mut()) {
            Some(definition) if definition.block == block => definition.cells.push(cell),
            _ => program.blocks[block].stmts.push(Stmt::Cell(cell)),
        }
        cell
    }
    /// `if condition { then } else { otherwise }`, of two ended blocks.
    ///
    /// # Errors
    /// [`Error::Types`] if the condition is no scalar truth value or the blocks yield different types.
    pub fn branch(&self, condition: Value, then: Block, otherwise: Block) -> Result<Vec<Value>> {
        let mut state = self.state.borrow_mut();
        state.check_scope(&[condition])?;
        let program = &mut state.program;
        let expected = vec![Type::scalar(Dtype::Bool)];
        expect("condition of `if`", &expected, &program.types(&[condition]))?;
        let types = program.types(&program.blocks[then].results);
        expect("results of `else`", &types, &program.types(&program.blocks[otherwise].results))?;
        let results: Vec<Value> = types.into_iter().map(|ty| program.value(ty)).collect();
        state.push(Stmt::If { condition, then, otherwise, results: results.clone() });
        Ok(results)
    }
    /// `if condition { then() } else { otherwise() }`. Errors as [`branch`](Builder::branch), or a closure's own.
    pub fn if_else(
        &self,
        condition: Value,
        then: impl FnOnce() -> Result<Vec<Value>>,
        otherwise: impl FnOnce() -> Result<Vec<Value>>,
    ) -> Result<Vec<Value>> {
        self.begin();
        let then = self.end(&then()?)?;
        self.begin();
        let otherwise = self.end(&otherwise()?)?;
        self.branch(condition, then, otherwise)
    }

    /// A function that may be called from now on and is to be [defined](Builder::define) once.
    pub fn declare(&self, signature: Signature, continuations: &[Signature]) -> Func {
        let State { program, origin, .. } = &mut *self.state.borrow_mut();
        let origin = *origin;
        let body = program.blocks.push(BlockData::default());
        let param = |ty| program.values.push(ValueData { ty, name: None, origin });
        let params = signature.params.into_iter().map(param).collect();
        let conts = continuations.iter().cloned();
        let continuations = conts.map(|Signature { name, params, results }| {
            program.conts.push(ContData { name, params, results })
        });
        let continuations = continuations.collect();
        program.funcs.push(FuncData {
            name: signature.name,
            params,
            continuations,
            results: signature.results,
            body,
            origin,
            is_loop: false,
        })
    }
    /// Defines a declared function here: it captures what is in scope. Between this and [`end`](Builder::end), which
    /// takes the results, its body is the innermost open block. Returns its parameters and continuations.
    pub fn define(&self, func: Func) -> (Vec<Value>, Vec<Cont>) {
        let mut state = self.state.borrow_mut();
        let block = state.push(Stmt::Define(func));
        let FuncData { params, continuations, body, .. } = state.program.funcs[func].clone();
        state.defined[body] = Some(Definition { block, cells: Vec::new() });
        params.iter().for_each(|&param| state.homes[param] = Some(body));
        state.open(body);
        (params, continuations)
    }
    /// Ends the innermost open block, the body of a declared function, whose results are these and not those that were
    /// declared: for a function that nothing calls yet.
    ///
    /// # Errors
    /// As [`end`](Builder::end).
    pub fn end_with(&self, func: Func, results: &[Value]) -> Result<Block> {
        {
            let program = &mut self.state.borrow_mut().program;
            program.funcs[func].results = program.types(results);
        }
        self.end(results)
    }
    /// Declares a function and defines it here. The closure gets the function itself, to call it recursively, its
    /// parameters and its continuations, and returns the results. Errors are the closure's own.
    pub fn function(
        &self,
        signature: Signature,
        continuations: &[Signature],
        body: impl FnOnce(Func, &[Value], &[Cont]) -> Result<Vec<Value>>,
    ) -> Result<Func> {
        let func = self.declare(signature, continuations);
        let (params, continuations) = self.define(func);
        self.end(&body(func, &params, &continuations)?)?;
        Ok(func)
    }
    /// Calls a function or a continuation.
    ///
    /// # Errors
    /// [`Error::Types`] if arguments or continuations do not fit the parameters.
    pub fn call(&self, target: Target, args: &[Value], continuations: &[Target]) -> Result<Vec<Value>> {
        let mut state = self.state.borrow_mut();
        state.check_scope(args)?;
        let program = &mut state.program;
        let (name, params, types) = program.signature(target);
        expect(&format!("arguments of {name}"), &params, &program.types(args))?;
        let results: Vec<Value> = types.into_iter().map(|ty| program.value(ty)).collect();
        let call = Stmt::Call {
            target,
            args: args.into(),
            continuations: continuations.into(),
            results: results.clone(),
        };
        state.push(call);
        Ok(results)
    }
}

impl State {
    fn open(&mut self, block: Block) {
        self.open.push(block);
        self.is_open[block] = true;
    }
    /// That values are known where recording is.
    fn check_scope(&self, values: &[Value]) -> Result<()> {
        if self.trying {
            return Ok(());
        }
        let known = |value: Value| self.homes[value].is_none_or(|home| self.is_open[home]);
        match values.iter().find(|&&value| !known(value)) {
            Some(&value) => {
                let name = match &self.program.values[value].name {
                    Some(Name::Given(name)) => name.clone(),
                    _ => value.to_string(),
                };
                let entity = match self.program.values[value].origin.line {
                    Some(line) => format!("{name}, which {}:{} computed,", line.file(), line.line()),
                    None => name,
                };
                Err(Error::OutOfScope { entity })
            }
            None => Ok(()),
        }
    }
    /// Appends a statement to the innermost open block, which is returned.
    fn push(&mut self, stmt: Stmt) -> Block {
        let block = *self.open.last().expect("the program's body is open until it is finished");
        for &result in stmt.results() {
            self.homes[result] = Some(block);
            self.program.values[result].origin = self.origin;
        }
        self.program.blocks[block].stmts.push(stmt);
        self.count += 1;
        block
    }
}

/// Puts the cells that were recorded inside of functions before the definitions of these.
fn place_cells(program: &mut Program, defined: &mut SecondaryMap<Block, Option<Definition>>) {
    let mut blocks: Vec<Block> = defined
        .values()
        .flatten()
        .filter(|definition| !definition.cells.is_empty())
        .map(|d| d.block)
        .collect();
    blocks.sort_unstable();
    blocks.dedup();
    for block in blocks {
        let mut stmts = Vec::new();
        for stmt in std::mem::take(&mut program.blocks[block].stmts) {
            if let Stmt::Define(func) = stmt
                && let Some(definition) = &mut defined[program.funcs[func].body]
            {
                stmts.extend(definition.cells.drain(..).map(Stmt::Cell));
            }
            stmts.push(stmt);
        }
        program.blocks[block].stmts = stmts;
    }
}

impl Program {
    /// Name, parameter types and result types of what a call runs.
    pub fn signature(&self, target: Target) -> (&str, Vec<Type>, Vec<Type>) {
        match target {
            Target::Func(func) => {
                let data = &self.funcs[func];
                (&data.name, self.types(&data.params), data.results.clone())
            }
            Target::Cont(cont) => {
                let data = &self.conts[cont];
                (&data.name, data.params.clone(), data.results.clone())
            }
        }
    }
}

/// That types are the expected ones.
pub(crate) fn expect(what: &str, expected: &[Type], found: &[Type]) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::Types { what: what.into(), expected: expected.into(), found: found.into() })
}
