//! What the ranks agree on: before each communication they tell each other what it is, so that a rank that does
//! something else, or has failed, or is done, is an error on all of them, and none waits for ever.

use std::thread;
use std::time::{Duration, Instant};

use super::buckets::Buckets;
use super::raw::{Channel, Mpi, Pending};
use super::signal;

/// Bytes of a message of a rank that has failed.
const MESSAGE: usize = 2048;

/// How long a rank that ends with an error waits for the others to end too, which may want to save something.
const GRACE: Duration = Duration::from_secs(20);

/// What a rank does next, in words and numbers that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    /// The number of a name in [`NAMES`].
    pub(super) kind: usize,
    /// How many bytes a number has; none where there are no numbers.
    pub(super) width: usize,
    /// How many numbers.
    pub(super) count: usize,
    /// What else has to be the same: a root, say.
    pub(super) detail: u64,
}

const NAMES: [&str; 12] = [
    "",
    "an error",
    "its end",
    "all_reduce (sum)",
    "all_reduce (mean)",
    "all_reduce (max)",
    "broadcast",
    "reduce",
    "all_gather",
    "reduce_scatter",
    "mean of gradients",
    "comparing what has to be the same",
];
pub(super) const FAILED: usize = 1;
pub(super) const END: usize = 2;
pub(super) const SUM: usize = 3;
pub(super) const MEAN: usize = 4;
pub(super) const MAX: usize = 5;
pub(super) const BROADCAST: usize = 6;
pub(super) const REDUCE: usize = 7;
pub(super) const ALL_GATHER: usize = 8;
pub(super) const REDUCE_SCATTER: usize = 9;
pub(super) const BUCKET: usize = 10;
pub(super) const SAME: usize = 11;

/// Numbers of a signature.
const WORDS: usize = 4;

impl Signature {
    fn words(self) -> [u64; WORDS] {
        [self.kind as u64, self.width as u64, self.count as u64, self.detail]
    }

    fn of(words: &[u64]) -> Signature {
        Signature {
            kind: words[0] as usize,
            width: words[1] as usize,
            count: words[2] as usize,
            detail: words[3],
        }
    }

    fn in_words(self) -> String {
        let name = NAMES.get(self.kind).unwrap_or(&"something unknown");
        match (self.kind, self.width) {
            (BROADCAST | REDUCE, width) => {
                format!("{name} of {} f{} with rank {} as root", self.count, 8 * width, self.detail)
            }
            (_, 0) => (*name).into(),
            (_, width) => format!("{name} of {} f{}", self.count, 8 * width),
        }
    }
}

/// A rank that has failed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) rank: usize,
    pub(super) reason: String,
}

impl Failure {
    pub(super) fn in_words(&self) -> String {
        format!("rank {}: {}", self.rank, self.reason)
    }
}

/// A rank's side.
pub(super) struct State {
    pub(super) mpi: Mpi,
    /// The signatures that were exchanged last, if they have not been looked at.
    outstanding: Option<Pending<u64>>,
    pub(super) failure: Option<Failure>,
    /// What this rank says when it is the one that fails.
    message: String,
    pub(super) single: Buckets<f32>,
    pub(super) double: Buckets<f64>,
}

impl State {
    pub(super) fn new(mpi: Mpi) -> State {
        let (single, double) = (Buckets::default(), Buckets::default());
        State { mpi, outstanding: None, failure: None, message: String::new(), single, double }
    }

    /// Records a failure, and says so.
    fn failed<R>(&mut self, rank: usize, reason: String) -> Result<R, String> {
        let failure = Failure { rank, reason };
        let words = failure.in_words();
        self.failure.get_or_insert(failure);
        Err(words)
    }

    /// Waits until a communication is over.
    ///
    /// # Errors
    /// What MPI says, and that this process was told to end.
    pub(super) fn wait<D>(&mut self, pending: &mut Pending<D>) -> Result<(), String> {
        let mut spins = 0u32;
        loop {
            match self.mpi.test(pending) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(reason) => return self.failed(self.mpi.rank, reason),
            }
            if signal::told_to_end() {
                let reason =
                    "was told to end (SIGTERM): another rank has died, or the job was stopped".into();
                return self.failed(self.mpi.rank, reason);
            }
            spins += 1;
            // Others may be in need of this processor.
            if spins > 100 {
                thread::yield_now();
            }
        }
    }

    /// What a communication gives.
    pub(super) fn finish<D>(&mut self, begun: Result<Pending<D>, String>) -> Result<Vec<D>, String> {
        let mut pending = match begun {
            Ok(pending) => pending,
            Err(reason) => return self.failed(self.mpi.rank, reason),
        };
        self.wait(&mut pending)?;
        Ok(pending.into_result().map(|(_, received)| received).unwrap_or_default())
    }

    /// Tells the others what is next, without waiting for what they tell. The last exchange is looked at before.
    ///
    /// # Errors
    /// As of [`settle`](State::settle).
    pub(super) fn announce(&mut self, next: Signature) -> Result<(), String> {
        if let Some(failure) = &self.failure {
            return Err(failure.in_words());
        }
        self.settle()?;
        match self.mpi.all_gather(Channel::Control, next.words().to_vec()) {
            Ok(pending) => {
                self.outstanding = Some(pending);
                Ok(())
            }
            Err(reason) => self.failed(self.mpi.rank, reason),
        }
    }

    /// Looks at what all ranks have told each other, if they have.
    ///
    /// # Errors
    /// Which rank has failed, or does something else than rank 0.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        let Some(mut pending) = self.outstanding.take() else { return Ok(()) };
        self.wait(&mut pending)?;
        let told: Vec<Signature> = match pending.into_result() {
            Some((_, words)) => words.chunks_exact(WORDS).map(Signature::of).collect(),
            None => unreachable!("it is over"),
        };
        if let Some(rank) = told.iter().position(|signature| signature.kind == FAILED) {
            let mut message = self.message.clone().into_bytes();
            message.resize(MESSAGE, 0);
            let begun = self.mpi.broadcast(Channel::Control, message, rank);
            let message = self.finish(begun)?;
            let message = message.split(|&byte| byte == 0).next().unwrap_or_default();
            return self.failed(rank, String::from_utf8_lossy(message).into_owned());
        }
        if let Some(rank) = told.iter().position(|signature| signature != &told[0]) {
            let reason = format!(
                "is at {}, and rank 0 is at {}: all ranks have to communicate the same, in the same order",
                told[rank].in_words(),
                told[0].in_words(),
            );
            return self.failed(rank, reason);
        }
        Ok(())
    }

    /// Tells the others what is next, and waits for what they tell.
    ///
    /// # Errors
    /// As of [`settle`](State::settle).
    pub(super) fn agree(&mut self, next: Signature) -> Result<(), String> {
        self.announce(next)?;
        self.settle()
    }

    /// Tells the others that this rank has failed: they find out at their next communication, for which this waits.
    pub(super) fn fail(&mut self, reason: &str) {
        // Zeros end it.
        self.message = reason.replace('\0', " ");
        let mut end = self.message.len().min(MESSAGE);
        while !self.message.is_char_boundary(end) {
            end -= 1;
        }
        self.message.truncate(end);
        // What it returns is the failure, which is known to this rank.
        let _ = self.agree(Signature { kind: FAILED, width: 0, count: 0, detail: 0 });
    }

    /// Waits for the others to end as well.
    ///
    /// # Errors
    /// If another one has failed.
    pub(super) fn end(&mut self) -> Result<(), String> {
        self.agree(Signature { kind: END, width: 0, count: 0, detail: 0 })
    }

    /// Waits for the others, who know of the failure, to be as far, but not for long.
    pub(super) fn end_after_failure(&mut self) {
        let start = Instant::now();
        let Ok(mut barrier) = self.mpi.barrier() else { return };
        while !signal::told_to_end() && start.elapsed() < GRACE && self.mpi.test(&mut barrier) == Ok(false) {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
