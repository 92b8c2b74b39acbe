//! Adam, and Adam with decoupled weight decay.

use super::{Optimizer, Step, replace, with_decay};
use crate::language::real::Real;

/// Adam (Kingma & Ba, *Adam: a method for stochastic optimization*, 2015, algorithm 1), at step `t`:
///
/// ```text
/// m ← β₁·m + (1 − β₁)·g          m̂ = m/(1 − β₁ᵗ)
/// v ← β₂·v + (1 − β₂)·g²         v̂ = v/(1 − β₂ᵗ)
/// w ← w − lr·m̂/(√v̂ + ε)
/// ```
///
/// With weight decay `λ`, `g + λ·w` takes the place of `g`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// `β₁`.
    pub beta1: f64,
    /// `β₂`.
    pub beta2: f64,
    /// `ε`.
    pub epsilon: f64,
    /// `λ`.
    pub weight_decay: f64,
}

impl Default for Adam {
    /// β₁ = 0.9, β₂ = 0.999, ε = 1e-8, λ = 0.
    fn default() -> Adam {
        Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

/// [`Adam`] with decoupled weight decay: `w ← w·(1 − lr·λ)` before the step, and `g` as it is (Loshchilov & Hutter,
/// *Decoupled weight decay regularization*, 2019, algorithm 2, as PyTorch's `torch.optim.AdamW`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// `β₁`.
    pub beta1: f64,
    /// `β₂`.
    pub beta2: f64,
    /// `ε`.
    pub epsilon: f64,
    /// `λ`.
    pub weight_decay: f64,
}

impl Default for AdamW {
    /// β₁ = 0.9, β₂ = 0.999, ε = 1e-8, λ = 0.01.
    fn default() -> AdamW {
        AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 }
    }
}

/// `1 − βᵗ`, as `−expm1(t·ln β)`: exact also for `f32`, where `1 − 0.999` would lose five digits.
pub(super) fn bias_correction<T: Real>(beta: f64, t: &T) -> T {
    -t.clone().scale(beta.ln()).expm1()
}

impl Optimizer for Adam {
    fn slots(&self) -> Vec<&'static str> {
        vec!["exp_avg", "exp_avg_sq"]
    }

    fn rule<T: Real>(&self, w: T, g: T, slots: &mut [T], step: &Step<'_, T>) -> T {
        let g = with_decay(g, &w, self.weight_decay);
        replace(&mut slots[0], |m| m.scale(self.beta1) + g.clone().scale(1.0 - self.beta1));
        replace(&mut slots[1], |v| v.scale(self.beta2) + g.square().scale(1.0 - self.beta2));
        let step_size = step.lr.clone() / bias_correction(self.beta1, step.count);
        let root = bias_correction(self.beta2, step.count).sqrt();
        w - slots[0].clone() * step_size / (slots[1].sqrt() / root).offset(self.epsilon)
    }
}

impl Optimizer for AdamW {
    fn slots(&self) -> Vec<&'static str> {
        vec!["exp_avg", "exp_avg_sq"]
    }

    fn rule<T: Real>(&self, w: T, g: T, slots: &mut [T], step: &Step<'_, T>) -> T {
        let AdamW { beta1, beta2, epsilon, weight_decay } = *self;
        let kept = (-step.lr.clone().scale(weight_decay)).offset(1.0);
        Adam { beta1, beta2, epsilon, weight_decay: 0.0 }.rule(w * kept, g, slots, step)
    }
}
