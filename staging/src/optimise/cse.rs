//! Common subexpressions: a pure operator that was applied to the same operands before, in an enclosing scope, is not
//! applied again. A local function captures the value instead.

use std::collections::HashMap;

use crate::ir::expr::Expr;
use crate::ir::ids::{Block, Value};
use crate::ir::{Program, Stmt};
use crate::optimise::OptimiseOptions;
use crate::optimise::rewrite::Substitution;

/// Runs the pass.
pub fn run(program: &mut Program, _: &OptimiseOptions) -> bool {
    let mut search = Search { program, known: HashMap::new(), substitution: Substitution::default() };
    search.block(search.program.funcs[search.program.entry].body);
    !search.substitution.is_empty()
}

struct Search<'p> {
    program: &'p mut Program,
    known: HashMap<Expr, Value>,
    substitution: Substitution,
}

impl Search<'_> {
    fn block(&mut self, block: Block) {
        let mut stmts = std::mem::take(&mut self.program.blocks[block].stmts);
        let mut added = Vec::new();
        stmts.retain_mut(|stmt| {
            self.substitution.in_stmt(stmt);
            let children: Vec<Block> = self.program.children(stmt).collect();
            children.into_iter().for_each(|child| self.block(child));
            let Stmt::Let(value, expr) = stmt else { return true };
            let key = ordered(expr.clone());
            if let Some(&first) = self.known.get(&key) {
                self.substitution.replace(self.program, *value, first);
                return false;
            }
            self.known.insert(key.clone(), *value);
            added.push(key);
            true
        });
        for key in &added {
            self.known.remove(key);
        }
        let data = &mut self.program.blocks[block];
        data.stmts = stmts;
        data.results.iter_mut().for_each(|value| *value = self.substitution.resolve(*value));
    }
}

/// The expression with operands that commute in order of their ids.
fn ordered(expr: Expr) -> Expr {
    match expr {
        Expr::Binary(op, a, b) if op.commutes() && a > b => Expr::Binary(op, b, a),
        Expr::Compare(op, a, b) if op.commutes() && a > b => Expr::Compare(op, b, a),
        expr => expr,
    }
}
