//! Learning rates that change with the step.

use std::f64::consts::PI;

/// A learning rate for each step. Steps count from zero: `schedule.at(0)` is the rate of the first update.
///
/// A rate is an ordinary number, handed to the update as `T::constant(schedule.at(step))` or as a run-time input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schedule {
    /// Always `lr`.
    Constant {
        /// The rate.
        lr: f64,
    },
    /// `lr·factorᵏ` with `k = ⌊step/every⌋` (PyTorch's `StepLR`).
    Step {
        /// The rate at first.
        lr: f64,
        /// By how much it is multiplied,
        factor: f64,
        /// every so many steps.
        every: u64,
    },
    /// `lr·factor^step` (PyTorch's `ExponentialLR`).
    Exponential {
        /// The rate at first.
        lr: f64,
        /// By how much it is multiplied every step.
        factor: f64,
    },
    /// From `from` to `to` in a straight line over `steps` steps, then `to` (PyTorch's `LinearLR`, with rates in
    /// place of factors).
    Linear {
        /// The rate at step 0.
        from: f64,
        /// The rate from step `steps` on.
        to: f64,
        /// How long it takes.
        steps: u64,
    },
    /// Up from `lr/warm_up` to `lr` in a straight line over `warm_up` steps, then down to `to` in a straight line until
    /// step `steps`, then `to` (as in Devlin et al., *BERT*, 2019, §A.2). With `to = lr` it only warms up.
    WarmUp {
        /// The highest rate.
        lr: f64,
        /// The rate at the end.
        to: f64,
        /// How many steps to warm up for; may be 0.
        warm_up: u64,
        /// The step from which on the rate is `to`.
        steps: u64,
    },
    /// One cycle (Smith & Topin, *Super-convergence*, 2018; PyTorch's `OneCycleLR` with two phases of cosines): from
    /// `lr/start` up to `lr` at step `rise·steps − 1`, then down to `lr/start/end` at step `steps − 1` and from there
    /// on.
    OneCycle {
        /// The highest rate.
        lr: f64,
        /// How many steps it takes.
        steps: u64,
        /// Which part of them it goes up for; 0.3 in PyTorch.
        rise: f64,
        /// By how much the first rate is smaller than the highest; 25 in PyTorch.
        start: f64,
        /// By how much the last rate is smaller than the first; 10⁴ in PyTorch.
        end: f64,
    },
    /// Up from `lr/warm_up` to `lr` in a straight line over `warm_up` steps, then down along half a cosine,
    /// `to + ½(lr − to)(1 + cos(π·s))` with `s` from 0 at step `warm_up` to 1 at step `steps`, then `to`
    /// (Loshchilov & Hutter, *SGDR: stochastic gradient descent with warm restarts*, 2017, eq. 5, one period;
    /// warm-up of Goyal et al., *Accurate, large minibatch SGD*, 2017, §2.2).
    Cosine {
        /// The highest rate.
        lr: f64,
        /// The rate at the end.
        to: f64,
        /// How many steps to warm up for; may be 0.
        warm_up: u64,
        /// The step from which on the rate is `to`.
        steps: u64,
    },
}

impl Schedule {
    /// The learning rate at a step.
    pub fn at(&self, step: u64) -> f64 {
        match *self {
            Schedule::Constant { lr } => lr,
            Schedule::Step { lr, factor, every } => lr * factor.powf((step / every.max(1)) as f64),
            Schedule::Exponential { lr, factor } => lr * factor.powf(step as f64),
            Schedule::Linear { from, to, steps } if step < steps => {
                from + (to - from) * (step as f64 / steps as f64)
            }
            Schedule::Linear { to, .. } => to,
            Schedule::OneCycle { lr, steps, rise, start, end } => {
                let (first, least) = (lr / start, lr / start / end);
                let (step, top, last) = (step as f64, rise * steps as f64 - 1.0, steps as f64 - 1.0);
                if step >= last {
                    least
                } else if step < top {
                    along_cosine(first, lr, step / top)
                } else {
                    along_cosine(lr, least, (step - top) / (last - top))
                }
            }
            Schedule::WarmUp { lr, warm_up, .. } | Schedule::Cosine { lr, warm_up, .. } if step < warm_up => {
                lr * (step + 1) as f64 / warm_up as f64
            }
            Schedule::WarmUp { lr, to, warm_up, steps } if step < steps => {
                lr + (to - lr) * ((step - warm_up) as f64 / (steps - warm_up) as f64)
            }
            Schedule::WarmUp { to, .. } => to,
            Schedule::Cosine { lr, to, warm_up, steps } if step < steps => {
                along_cosine(lr, to, (step - warm_up) as f64 / (steps - warm_up) as f64)
            }
            Schedule::Cosine { to, .. } => to,
        }
    }
}

/// From one rate to another along half a cosine, at `s` from 0 to 1.
fn along_cosine(from: f64, to: f64, s: f64) -> f64 {
    to + 0.5 * (from - to) * (1.0 + (PI * s).cos())
}
