//! Inlining: a function that is called in one place becomes part of its caller, a small one (a join point of a few
//! statements) part of each, and one that only passes its parameters on is that which it passes them to.

use std::collections::HashMap;

use crate::ir::ids::{Block, Cell, Cont, Func, SecondaryMap, Value};
use crate::ir::{Name, Program, Stmt, Target};
use crate::optimise::OptimiseOptions;
use crate::optimise::rewrite::Substitution;

/// Most statements of a function that is copied into several callers. A function that has had another inlined into a
/// branch is not straight-line code any more, so copying cannot cascade and programs stay linear in their source.
const SMALL: usize = 8;

/// Runs the pass.
pub fn run(program: &mut Program, _: &OptimiseOptions) -> bool {
    let mut changed = false;
    while let Some((func, way)) = candidate(program) {
        match way {
            Way::Alias(target) => retarget(program, &HashMap::from([(Target::Func(func), target)])),
            Way::Move => inline(program, func, false),
            Way::Copy => inline(program, func, true),
        }
        changed = true;
    }
    changed
}

enum Way {
    Alias(Target),
    Move,
    Copy,
}

#[derive(Clone, Copy, Default)]
struct References {
    calls: usize,
    passed: usize,
    recursive: bool,
}

/// How each function is referred to, and all functions in the order of the text.
fn references(program: &Program) -> (Vec<Func>, SecondaryMap<Func, References>) {
    let mut order = Vec::new();
    let mut references: SecondaryMap<Func, References> = SecondaryMap::new();
    // The functions whose bodies enclose each block that is still to be looked at, innermost last.
    let mut enclosing: Vec<Func> = Vec::new();
    let mut pending = vec![(program.funcs[program.entry].body, 0, None)];
    while let Some((block, depth, entered)) = pending.pop() {
        enclosing.truncate(depth);
        enclosing.extend(entered);
        let start = pending.len();
        for stmt in &program.blocks[block].stmts {
            let entered = if let Stmt::Define(func) = stmt { Some(*func) } else { None };
            order.extend(entered);
            pending.extend(program.children(stmt).map(|child| (child, enclosing.len(), entered)));
            let Stmt::Call { target, continuations, .. } = stmt else { continue };
            for (i, target) in std::iter::once(target).chain(continuations).enumerate() {
                if let Target::Func(func) = target {
                    let entry = &mut references[*func];
                    *if i == 0 { &mut entry.calls } else { &mut entry.passed } += 1;
                    entry.recursive |= enclosing.contains(func);
                }
            }
        }
        pending[start..].reverse();
    }
    (order, references)
}

fn candidate(program: &Program) -> Option<(Func, Way)> {
    let (order, references) = references(program);
    order.into_iter().find_map(|func| {
        let References { calls, passed, recursive } = references[func];
        let way = match alias(program, func) {
            _ if calls + passed == 0 || recursive => None,
            Some(target) => Some(Way::Alias(target)),
            None if calls == 1 && passed == 0 => Some(Way::Move),
            None if calls > 0 && is_small(program, func) => Some(Way::Copy),
            None => None,
        };
        way.map(|way| (func, way))
    })
}

/// What a function passes its parameters on to, if that is all it does.
fn alias(program: &Program, func: Func) -> Option<Target> {
    let data = &program.funcs[func];
    let body = &program.blocks[data.body];
    match body.stmts.as_slice() {
        [Stmt::Call { target, args, continuations, results }]
            if *args == data.params
                && *results == body.results
                && continuations.is_empty()
                && data.continuations.is_empty() =>
        {
            Some(*target)
        }
        _ => None,
    }
}

fn is_small(program: &Program, func: Func) -> bool {
    let stmts = &program.blocks[program.funcs[func].body].stmts;
    stmts.len() <= SMALL && stmts.iter().all(|stmt| program.children(stmt).next().is_none())
}

/// Replaces targets everywhere.
fn retarget(program: &mut Program, map: &HashMap<Target, Target>) {
    for block in program.reachable() {
        for stmt in &mut program.blocks[block].stmts {
            stmt.targets_mut().for_each(|target| *target = map.get(target).copied().unwrap_or(*target));
        }
    }
}

/// Replaces every call of a function by its body: a copy of it, or, if there is but one call, the body itself.
fn inline(program: &mut Program, func: Func, copy: bool) {
    let mut substitution = Substitution::default();
    let mut conts: HashMap<Target, Target> = HashMap::new();
    for block in program.reachable() {
        let mut stmts = Vec::new();
        for stmt in std::mem::take(&mut program.blocks[block].stmts) {
            match stmt {
                Stmt::Define(defined) if defined == func && !copy => {}
                Stmt::Call { target: Target::Func(target), args, continuations, results }
                    if target == func =>
                {
                    let data = program.funcs[func].clone();
                    let bound: HashMap<Cont, Target> =
                        data.continuations.into_iter().zip(continuations).collect();
                    let yielded = if copy {
                        for (&param, &arg) in data.params.iter().zip(&args) {
                            name_after(program, arg, param);
                        }
                        let (body, yielded) = copied(program, data.body, &data.params, &args, &bound);
                        stmts.extend(body);
                        yielded
                    } else {
                        for (&param, &arg) in data.params.iter().zip(&args) {
                            substitution.replace(program, param, arg);
                        }
                        conts.extend(bound.into_iter().map(|(cont, target)| (Target::Cont(cont), target)));
                        let body = std::mem::take(&mut program.blocks[data.body]);
                        stmts.extend(body.stmts);
                        body.results
                    };
                    for (&result, &yielded) in results.iter().zip(&yielded) {
                        substitution.replace(program, result, yielded);
                    }
                }
                stmt => stmts.push(stmt),
            }
        }
        program.blocks[block].stmts = stmts;
    }
    substitution.apply(program);
    if !conts.is_empty() {
        retarget(program, &conts);
    }
}

/// Gives an argument without a name that of the parameter, whose place it takes in a copy.
fn name_after(program: &mut Program, arg: Value, param: Value) {
    if program.values[arg].name.is_none()
        && let Some(Name::Given(name)) = program.values[param].name.clone()
    {
        program.values[arg].name = Some(Name::Given(name));
    }
}

/// Straight-line statements with new values and cells in place of those that they bind, and what they yield.
fn copied(
    program: &mut Program,
    body: Block,
    params: &[Value],
    args: &[Value],
    conts: &HashMap<Cont, Target>,
) -> (Vec<Stmt>, Vec<Value>) {
    let mut values: HashMap<Value, Value> = params.iter().copied().zip(args.iter().copied()).collect();
    let mut cells: HashMap<Cell, Cell> = HashMap::new();
    let data = program.blocks[body].clone();
    let mut stmts = data.stmts;
    for stmt in &mut stmts {
        stmt.for_each_use_mut(|value| *value = values.get(value).copied().unwrap_or(*value));
        stmt.targets_mut().for_each(|target| {
            if let Target::Cont(cont) = target {
                *target = conts.get(cont).copied().unwrap_or(*target);
            }
        });
        let mut fresh = |value: &mut Value| {
            let new = program.values.push(program.values[*value].clone());
            values.insert(*value, new);
            *value = new;
        };
        match stmt {
            Stmt::Let(value, _) => fresh(value),
            Stmt::Call { results, .. } => results.iter_mut().for_each(fresh),
            Stmt::Cell(cell) => {
                let new = program.cells.push(program.cells[*cell].clone());
                cells.insert(*cell, new);
                *cell = new;
            }
            Stmt::Accumulate(cell, _) => {
                *cell = cells.get(cell).copied().unwrap_or(*cell);
            }
            Stmt::Take(value, cell) | Stmt::Present(value, cell) | Stmt::Row(value, cell, _) => {
                fresh(value);
                *cell = cells.get(cell).copied().unwrap_or(*cell);
            }
            Stmt::Probe(..) => {}
            Stmt::If { .. } | Stmt::Define(_) => unreachable!("only straight-line code is copied"),
        }
    }
    // The adjoints in the copy are those of what stands in it.
    let copy_of = |name: &mut Option<Name>| {
        if let Some(Name::AdjointOf(of)) = name {
            *of = values.get(of).copied().unwrap_or(*of);
        }
    };
    for (&old, &new) in &values {
        if !params.contains(&old) {
            copy_of(&mut program.values[new].name);
        }
    }
    cells.values().for_each(|&cell| copy_of(&mut program.cells[cell].name));
    let yielded =
        data.results.into_iter().map(|value| values.get(&value).copied().unwrap_or(value)).collect();
    (stmts, yielded)
}
