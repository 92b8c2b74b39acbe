//! Stochastic gradient descent.

use super::{Optimizer, Step, replace, with_decay};
use crate::language::real::Real;

/// `w ← w − lr·d`, where the direction `d` is the gradient `g` or an average of gradients; with weight decay `λ`,
/// `g + λ·w` takes the place of `g` (PyTorch's `torch.optim.SGD`, without dampening).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sgd {
    /// What the direction is.
    pub momentum: Momentum,
    /// `λ`.
    pub weight_decay: f64,
}

/// The direction of [`Sgd`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Momentum {
    /// `d = g`.
    #[default]
    None,
    /// `v ← μ·v + g`, `d = v` (Polyak, *Some methods of speeding up the convergence of iteration methods*, 1964).
    Heavy(f64),
    /// `v ← μ·v + g`, `d = g + μ·v` (Nesterov's, in the form of Sutskever et al., *On the importance of
    /// initialization and momentum in deep learning*, 2013, §2, with the variables moved as PyTorch does).
    Nesterov(f64),
}

impl Optimizer for Sgd {
    fn slots(&self) -> Vec<&'static str> {
        match self.momentum {
            Momentum::None => vec![],
            _ => vec!["momentum_buffer"],
        }
    }

    fn rule<T: Real>(&self, w: T, g: T, slots: &mut [T], step: &Step<'_, T>) -> T {
        let g = with_decay(g, &w, self.weight_decay);
        let direction = match self.momentum {
            Momentum::None => g,
            Momentum::Heavy(mu) => {
                replace(&mut slots[0], |v| v.scale(mu) + &g);
                slots[0].clone()
            }
            Momentum::Nesterov(mu) => {
                replace(&mut slots[0], |v| v.scale(mu) + &g);
                g + slots[0].clone().scale(mu)
            }
        };
        w - direction * step.lr
    }
}
