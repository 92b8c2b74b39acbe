//! An optimiser chosen while the program runs.

use std::str::FromStr;

use super::{Adagrad, Adam, AdamW, Lamb, Lion, Momentum, Optimizer, RmsProp, Sgd, Step};
use crate::error::Error;
use crate::language::real::Real;

/// Any of the optimisers here; from its name with its usual settings, as a command line gives it.
///
/// ```
/// use antiphon::optim::{AnyOptimizer, Optimizer};
/// let adam: AnyOptimizer = "adam".parse()?;
/// assert_eq!(adam.slots(), ["exp_avg", "exp_avg_sq"]);
/// # Ok::<(), antiphon::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AnyOptimizer {
    /// `sgd`; `momentum` and `nesterov` are it with `μ = 0.9`.
    Sgd(Sgd),
    /// `adagrad`.
    Adagrad(Adagrad),
    /// `rmsprop`.
    RmsProp(RmsProp),
    /// `adam`.
    Adam(Adam),
    /// `adamw`.
    AdamW(AdamW),
    /// `lion`.
    Lion(Lion),
    /// `lamb`.
    Lamb(Lamb),
}

impl AnyOptimizer {
    /// The names that [`FromStr`] knows.
    pub const NAMES: [&'static str; 9] =
        ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw", "lion", "lamb"];
}

impl FromStr for AnyOptimizer {
    type Err = Error;

    fn from_str(name: &str) -> Result<AnyOptimizer, Error> {
        let sgd = |momentum| AnyOptimizer::Sgd(Sgd { momentum, weight_decay: 0.0 });
        Ok(match name {
            "sgd" => sgd(Momentum::None),
            "momentum" => sgd(Momentum::Heavy(0.9)),
            "nesterov" => sgd(Momentum::Nesterov(0.9)),
            "adagrad" => AnyOptimizer::Adagrad(Adagrad::default()),
            "rmsprop" => AnyOptimizer::RmsProp(RmsProp::default()),
            "adam" => AnyOptimizer::Adam(Adam::default()),
            "adamw" => AnyOptimizer::AdamW(AdamW::default()),
            "lion" => AnyOptimizer::Lion(Lion::default()),
            "lamb" => AnyOptimizer::Lamb(Lamb::default()),
            _ => {
                return Err(Error::Config {
                    name: "optimizer",
                    reason: format!("there is no {name:?}; there are {}", AnyOptimizer::NAMES.join(", ")),
                });
            }
        })
    }
}

impl Optimizer for AnyOptimizer {
    fn slots(&self) -> Vec<&'static str> {
        match self {
            AnyOptimizer::Sgd(optimizer) => optimizer.slots(),
            AnyOptimizer::Adagrad(optimizer) => optimizer.slots(),
            AnyOptimizer::RmsProp(optimizer) => optimizer.slots(),
            AnyOptimizer::Adam(optimizer) => optimizer.slots(),
            AnyOptimizer::AdamW(optimizer) => optimizer.slots(),
            AnyOptimizer::Lion(optimizer) => optimizer.slots(),
            AnyOptimizer::Lamb(optimizer) => optimizer.slots(),
        }
    }

    fn rule<T: Real>(&self, w: T, g: T, slots: &mut [T], step: &Step<'_, T>) -> T {
        match self {
            AnyOptimizer::Sgd(optimizer) => optimizer.rule(w, g, slots, step),
            AnyOptimizer::Adagrad(optimizer) => optimizer.rule(w, g, slots, step),
            AnyOptimizer::RmsProp(optimizer) => optimizer.rule(w, g, slots, step),
            AnyOptimizer::Adam(optimizer) => optimizer.rule(w, g, slots, step),
            AnyOptimizer::AdamW(optimizer) => optimizer.rule(w, g, slots, step),
            AnyOptimizer::Lion(optimizer) => optimizer.rule(w, g, slots, step),
            AnyOptimizer::Lamb(optimizer) => optimizer.rule(w, g, slots, step),
        }
    }
}
