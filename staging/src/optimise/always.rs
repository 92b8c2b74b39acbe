//! What is always the same, whatever way the program takes through its functions: parameters and results that are one
//! constant at every call, and cells that surely hold something, or surely nothing, when they are looked at.
//!
//! An adjoint travels between functions with a flag that says whether it is there. Nearly always it is, or is not: but
//! to see that of a recursive function, one must assume it of its recursive calls. So this starts from the assumption
//! that nothing is ever reached, follows the program, and takes back what turns out not to hold until nothing changes
//! (conditional constant propagation: Wegman and Zadeck, 1991).

use std::collections::{BTreeMap, BTreeSet};

use crate::analysis::effects::{Effects, functions};
use crate::ir::expr::Expr;
use crate::ir::ids::{Block, Cell, Cont, EntitySet, Func, PackedOption, SecondaryMap, Value};
use crate::ir::types::Scalar;
use crate::ir::{Program, Stmt, Target};
use crate::optimise::OptimiseOptions;
use crate::optimise::rewrite::{Definitions, Substitution, use_counts};

/// Runs the pass.
pub fn run(program: &mut Program, _: &OptimiseOptions) -> bool {
    let functions = functions(program);
    if functions.len() == 1 {
        return false;
    }
    let constants = {
        let mut facts = Facts::of(program);
        while facts.round(&functions) {}
        facts.constants()
    };
    let uses = use_counts(program);
    let mut rewrite = Rewrite { constants, uses, substitution: Substitution::default() };
    for func in functions {
        let data = &program.funcs[func];
        let (params, body) = (data.params.clone(), data.body);
        if func != program.entry {
            let literals = rewrite.literals(program, &params);
            program.blocks[body].stmts.splice(0..0, literals);
        }
    }
    for block in program.reachable() {
        let mut stmts = Vec::new();
        for stmt in std::mem::take(&mut program.blocks[block].stmts) {
            // What is bound to a constant is one already.
            let bound = if let Stmt::Let(..) = stmt { &[] } else { stmt.results() };
            let literals = rewrite.literals(program, bound);
            stmts.push(stmt);
            stmts.extend(literals);
        }
        program.blocks[block].stmts = stmts;
    }
    rewrite.substitution.apply(program);
    !rewrite.substitution.is_empty()
}

struct Rewrite {
    constants: SecondaryMap<Value, Option<Scalar>>,
    /// How often each value is read.
    uses: SecondaryMap<Value, usize>,
    substitution: Substitution,
}

impl Rewrite {
    /// Literals in place of those values that are constant.
    fn literals(&mut self, program: &mut Program, values: &[Value]) -> Vec<Stmt> {
        let mut literals = Vec::new();
        for &old in values {
            let Some(value) = self.constants[old].filter(|_| self.uses[old] > 0) else { continue };
            let ty = program.ty(old).clone();
            let new = program.value(ty.clone());
            literals.push(Stmt::Let(new, Expr::Fill { value, shape: ty.shape }));
            self.substitution.replace(program, old, new);
        }
        literals
    }
}

/// What is known of a value, so far.
#[derive(Clone, Copy, PartialEq)]
enum Fact {
    /// It is this, in all its elements.
    Always(Scalar),
    Varies,
}

impl Fact {
    fn join(self, other: Fact) -> Fact {
        if self == other { self } else { Fact::Varies }
    }
}

/// What a function does in any case before it returns.
#[derive(Clone, PartialEq)]
struct Summary {
    fills: BTreeSet<Cell>,
    calls: BTreeSet<Cont>,
}

/// What holds at the point of a function that is being followed. What changes is noted, to be taken back: following a
/// branch costs what its arms change, and not what is known.
#[derive(Default)]
struct State {
    /// Whether anything is in a cell, where that is known.
    cells: SecondaryMap<Cell, Option<bool>>,
    /// Continuations that were called.
    calls: BTreeSet<Cont>,
    /// Cells that were changed since the function began, with what was known before.
    changes: Vec<(Cell, Option<bool>)>,
}

/// A point to which a [`State`] can go back.
struct Mark {
    changes: usize,
    calls: BTreeSet<Cont>,
}

/// What holds at the end of an arm: what it changed of the cells, and all that was called.
struct End {
    cells: BTreeMap<Cell, Option<bool>>,
    calls: BTreeSet<Cont>,
}

impl State {
    fn set(&mut self, cell: Cell, full: Option<bool>) {
        if self.cells[cell] != full {
            self.changes.push((cell, self.cells[cell]));
            self.cells[cell] = full;
        }
    }

    fn mark(&self) -> Mark {
        Mark { changes: self.changes.len(), calls: self.calls.clone() }
    }

    /// Goes back to a mark; what held before that.
    fn back_to(&mut self, mark: Mark) -> End {
        let changed = &self.changes[mark.changes..];
        let cells = changed.iter().map(|&(cell, _)| (cell, self.cells[cell])).collect();
        for (cell, before) in self.changes.drain(mark.changes..).rev() {
            self.cells[cell] = before;
        }
        End { cells, calls: std::mem::replace(&mut self.calls, mark.calls) }
    }

    /// Goes on where the ends of some arms meet.
    fn meet(&mut self, ends: Vec<End>) {
        let cells: BTreeSet<Cell> = ends.iter().flat_map(|end| end.cells.keys().copied()).collect();
        for cell in cells {
            let mut known = ends.iter().map(|end| end.cells.get(&cell).copied().unwrap_or(self.cells[cell]));
            let first = known.next().flatten();
            self.set(cell, first.filter(|_| known.all(|other| other == first)));
        }
        let calls = ends.into_iter().map(|end| end.calls).reduce(|calls, other| &calls & &other);
        self.calls = calls.expect("some arm ends");
    }

    /// Cells that surely hold nothing.
    fn empty(&self) -> BTreeSet<Cell> {
        let is_empty = |cell: &Cell| self.cells[*cell] == Some(false);
        self.changes.iter().map(|&(cell, _)| cell).filter(is_empty).collect()
    }
}

struct Facts<'p> {
    program: &'p Program,
    definitions: Definitions,
    effects: Effects,
    /// The functions that a continuation may be.
    bound: SecondaryMap<Cont, BTreeSet<Func>>,
    owner: SecondaryMap<Cell, PackedOption<Func>>,
    /// Cells that functions other than their owner empty: nothing is said of them.
    emptied: EntitySet<Cell>,
    /// Cells to which some way through the program adds something.
    filled: EntitySet<Cell>,
    /// Of values that some way through the program reaches.
    values: SecondaryMap<Value, Option<Fact>>,
    /// Of functions that return, as far as is known.
    summaries: SecondaryMap<Func, Option<Summary>>,
    state: State,
    changed: bool,
}

impl<'p> Facts<'p> {
    fn of(program: &'p Program) -> Facts<'p> {
        let mut facts = Facts {
            program,
            definitions: Definitions::of(program),
            effects: Effects::of(program),
            bound: SecondaryMap::new(),
            owner: SecondaryMap::new(),
            emptied: EntitySet::new(),
            filled: EntitySet::new(),
            values: SecondaryMap::new(),
            summaries: SecondaryMap::new(),
            state: State::default(),
            changed: false,
        };
        let mut passes: Vec<(Cont, Target)> = Vec::new();
        facts.own(program.funcs[program.entry].body, program.entry, &mut passes);
        loop {
            let mut changed = false;
            for &(cont, target) in &passes {
                let more = match target {
                    Target::Func(func) => BTreeSet::from([func]),
                    Target::Cont(from) => facts.bound[from].clone(),
                };
                let known = &mut facts.bound[cont];
                let before = known.len();
                known.extend(more);
                changed |= known.len() > before;
            }
            if !changed {
                break;
            }
        }
        for &param in &program.funcs[program.entry].params {
            facts.values[param] = Some(Fact::Varies);
        }
        facts
    }

    /// Finds out who owns cells, who empties them, and what is passed for continuations.
    fn own(&mut self, block: Block, func: Func, passes: &mut Vec<(Cont, Target)>) {
        let program = self.program;
        for stmt in &program.blocks[block].stmts {
            match stmt {
                Stmt::Cell(cell) => self.owner[*cell] = func.into(),
                Stmt::Take(_, cell) if self.owner[*cell] != func.into() => {
                    self.emptied.insert(*cell);
                }
                Stmt::If { then, otherwise, .. } => {
                    [then, otherwise].into_iter().for_each(|&arm| self.own(arm, func, passes));
                }
                Stmt::Define(inner) => self.own(program.funcs[*inner].body, *inner, passes),
                Stmt::Call { target: Target::Func(called), continuations, .. } => {
                    let own = program.funcs[*called].continuations.iter().copied();
                    passes.extend(own.zip(continuations.iter().copied()));
                }
                Stmt::Let(..)
                | Stmt::Accumulate(..)
                | Stmt::Take(..)
                | Stmt::Present(..)
                | Stmt::Row(..)
                | Stmt::Call { target: Target::Cont(_), .. } => {}
            }
        }
    }

    /// Follows every function once; whether anything new was found.
    fn round(&mut self, functions: &[Func]) -> bool {
        self.changed = false;
        for &func in functions {
            let body = self.program.funcs[func].body;
            let start = self.state.mark();
            let returns = self.block(body).is_some();
            let end = self.state.back_to(start);
            if !returns {
                continue;
            }
            let is_filled =
                |(cell, full): &(Cell, Option<bool>)| *full == Some(true) && self.owner[*cell] != func.into();
            let fills = end.cells.into_iter().filter(is_filled);
            let mut summary = Summary { fills: fills.map(|(cell, _)| cell).collect(), calls: end.calls };
            if let Some(before) = &self.summaries[func] {
                summary.fills = &summary.fills & &before.fills;
                summary.calls = &summary.calls & &before.calls;
                if summary == *before {
                    continue;
                }
            }
            self.summaries[func] = Some(summary);
            self.changed = true;
        }
        self.changed
    }

    fn see(&mut self, value: Value, fact: Fact) {
        let known = self.values[value];
        let fact = known.map_or(fact, |known| known.join(fact));
        if known != Some(fact) {
            self.values[value] = Some(fact);
            self.changed = true;
        }
    }

    /// What some values are, others may be; `None` if one of them is captured from where nothing leads yet.
    fn flow(&mut self, from: &[Value], to: &[Value]) -> Option<()> {
        for (value, &to) in from.iter().zip(to) {
            let fact = self.values[*value]?;
            self.see(to, fact);
        }
        Some(())
    }

    /// Follows a block; `None` if its end is not reached.
    fn block(&mut self, block: Block) -> Option<()> {
        let program = self.program;
        program.blocks[block].stmts.iter().try_for_each(|stmt| self.stmt(stmt))
    }

    fn stmt(&mut self, stmt: &Stmt) -> Option<()> {
        let program = self.program;
        match stmt {
            Stmt::Let(v, _) => {
                let fact = self.definitions.constant(*v).map_or(Fact::Varies, Fact::Always);
                self.see(*v, fact);
            }
            Stmt::Cell(cell) => self.set(*cell, false),
            Stmt::Accumulate(cell, _) => {
                self.changed |= self.filled.insert(*cell);
                self.set(*cell, true);
            }
            Stmt::Take(v, cell) => {
                let fact = match self.state.cells[*cell] {
                    Some(false) => Fact::Always(Scalar::of(program.ty(*v).dtype, 0.0)),
                    Some(true) | None => Fact::Varies,
                };
                self.see(*v, fact);
                self.set(*cell, false);
            }
            Stmt::Present(v, cell) => {
                let known = self.state.cells[*cell];
                self.see(*v, known.map_or(Fact::Varies, |full| Fact::Always(Scalar::Bool(full))));
            }
            Stmt::Row(v, ..) => self.see(*v, Fact::Varies),
            Stmt::Define(_) => {}
            Stmt::If { condition, then, otherwise, results } => {
                let arms = match self.values[*condition]? {
                    Fact::Varies => vec![*then, *otherwise],
                    Fact::Always(Scalar::Bool(true)) => vec![*then],
                    Fact::Always(_) => vec![*otherwise],
                };
                let mut ends = Vec::new();
                for arm in arms {
                    let start = self.state.mark();
                    let reached = self.block(arm).is_some();
                    let end = self.state.back_to(start);
                    if reached {
                        self.flow(&program.blocks[arm].results, results)?;
                        ends.push(end);
                    }
                }
                if ends.is_empty() {
                    return None;
                }
                self.state.meet(ends);
            }
            Stmt::Call { target, args, continuations, results } => {
                let called: Vec<Func> = match target {
                    Target::Func(func) => vec![*func],
                    Target::Cont(cont) => self.bound[*cont].iter().copied().collect(),
                };
                let mut returns = false;
                for func in called {
                    let data = &program.funcs[func];
                    self.flow(args, &data.params)?;
                    if self.summaries[func].is_some() {
                        returns |= self.flow(&program.blocks[data.body].results, results).is_some();
                    }
                }
                if !returns {
                    return None;
                }
                let mut empty = self.state.empty();
                empty.retain(|cell| self.filled.contains(*cell));
                for cell in self.effects.touched(program, stmt, empty.into_iter()) {
                    self.state.set(cell, None);
                }
                self.call(*target, continuations);
            }
        }
        Some(())
    }

    fn set(&mut self, cell: Cell, full: bool) {
        if !self.emptied.contains(cell) {
            self.state.set(cell, Some(full));
        }
    }

    /// What a call does in any case.
    fn call(&mut self, target: Target, continuations: &[Target]) {
        match target {
            Target::Cont(cont) => drop(self.state.calls.insert(cont)),
            Target::Func(func) => {
                let Some(summary) = self.summaries[func].clone() else { return };
                summary.fills.iter().for_each(|&cell| self.set(cell, true));
                let own = &self.program.funcs[func].continuations;
                for cont in &summary.calls {
                    match own.iter().position(|own| own == cont) {
                        Some(i) => self.call(continuations[i], &[]),
                        None => drop(self.state.calls.insert(*cont)),
                    }
                }
            }
        }
    }

    fn constants(&self) -> SecondaryMap<Value, Option<Scalar>> {
        let constant = |fact: &Option<Fact>| if let Some(Fact::Always(c)) = fact { Some(*c) } else { None };
        self.values.iter().map(|(value, fact)| (value, constant(fact))).collect()
    }
}
