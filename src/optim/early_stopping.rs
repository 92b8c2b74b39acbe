//! When a training has gone on for long enough.

/// Stops a training whose measure has not improved for some time: Prechelt, *Early stopping — but when?*, 1998, the
/// criterion of strips.
///
/// ```
/// use antiphon::optim::EarlyStopping;
/// let mut stopping = EarlyStopping::new(2);
/// let losses = [0.9, 0.5, 0.6, 0.55, 0.2];
/// let stopped = losses.iter().position(|&loss| stopping.observe(loss));
/// assert_eq!((stopped, stopping.best()), (Some(3), Some((1, 0.5))));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct EarlyStopping {
    patience: usize,
    least: f64,
    best: Option<(usize, f64)>,
    seen: usize,
}

impl EarlyStopping {
    /// Of a measure that is to fall: a loss. It may fail to improve `patience` times in a row (once at least),
    /// and then it is enough.
    pub fn new(patience: usize) -> EarlyStopping {
        EarlyStopping { patience, least: 0.0, best: None, seen: 0 }
    }

    /// Only what is better by more than this counts as an improvement.
    #[must_use]
    pub fn at_least(mut self, improvement: f64) -> EarlyStopping {
        self.least = improvement;
        self
    }

    /// Takes the measure of another round; whether it is enough. NaN is no improvement.
    pub fn observe(&mut self, measure: f64) -> bool {
        if self.best.map_or(!measure.is_nan(), |(_, best)| measure < best - self.least) {
            self.best = Some((self.seen, measure));
        }
        self.seen += 1;
        let since = self.best.map_or(self.seen, |(round, _)| self.seen - 1 - round);
        since >= self.patience.max(1)
    }

    /// The best measure so far, and in which round it was, counted from zero.
    pub fn best(&self) -> Option<(usize, f64)> {
        self.best
    }

    /// Whether the last round was the best: the time to save its parameters.
    pub fn improved(&self) -> bool {
        self.best.is_some_and(|(round, _)| round + 1 == self.seen)
    }
}
