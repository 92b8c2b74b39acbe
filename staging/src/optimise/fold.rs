//! Constant folding: an operator on constants is a constant, computed by the interpreter.

use std::sync::Arc;

use crate::interpret::evaluate;
use crate::ir::expr::Expr;
use crate::ir::ids::{SecondaryMap, Value};
use crate::ir::tensor::ConcreteTensor;
use crate::ir::{Program, Stmt};
use crate::optimise::OptimiseOptions;

/// Largest constant that is read or made, in elements: folding must not make programs bigger.
const LARGEST: usize = 4096;

/// Runs the pass. An operator that fails on its constants is left to fail when it runs.
pub fn run(program: &mut Program, _: &OptimiseOptions) -> bool {
    let mut constants: SecondaryMap<Value, Option<Arc<ConcreteTensor>>> = SecondaryMap::new();
    let mut changed = false;
    for block in program.reachable() {
        let mut stmts = std::mem::take(&mut program.blocks[block].stmts);
        for stmt in &mut stmts {
            let Stmt::Let(v, expr) = stmt else { continue };
            if program.ty(*v).size() > LARGEST {
                continue;
            }
            let operands: Option<Vec<&ConcreteTensor>> =
                expr.operands().iter().map(|&v| constants[v].as_deref()).collect();
            let Some(Ok(tensor)) = operands.map(|operands| evaluate(expr, &operands)) else { continue };
            let tensor = Arc::new(tensor);
            if expr.constant().is_none() {
                *expr = constant(&tensor);
                changed = true;
            }
            constants[*v] = Some(tensor);
        }
        program.blocks[block].stmts = stmts;
    }
    changed
}

fn constant(tensor: &Arc<ConcreteTensor>) -> Expr {
    match tensor.uniform() {
        Some(value) => Expr::Fill { value, shape: tensor.shape().into() },
        None => Expr::Array(tensor.clone()),
    }
}
