//! How long a method may take.

use std::time::{Duration, Instant};

use crate::error::{At, Error};

/// When a method has to end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Option<Instant>);

/// That it has not come to its end by then.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("there is no time left")]
pub(super) struct TimeUp;

impl Deadline {
    pub(super) fn after(limit: Duration) -> Deadline {
        // What no clock shows is never.
        Deadline(Instant::now().checked_add(limit))
    }
    pub(super) fn is_over(self) -> bool {
        self.0.is_some_and(|end| Instant::now() >= end)
    }
    /// # Errors
    /// If there is no time left.
    pub(super) fn check(self) -> Result<(), TimeUp> {
        if self.is_over() { Err(TimeUp) } else { Ok(()) }
    }
}

/// That a method has not come to its end in time, as an error.
pub(super) fn time_up(op: &'static str, limit: Duration, at: At) -> Error {
    Error::Argument { op, reason: format!("the time limit of {limit:?} has ended"), at }
}
