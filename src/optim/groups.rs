//! Parameters that are trained in ways of their own.

use super::{Optimizer, Step};
use crate::error::{Error, Result};
use crate::language::params::matches;
use crate::language::real::Real;

/// An optimiser with settings of their own for groups of parameters, which patterns of their names stand for
/// ([`matches()`]): PyTorch's parameter groups. Of several that match a parameter the last one counts.
///
/// ```
/// use antiphon::optim::{AdamW, Groups, Optimizer};
/// let adamw = Groups::new(AdamW::default())
///     .frozen("embedding.*")
///     .rate("head.*", 10.0)
///     .with("*.b", AdamW { weight_decay: 0.0, ..AdamW::default() })?;
/// assert_eq!(adamw.slots(), ["exp_avg", "exp_avg_sq"]);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// What it remembers is remembered of every parameter, frozen ones included.
#[derive(Clone, Debug, PartialEq)]
pub struct Groups<O> {
    all: O,
    optimizers: Vec<(String, O)>,
    rates: Vec<(String, f64)>,
    frozen: Vec<String>,
}

impl<O: Optimizer> Groups<O> {
    /// All parameters alike.
    pub fn new(optimizer: O) -> Groups<O> {
        Groups { all: optimizer, optimizers: vec![], rates: vec![], frozen: vec![] }
    }

    /// Parameters of other settings.
    ///
    /// # Errors
    /// [`Error::Config`] if an optimiser with these settings remembers other things of a parameter.
    pub fn with(mut self, pattern: &str, optimizer: O) -> Result<Groups<O>> {
        let (mine, others) = (self.all.slots(), optimizer.slots());
        if mine != others {
            let reason =
                format!("{pattern:?} would have {others:?} remembered, the other parameters {mine:?}");
            return Err(Error::Config { name: "groups", reason });
        }
        self.optimizers.push((pattern.into(), optimizer));
        Ok(self)
    }

    /// Parameters whose learning rate is so many times that of the update.
    #[must_use]
    pub fn rate(mut self, pattern: &str, factor: f64) -> Groups<O> {
        self.rates.push((pattern.into(), factor));
        self
    }

    /// Parameters that stay as they are, and of which nothing is remembered but zeros.
    #[must_use]
    pub fn frozen(mut self, pattern: &str) -> Groups<O> {
        self.frozen.push(pattern.into());
        self
    }
}

/// What the last pattern that matches stands for.
fn last<'g, S>(groups: &'g [(String, S)], name: &str) -> Option<&'g S> {
    groups.iter().rev().find(|(pattern, _)| matches(pattern, name)).map(|(_, setting)| setting)
}

impl<O: Optimizer> Optimizer for Groups<O> {
    fn slots(&self) -> Vec<&'static str> {
        self.all.slots()
    }

    fn rule<T: Real>(&self, w: T, g: T, slots: &mut [T], step: &Step<'_, T>) -> T {
        self.all.rule(w, g, slots, step)
    }

    fn named_rule<T: Real>(&self, name: &str, w: T, g: T, slots: &mut [T], step: &Step<'_, T>) -> T {
        if self.frozen.iter().any(|pattern| matches(pattern, name)) {
            return w;
        }
        let optimizer = last(&self.optimizers, name).unwrap_or(&self.all);
        match last(&self.rates, name) {
            None => optimizer.named_rule(name, w, g, slots, step),
            Some(&factor) => {
                let lr = step.lr.clone().scale(factor);
                optimizer.named_rule(name, w, g, slots, &Step { lr: &lr, count: step.count })
            }
        }
    }

    fn check_names(&self, names: &[String]) -> Result<()> {
        let of_optimizers = self.optimizers.iter().map(|(pattern, _)| pattern);
        let patterns = of_optimizers.chain(self.rates.iter().map(|(pattern, _)| pattern)).chain(&self.frozen);
        for pattern in patterns {
            if !names.iter().any(|name| matches(pattern, name)) {
                return Err(Error::Structure(format!(
                    "no parameter's name matches the group {pattern:?}; they are {names:?}"
                )));
            }
        }
        let of_groups = self.optimizers.iter().map(|(_, optimizer)| optimizer);
        of_groups.chain([&self.all]).try_for_each(|optimizer| optimizer.check_names(names))
    }
}
