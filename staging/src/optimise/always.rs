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
            let new = program.value_like(ty.clone(), old);
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

/// What holds at a point of a function.
#[derive(Default)]
struct State {
    /// Whether anything is in a cell, where that is known.
    cells: SecondaryMap<Cell, Option<bool>>,
    /// The cells in which surely nothing is.
    empty: BTreeSet<Cell>,
    /// Continuations that were called.
    calls: EntitySet<Cont>,
    /// What was changed since the function began, latest last: a branch takes back what its first arm did.
    changes: Vec<Change>,
}

enum Change {
    /// A cell, of which this was known before.
    Cell(Cell, Option<bool>),
    /// A continuation that had not been called.
    Called(Cont),
}

/// What an arm of a branch has changed.
#[derive(Default)]
struct Changed {
    /// What is known of cells.
    cells: BTreeMap<Cell, Option<bool>>,
    calls: BTreeSet<Cont>,
}

impl State {
    fn set(&mut self, cell: Cell, full: Option<bool>) {
        if self.cells[cell] != full {
            self.changes.push(Change::Cell(cell, self.cells[cell]));
            self.write(cell, full);
        }
    }
    fn write(&mut self, cell: Cell, full: Option<bool>) {
        self.cells[cell] = full;
        if full == Some(false) {
            self.empty.insert(cell)
        } else {
            self.empty.remove(&cell)
        };
    }
    fn called(&mut self, cont: Cont) {
        if self.calls.insert(cont) {
            self.changes.push(Change::Called(cont));
        }
    }
    /// What was changed since there were so many changes.
    fn changed_since(&self, mark: usize) -> Changed {
        let mut changed = Changed::default();
        for change in &self.changes[mark..] {
            match *change {
                Change::Cell(cell, _) => drop(changed.cells.insert(cell, self.cells[cell])),
                Change::Called(cont) => drop(changed.calls.insert(cont)),
            }
        }
        changed
    }
    fn take_back(&mut self, mark: usize) {
        for change in self.changes.split_off(mark).into_iter().rev() {
            match change {
                Change::Cell(cell, before) => self.write(cell, before),
                Change::Called(cont) => drop(self.calls.remove(cont)),
            }
        }
    }
    fn redo(&mut self, changed: &Changed) {
        changed.cells.iter().for_each(|(&cell, &full)| self.set(cell, full));
        changed.calls.iter().for_each(|&cont| self.called(cont));
    }
    /// What holds after either of two arms: this one and that which was taken back.
    fn join(&mut self, mark: usize, other: &Changed) {
        let own = self.changed_since(mark);
        self.take_back(mark);
        for &cell in own.cells.keys().chain(other.cells.keys()) {
            let of = |arm: &Changed| arm.cells.get(&cell).copied().unwrap_or(self.cells[cell]);
            let known = of(&own).filter(|_| of(&own) == of(other));
            self.set(cell, known);
        }
        own.calls.intersection(&other.calls).for_each(|&cont| self.called(cont));
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
                | Stmt::Probe(..)
                | Stmt::Call { target: Target::Cont(_), .. } => {}
            }
        }
    }

    /// Follows every function once; whether anything new was found.
    fn round(&mut self, functions: &[Func]) -> bool {
        self.changed = false;
        let mut state = State::default();
        for &func in functions {
            state.take_back(0);
            if self.block(self.program.funcs[func].body, &mut state).is_none() {
                continue;
            }
            let Changed { cells, calls } = state.changed_since(0);
            let full = cells.into_iter().filter(|(_, full)| *full == Some(true)).map(|(cell, _)| cell);
            let fills = full.filter(|&cell| self.owner[cell] != func.into()).collect();
            let mut summary = Summary { fills, calls };
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

    /// Follows a block, to what holds after it; `None` if its end is not reached.
    fn block(&mut self, block: Block, state: &mut State) -> Option<()> {
        let program = self.program;
        program.blocks[block].stmts.iter().try_for_each(|stmt| self.stmt(stmt, state))
    }

    fn stmt(&mut self, stmt: &Stmt, state: &mut State) -> Option<()> {
        let program = self.program;
        match stmt {
            Stmt::Let(v, _) => {
                let fact = self.definitions.constant(*v).map_or(Fact::Varies, Fact::Always);
                self.see(*v, fact);
            }
            Stmt::Cell(cell) => self.set(state, *cell, false),
            Stmt::Accumulate(cell, _) => {
                self.changed |= self.filled.insert(*cell);
                self.set(state, *cell, true);
            }
            Stmt::Take(v, cell) => {
                let fact = match state.cells[*cell] {
                    Some(false) => Fact::Always(Scalar::of(program.ty(*v).dtype, 0.0)),
                    _ => Fact::Varies,
                };
                self.see(*v, fact);
                self.set(state, *cell, false);
            }
            Stmt::Present(v, cell) => {
                let known = state.cells[*cell];
                self.see(*v, known.map_or(Fact::Varies, |full| Fact::Always(Scalar::Bool(full))));
            }
            Stmt::Row(v, ..) => self.see(*v, Fact::Varies),
            Stmt::Define(_) | Stmt::Probe(..) => {}
            Stmt::If { condition, then, otherwise, results } => {
                let arms = match self.values[*condition]? {
                    Fact::Varies => vec![*then, *otherwise],
                    Fact::Always(Scalar::Bool(true)) => vec![*then],
                    Fact::Always(_) => vec![*otherwise],
                };
                let mark = state.changes.len();
                // What the arm before has changed, if its end is reached.
                let mut other = None;
                for arm in arms {
                    let before = other.take();
                    if self.block(arm, state).is_some() {
                        self.flow(&program.blocks[arm].results, results)?;
                        if let Some(before) = &before {
                            state.join(mark, before);
                        }
                        other = Some(state.changed_since(mark));
                    } else {
                        other = before;
                    }
                    state.take_back(mark);
                }
                state.redo(&other?);
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
                let empty = state.empty.iter().copied().filter(|&cell| self.filled.contains(cell));
                for cell in self.effects.touched(program, stmt, empty) {
                    state.set(cell, None);
                }
                self.call(*target, continuations, state);
            }
        }
        Some(())
    }

    fn set(&self, state: &mut State, cell: Cell, full: bool) {
        if !self.emptied.contains(cell) {
            state.set(cell, Some(full));
        }
    }

    /// What a call does in any case.
    fn call(&self, target: Target, continuations: &[Target], state: &mut State) {
        match target {
            Target::Cont(cont) => state.called(cont),
            Target::Func(func) => {
                let Some(summary) = &self.summaries[func] else { return };
                summary.fills.iter().for_each(|&cell| self.set(state, cell, true));
                let own = &self.program.funcs[func].continuations;
                for cont in &summary.calls {
                    match own.iter().position(|own| own == cont) {
                        Some(i) => self.call(continuations[i], &[], state),
                        None => state.called(*cont),
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
