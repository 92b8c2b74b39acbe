//! Rows that begin cache lines: a matrix that every activation of a recursive function reads, as the second factor of
//! products of few rows, is copied once, before the function is defined, to rows of whole cache lines.
//!
//! Such a product is bound by reading its matrix, and a load that crosses lines is two: 300 rows of 750 numbers in f32,
//! from the second-level cache, were read at 108 GB/s as they were, and at 169 with rows of 752.

use std::collections::HashMap;

use crate::ir::expr::{Expr, Padding};
use crate::ir::ids::{Func, Value};
use crate::ir::types::{Dtype, Type};
use crate::ir::{Program, Stmt};
use crate::optimise::OptimiseOptions;
use crate::optimise::hoist::{before_recursive_functions, bound, second_of_few_rows};

/// Bytes of a cache line.
const LINE: usize = 64;
/// Bytes of the shortest rows that are worth it.
const SHORTEST: usize = 512;

/// Runs the pass.
pub fn run(program: &mut Program, _: &OptimiseOptions) -> bool {
    // What is read from the copies of an outer function is bound inside of that.
    before_recursive_functions(program, copies)
}

/// Copies of the matrices that a function reads so; it reads the copies then.
fn copies(program: &mut Program, func: Func) -> Vec<Stmt> {
    let blocks = program.within(program.funcs[func].body);
    let inside = bound(program, func, &blocks);
    let stmts = || blocks.iter().flat_map(|&block| &program.blocks[block].stmts);
    let transposed: HashMap<Value, Value> = stmts()
        .filter_map(|stmt| match stmt {
            Stmt::Let(v, Expr::Permute(x, order)) if order[..] == [1, 0] => Some((*v, *x)),
            _ => None,
        })
        .collect();
    let mut matrices: Vec<Value> = stmts()
        .filter_map(|stmt| second_of_few_rows(program, stmt))
        .map(|b| transposed.get(&b).copied().unwrap_or(b))
        .filter(|matrix| !inside.contains(matrix) && padding(program.ty(*matrix)).is_some())
        .collect();
    matrices.sort_unstable();
    matrices.dedup();
    let mut copied = HashMap::new();
    let mut out = Vec::new();
    for matrix in matrices {
        let mut ty = program.ty(matrix).clone();
        let after = padding(&ty).expect("it was chosen for that");
        ty.shape[1] += after;
        let copy = program.value_like(ty, matrix);
        let padding = Padding { after, ..Padding::default() };
        out.push(Stmt::Let(copy, Expr::Pad { x: matrix, axis: 1, padding }));
        copied.insert(matrix, copy);
    }
    for block in blocks {
        let mut stmts = std::mem::take(&mut program.blocks[block].stmts);
        let mut i = 0;
        while i < stmts.len() {
            let read = match &stmts[i] {
                Stmt::Let(_, Expr::Permute(x, _)) => Some(*x),
                stmt => second_of_few_rows(program, stmt),
            };
            if let Some((matrix, &copy)) = read.and_then(|x| Some((x, copied.get(&x)?))) {
                let ty = program.ty(matrix).clone();
                let end = ty.shape[1];
                let part = program.value_like(ty, matrix);
                stmts[i].for_each_use_mut(|x| {
                    if *x == matrix {
                        *x = part
                    }
                });
                stmts.insert(i, Stmt::Let(part, Expr::Slice { x: copy, axis: 1, start: 0, end, step: 1 }));
                i += 1;
            }
            i += 1;
        }
        program.blocks[block].stmts = stmts;
    }
    out
}

/// Elements that a matrix's rows lack to be whole lines, if it is worth to add them.
fn padding(ty: &Type) -> Option<usize> {
    let [_, columns] = ty.shape[..] else { return None };
    let bytes = match ty.dtype {
        Dtype::F32 => 4,
        Dtype::F64 => 8,
        Dtype::I64 | Dtype::Bool => return None,
    };
    let after = columns.next_multiple_of(LINE / bytes) - columns;
    (after > 0 && columns * bytes >= SHORTEST).then_some(after)
}
