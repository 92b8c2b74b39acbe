//! Calls of a function by itself, and what it still needs of its own when such a call returns.

use std::collections::{BTreeMap, BTreeSet};

use crate::analysis::captures::{Analysis, Entity};
use crate::ir::expr::Constant;
use crate::ir::ids::{Block, Func};
use crate::ir::{Program, Stmt, Target};

/// A place where a function calls itself.
#[derive(Clone)]
pub struct Site {
    /// Its values and cells that what comes after the call may read or change, but for constants.
    pub live: Vec<Entity>,
    /// Whether nothing comes after: what the call returns is what the function returns.
    pub last: bool,
}

/// The places where a function calls itself, if it can run as a loop: if no call of it hands on what an earlier one
/// owns. So it is where all of its own values and cells are scalars, and it takes no continuations; and where nothing
/// comes after any such call, so that of an earlier one only the arguments are needed.
pub fn sites(program: &Program, analysis: &Analysis, func: Func) -> BTreeMap<(Block, usize), Site> {
    let data = &program.funcs[func];
    let order = &analysis.funcs[func].order;
    let count = order.iter().filter(|&&(block, i)| calls(&program.blocks[block].stmts[i], func)).count();
    if count == 0 || func == program.entry {
        return BTreeMap::new();
    }
    let scalar = analysis.funcs[func].only_scalars && data.results.iter().all(|ty| ty.shape.is_empty());
    if !scalar || !data.continuations.is_empty() {
        let mut last = BTreeMap::new();
        last_calls(program, func, data.body, &mut last);
        return if last.len() == count { last } else { BTreeMap::new() };
    }
    let mut walk = Walk {
        program,
        func,
        captured: analysis.funcs[func].captured.iter().copied().collect(),
        visible: data.params.iter().map(|&v| Entity::Value(v)).collect(),
        sites: BTreeMap::new(),
    };
    walk.block(data.body, BTreeSet::new(), true);
    walk.sites
}

/// The calls of a function by itself after which nothing comes, in a block whose results are the function's, and which
/// hand on its continuations as it was given them.
fn last_calls(program: &Program, func: Func, block: Block, found: &mut BTreeMap<(Block, usize), Site>) {
    let data = &program.blocks[block];
    let Some(stmt) = data.stmts.last().filter(|stmt| data.results[..] == *stmt.results()) else { return };
    if let Stmt::If { then, otherwise, .. } = stmt {
        [then, otherwise].into_iter().for_each(|&arm| last_calls(program, func, arm, found));
    }
    let given = program.funcs[func].continuations.iter().map(|&cont| Target::Cont(cont));
    if calls(stmt, func) && stmt.targets_passed().eq(given) {
        found.insert((block, data.stmts.len() - 1), Site { live: Vec::new(), last: true });
    }
}

struct Walk<'p> {
    program: &'p Program,
    func: Func,
    /// What nested functions may use whenever something is called.
    captured: Vec<Entity>,
    /// What is in scope.
    visible: BTreeSet<Entity>,
    sites: BTreeMap<(Block, usize), Site>,
}

impl Walk<'_> {
    /// Follows a block backward from what is live after it to what is live before it; `last` says whether its results
    /// are the function's, and nothing comes after it.
    fn block(&mut self, block: Block, after: BTreeSet<Entity>, last: bool) -> BTreeSet<Entity> {
        let program = self.program;
        let data = &program.blocks[block];
        // What each statement sees is known going forward.
        let outer = self.visible.clone();
        let scopes: Vec<Option<BTreeSet<Entity>>> = data
            .stmts
            .iter()
            .map(|stmt| {
                let looked_at = calls(stmt, self.func) || matches!(stmt, Stmt::If { .. });
                let before = looked_at.then(|| self.visible.clone());
                if !matches!(stmt, Stmt::Let(_, expr) if matches!(expr.constant(), Some(Constant::Fill(_)))) {
                    self.visible.extend(bound(stmt));
                }
                before
            })
            .collect();
        let mut live = after;
        live.extend(data.results.iter().map(|&v| Entity::Value(v)));
        for (i, (stmt, scope)) in data.stmts.iter().zip(scopes).enumerate().rev() {
            let last = last && i + 1 == data.stmts.len() && data.results[..] == *stmt.results();
            for entity in bound(stmt) {
                live.remove(&entity);
            }
            match (stmt, scope) {
                (Stmt::If { then, otherwise, .. }, Some(scope)) => {
                    self.visible = scope;
                    let arms = [then, otherwise].map(|&arm| self.block(arm, live.clone(), last));
                    live = arms.into_iter().flatten().collect();
                }
                (Stmt::Call { .. }, Some(scope)) => {
                    let live = live.intersection(&scope).copied().collect();
                    self.sites.insert((block, i), Site { live, last });
                }
                (Stmt::Call { .. }, None) => live.extend(&self.captured),
                (Stmt::If { .. }, None) => unreachable!("what is in scope at a branch was noted"),
                (
                    Stmt::Let(..)
                    | Stmt::Cell(_)
                    | Stmt::Accumulate(..)
                    | Stmt::Take(..)
                    | Stmt::Present(..)
                    | Stmt::Row(..)
                    | Stmt::Define(_)
                    | Stmt::Probe(..),
                    _,
                ) => {}
            }
            stmt.for_each_use(|v| live.extend([Entity::Value(v)]));
            live.extend(stmt.touched().map(Entity::Cell));
        }
        self.visible = outer;
        live
    }
}

/// Whether a statement is a call of this function.
fn calls(stmt: &Stmt, func: Func) -> bool {
    matches!(stmt, Stmt::Call { target: Target::Func(called), .. } if *called == func)
}

/// What a statement brings into being.
fn bound(stmt: &Stmt) -> impl Iterator<Item = Entity> {
    let cell = if let Stmt::Cell(cell) = stmt { Some(Entity::Cell(*cell)) } else { None };
    stmt.results().iter().map(|&v| Entity::Value(v)).chain(cell)
}
