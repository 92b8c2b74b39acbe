//! Which cells a statement may touch.

use std::collections::{BTreeSet, HashMap};

use crate::ids::{Cell, Cont, Func};
use crate::ir::{Program, Stmt, Target};

/// What a function may do to what it captures, its callees included.
#[derive(Clone, Default)]
struct Effect {
    cells: BTreeSet<Cell>,
    conts: BTreeSet<Cont>,
    /// Whether it may call itself, and so perhaps never return.
    recursive: bool,
}

/// What comes into being inside a function. Nobody else can touch these cells; and whatever is passed for these
/// continuations is mentioned where it is passed.
#[derive(Default)]
struct Own {
    cells: BTreeSet<Cell>,
    conts: BTreeSet<Cont>,
}

impl Effect {
    fn leave(&mut self, own: &Own) {
        self.cells.retain(|cell| !own.cells.contains(cell));
        self.conts.retain(|cont| !own.conts.contains(cont));
    }
}

/// The cells that each function touches, and those that each continuation cannot.
pub struct Effects {
    funcs: HashMap<Func, Effect>,
    /// Of each continuation parameter: the cells defined inside the function that takes it, which did not yet exist
    /// when the continuation was made.
    younger: HashMap<Cont, BTreeSet<Cell>>,
}

impl Effects {
    /// Of a program.
    pub fn of(program: &Program) -> Effects {
        let mut effects = Effects { funcs: HashMap::new(), younger: HashMap::new() };
        let mut calls: HashMap<Func, BTreeSet<Func>> = HashMap::new();
        let mut owned: HashMap<Func, Own> = HashMap::new();
        let mut functions = vec![program.entry];
        for block in program.reachable() {
            functions.extend(program.blocks[block].stmts.iter().filter_map(|stmt| match stmt {
                Stmt::Define(func) => Some(*func),
                _ => None,
            }));
        }
        for &func in &functions {
            let (mut effect, mut called) = (Effect::default(), BTreeSet::new());
            let mut own =
                Own { conts: program.funcs[func].continuations.iter().copied().collect(), ..Own::default() };
            for block in program.within(program.funcs[func].body) {
                for stmt in &program.blocks[block].stmts {
                    mention(stmt, &mut effect, &mut called);
                    match stmt {
                        Stmt::Cell(cell) => drop(own.cells.insert(*cell)),
                        Stmt::Define(inner) => own.conts.extend(&program.funcs[*inner].continuations),
                        _ => {}
                    }
                }
            }
            for &cont in &program.funcs[func].continuations {
                effects.younger.insert(cont, own.cells.clone());
            }
            effect.leave(&own);
            owned.insert(func, own);
            effects.funcs.insert(func, effect);
            calls.insert(func, called);
        }
        effects.close(&functions, calls, &owned);
        effects
    }

    /// Adds to each function's effect those of all functions that it reaches.
    fn close(
        &mut self,
        functions: &[Func],
        mut reach: HashMap<Func, BTreeSet<Func>>,
        owned: &HashMap<Func, Own>,
    ) {
        loop {
            let mut changed = false;
            for func in functions.iter().rev() {
                let further: Vec<Func> =
                    reach[func].iter().filter_map(|g| reach.get(g)).flatten().copied().collect();
                let known = reach.get_mut(func).expect("every function has an entry");
                let before = known.len();
                known.extend(further);
                changed |= known.len() > before;
            }
            if !changed {
                break;
            }
        }
        let direct = self.funcs.clone();
        for (func, reached) in reach {
            let effect = self.funcs.get_mut(&func).expect("every function has an effect");
            for other in reached.iter().filter_map(|other| direct.get(other)) {
                effect.cells.extend(&other.cells);
                effect.conts.extend(&other.conts);
            }
            effect.leave(&owned[&func]);
            effect.recursive = reached.contains(&func);
        }
    }

    /// Whether a function may call itself, by way of others perhaps.
    pub fn is_recursive(&self, func: Func) -> bool {
        self.funcs.get(&func).is_some_and(|effect| effect.recursive)
    }

    /// Which of some cells a statement, or what it calls, may touch.
    pub fn touched(&self, program: &Program, stmt: &Stmt, cells: impl Iterator<Item = Cell>) -> Vec<Cell> {
        if matches!(stmt, Stmt::Let(..) | Stmt::Define(_)) {
            return Vec::new();
        }
        let (mut effect, mut called) = (Effect::default(), BTreeSet::new());
        mention(stmt, &mut effect, &mut called);
        for block in program.children(stmt).flat_map(|block| program.within(block)) {
            program.blocks[block].stmts.iter().for_each(|stmt| mention(stmt, &mut effect, &mut called));
        }
        for called in called.iter().filter_map(|func| self.funcs.get(func)) {
            effect.cells.extend(&called.cells);
            effect.conts.extend(&called.conts);
        }
        let touches = |cell: &Cell| {
            let unknown = |cont: &Cont| self.younger.get(cont).is_none_or(|younger| !younger.contains(cell));
            effect.cells.contains(cell) || effect.conts.iter().any(unknown)
        };
        cells.filter(touches).collect()
    }

    /// Whether a call can be left out if nothing needs its results: it returns, and touches no cell but its own.
    pub fn is_quiet(&self, call: &Stmt) -> bool {
        let (mut effect, mut called) = (Effect::default(), BTreeSet::new());
        mention(call, &mut effect, &mut called);
        let quiet = |effect: &Effect| effect.cells.is_empty() && effect.conts.is_empty() && !effect.recursive;
        quiet(&effect) && called.iter().all(|func| self.funcs.get(func).is_some_and(quiet))
    }
}

/// Adds what a statement itself mentions.
fn mention(stmt: &Stmt, effect: &mut Effect, called: &mut BTreeSet<Func>) {
    match stmt {
        Stmt::Accumulate(cell, _) | Stmt::Take(_, cell) | Stmt::Present(_, cell) | Stmt::Row(_, cell, _) => {
            effect.cells.insert(*cell);
        }
        Stmt::Call { target, continuations, .. } => {
            for target in std::iter::once(target).chain(continuations) {
                match *target {
                    Target::Func(func) => drop(called.insert(func)),
                    Target::Cont(cont) => drop(effect.conts.insert(cont)),
                }
            }
        }
        _ => {}
    }
}
