//! Lion.

use super::{Optimizer, Step, replace};
use crate::language::real::Real;

/// Lion (Chen et al., *Symbolic discovery of optimization algorithms*, 2023, algorithm 2):
///
/// ```text
/// w ← w − lr·(sign(β₁·m + (1 − β₁)·g) + λ·w)
/// m ← β₂·m + (1 − β₂)·g
/// ```
///
/// Every element moves by the learning rate, which is to be some three to ten times smaller than Adam's, and the weight
/// decay `λ` as many times larger.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lion {
    /// `β₁`.
    pub beta1: f64,
    /// `β₂`.
    pub beta2: f64,
    /// `λ`.
    pub weight_decay: f64,
}

impl Default for Lion {
    /// β₁ = 0.9, β₂ = 0.99, λ = 0.
    fn default() -> Lion {
        Lion { beta1: 0.9, beta2: 0.99, weight_decay: 0.0 }
    }
}

impl Optimizer for Lion {
    fn slots(&self) -> Vec<&'static str> {
        vec!["exp_avg"]
    }

    fn rule<T: Real>(&self, w: T, g: T, slots: &mut [T], step: &Step<'_, T>) -> T {
        let direction = (slots[0].clone().scale(self.beta1) + g.clone().scale(1.0 - self.beta1)).sign();
        replace(&mut slots[0], |m| m.scale(self.beta2) + g.scale(1.0 - self.beta2));
        let kept = if self.weight_decay == 0.0 {
            w
        } else {
            w * (-step.lr.clone().scale(self.weight_decay)).offset(1.0)
        };
        kept - direction * step.lr
    }
}
