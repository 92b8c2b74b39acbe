//! Identities of operators that move elements.

use super::{Rewrite, Simplify};
use crate::ir::expr::{Class, Expr, Padding};
use crate::ir::ids::Value;
use crate::ir::infer::infer;
use crate::ir::types::{AxisList, Type};

impl Simplify<'_> {
    pub(super) fn shapes(&self, ty: &Type, expr: &Expr) -> Option<Rewrite> {
        if let Some(rewrite) = self.unstretched(ty, expr).or_else(|| self.of_fill(ty, expr)) {
            return Some(rewrite);
        }
        let operand = *expr.operands().first()?;
        let same = self.program.ty(operand) == ty;
        let inner = self.definitions.get(operand);
        match (expr, inner) {
            (Expr::Reshape(..) | Expr::Broadcast(..), _) if same => Some(Rewrite::Value(operand)),
            (Expr::Slice { start: 0, step: 1, .. }, _) if same => Some(Rewrite::Value(operand)),
            (Expr::Permute(_, order), _) if order.is_sorted() => Some(Rewrite::Value(operand)),
            (Expr::Pad { padding, .. }, _) if *padding == Padding::default() => Some(Rewrite::Value(operand)),
            (Expr::Concat(parts, _), _) if parts.len() == 1 => Some(Rewrite::Value(operand)),
            (Expr::Reshape(_, shape), Some(Expr::Reshape(x, _))) => {
                Some(Rewrite::Expr(Expr::Reshape(*x, shape.clone())))
            }
            (Expr::Broadcast(_, shape), Some(Expr::Broadcast(x, _))) => {
                Some(Rewrite::Expr(Expr::Broadcast(*x, shape.clone())))
            }
            (Expr::Permute(_, order), Some(Expr::Permute(x, before))) => {
                let both: AxisList = order.iter().map(|&axis| before[axis]).collect();
                Some(Rewrite::Expr(Expr::Permute(*x, both)))
            }
            (Expr::Flip(_, axis), Some(Expr::Flip(x, before))) if axis == before => Some(Rewrite::Value(*x)),
            (Expr::Concat(parts, 0), Some(Expr::Reshape(..))) => self.of_reshaped(parts),
            _ => None,
        }
    }

    /// Rows are joined whether each is an array or a row of one.
    fn of_reshaped(&self, parts: &[Value]) -> Option<Rewrite> {
        let mut rows = 0;
        let mut inner = Vec::new();
        for &part in parts {
            let Expr::Reshape(x, _) = self.definitions.get(part)? else { return None };
            rows += self.program.ty(*x).shape.first()?;
            inner.push(*x);
        }
        let tail = |x: &Value| &self.program.ty(*x).shape[1..];
        let first = tail(&inner[0]);
        let alike = inner.iter().all(|x| tail(x) == first);
        let shape = std::iter::once(rows).chain(first.iter().copied()).collect();
        alike.then(|| Rewrite::Reshaped(Expr::Concat(inner, 0), shape))
    }

    /// Moving equal elements about changes nothing but the shape.
    fn of_fill(&self, ty: &Type, expr: &Expr) -> Option<Rewrite> {
        let Expr::Fill { value, .. } = *self.definitions.get(expr.rearranged()?)? else { return None };
        Some(Rewrite::Expr(Expr::Fill { value, shape: ty.shape.clone() }))
    }

    /// Elementwise operators stretch their operands themselves.
    fn unstretched(&self, ty: &Type, expr: &Expr) -> Option<Rewrite> {
        if expr.class() != Class::Elementwise {
            return None;
        }
        for (i, operand) in expr.operands().into_iter().enumerate() {
            let Some(&Expr::Broadcast(x, _)) = self.definitions.get(operand) else { continue };
            let mut direct = expr.clone();
            *direct.operands_mut()[i] = x;
            if infer(&direct, |v| self.program.ty(v)).as_ref() == Ok(ty) {
                return Some(Rewrite::Expr(direct));
            }
        }
        None
    }
}
