//! Limits on gradients.

use crate::language::params::{Params, Path};
use crate::language::real::Real;

/// Limits every element of every gradient to `−limit ..= limit`. NaN stays NaN.
pub fn clip_by_value<P: Params>(grads: &mut P, limit: f64) {
    grads.visit_mut(&mut Path::default(), &mut |_, g| *g = g.clamp(-limit, limit));
}

/// `√Σ g²` over all elements of all gradients: a scalar.
pub fn global_norm<P: Params>(grads: &P) -> P::Leaf {
    let zero = P::Leaf::constant(0.0);
    let mut sum = zero.clone();
    // To the shape of a scalar: the sum over all elements.
    grads.visit(&mut |_, g| sum = sum.clone() + g.square().unbroadcast(&zero));
    sum.sqrt()
}

/// Scales all gradients by `min(1, limit/(‖g‖ + 1e-6))`, where `‖g‖` is their [`global_norm`], which it returns
/// (Pascanu, Mikolov & Bengio, *On the difficulty of training recurrent neural networks*, 2013, §3.2; as PyTorch's
/// `clip_grad_norm_`). A norm that is not finite makes the gradients NaN or zero: check it where that matters.
pub fn clip_by_global_norm<P: Params>(grads: &mut P, limit: f64) -> P::Leaf {
    let norm = global_norm(grads);
    let factor = (P::Leaf::constant(limit) / norm.clone().offset(1e-6)).clamp(f64::NEG_INFINITY, 1.0);
    grads.visit_mut(&mut Path::default(), &mut |_, g| *g = g.clone() * &factor);
    norm
}
