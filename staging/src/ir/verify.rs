//! [`verify`]: that a program means something.

use std::cell::LazyCell;

use crate::ir::build::expect;
use crate::ir::error::{Error, Place, Result};
use crate::ir::expr::Expr;
use crate::ir::ids::{Block, Cell, Cont, EntityRef, EntitySet, Func, PrimaryMap, Value};
use crate::ir::infer::{check_update, infer, is_possible, rows};
use crate::ir::print::Names;
use crate::ir::probe::check_probe;
use crate::ir::types::{Dtype, Type};
use crate::ir::{Program, Stmt, Target};

/// Checks that every value, cell, function and continuation is defined once and used only where it is in scope; that
/// every statement's types and shapes agree; that calls pass what the callee takes; and that only functions without
/// continuations of their own are passed as continuations. That continuations go only downward needs no check: there
/// is no statement that could store or return one.
///
/// # Errors
/// The first violation, as [`Error::At`] with the function and the statement.
pub fn verify(program: &Program) -> Result<()> {
    let mut verifier = Verifier {
        program,
        names: LazyCell::new(Box::new(|| Names::of(program))),
        values: Scope::new(&program.values),
        cells: Scope::new(&program.cells),
        funcs: Scope::new(&program.funcs),
        conts: Scope::new(&program.conts),
        blocks: Scope::new(&program.blocks),
    };
    let values = program.values.values().map(|value| &value.ty);
    let mut types = values.chain(program.cells.values().map(|cell| &cell.ty));
    if let Some(ty) = types.find(|ty| !is_possible(&ty.shape)) {
        let reason = "no value has so many elements or axes".into();
        return Err(Error::Operands { op: "a value", operands: vec![ty.clone()], reason });
    }
    let entry = &program.funcs[program.entry];
    if !entry.continuations.is_empty() {
        return Err(Error::NotAContinuation { function: entry.name.clone() });
    }
    verifier.function(program.entry)
}

/// What is in scope, and what was ever defined.
struct Scope<I: EntityRef> {
    /// How many there are in the program.
    count: usize,
    visible: EntitySet<I>,
    defined: EntitySet<I>,
    log: Vec<I>,
}

impl<I: EntityRef> Scope<I> {
    fn new<T>(all: &PrimaryMap<I, T>) -> Scope<I> {
        let set = || EntitySet::with_capacity(all.len());
        Scope { count: all.len(), visible: set(), defined: set(), log: Vec::new() }
    }
    fn define(&mut self, id: I, entity: impl FnOnce() -> String) -> Result<()> {
        if id.index() >= self.count {
            return Err(Error::OutOfScope { entity: entity() });
        }
        if !self.defined.insert(id) {
            return Err(Error::Redefined { entity: entity() });
        }
        self.visible.insert(id);
        self.log.push(id);
        Ok(())
    }
    fn check(&self, id: I, entity: impl FnOnce() -> String) -> Result<()> {
        if self.visible.contains(id) { Ok(()) } else { Err(Error::OutOfScope { entity: entity() }) }
    }
    fn leave(&mut self, mark: usize) {
        for id in self.log.drain(mark..) {
            self.visible.remove(id);
        }
    }
}

struct Verifier<'p> {
    program: &'p Program,
    /// Made when something is wrong: to name everything takes longer than the rest.
    names: LazyCell<Names, Box<dyn FnOnce() -> Names + 'p>>,
    values: Scope<Value>,
    cells: Scope<Cell>,
    funcs: Scope<Func>,
    conts: Scope<Cont>,
    blocks: Scope<Block>,
}

impl Verifier<'_> {
    fn function(&mut self, func: Func) -> Result<()> {
        let program = self.program;
        let data = &program.funcs[func];
        let place = |statement: &str| {
            let (function, statement) = (data.name.clone(), statement.to_owned());
            move || Place { function, statement }
        };
        let marks = (self.values.log.len(), self.conts.log.len());
        for &param in &data.params {
            self.values.define(param, || self.names.value(param)).map_err(|e| e.at(place("parameters")))?;
        }
        for &cont in &data.continuations {
            self.conts.define(cont, || self.names.cont(cont)).map_err(|e| e.at(place("parameters")))?;
        }
        let types = self.block(&data.name, data.body)?;
        expect("results", &data.results, &types).map_err(|e| e.at(place("return")))?;
        self.values.leave(marks.0);
        self.conts.leave(marks.1);
        Ok(())
    }

    /// Checks a block in the current scope; types of what it yields.
    fn block(&mut self, function: &str, block: Block) -> Result<Vec<Type>> {
        let program = self.program;
        let at = |statement: String| move || Place { function: function.into(), statement };
        self.blocks.define(block, || format!("block {block:?}")).map_err(|e| e.at(at("block".into())))?;
        let marks = (self.values.log.len(), self.cells.log.len(), self.funcs.log.len());
        for stmt in &program.blocks[block].stmts {
            self.stmt(function, stmt).map_err(|e| e.at(at(self.names.line(program, stmt))))?;
        }
        let results = &program.blocks[block].results;
        for &value in results {
            self.used(value).map_err(|e| e.at(at("results of the block".into())))?;
        }
        self.values.leave(marks.0);
        self.cells.leave(marks.1);
        self.funcs.leave(marks.2);
        Ok(program.types(results))
    }

    fn used(&self, value: Value) -> Result<()> {
        self.values.check(value, || self.names.value(value))
    }

    fn stmt(&mut self, function: &str, stmt: &Stmt) -> Result<()> {
        let program = self.program;
        let mut scoped = Ok(());
        stmt.for_each_use(|value| {
            if scoped.is_ok() {
                scoped = self.used(value);
            }
        });
        scoped?;
        let bound = match stmt {
            Stmt::Let(_, expr) => {
                if let Expr::Host { host, operands, ty } = expr {
                    let data = &program.hosts[*host];
                    let what = format!("operands of {}", data.function.name);
                    expect(&what, &data.operands, &program.types(operands))?;
                    expect("its result", std::slice::from_ref(&data.result), std::slice::from_ref(ty))?;
                }
                vec![infer(expr, |v| program.ty(v))?]
            }
            Stmt::Cell(cell) => {
                self.cells.define(*cell, || self.names.cell(*cell))?;
                vec![]
            }
            Stmt::Accumulate(cell, update) => {
                self.cells.check(*cell, || self.names.cell(*cell))?;
                check_update(&program.cells[*cell].ty, update, |v| program.ty(v))?;
                vec![]
            }
            Stmt::Take(_, cell) => {
                self.cells.check(*cell, || self.names.cell(*cell))?;
                vec![program.cells[*cell].ty.clone()]
            }
            Stmt::Present(_, cell) => {
                self.cells.check(*cell, || self.names.cell(*cell))?;
                vec![Type::scalar(Dtype::Bool)]
            }
            Stmt::Row(v, cell, index) => {
                self.cells.check(*cell, || self.names.cell(*cell))?;
                let (cell, index) = (&program.cells[*cell].ty, program.ty(*index));
                let axes = (cell.shape.len() + index.shape.len()).saturating_sub(program.ty(*v).shape.len());
                vec![rows(cell, index, axes)?]
            }
            Stmt::If { condition, then, otherwise, .. } => {
                let truth = vec![Type::scalar(Dtype::Bool)];
                expect("condition of `if`", &truth, &program.types(&[*condition]))?;
                let types = self.block(function, *then)?;
                expect("results of `else`", &types, &self.block(function, *otherwise)?)?;
                types
            }
            Stmt::Define(func) => {
                self.funcs.define(*func, || self.names.func(*func))?;
                self.function(*func)?;
                vec![]
            }
            Stmt::Call { target, args, continuations, .. } => self.call(*target, args, continuations)?,
            Stmt::Probe(probe, value) => {
                let data = &program.probes[*probe];
                check_probe(&data.kind, &data.ty)?;
                expect("what a probe looks at", std::slice::from_ref(&data.ty), &program.types(&[*value]))?;
                vec![]
            }
        };
        expect("what the statement binds", &bound, &program.types(stmt.results()))?;
        for &value in stmt.results() {
            self.values.define(value, || self.names.value(value))?;
        }
        Ok(())
    }

    /// Types of a call's results.
    fn call(&self, target: Target, args: &[Value], passed: &[Target]) -> Result<Vec<Type>> {
        let program = self.program;
        self.target(target)?;
        let (name, params, results) = program.signature(target);
        expect(&format!("arguments of {name}"), &params, &program.types(args))?;
        let wanted = match target {
            Target::Func(func) => program.funcs[func].continuations.as_slice(),
            Target::Cont(_) => &[],
        };
        if wanted.len() != passed.len() {
            let what = format!("{} continuations of {name}, {} passed", wanted.len(), passed.len());
            return Err(Error::Types { what, expected: vec![], found: vec![] });
        }
        for (&wanted, &passed) in wanted.iter().zip(passed) {
            self.target(passed)?;
            let (given, from, to) = program.signature(passed);
            if let Target::Func(func) = passed
                && !program.funcs[func].continuations.is_empty()
            {
                return Err(Error::NotAContinuation { function: given.into() });
            }
            let wanted = &program.conts[wanted];
            expect(&format!("parameters of {given}, passed as {}", wanted.name), &wanted.params, &from)?;
            expect(&format!("results of {given}, passed as {}", wanted.name), &wanted.results, &to)?;
        }
        Ok(results)
    }

    fn target(&self, target: Target) -> Result<()> {
        match target {
            Target::Func(func) => self.funcs.check(func, || self.names.func(func)),
            Target::Cont(cont) => self.conts.check(cont, || self.names.cont(cont)),
        }
    }
}
