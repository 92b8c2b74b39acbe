//! Continuations that are always the same: a recursive function that hands a continuation on as it was given, and that
//! others call in one place only, is defined in that place and captures what it was passed there.

use std::collections::HashMap;

use crate::ir::ids::{Block, Func, SecondaryMap};
use crate::ir::{Program, Stmt, Target};
use crate::optimise::OptimiseOptions;

/// Runs the pass.
pub fn run(program: &mut Program, _: &OptimiseOptions) -> bool {
    let mut changed = false;
    while let Some(candidate) = candidate(program) {
        candidate.apply(program);
        changed = true;
    }
    changed
}

/// How a function is called.
#[derive(Clone, Default)]
struct Calls {
    /// The continuations that each call in its own body passes.
    inside: Vec<Vec<Target>>,
    /// The blocks of all other calls, with the continuations that they pass.
    outside: Vec<(Block, Vec<Target>)>,
}

struct Candidate {
    func: Func,
    /// Where it is called from outside.
    block: Block,
    /// Positions of the continuations that are always the same, and what they are.
    same: Vec<(usize, Target)>,
}

fn candidate(program: &Program) -> Option<Candidate> {
    let (order, calls) = calls(program);
    order.into_iter().find_map(|func| {
        let Calls { inside, outside } = &calls[func];
        let [(block, passed)] = outside.as_slice() else { return None };
        let own = &program.funcs[func].continuations;
        let same: Vec<(usize, Target)> = (0..own.len())
            .filter(|&i| inside.iter().all(|passed| passed[i] == Target::Cont(own[i])))
            .map(|i| (i, passed[i]))
            .collect();
        (!inside.is_empty() && !same.is_empty()).then_some(Candidate { func, block: *block, same })
    })
}

/// All functions in the order of the text, and how each is called.
fn calls(program: &Program) -> (Vec<Func>, SecondaryMap<Func, Calls>) {
    let mut order = Vec::new();
    let mut calls: SecondaryMap<Func, Calls> = SecondaryMap::new();
    let mut enclosing: Vec<Func> = Vec::new();
    let mut pending = vec![(program.funcs[program.entry].body, 0, None)];
    while let Some((block, depth, entered)) = pending.pop() {
        enclosing.truncate(depth);
        enclosing.extend(entered);
        for stmt in &program.blocks[block].stmts {
            let entered = if let Stmt::Define(func) = stmt { Some(*func) } else { None };
            order.extend(entered);
            pending.extend(program.children(stmt).map(|child| (child, enclosing.len(), entered)));
            if let Stmt::Call { target: Target::Func(func), continuations, .. } = stmt {
                let calls = &mut calls[*func];
                if enclosing.contains(func) {
                    calls.inside.push(continuations.clone());
                } else {
                    calls.outside.push((block, continuations.clone()));
                }
            }
        }
    }
    (order, calls)
}

impl Candidate {
    fn apply(self, program: &mut Program) {
        let Candidate { func, block: home, same } = self;
        let own = program.funcs[func].continuations.clone();
        let passed: HashMap<Target, Target> = same.iter().map(|&(i, t)| (Target::Cont(own[i]), t)).collect();
        let is_same = |i: usize| same.iter().any(|&(j, _)| i == j);
        for block in program.reachable() {
            program.blocks[block].stmts.retain(|stmt| !matches!(stmt, Stmt::Define(f) if *f == func));
        }
        let calls = |stmt: &Stmt| matches!(stmt, Stmt::Call { target: Target::Func(f), .. } if *f == func);
        let stmts = &mut program.blocks[home].stmts;
        let at = stmts.iter().position(calls).expect("it is called in this block");
        stmts.insert(at, Stmt::Define(func));
        for block in program.reachable() {
            for stmt in &mut program.blocks[block].stmts {
                if calls(stmt)
                    && let Stmt::Call { continuations, .. } = stmt
                {
                    keep(continuations, |i| !is_same(i));
                }
                stmt.targets_mut()
                    .for_each(|target| *target = passed.get(target).copied().unwrap_or(*target));
            }
        }
        keep(&mut program.funcs[func].continuations, |i| !is_same(i));
    }
}

fn keep<T>(list: &mut Vec<T>, mut keeps: impl FnMut(usize) -> bool) {
    let mut i = 0;
    list.retain(|_| {
        i += 1;
        keeps(i - 1)
    });
}
