//! Loop-invariant code motion: what a recursive function computes from what it captures alone is the same in all of its
//! activations, and is computed once, before the function is defined. A transposed weight is an example.
//!
//! Only what is worth being kept is moved, with what it is computed from: scalars that take a cycle, constants and
//! views are better computed, or looked at, in place. What may be an error (an index out of range) stays where it is.
//! Moved code runs even if the place it comes from is never reached, so what it computes may be in vain, but not wrong.

use std::collections::{HashMap, HashSet};

use crate::analysis::effects::Effects;
use crate::ir::expr::{Binary, Class, Expr, Unary};
use crate::ir::ids::{Block, Func, Value};
use crate::ir::{Program, Stmt, Update};
use crate::optimise::OptimiseOptions;

/// Runs the pass.
pub fn run(program: &mut Program, _: &OptimiseOptions) -> bool {
    // What leaves an outer function has left those inside of it, too.
    before_recursive_functions(program, invariants)
}

/// Puts the statements that `make` gives for a recursive function before its definition, outer functions first; whether
/// there were any.
pub fn before_recursive_functions(
    program: &mut Program,
    make: impl Fn(&mut Program, Func) -> Vec<Stmt>,
) -> bool {
    let effects = Effects::of(program);
    let mut changed = false;
    for block in program.reachable() {
        let mut i = 0;
        while let Some(stmt) = program.blocks[block].stmts.get(i) {
            if let Stmt::Define(func) = *stmt
                && effects.is_recursive(func)
            {
                let made = make(program, func);
                changed |= !made.is_empty();
                let count = made.len();
                program.blocks[block].stmts.splice(i..i, made);
                i += count;
            }
            i += 1;
        }
    }
    changed
}

/// Takes out of a function what is worth it.
fn invariants(program: &mut Program, func: Func) -> Vec<Stmt> {
    let blocks = program.within(program.funcs[func].body);
    let inside = bound(program, func, &blocks);
    // In the order of the text, so that operands come first.
    let mut candidates: HashMap<Value, &Expr> = HashMap::new();
    let mut wanted: Vec<Value> = Vec::new();
    for &block in &blocks {
        for stmt in &program.blocks[block].stmts {
            let Stmt::Let(v, expr) = stmt else { continue };
            let fixed = |x: &Value| !inside.contains(x) || candidates.contains_key(x);
            if matches!(expr.class(), Class::Indexed | Class::Host) || !expr.operands().iter().all(fixed) {
                continue;
            }
            candidates.insert(*v, expr);
            if is_worth_it(program, *v, expr) && !is_read_where_it_is(program, &blocks, *v, expr) {
                wanted.push(*v);
            }
        }
    }
    let mut moved = HashSet::new();
    while let Some(v) = wanted.pop() {
        if let Some(expr) = candidates.get(&v)
            && moved.insert(v)
        {
            wanted.extend(expr.operands());
        }
    }
    if moved.is_empty() {
        return Vec::new();
    }
    let mut out = Vec::new();
    for &block in &blocks {
        let (taken, kept) = std::mem::take(&mut program.blocks[block].stmts)
            .into_iter()
            .partition(|stmt| matches!(stmt, Stmt::Let(v, _) if moved.contains(v)));
        program.blocks[block].stmts = kept;
        out.extend::<Vec<Stmt>>(taken);
    }
    // It comes before both passes of the function now.
    moved.into_iter().for_each(|v| program.values[v].origin.backward = false);
    out
}

/// All values that are bound inside of a function.
pub(crate) fn bound(program: &Program, func: Func, blocks: &[Block]) -> HashSet<Value> {
    let mut inside: HashSet<Value> = program.funcs[func].params.iter().copied().collect();
    for &block in blocks {
        for stmt in &program.blocks[block].stmts {
            inside.extend(stmt.results());
            if let Stmt::Define(inner) = stmt {
                inside.extend(&program.funcs[*inner].params);
            }
        }
    }
    inside
}

/// Rows up to which a product reads its second factor once, and is bound by that: then it may as well read it where it
/// is.
pub(crate) const FEW_ROWS: u64 = 2;

/// The second factor, if a statement is a product of few rows.
pub(crate) fn second_of_few_rows(program: &Program, stmt: &Stmt) -> Option<Value> {
    let (Stmt::Let(_, Expr::Matmul(a, b)) | Stmt::Accumulate(_, Update::Matmul(a, b))) = stmt else {
        return None;
    };
    let few = program.ty(*a).shape.iter().rev().nth(1).is_some_and(|&rows| rows as u64 <= FEW_ROWS);
    (few && a != b).then_some(*b)
}

/// Whether a transposed matrix is nothing but the second factor of products of few rows.
fn is_read_where_it_is(program: &Program, blocks: &[Block], v: Value, expr: &Expr) -> bool {
    let Expr::Permute(_, order) = expr else { return false };
    let reads = |stmt: &Stmt| {
        let mut count = 0;
        stmt.for_each_use(|x| count += usize::from(x == v));
        count
    };
    let few = |stmt: &Stmt| second_of_few_rows(program, stmt) == Some(v);
    let yielded = |block: &Block| program.blocks[*block].results.contains(&v);
    let stmts = || blocks.iter().flat_map(|&block| &program.blocks[block].stmts);
    order[..] == [1, 0] && !blocks.iter().any(yielded) && stmts().all(|stmt| reads(stmt) == 0 || few(stmt))
}

/// Whether to compute something again and again costs more than to keep it.
fn is_worth_it(program: &Program, v: Value, expr: &Expr) -> bool {
    let scalar = program.ty(v).shape.is_empty();
    match expr {
        Expr::Fill { .. }
        | Expr::Array(_)
        | Expr::Reshape(..)
        | Expr::After(..)
        | Expr::Broadcast(..)
        | Expr::Slice { .. }
        | Expr::Flip(..) => false,
        Expr::Unary(op, _) => {
            !scalar
                || match op {
                    Unary::Neg
                    | Unary::Abs
                    | Unary::Sign
                    | Unary::Not
                    | Unary::Relu
                    | Unary::Floor
                    | Unary::Ceil
                    | Unary::Round
                    | Unary::Trunc => false,
                    Unary::Recip
                    | Unary::Exp
                    | Unary::Expm1
                    | Unary::Log
                    | Unary::Log1p
                    | Unary::Sqrt
                    | Unary::Sin
                    | Unary::Cos
                    | Unary::Tan
                    | Unary::Tanh
                    | Unary::Sigmoid
                    | Unary::Softplus
                    | Unary::Erf
                    | Unary::Erfc
                    | Unary::Exp2
                    | Unary::Log2
                    | Unary::Log10
                    | Unary::Cbrt
                    | Unary::Sinh
                    | Unary::Cosh
                    | Unary::Asin
                    | Unary::Acos
                    | Unary::Atan
                    | Unary::Asinh
                    | Unary::Acosh
                    | Unary::Atanh
                    | Unary::Lgamma
                    | Unary::I0
                    | Unary::I1 => true,
                }
        }
        Expr::Binary(op, ..) => {
            !scalar
                || match op {
                    Binary::Div
                    | Binary::Pow
                    | Binary::Atan2
                    | Binary::Hypot
                    | Binary::Fmod
                    | Binary::FloorDivide => true,
                    Binary::Add
                    | Binary::Sub
                    | Binary::Mul
                    | Binary::Maximum
                    | Binary::Minimum
                    | Binary::And
                    | Binary::Or => false,
                }
        }
        Expr::Powi(..) | Expr::Clamp { .. } | Expr::Compare(..) | Expr::Select { .. } | Expr::Convert(..) => {
            !scalar
        }
        Expr::Permute(..)
        | Expr::Reduce(..)
        | Expr::Argmax(..)
        | Expr::Matmul(..)
        | Expr::Concat(..)
        | Expr::Pad { .. }
        | Expr::GatherRows { .. }
        | Expr::ScatterRows { .. }
        | Expr::WriteRows { .. }
        | Expr::GatherLast { .. }
        | Expr::ScatterLast { .. }
        | Expr::Conv2d { .. }
        | Expr::Conv2dImage { .. }
        | Expr::Conv2dKernel { .. }
        | Expr::Unfold2d { .. }
        | Expr::Fold2d { .. }
        | Expr::Host { .. }
        | Expr::Uniform { .. } => true,
    }
}
