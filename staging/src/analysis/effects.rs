//! Which cells a statement may touch.

use std::collections::BTreeSet;

use crate::analysis::components::components;
use crate::ir::ids::{Cell, Cont, Func, SecondaryMap};
use crate::ir::{Program, Stmt, Target};

/// What a function may do to what it captures, its callees included.
#[derive(Clone, Default)]
struct Effect {
    cells: BTreeSet<Cell>,
    conts: BTreeSet<Cont>,
    /// Whether it may call itself, and so perhaps never return.
    recursive: bool,
    /// Whether it looks at a value, and so perhaps prints it or ends the run.
    probes: bool,
}

/// What comes into being inside a function. Nobody else can touch these cells; and whatever is passed for these
/// continuations is mentioned where it is passed.
#[derive(Clone, Default)]
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
    funcs: SecondaryMap<Func, Effect>,
    /// Of each continuation parameter: the cells defined inside the function that takes it, which did not yet exist
    /// when the continuation was made.
    younger: SecondaryMap<Cont, BTreeSet<Cell>>,
}

impl Effects {
    /// Of a program.
    pub fn of(program: &Program) -> Effects {
        let mut effects = Effects { funcs: SecondaryMap::new(), younger: SecondaryMap::new() };
        let mut owned: SecondaryMap<Func, Own> = SecondaryMap::new();
        let functions = functions(program);
        for &func in &functions {
            let mut effect = Effect::default();
            let mut own =
                Own { conts: program.funcs[func].continuations.iter().copied().collect(), ..Own::default() };
            for block in program.within(program.funcs[func].body) {
                for stmt in &program.blocks[block].stmts {
                    mention(stmt, &mut effect, &mut Vec::new());
                    match stmt {
                        Stmt::Cell(cell) => drop(own.cells.insert(*cell)),
                        Stmt::Define(inner) => own.conts.extend(&program.funcs[*inner].continuations),
                        Stmt::Let(..)
                        | Stmt::Accumulate(..)
                        | Stmt::Take(..)
                        | Stmt::Present(..)
                        | Stmt::Row(..)
                        | Stmt::If { .. }
                        | Stmt::Call { .. }
                        | Stmt::Probe(..) => {}
                    }
                }
            }
            for &cont in &program.funcs[func].continuations {
                effects.younger[cont] = own.cells.clone();
            }
            effect.leave(&own);
            owned[func] = own;
            effects.funcs[func] = effect;
        }
        effects.close(program, &functions, &owned);
        effects
    }

    /// Adds to each function's effect those of all functions that it reaches.
    fn close(&mut self, program: &Program, functions: &[Func], owned: &SecondaryMap<Func, Own>) {
        let count = functions.len();
        let numbers: SecondaryMap<Func, usize> = functions.iter().copied().zip(0..).collect();
        // Of each function two nodes: itself, and `count` further on its body, which mentions what the bodies of
        // functions that are defined in it mention, whether or not these are called.
        let mut edges: Vec<Vec<usize>> = (0..2 * count).map(|_| Vec::new()).collect();
        for (i, &func) in functions.iter().enumerate() {
            edges[i].push(count + i);
            let mut called = Vec::new();
            let mut blocks = vec![program.funcs[func].body];
            while let Some(block) = blocks.pop() {
                for stmt in &program.blocks[block].stmts {
                    mention(stmt, &mut Effect::default(), &mut called);
                    if let Stmt::Define(inner) = stmt {
                        edges[count + i].push(count + numbers[*inner]);
                    } else {
                        blocks.extend(program.children(stmt));
                    }
                }
            }
            edges[count + i].extend(called.iter().map(|&called| numbers[called]));
        }
        let mut closed: Vec<Effect> = Vec::new();
        let mut place = vec![0; 2 * count];
        for component in components(&edges) {
            let mut effect = Effect { recursive: component.len() > 1, ..Effect::default() };
            for &node in &component {
                place[node] = closed.len();
            }
            let mut further = BTreeSet::new();
            for &node in &component {
                if let Some(direct) = functions.get(node).map(|&func| &self.funcs[func]) {
                    effect.cells.extend(&direct.cells);
                    effect.conts.extend(&direct.conts);
                    effect.probes |= direct.probes;
                }
                further.extend(edges[node].iter().map(|&to| place[to]).filter(|&to| to < closed.len()));
            }
            for other in further.into_iter().map(|place| &closed[place]) {
                effect.cells.extend(&other.cells);
                effect.conts.extend(&other.conts);
                effect.probes |= other.probes;
            }
            closed.push(effect);
        }
        for (i, &func) in functions.iter().enumerate() {
            let mut effect = closed[place[i]].clone();
            effect.leave(&owned[func]);
            self.funcs[func] = effect;
        }
    }

    /// Whether a function may call itself, by way of others perhaps.
    pub fn is_recursive(&self, func: Func) -> bool {
        self.funcs[func].recursive
    }

    /// Which of some cells a statement, or what it calls, may touch.
    pub fn touched(&self, program: &Program, stmt: &Stmt, cells: impl Iterator<Item = Cell>) -> Vec<Cell> {
        // What a definition's body does, it does when it is called.
        if let Stmt::Define(_) = stmt {
            return Vec::new();
        }
        let (mut effect, mut called) = (Effect::default(), Vec::new());
        mention(stmt, &mut effect, &mut called);
        for block in program.children(stmt).flat_map(|block| program.within(block)) {
            program.blocks[block].stmts.iter().for_each(|stmt| mention(stmt, &mut effect, &mut called));
        }
        for called in called.iter().map(|&func| &self.funcs[func]) {
            effect.cells.extend(&called.cells);
            effect.conts.extend(&called.conts);
        }
        if effect.cells.is_empty() && effect.conts.is_empty() {
            return Vec::new();
        }
        let touches = |cell: &Cell| {
            let unknown = |cont: &Cont| !self.younger[*cont].contains(cell);
            effect.cells.contains(cell) || effect.conts.iter().any(unknown)
        };
        cells.filter(touches).collect()
    }

    /// Whether a call can be left out if nothing needs its results: it returns, touches no cell but its own, and looks
    /// at no value.
    pub fn is_quiet(&self, call: &Stmt) -> bool {
        let (mut effect, mut called) = (Effect::default(), Vec::new());
        mention(call, &mut effect, &mut called);
        let loud = |effect: &Effect| effect.recursive || effect.probes;
        let quiet = |effect: &Effect| effect.cells.is_empty() && effect.conts.is_empty() && !loud(effect);
        quiet(&effect) && called.iter().all(|&func| quiet(&self.funcs[func]))
    }
}

/// All functions that are defined, the entry first.
pub(crate) fn functions(program: &Program) -> Vec<Func> {
    let blocks = program.reachable().into_iter();
    let stmts = blocks.flat_map(|block| &program.blocks[block].stmts);
    let defined = stmts.filter_map(|stmt| if let Stmt::Define(func) = stmt { Some(*func) } else { None });
    std::iter::once(program.entry).chain(defined).collect()
}

/// Adds what a statement itself mentions.
fn mention(stmt: &Stmt, effect: &mut Effect, called: &mut Vec<Func>) {
    effect.cells.extend(stmt.touched());
    effect.probes |= matches!(stmt, Stmt::Probe(..));
    for target in stmt.targets() {
        match target {
            Target::Func(func) => called.push(func),
            Target::Cont(cont) => drop(effect.conts.insert(cont)),
        }
    }
}
