//! Identities of elementwise operators.

use super::{Rewrite, Simplify};
use crate::ir::expr::{Binary, Comparison, Expr, Unary};
use crate::ir::ids::Value;
use crate::ir::types::{Dtype, Scalar, Type};

impl Simplify<'_> {
    pub(super) fn arithmetic(&self, ty: &Type, expr: &Expr) -> Option<Rewrite> {
        match *expr {
            Expr::Unary(op, x) => self.unary(op, x),
            Expr::Binary(op, a, b) => match op {
                Binary::Add => self.sum(ty, a, b).or_else(|| self.sum(ty, b, a)),
                Binary::Sub => self.difference(ty, a, b),
                Binary::Mul => self.product(ty, a, b).or_else(|| self.product(ty, b, a)),
                Binary::Div => self.quotient(ty, a, b),
                Binary::Pow => match self.real(b)? {
                    0.0 => self.fill(ty, 1.0),
                    1.0 => self.stretched(a, ty),
                    _ => None,
                },
                Binary::Atan2 | Binary::Hypot | Binary::Fmod | Binary::FloorDivide => None,
                Binary::Maximum | Binary::Minimum => (a == b).then_some(Rewrite::Value(a)),
                Binary::And | Binary::Or => {
                    self.connective(op, ty, a, b).or_else(|| self.connective(op, ty, b, a))
                }
            },
            Expr::Powi(x, n) => match n {
                -1 => Some(Rewrite::Expr(Expr::Unary(Unary::Recip, x))),
                0 => self.fill(ty, 1.0),
                1 => Some(Rewrite::Value(x)),
                2 => Some(Rewrite::Expr(Expr::Binary(Binary::Mul, x, x))),
                _ => None,
            },
            Expr::Compare(op, a, b) if a == b => {
                let integers = self.program.ty(a).dtype == Dtype::I64;
                match op {
                    Comparison::Less => self.fill(ty, 0.0),
                    _ if integers => self.fill(ty, 1.0),
                    // NaN does not equal itself.
                    _ => None,
                }
            }
            Expr::Select { mask, then, otherwise } => {
                match (self.definitions.constant(mask), then == otherwise) {
                    (Some(Scalar::Bool(true)), _) | (_, true) => self.stretched(then, ty),
                    (Some(Scalar::Bool(false)), _) => self.stretched(otherwise, ty),
                    _ => self
                        .under(Unary::Not, mask)
                        .map(|mask| Rewrite::Expr(Expr::Select { mask, then: otherwise, otherwise: then })),
                }
            }
            _ => None,
        }
    }

    /// The real number that all elements of a value are, if they are.
    fn real(&self, value: Value) -> Option<f64> {
        self.definitions.constant(value)?.real()
    }

    /// The operand, if a value is this function of it.
    fn under(&self, op: Unary, value: Value) -> Option<Value> {
        match self.definitions.get(value)? {
            &Expr::Unary(found, x) if found == op => Some(x),
            _ => None,
        }
    }

    fn is(&self, value: Value, number: f64) -> bool {
        self.definitions.constant(value).is_some_and(|c| c.is(number))
    }

    fn unary(&self, op: Unary, x: Value) -> Option<Rewrite> {
        match op {
            Unary::Neg | Unary::Not => self.under(op, x).map(Rewrite::Value),
            Unary::Abs => match self.under(Unary::Neg, x) {
                Some(y) => Some(Rewrite::Expr(Expr::Unary(op, y))),
                None => self.under(op, x).map(|_| Rewrite::Value(x)),
            },
            Unary::Relu | Unary::Sign => self.under(op, x).map(|_| Rewrite::Value(x)),
            _ => None,
        }
    }

    fn sum(&self, ty: &Type, a: Value, b: Value) -> Option<Rewrite> {
        // The zero that changes nothing is −0.
        let zero = if ty.dtype.is_float() { -0.0 } else { 0.0 };
        if self.is(b, zero) {
            return self.stretched(a, ty);
        }
        if let Some(c) = self.under(Unary::Neg, b) {
            return Some(Rewrite::Expr(Expr::Binary(Binary::Sub, a, c)));
        }
        let ((m, x), (n, y)) = (self.multiple(a), self.multiple(b));
        let doubling = |c: f64| c >= 1.0 && c.log2().fract() == 0.0 && c < 1024.0;
        let exact = (doubling(m) && doubling(n)) || (m == 3.0 && n == 1.0);
        let fits = x == y && ty == self.program.ty(x) && ty.dtype.is_float();
        // `x + x` stays: it is as cheap as `2x`.
        (fits && exact && m * n > 1.0).then(|| Rewrite::Scaled(Scalar::of(ty.dtype, m + n), x))
    }

    /// `c` and `x`, where a value is `c·x`, rounded.
    fn multiple(&self, value: Value) -> (f64, Value) {
        let scaled = match self.definitions.get(value) {
            Some(&Expr::Binary(Binary::Add, a, b)) if a == b => Some((2.0, a)),
            Some(&Expr::Binary(Binary::Mul, a, b)) => {
                let scaled = self.scaled(a, b).or_else(|| self.scaled(b, a));
                scaled.and_then(|(c, x)| Some((c.real()?, x)))
            }
            _ => None,
        };
        scaled.unwrap_or((1.0, value))
    }

    /// A product by a literal that does not stretch the other factor.
    fn scaled(&self, literal: Value, x: Value) -> Option<(Scalar, Value)> {
        self.program.ty(literal).shape.is_empty().then_some(())?;
        Some((self.definitions.constant(literal)?, x))
    }

    fn difference(&self, ty: &Type, a: Value, b: Value) -> Option<Rewrite> {
        if self.is(b, 0.0) {
            return self.stretched(a, ty);
        }
        if self.is(a, -0.0) && self.program.ty(b) == ty {
            return Some(Rewrite::Expr(Expr::Unary(Unary::Neg, b)));
        }
        if let Some(c) = self.under(Unary::Neg, b) {
            return Some(Rewrite::Expr(Expr::Binary(Binary::Add, a, c)));
        }
        (a == b && ty.dtype == Dtype::I64).then(|| self.fill(ty, 0.0)).flatten()
    }

    fn product(&self, ty: &Type, a: Value, b: Value) -> Option<Rewrite> {
        if self.is(b, 1.0) {
            return self.stretched(a, ty);
        }
        if self.is(b, -1.0) && self.program.ty(a) == ty {
            return Some(Rewrite::Expr(Expr::Unary(Unary::Neg, a)));
        }
        if self.is(b, 0.0) && ty.dtype == Dtype::I64 {
            return self.fill(ty, 0.0);
        }
        if let (Some(x), Some(y)) = (self.under(Unary::Neg, a), self.under(Unary::Neg, b)) {
            return Some(Rewrite::Expr(Expr::Binary(Binary::Mul, x, y)));
        }
        self.twice_scaled(ty, a, b)
    }

    /// `c·(d·x) = (c·d)·x` where one of the two is a power of two, at least one, so that only one step rounds.
    fn twice_scaled(&self, ty: &Type, a: Value, b: Value) -> Option<Rewrite> {
        let (c, inner) = self.scaled(a, b)?;
        let &Expr::Binary(Binary::Mul, e, f) = self.definitions.get(inner)? else { return None };
        let (d, x) = self.scaled(e, f).or_else(|| self.scaled(f, e))?;
        let (c, d) = (c.real()?, d.real()?);
        let doubling = |c: f64| (1.0..1024.0).contains(&c) && c.log2().fract() == 0.0;
        let tame = |c: f64| (1e-30..1e30).contains(&c.abs());
        let fits = self.program.ty(x) == ty && tame(c) && tame(d) && (doubling(c) || doubling(d));
        fits.then(|| Rewrite::Scaled(Scalar::of(ty.dtype, c * d), x))
    }

    fn quotient(&self, ty: &Type, a: Value, b: Value) -> Option<Rewrite> {
        if self.is(b, 1.0) {
            return self.stretched(a, ty);
        }
        if self.is(b, -1.0) && self.program.ty(a) == ty {
            return Some(Rewrite::Expr(Expr::Unary(Unary::Neg, a)));
        }
        if self.is(a, 1.0) && self.program.ty(b) == ty {
            return Some(Rewrite::Expr(Expr::Unary(Unary::Recip, b)));
        }
        let c = self.real(b)?;
        let invertible = c.abs().log2().fract() == 0.0 && (1e-30..1e30).contains(&c.abs());
        (invertible && self.program.ty(a) == ty).then(|| Rewrite::Scaled(Scalar::of(ty.dtype, 1.0 / c), a))
    }

    fn connective(&self, op: Binary, ty: &Type, a: Value, b: Value) -> Option<Rewrite> {
        let neutral = op == Binary::And;
        match self.definitions.constant(b) {
            Some(Scalar::Bool(c)) if c == neutral => self.stretched(a, ty),
            Some(Scalar::Bool(c)) => self.fill(ty, f64::from(u8::from(c))),
            _ => (a == b).then_some(Rewrite::Value(a)),
        }
    }
}
