//! Algebraic identities that hold bit for bit in IEEE arithmetic, rounding to nearest.
//!
//! What looks like an identity and is not one: `x + 0` (−0 becomes 0), `x · 0` and `x − x` (∞ and NaN), `x / c` by a
//! multiplication unless `1/c` is exact, `0 − x` for `−x`, any regrouping. Integers have more of them. Of sums of
//! equal terms those survive in which nothing is rounded but the last step: `x + x = 2x` exactly, so that
//! `2x + x` rounds `3x` once, as a multiplication does; so for all sums of two powers of two, and for `3x + x = 4x`
//! (the rounding error of `3x` is too small to matter).

mod arithmetic;
mod shapes;

use crate::ir::expr::Expr;
use crate::ir::ids::Value;
use crate::ir::types::{Scalar, Shape, Type};
use crate::ir::{Program, Stmt};
use crate::optimise::OptimiseOptions;
use crate::optimise::rewrite::{Definitions, Substitution};

/// What an expression is replaced by.
enum Rewrite {
    /// A value of the same type.
    Value(Value),
    /// Another expression of the same type.
    Expr(Expr),
    /// A literal times a value of the same type.
    Scaled(Scalar, Value),
    /// An expression of another shape, reshaped.
    Reshaped(Expr, Shape),
}

/// Runs the pass.
pub fn run(program: &mut Program, _: &OptimiseOptions) -> bool {
    let mut definitions = Definitions::of(program);
    let mut substitution = Substitution::default();
    let mut changed = false;
    for block in program.reachable() {
        let stmts = std::mem::take(&mut program.blocks[block].stmts);
        let mut out = Vec::with_capacity(stmts.len());
        for mut stmt in stmts {
            substitution.in_stmt(&mut stmt);
            let Stmt::Let(v, mut expr) = stmt else {
                out.push(stmt);
                continue;
            };
            let mut kept = true;
            while let Some(rewrite) = (Simplify { program, definitions: &definitions }).expr(v, &expr) {
                changed = true;
                match rewrite {
                    Rewrite::Value(same) => {
                        substitution.replace(program, v, same);
                        kept = false;
                        break;
                    }
                    Rewrite::Expr(next) => expr = next,
                    Rewrite::Scaled(c, x) => {
                        let literal = program.value(Type::scalar(c.dtype()));
                        definitions.set(literal, Expr::literal(c));
                        out.push(Stmt::Let(literal, Expr::literal(c)));
                        expr = Expr::Binary(crate::ir::expr::Binary::Mul, literal, x);
                    }
                    Rewrite::Reshaped(inner, shape) => {
                        let ty = Type { dtype: program.ty(v).dtype, shape };
                        let x = program.value_like(ty, v);
                        definitions.set(x, inner.clone());
                        out.push(Stmt::Let(x, inner));
                        expr = Expr::Reshape(x, program.ty(v).shape.clone());
                    }
                }
            }
            if kept {
                definitions.set(v, expr.clone());
                out.push(Stmt::Let(v, expr));
            }
        }
        program.blocks[block].stmts = out;
    }
    substitution.apply(program);
    changed
}

struct Simplify<'a> {
    program: &'a Program,
    definitions: &'a Definitions,
}

impl Simplify<'_> {
    fn expr(&self, v: Value, expr: &Expr) -> Option<Rewrite> {
        let ty = self.program.ty(v);
        self.arithmetic(ty, expr).or_else(|| self.shapes(ty, expr))
    }

    /// `x` as a value of type `ty`: itself, or stretched.
    fn stretched(&self, x: Value, ty: &Type) -> Option<Rewrite> {
        let stretched = || Rewrite::Expr(Expr::Broadcast(x, ty.shape.clone()));
        let of = self.program.ty(x);
        (of.dtype == ty.dtype).then(|| if of == ty { Rewrite::Value(x) } else { stretched() })
    }

    fn fill(&self, ty: &Type, value: f64) -> Option<Rewrite> {
        let fill = Expr::Fill { value: Scalar::of(ty.dtype, value), shape: Shape::clone(&ty.shape) };
        Some(Rewrite::Expr(fill))
    }
}
