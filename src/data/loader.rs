//! Batches of what has rows, in an order of its own each time, made ahead on a thread.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

use crate::continuation::unwinding::catch;
use crate::error::{Error, Result};
use crate::memory;
use crate::nn::Rng;

/// Makes a batch of the rows with these numbers.
type Make<B> = dyn Fn(&[usize]) -> Result<B> + Send + Sync;

/// Batches of data of so many rows: a function makes a batch of the numbers of its rows.
///
/// ```
/// use antiphon::data::Loader;
/// use antiphon::{NdArray, NdInt, Tensor};
/// let (xs, labels) = (NdArray::from(vec![0.0, 1.0, 2.0, 3.0, 4.0]), NdInt::from(vec![0, 1, 0, 1, 0]));
/// let loader = Loader::new(5, 2, move |rows| {
///     let rows: NdInt = rows.iter().map(|&row| row as i64).collect::<Vec<_>>().into();
///     Ok((xs.gather_rows(&rows), antiphon::IntTensor::gather_rows(&labels, &rows)))
/// })?;
/// let loader = loader.shuffled(7).drop_last().prefetch(2);
/// for epoch in 0..3 {
///     let mut batches = 0;
///     for batch in loader.epoch(epoch) {
///         let (xs, _labels) = batch?;
///         assert_eq!(xs.size(), 2);
///         batches += 1;
///     }
///     assert_eq!(batches, 2);
/// }
/// # Ok::<(), antiphon::Error>(())
/// ```
pub struct Loader<B> {
    rows: usize,
    batch: usize,
    seed: Option<u64>,
    drop_last: bool,
    prefetch: usize,
    rank: usize,
    ranks: usize,
    make: Arc<Make<B>>,
}

impl<B> fmt::Debug for Loader<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("rows", &self.rows)
            .field("batch", &self.batch)
            .field("seed", &self.seed)
            .field("drop_last", &self.drop_last)
            .field("prefetch", &self.prefetch)
            .field("rank", &self.rank)
            .field("ranks", &self.ranks)
            .finish_non_exhaustive()
    }
}

impl<B: Send + 'static> Loader<B> {
    /// Batches of `batch` rows of `rows`, in their order, made when they are asked for.
    ///
    /// # Errors
    /// [`Error::Config`] for batches of no rows.
    pub fn new(
        rows: usize,
        batch: usize,
        make: impl Fn(&[usize]) -> Result<B> + Send + Sync + 'static,
    ) -> Result<Loader<B>> {
        if batch == 0 {
            return Err(Error::Config { name: "batch", reason: "a batch has one row at least".into() });
        }
        Ok(Loader {
            rows,
            batch,
            seed: None,
            drop_last: false,
            prefetch: 0,
            rank: 0,
            ranks: 1,
            make: Arc::new(make),
        })
    }

    /// Another order in each epoch, which follows from the seed and the epoch's number alone.
    #[must_use]
    pub fn shuffled(mut self, seed: u64) -> Loader<B> {
        self.seed = Some(seed);
        self
    }

    /// Leaves the last batch out if it is smaller than the others.
    #[must_use]
    pub fn drop_last(mut self) -> Loader<B> {
        self.drop_last = true;
        self
    }

    /// Of each batch the `rank`-th of `ranks` equal parts alone: for processes that divide the batches, in the same
    /// order. Of a smaller batch at the end, up to `ranks − 1` rows are left out, so that its parts are equal as well
    /// (of another order, which is another epoch's, these are others).
    ///
    /// ```
    /// use antiphon::data::Loader;
    /// let part = |rank| -> antiphon::Result<Vec<Vec<usize>>> {
    ///     Loader::new(9, 4, |rows| Ok(rows.to_vec()))?.sharded(rank, 2)?.epoch(0).collect()
    /// };
    /// assert_eq!(part(0)?, [[0, 1], [4, 5]]);
    /// assert_eq!(part(1)?, [[2, 3], [6, 7]]);
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] if there is no such part, or the parts of a whole batch would not be equal.
    pub fn sharded(mut self, rank: usize, ranks: usize) -> Result<Loader<B>> {
        if rank >= ranks || !self.batch.is_multiple_of(ranks) {
            let reason = format!("{} rows for part {rank} of {ranks}, which have to be equal", self.batch);
            return Err(Error::Config { name: "batch", reason });
        }
        (self.rank, self.ranks) = (rank, ranks);
        Ok(self)
    }

    /// Makes batches ahead on a thread, of which so many may wait.
    #[must_use]
    pub fn prefetch(mut self, batches: usize) -> Loader<B> {
        self.prefetch = batches;
        self
    }

    /// How many batches an epoch has.
    pub fn batches(&self) -> usize {
        match self.drop_last {
            true => self.rows / self.batch,
            // A last one of which each part has a row.
            false => self.rows / self.batch + usize::from(self.rows % self.batch >= self.ranks),
        }
    }

    /// The batches of an epoch. An error of the function that makes them, one that it raises included, is the last of
    /// them, and a panic goes on in whoever asks for the batch. Dropping what this returns ends the thread, as soon as
    /// the batch is made that it is at.
    pub fn epoch(&self, number: u64) -> Epoch<B> {
        let order = self.order(number);
        let (batch, count, make) = (self.batch, self.batches(), self.make.clone());
        let (rank, ranks) = (self.rank, self.ranks);
        let mut rows = (0..count).map(move |i| {
            let rows = &order[i * batch..((i + 1) * batch).min(order.len())];
            let part = rows.len() / ranks;
            let rows = &rows[rank * part..(rank + 1) * part];
            catch_unwind(AssertUnwindSafe(|| catch(|| make(rows))))
        });
        let source = match self.prefetch {
            0 => Source::Here(Box::new(rows)),
            prefetch => {
                let (sender, receiver) = sync_channel(prefetch);
                let work = move || {
                    // It ends after the first failure, and when nobody will receive any more.
                    rows.any(|made| {
                        let failed = !matches!(made, Ok(Ok(_)));
                        sender.send(made).is_err() || failed
                    });
                };
                match thread::Builder::new().name("antiphon loader".into()).spawn(work) {
                    Ok(thread) => Source::Thread { receiver: Some(receiver), thread: Some(thread) },
                    Err(error) => Source::Here(Box::new(std::iter::once(Ok(Err(Error::User(error.into())))))),
                }
            }
        };
        Epoch { source, left: count }
    }

    /// The rows in the order of an epoch: each order is as likely as any other (Durstenfeld, *Algorithm 235: random
    /// permutation*, 1964).
    fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order = memory::room(self.rows);
        order.extend(0..self.rows);
        if let Some(seed) = self.seed {
            // Seeds of neighbouring epochs far from each other, by the golden ratio.
            let mut rng = Rng::new(seed ^ epoch.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            for last in (1..order.len()).rev() {
                order.swap(last, (rng.uniform() * (last + 1) as f64) as usize);
            }
        }
        order
    }
}

/// A batch, an error, or what a panic said.
type Made<B> = Result<Result<B>, Box<dyn Any + Send>>;

/// The batches of an epoch; see [`Loader::epoch`].
pub struct Epoch<B> {
    source: Source<B>,
    left: usize,
}

enum Source<B> {
    Here(Box<dyn Iterator<Item = Made<B>> + Send>),
    Thread { receiver: Option<Receiver<Made<B>>>, thread: Option<JoinHandle<()>> },
}

impl<B> fmt::Debug for Epoch<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Epoch").field("left", &self.left).finish_non_exhaustive()
    }
}

impl<B> Iterator for Epoch<B> {
    type Item = Result<B>;

    fn next(&mut self) -> Option<Result<B>> {
        if self.left == 0 {
            return None;
        }
        let made = match &mut self.source {
            Source::Here(batches) => batches.next(),
            Source::Thread { receiver, .. } => receiver.as_ref().and_then(|receiver| receiver.recv().ok()),
        };
        self.left -= 1;
        match made {
            Some(Ok(Ok(batch))) => Some(Ok(batch)),
            Some(Ok(Err(error))) => {
                self.left = 0;
                Some(Err(error))
            }
            Some(Err(panic)) => {
                self.left = 0;
                resume_unwind(panic)
            }
            None => unreachable!("a batch, or why there is none"),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // An error may be the last.
        (self.left.min(1), Some(self.left))
    }
}

impl<B> Drop for Epoch<B> {
    fn drop(&mut self) {
        if let Source::Thread { receiver, thread } = &mut self.source {
            // Without a receiver the thread ends at its next batch.
            drop(receiver.take());
            // It cannot have panicked but in the destructor of a batch, which is no reason to panic here.
            let _ = thread.take().map(JoinHandle::join);
        }
    }
}
