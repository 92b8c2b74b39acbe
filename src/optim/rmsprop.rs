//! RMSprop.

use super::{Optimizer, Step, replace, with_decay};
use crate::language::real::Real;

/// `v ← α·v + (1 − α)·g²`, `d = g/(√v + ε)`, `w ← w − lr·d` (Tieleman & Hinton, *Neural Networks for Machine
/// Learning*, lecture 6.5, 2012; PyTorch's `torch.optim.RMSprop`, not centred). With momentum `μ`, `b ← μ·b + d`
/// takes the place of `d`; with weight decay `λ`, `g + λ·w` that of `g`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsProp {
    /// `α`; 0.99 as in PyTorch.
    pub alpha: f64,
    /// `ε`; 1e-8 as in PyTorch.
    pub epsilon: f64,
    /// `μ`.
    pub momentum: f64,
    /// `λ`.
    pub weight_decay: f64,
}

impl Default for RmsProp {
    fn default() -> RmsProp {
        RmsProp { alpha: 0.99, epsilon: 1e-8, momentum: 0.0, weight_decay: 0.0 }
    }
}

impl Optimizer for RmsProp {
    fn slots(&self) -> Vec<&'static str> {
        if self.momentum == 0.0 { vec!["square_avg"] } else { vec!["square_avg", "momentum_buffer"] }
    }

    fn rule<T: Real>(&self, w: T, g: T, slots: &mut [T], step: &Step<'_, T>) -> T {
        let g = with_decay(g, &w, self.weight_decay);
        replace(&mut slots[0], |v| v.scale(self.alpha) + g.square().scale(1.0 - self.alpha));
        let mut direction = g / slots[0].sqrt().offset(self.epsilon);
        if self.momentum != 0.0 {
            replace(&mut slots[1], |b| b.scale(self.momentum) + direction);
            direction = slots[1].clone();
        }
        w - direction * step.lr
    }
}
