//! LAMB.

use super::adam::bias_correction;
use super::{Optimizer, Step, replace};
use crate::language::real::{Mask, Real};

/// LAMB (You et al., *Large batch optimization for deep learning: training BERT in 76 minutes*, 2020, algorithm 2):
/// with Adam's `m̂` and `v̂`, and the norm over all elements of one parameter,
///
/// ```text
/// r = m̂/(√v̂ + ε) + λ·w
/// w ← w − lr·(‖w‖/‖r‖)·r
/// ```
///
/// Where one of the norms is zero, 1 takes the place of their ratio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lamb {
    /// `β₁`.
    pub beta1: f64,
    /// `β₂`.
    pub beta2: f64,
    /// `ε`.
    pub epsilon: f64,
    /// `λ`.
    pub weight_decay: f64,
}

impl Default for Lamb {
    /// β₁ = 0.9, β₂ = 0.999, ε = 1e-6, λ = 0.01, as in the paper.
    fn default() -> Lamb {
        Lamb { beta1: 0.9, beta2: 0.999, epsilon: 1e-6, weight_decay: 0.01 }
    }
}

impl Optimizer for Lamb {
    fn slots(&self) -> Vec<&'static str> {
        vec!["exp_avg", "exp_avg_sq"]
    }

    fn rule<T: Real>(&self, w: T, g: T, slots: &mut [T], step: &Step<'_, T>) -> T {
        replace(&mut slots[0], |m| m.scale(self.beta1) + g.clone().scale(1.0 - self.beta1));
        replace(&mut slots[1], |v| v.scale(self.beta2) + g.square().scale(1.0 - self.beta2));
        let mean = slots[0].clone() / bias_correction(self.beta1, step.count);
        let root = (slots[1].clone() / bias_correction(self.beta2, step.count)).sqrt();
        let direction = mean / root.offset(self.epsilon) + w.clone().scale(self.weight_decay);
        let (of_w, of_direction) = (norm(&w), norm(&direction));
        let (zero, one) = (T::constant(0.0), T::constant(1.0));
        let both = of_w.greater(&zero).and(&of_direction.greater(&zero));
        let ratio = of_w / T::select(&both, &of_direction, &one);
        let ratio = T::select(&both, &ratio, &one);
        w - direction * (ratio * step.lr)
    }
}

/// `√Σ x²` over all elements: a scalar.
fn norm<T: Real>(x: &T) -> T {
    // To the shape of a scalar: the sum over all elements.
    x.square().unbroadcast(&T::constant(0.0)).sqrt()
}
