//! Branches on constants: the arm that is taken becomes part of the block.

use crate::ir::types::Scalar;
use crate::ir::{Program, Stmt};
use crate::optimise::OptimiseOptions;
use crate::optimise::rewrite::{Definitions, Substitution};

/// Runs the pass.
pub fn run(program: &mut Program, _: &OptimiseOptions) -> bool {
    let definitions = Definitions::of(program);
    let mut substitution = Substitution::default();
    let mut changed = false;
    for block in program.reachable() {
        let mut kept = Vec::new();
        // Statements still to be looked at, the next one last: an arm's may hold branches on constants too.
        let mut pending: Vec<Stmt> = std::mem::take(&mut program.blocks[block].stmts);
        pending.reverse();
        while let Some(stmt) = pending.pop() {
            match stmt {
                Stmt::If { condition, then, otherwise, ref results }
                    if let Some(holds) = definitions.constant(condition) =>
                {
                    let arm = if holds == Scalar::Bool(true) { then } else { otherwise };
                    let arm = std::mem::take(&mut program.blocks[arm]);
                    for (&result, &yielded) in results.iter().zip(&arm.results) {
                        substitution.replace(program, result, yielded);
                    }
                    pending.extend(arm.stmts.into_iter().rev());
                    changed = true;
                }
                stmt => kept.push(stmt),
            }
        }
        program.blocks[block].stmts = kept;
    }
    substitution.apply(program);
    changed
}
