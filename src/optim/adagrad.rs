//! Adagrad.

use super::{Optimizer, Step, replace, with_decay};
use crate::language::real::Real;

/// `m ← m + g²`, `w ← w − lr·g/(√m + ε)` (Duchi, Hazan & Singer, *Adaptive subgradient methods*, 2011, §1.3);
/// with weight decay `λ`, `g + λ·w` takes the place of `g`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adagrad {
    /// `ε`; 1e-10 as in PyTorch.
    pub epsilon: f64,
    /// `λ`.
    pub weight_decay: f64,
}

impl Default for Adagrad {
    fn default() -> Adagrad {
        Adagrad { epsilon: 1e-10, weight_decay: 0.0 }
    }
}

impl Optimizer for Adagrad {
    fn slots(&self) -> Vec<&'static str> {
        vec!["sum"]
    }

    fn rule<T: Real>(&self, w: T, g: T, slots: &mut [T], step: &Step<'_, T>) -> T {
        let g = with_decay(g, &w, self.weight_decay);
        replace(&mut slots[0], |m| m + g.square());
        w - g * step.lr / slots[0].sqrt().offset(self.epsilon)
    }
}
