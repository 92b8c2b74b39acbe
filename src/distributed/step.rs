//! Steps of training whose errors are those of all ranks.

use super::Communicator;
use crate::compiled::TrainingStep;

impl<'f, S: 'f, D: 'f, R: 'f> TrainingStep<'f, S, D, R> {
    /// The same step, of which an error on one rank is an error on all: the others get
    /// [`Error::Rank`](crate::Error::Rank), with the rank and what it says, at their next communication, and the state
    /// is what it was before. It does not communicate otherwise: the step's function does, with
    /// [`mean_gradients`](Communicator::mean_gradients) for one.
    pub fn over(self, world: &Communicator) -> Self {
        let world = world.clone();
        self.with_errors(move |error| world.fail(error))
    }
}
