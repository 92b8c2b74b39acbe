//! Zero-init elimination: where slices are added to an empty cell and together cover each place once, what is taken is
//! their concatenation. Nothing is filled with zeros first, and nothing added to them. Only with
//! [`OptimiseOptions::reassociate`]: a −0 that is added to a zero becomes 0.

use std::collections::{HashMap, HashSet};

use crate::ir::expr::Expr;
use crate::ir::ids::{Cell, Value};
use crate::ir::{Program, Stmt, Update};
use crate::optimise::OptimiseOptions;
use crate::optimise::rewrite::local_cells;

/// Runs the pass.
pub fn run(program: &mut Program, options: &OptimiseOptions) -> bool {
    if !options.reassociate {
        return false;
    }
    let local = local_cells(program);
    let mut changed = false;
    for block in program.reachable() {
        let mut stmts = std::mem::take(&mut program.blocks[block].stmts);
        let mut dropped = HashSet::new();
        // What was added to cells, and where, since they were empty.
        let mut added: HashMap<Cell, Vec<(usize, Update)>> = HashMap::new();
        for (i, stmt) in stmts.iter_mut().enumerate() {
            match *stmt {
                Stmt::Cell(cell) if local.contains(cell) => drop(added.insert(cell, Vec::new())),
                Stmt::Accumulate(cell, update) => {
                    if let Some(updates) = added.get_mut(&cell) {
                        updates.push((i, update));
                    }
                }
                Stmt::Present(_, cell) | Stmt::Row(_, cell, _) => drop(added.remove(&cell)),
                Stmt::Take(v, cell) if local.contains(cell) => {
                    let updates = added.insert(cell, Vec::new()).unwrap_or_default();
                    if let Some((parts, axis)) = tiles(program, cell, &updates) {
                        dropped.extend(updates.iter().map(|(i, _)| *i));
                        *stmt = Stmt::Let(v, Expr::Concat(parts, axis));
                    }
                }
                Stmt::Let(..)
                | Stmt::Cell(_)
                | Stmt::Take(..)
                | Stmt::If { .. }
                | Stmt::Define(_)
                | Stmt::Call { .. }
                | Stmt::Probe(..) => {}
            }
        }
        changed |= !dropped.is_empty();
        let mut position = 0..;
        stmts.retain(|_| !dropped.contains(&position.next().expect("as many as there are statements")));
        program.blocks[block].stmts = stmts;
    }
    changed
}

/// The slices in their order and the axis along which they cover the cell, if they do.
fn tiles(program: &Program, cell: Cell, updates: &[(usize, Update)]) -> Option<(Vec<Value>, usize)> {
    let mut slices = Vec::new();
    for (_, update) in updates {
        let &Update::Slice { axis, start, step: 1, count, g } = update else { return None };
        slices.push((start, count, axis, g));
    }
    slices.sort_unstable_by_key(|&(start, ..)| start);
    let along = slices.first()?.2;
    let mut end = 0;
    for &(start, count, axis, _) in &slices {
        if axis != along || start != end {
            return None;
        }
        end += count;
    }
    let covered = end == program.cells[cell].ty.shape[along];
    covered.then(|| (slices.into_iter().map(|(.., g)| g).collect(), along))
}
