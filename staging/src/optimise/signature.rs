//! Parameters that nothing depends on and results that nobody reads disappear from the functions, continuations and
//! branches that have them. A result that a recursive function only hands through, or an argument that it only passes
//! on to itself, is not read by that.

use std::collections::{HashMap, HashSet};

use crate::ir::ids::{Block, EntitySet, Func, Value};
use crate::ir::{Program, Stmt, Target};
use crate::optimise::OptimiseOptions;

/// Runs the pass.
pub fn run(program: &mut Program, _: &OptimiseOptions) -> bool {
    let blocks = program.reachable();
    let funcs: Vec<Func> = blocks
        .iter()
        .flat_map(|&block| &program.blocks[block].stmts)
        .filter_map(|stmt| if let Stmt::Define(func) = stmt { Some(*func) } else { None })
        .collect();
    if funcs.is_empty() {
        return false;
    }
    let live = Live::of(program, &blocks, &funcs);
    live.remove_the_rest(program, &blocks, &funcs)
}

/// Targets that have one type, because one is passed for another, by a representative.
struct Classes(HashMap<Target, Target>);

impl Classes {
    fn of(program: &Program, blocks: &[Block]) -> Classes {
        let mut classes = Classes(HashMap::new());
        for stmt in blocks.iter().flat_map(|&block| &program.blocks[block].stmts) {
            let Stmt::Call { target: Target::Func(func), continuations, .. } = stmt else { continue };
            for (&cont, &passed) in program.funcs[*func].continuations.iter().zip(continuations) {
                let (a, b) = (classes.class(Target::Cont(cont)), classes.class(passed));
                if a != b {
                    classes.0.insert(a, b);
                }
            }
        }
        classes
    }
    fn class(&self, mut target: Target) -> Target {
        while let Some(&next) = self.0.get(&target) {
            target = next;
        }
        target
    }
}

struct Live {
    classes: Classes,
    values: EntitySet<Value>,
    /// Positions of parameters and of results of each class.
    params: HashSet<(Target, usize)>,
    results: HashSet<(Target, usize)>,
    changed: bool,
}

impl Live {
    fn of(program: &Program, blocks: &[Block], funcs: &[Func]) -> Live {
        let mut live = Live {
            classes: Classes::of(program, blocks),
            values: EntitySet::new(),
            params: HashSet::new(),
            results: HashSet::new(),
            changed: true,
        };
        live.values.extend(program.blocks[program.funcs[program.entry].body].results.iter().copied());
        while std::mem::take(&mut live.changed) {
            for &func in funcs {
                let class = live.classes.class(Target::Func(func));
                let data = &program.funcs[func];
                for (i, param) in data.params.iter().enumerate() {
                    if live.values.contains(*param) {
                        live.changed |= live.params.insert((class, i));
                    }
                }
                for (j, &result) in program.blocks[data.body].results.iter().enumerate() {
                    if live.results.contains(&(class, j)) {
                        live.mark(result);
                    }
                }
            }
            for &block in blocks.iter().rev() {
                program.blocks[block].stmts.iter().rev().for_each(|stmt| live.stmt(program, stmt));
            }
        }
        live
    }

    fn mark(&mut self, value: Value) {
        self.changed |= self.values.insert(value);
    }

    fn stmt(&mut self, program: &Program, stmt: &Stmt) {
        match stmt {
            Stmt::Let(v, expr) if self.values.contains(*v) => {
                expr.operands().into_iter().for_each(|x| self.mark(x));
            }
            Stmt::If { condition, then, otherwise, results } => {
                self.mark(*condition);
                for (i, result) in results.iter().enumerate() {
                    if self.values.contains(*result) {
                        [then, otherwise]
                            .into_iter()
                            .for_each(|&arm| self.mark(program.blocks[arm].results[i]));
                    }
                }
            }
            Stmt::Call { target, args, results, .. } => {
                let class = self.classes.class(*target);
                for (i, &arg) in args.iter().enumerate() {
                    if self.params.contains(&(class, i)) {
                        self.mark(arg);
                    }
                }
                for (j, result) in results.iter().enumerate() {
                    if self.values.contains(*result) {
                        self.changed |= self.results.insert((class, j));
                    }
                }
            }
            Stmt::Accumulate(..) | Stmt::Row(..) | Stmt::Probe(..) => stmt.for_each_use(|x| self.mark(x)),
            Stmt::Let(..) | Stmt::Cell(_) | Stmt::Take(..) | Stmt::Present(..) | Stmt::Define(_) => {}
        }
    }

    fn remove_the_rest(&self, program: &mut Program, blocks: &[Block], funcs: &[Func]) -> bool {
        let mut changed = false;
        for &block in blocks {
            let mut stmts = std::mem::take(&mut program.blocks[block].stmts);
            for stmt in &mut stmts {
                match stmt {
                    Stmt::If { then, otherwise, results, .. } => {
                        let kept: Vec<bool> = results.iter().map(|v| self.values.contains(*v)).collect();
                        changed |= keep(results, |i| kept[i]);
                        for arm in [*then, *otherwise] {
                            keep(&mut program.blocks[arm].results, |i| kept[i]);
                        }
                    }
                    Stmt::Call { target, args, results, .. } => {
                        let class = self.classes.class(*target);
                        changed |= keep(args, |i| self.params.contains(&(class, i)));
                        changed |= keep(results, |j| self.results.contains(&(class, j)));
                    }
                    Stmt::Let(..)
                    | Stmt::Cell(_)
                    | Stmt::Accumulate(..)
                    | Stmt::Take(..)
                    | Stmt::Present(..)
                    | Stmt::Row(..)
                    | Stmt::Define(_)
                    | Stmt::Probe(..) => {}
                }
            }
            program.blocks[block].stmts = stmts;
        }
        for &func in funcs {
            let class = self.classes.class(Target::Func(func));
            let data = &mut program.funcs[func];
            changed |= keep(&mut data.params, |i| self.params.contains(&(class, i)));
            changed |= keep(&mut data.results, |j| self.results.contains(&(class, j)));
            let (body, continuations) = (data.body, data.continuations.clone());
            keep(&mut program.blocks[body].results, |j| self.results.contains(&(class, j)));
            for cont in continuations {
                let class = self.classes.class(Target::Cont(cont));
                let data = &mut program.conts[cont];
                changed |= keep(&mut data.params, |i| self.params.contains(&(class, i)));
                changed |= keep(&mut data.results, |j| self.results.contains(&(class, j)));
            }
        }
        if changed {
            // What is left of them must not mention what is gone.
            for &block in blocks {
                let stmts = &mut program.blocks[block].stmts;
                stmts.retain(|stmt| !matches!(stmt, Stmt::Let(v, _) if !self.values.contains(*v)));
            }
        }
        changed
    }
}

/// Keeps some positions of a list; whether it is shorter afterwards.
fn keep<T>(list: &mut Vec<T>, keeps: impl Fn(usize) -> bool) -> bool {
    let (mut i, before) = (0, list.len());
    list.retain(|_| {
        i += 1;
        keeps(i - 1)
    });
    list.len() < before
}
