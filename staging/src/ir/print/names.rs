//! The names that a printed program uses.

use std::collections::{HashMap, HashSet};

use crate::ir::expr::Expr;
use crate::ir::ids::{Block, Cell, Cont, EntityRef, EntitySet, Func, SecondaryMap, Value};
use crate::ir::print::loops::{Loops, Parts};
use crate::ir::{Name, Program, Stmt, Target};

/// A distinct name for everything in a program. Names from the source are kept, a number being appended to repeated
/// ones; the adjoint of `h` is `h_bar`, and the cell that it is collected in `h_bar_sum`. Other values are numbered in
/// the order of the text, so that what a pass leaves alone prints the same after it whatever ids it used up. Unnamed
/// literals have no name: their uses show the number itself.
#[derive(Clone, Debug, Default)]
pub struct Names {
    values: SecondaryMap<Value, Option<String>>,
    cells: SecondaryMap<Cell, Option<String>>,
    funcs: SecondaryMap<Func, Option<String>>,
    conts: SecondaryMap<Cont, Option<String>>,
    literals: EntitySet<Value>,
    loops: Loops,
}

#[derive(Default)]
struct Taken {
    names: HashSet<String>,
    /// Of words that were asked for: the numbers up to this one are taken.
    numbers: HashMap<String, usize>,
    unnamed: [usize; 2],
}

impl Taken {
    fn unique(&mut self, name: &str) -> String {
        // One word, whatever the source calls it.
        let word = name.replace(|c: char| c.is_whitespace() || c.is_control(), "_");
        let word = if word.is_empty() { "_".into() } else { word };
        let mut unique = word.clone();
        if self.names.contains(&word) {
            let number = self.numbers.entry(word.clone()).or_default();
            while self.names.contains(&unique) {
                *number += 1;
                unique = format!("{word}_{number}");
            }
        }
        self.names.insert(unique.clone());
        unique
    }
    fn next(&mut self, prefix: char) -> String {
        let counter = &mut self.unnamed[usize::from(prefix == 'c')];
        let name = loop {
            let name = format!("{prefix}{counter}");
            *counter += 1;
            if !self.names.contains(&name) {
                break name;
            }
        };
        self.names.insert(name.clone());
        name
    }
}

impl Names {
    /// Names for a program.
    pub fn of(program: &Program) -> Names {
        let mut names = Names { loops: Loops::of(program), ..Names::default() };
        let mut taken = Taken::default();
        names.function(program, program.entry, &mut taken);
        names
    }

    fn function(&mut self, program: &Program, func: Func, taken: &mut Taken) {
        let data = &program.funcs[func];
        self.funcs[func] = Some(taken.unique(&data.name));
        for &param in &data.params {
            self.bind_value(program, param, taken);
        }
        for &cont in &data.continuations {
            self.conts[cont] = Some(taken.unique(&program.conts[cont].name));
        }
        match self.loops.parts(program, func) {
            None => self.block(program, data.body, taken),
            Some(Parts { head, branch, otherwise, forward, next, backward, tail, .. }) => {
                self.stmts(program, head, taken);
                self.bind_all(program, branch, taken);
                self.stmts(program, forward, taken);
                self.block(program, otherwise, taken);
                self.bind_all(program, next, taken);
                self.stmts(program, backward, taken);
                self.stmts(program, tail, taken);
            }
        }
    }

    fn block(&mut self, program: &Program, block: Block, taken: &mut Taken) {
        self.stmts(program, &program.blocks[block].stmts, taken);
    }

    fn stmts(&mut self, program: &Program, stmts: &[Stmt], taken: &mut Taken) {
        for stmt in stmts {
            match stmt {
                Stmt::Let(v, expr) if is_literal(program, *v, expr) => {
                    self.literals.insert(*v);
                    if let Expr::Fill { value, .. } = expr {
                        self.values[*v] = Some(value.to_string());
                    }
                }
                Stmt::Cell(cell) => {
                    let name = match &program.cells[*cell].name {
                        Some(Name::Given(name)) => taken.unique(name),
                        Some(Name::AdjointOf(value)) if let Some(primal) = self.primal(program, *value) => {
                            taken.unique(&format!("{primal}_bar_sum"))
                        }
                        _ => taken.next('c'),
                    };
                    self.cells[*cell] = Some(name);
                }
                Stmt::Define(func) => self.function(program, *func, taken),
                Stmt::If { then, otherwise, .. } => {
                    self.bind_all(program, stmt, taken);
                    self.block(program, *then, taken);
                    self.block(program, *otherwise, taken);
                }
                Stmt::Let(..)
                | Stmt::Accumulate(..)
                | Stmt::Take(..)
                | Stmt::Present(..)
                | Stmt::Row(..)
                | Stmt::Call { .. }
                | Stmt::Probe(..) => self.bind_all(program, stmt, taken),
            }
        }
    }

    fn bind_all(&mut self, program: &Program, stmt: &Stmt, taken: &mut Taken) {
        stmt.results().iter().for_each(|&v| self.bind_value(program, v, taken));
    }

    fn bind_value(&mut self, program: &Program, value: Value, taken: &mut Taken) {
        let name = match program.values.get(value).and_then(|data| data.name.as_ref()) {
            Some(Name::Given(name)) => taken.unique(name),
            Some(Name::AdjointOf(value)) if let Some(primal) = self.primal(program, *value) => {
                taken.unique(&format!("{primal}_bar"))
            }
            _ => taken.next('v'),
        };
        if program.values.is_valid(value) {
            self.values[value] = Some(name);
        }
    }

    /// Name of a value whose adjoint is to be named: its name so far, or the one that it will have.
    fn primal(&self, program: &Program, mut value: Value) -> Option<String> {
        while let Some(Name::Of(other)) = program.values[value].name {
            value = other;
        }
        let given = || match &program.values[value].name {
            Some(Name::Given(name)) => Some(name.clone()),
            _ => None,
        };
        let known = self.values[value].clone().filter(|_| !self.is_literal(value));
        known.or_else(given)
    }

    /// The parts of a function that is a loop.
    pub(super) fn parts<'p>(&self, program: &'p Program, func: Func) -> Option<Parts<'p>> {
        self.loops.parts(program, func)
    }
    /// Name of a value, or the number that an unnamed literal is.
    pub fn value(&self, value: Value) -> String {
        name(&self.values, value)
    }
    /// Whether a value is a literal that is shown where it is used.
    pub fn is_literal(&self, value: Value) -> bool {
        self.literals.contains(value)
    }
    /// Name of a cell.
    pub fn cell(&self, cell: Cell) -> String {
        name(&self.cells, cell)
    }
    /// Name of a function.
    pub fn func(&self, func: Func) -> String {
        name(&self.funcs, func)
    }
    /// Name of a continuation parameter.
    pub fn cont(&self, cont: Cont) -> String {
        name(&self.conts, cont)
    }
    /// Name of what a call runs.
    pub fn target(&self, target: Target) -> String {
        match target {
            Target::Func(func) => self.func(func),
            Target::Cont(cont) => self.cont(cont),
        }
    }
}

/// The name, or for what is not part of the program (as a verifier may find) its raw id.
fn name<I: EntityRef + std::fmt::Display>(names: &SecondaryMap<I, Option<String>>, id: I) -> String {
    names[id].clone().unwrap_or_else(|| format!("%{id}"))
}

fn is_literal(program: &Program, value: Value, expr: &Expr) -> bool {
    matches!(expr, Expr::Fill { shape, .. } if shape.is_empty())
        && !matches!(program.values[value].name, Some(Name::Given(_)))
}
