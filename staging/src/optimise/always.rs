//! What is always the same, whatever way the program takes through its functions: parameters and results that are one
//! constant at every call, and cells that surely hold something, or surely nothing, when they are looked at.
//!
//! An adjoint travels between functions with a flag that says whether it is there. Nearly always it is, or is not: but
//! to see that of a recursive function, one must assume it of its recursive calls. So this starts from the assumption
//! that nothing is ever reached, follows the program, and takes back what turns out not to hold until nothing changes
//! (conditional constant propagation: Wegman and Zadeck, 1991).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::analysis::effects::{Effects, functions};
use crate::ir::expr::Expr;
use crate::ir::ids::{Block, Cell, Cont, Func, Value};
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
    let is_read = use_counts(program).into_iter().map(|count| count > 0).collect();
    let mut rewrite = Rewrite { constants, is_read, substitution: Substitution::default() };
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
            let literals = match stmt {
                Stmt::Let(..) => Vec::new(),
                _ => rewrite.literals(program, stmt.results()),
            };
            stmts.push(stmt);
            stmts.extend(literals);
        }
        program.blocks[block].stmts = stmts;
    }
    rewrite.substitution.apply(program);
    !rewrite.substitution.is_empty()
}

struct Rewrite {
    constants: HashMap<Value, Scalar>,
    /// By a value's number, whether anything reads it.
    is_read: Vec<bool>,
    substitution: Substitution,
}

impl Rewrite {
    /// Literals in place of those values that are constant.
    fn literals(&mut self, program: &mut Program, values: &[Value]) -> Vec<Stmt> {
        use crate::ir::ids::Id;
        let mut literals = Vec::new();
        for &old in values {
            let Some(&value) = self.constants.get(&old).filter(|_| self.is_read[old.index()]) else {
                continue;
            };
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

/// What holds at a point of a function.
#[derive(Clone, Default)]
struct State {
    /// Whether anything is in a cell, where that is known.
    cells: BTreeMap<Cell, bool>,
    /// Continuations that were called.
    calls: BTreeSet<Cont>,
}

struct Facts<'p> {
    program: &'p Program,
    definitions: Definitions,
    effects: Effects,
    /// The functions that a continuation may be.
    bound: HashMap<Cont, BTreeSet<Func>>,
    owner: HashMap<Cell, Func>,
    /// Cells that functions other than their owner empty: nothing is said of them.
    emptied: HashSet<Cell>,
    /// Cells to which some way through the program adds something.
    filled: HashSet<Cell>,
    /// Of values that some way through the program reaches.
    values: HashMap<Value, Fact>,
    /// Of functions that return, as far as is known.
    summaries: HashMap<Func, Summary>,
    changed: bool,
}

impl<'p> Facts<'p> {
    fn of(program: &'p Program) -> Facts<'p> {
        let mut facts = Facts {
            program,
            definitions: Definitions::of(program),
            effects: Effects::of(program),
            bound: HashMap::new(),
            owner: HashMap::new(),
            emptied: HashSet::new(),
            filled: HashSet::new(),
            values: HashMap::new(),
            summaries: HashMap::new(),
            changed: false,
        };
        let mut passes: Vec<(Cont, Target)> = Vec::new();
        facts.own(program.funcs[program.entry].body, program.entry, &mut passes);
        loop {
            let mut changed = false;
            for &(cont, target) in &passes {
                let more = match target {
                    Target::Func(func) => BTreeSet::from([func]),
                    Target::Cont(from) => facts.bound.get(&from).cloned().unwrap_or_default(),
                };
                let known = facts.bound.entry(cont).or_default();
                let before = known.len();
                known.extend(more);
                changed |= known.len() > before;
            }
            if !changed {
                break;
            }
        }
        facts.values.extend(program.funcs[program.entry].params.iter().map(|&v| (v, Fact::Varies)));
        facts
    }

    /// Finds out who owns cells, who empties them, and what is passed for continuations.
    fn own(&mut self, block: Block, func: Func, passes: &mut Vec<(Cont, Target)>) {
        let program = self.program;
        for stmt in &program.blocks[block].stmts {
            match stmt {
                Stmt::Cell(cell) => drop(self.owner.insert(*cell, func)),
                Stmt::Take(_, cell) if self.owner.get(cell) != Some(&func) => {
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
                _ => {}
            }
        }
    }

    /// Follows every function once; whether anything new was found.
    fn round(&mut self, functions: &[Func]) -> bool {
        self.changed = false;
        for &func in functions {
            let body = self.program.funcs[func].body;
            let Some(end) = self.block(body, State::default()) else { continue };
            let fills = end.cells.into_iter().filter(|(cell, full)| *full && self.owner[cell] != func);
            let mut summary = Summary { fills: fills.map(|(cell, _)| cell).collect(), calls: end.calls };
            if let Some(before) = self.summaries.get(&func) {
                summary.fills = &summary.fills & &before.fills;
                summary.calls = &summary.calls & &before.calls;
                if summary == *before {
                    continue;
                }
            }
            self.summaries.insert(func, summary);
            self.changed = true;
        }
        self.changed
    }

    fn see(&mut self, value: Value, fact: Fact) {
        let known = self.values.get(&value).copied();
        let fact = known.map_or(fact, |known| known.join(fact));
        if known != Some(fact) {
            self.values.insert(value, fact);
            self.changed = true;
        }
    }

    /// What some values are, others may be; `None` if one of them is captured from where nothing leads yet.
    fn flow(&mut self, from: &[Value], to: &[Value]) -> Option<()> {
        for (value, &to) in from.iter().zip(to) {
            let fact = *self.values.get(value)?;
            self.see(to, fact);
        }
        Some(())
    }

    /// Follows a block; what holds after it, if its end is reached.
    fn block(&mut self, block: Block, mut state: State) -> Option<State> {
        let program = self.program;
        for stmt in &program.blocks[block].stmts {
            state = self.stmt(stmt, state)?;
        }
        Some(state)
    }

    fn stmt(&mut self, stmt: &Stmt, mut state: State) -> Option<State> {
        let program = self.program;
        match stmt {
            Stmt::Let(v, _) => {
                let fact = self.definitions.constant(*v).map_or(Fact::Varies, Fact::Always);
                self.see(*v, fact);
            }
            Stmt::Cell(cell) => self.set(&mut state, *cell, false),
            Stmt::Accumulate(cell, _) => {
                self.changed |= self.filled.insert(*cell);
                self.set(&mut state, *cell, true);
            }
            Stmt::Take(v, cell) => {
                let fact = match state.cells.get(cell) {
                    Some(false) => Fact::Always(Scalar::of(program.ty(*v).dtype, 0.0)),
                    _ => Fact::Varies,
                };
                self.see(*v, fact);
                self.set(&mut state, *cell, false);
            }
            Stmt::Present(v, cell) => {
                let known = state.cells.get(cell);
                self.see(*v, known.map_or(Fact::Varies, |&full| Fact::Always(Scalar::Bool(full))));
            }
            Stmt::Row(v, ..) => self.see(*v, Fact::Varies),
            Stmt::Define(_) => {}
            Stmt::If { condition, then, otherwise, results } => {
                let arms = match self.values.get(condition)? {
                    Fact::Varies => vec![*then, *otherwise],
                    Fact::Always(holds) if *holds == Scalar::Bool(true) => vec![*then],
                    Fact::Always(_) => vec![*otherwise],
                };
                let mut ends = Vec::new();
                for arm in arms {
                    let Some(end) = self.block(arm, state.clone()) else { continue };
                    self.flow(&program.blocks[arm].results, results)?;
                    ends.push(end);
                }
                let other = ends.pop()?;
                state = match ends.pop() {
                    None => other,
                    Some(mut end) => {
                        end.cells.retain(|cell, full| other.cells.get(cell) == Some(full));
                        end.calls = &end.calls & &other.calls;
                        end
                    }
                };
            }
            Stmt::Call { target, args, continuations, results } => {
                let called: Vec<Func> = match target {
                    Target::Func(func) => vec![*func],
                    Target::Cont(cont) => self.bound.get(cont).into_iter().flatten().copied().collect(),
                };
                let mut returns = false;
                for func in called {
                    let data = &program.funcs[func];
                    self.flow(args, &data.params)?;
                    if self.summaries.contains_key(&func) {
                        returns |= self.flow(&program.blocks[data.body].results, results).is_some();
                    }
                }
                if !returns {
                    return None;
                }
                let empty = state.cells.iter().filter(|(cell, full)| !**full && self.filled.contains(cell));
                let empty: Vec<Cell> = empty.map(|(cell, _)| *cell).collect();
                for cell in self.effects.touched(program, stmt, empty.into_iter()) {
                    state.cells.remove(&cell);
                }
                self.call(*target, continuations, &mut state);
            }
        }
        Some(state)
    }

    fn set(&self, state: &mut State, cell: Cell, full: bool) {
        if !self.emptied.contains(&cell) {
            state.cells.insert(cell, full);
        }
    }

    /// What a call does in any case.
    fn call(&self, target: Target, continuations: &[Target], state: &mut State) {
        match target {
            Target::Cont(cont) => drop(state.calls.insert(cont)),
            Target::Func(func) => {
                let Some(summary) = self.summaries.get(&func) else { return };
                summary.fills.iter().for_each(|&cell| self.set(state, cell, true));
                let own = &self.program.funcs[func].continuations;
                for cont in &summary.calls {
                    match own.iter().position(|own| own == cont) {
                        Some(i) => self.call(continuations[i], &[], state),
                        None => drop(state.calls.insert(*cont)),
                    }
                }
            }
        }
    }

    fn constants(self) -> HashMap<Value, Scalar> {
        let constant = |(v, fact)| if let Fact::Always(value) = fact { Some((v, value)) } else { None };
        self.values.into_iter().filter_map(constant).collect()
    }
}
