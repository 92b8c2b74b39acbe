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

/// The places where a function calls itself, if it can run as a loop: all of its own values and cells are scalars, and
/// it takes no continuations, so that no call of it hands on what an earlier one owns.
pub fn sites(program: &Program, analysis: &Analysis, func: Func) -> BTreeMap<(Block, usize), Site> {
    let data = &program.funcs[func];
    let itself = |&(block, i): &(Block, usize)| calls(&program.blocks[block].stmts[i], func);
    if !analysis.funcs[func].order.iter().any(itself) {
        return BTreeMap::new();
    }
    let mut walk = Walk {
        program,
        func,
        captured: analysis.funcs[func].captured.iter().copied().collect(),
        visible: data.params.iter().map(|&v| Entity::Value(v)).collect(),
        sites: BTreeMap::new(),
    };
    let scalar = analysis.funcs[func].only_scalars && data.results.iter().all(|ty| ty.shape.is_empty());
    if scalar && data.continuations.is_empty() && func != program.entry {
        walk.block(data.body, BTreeSet::new(), true);
    }
    walk.sites
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
