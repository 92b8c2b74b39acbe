//! (Feature `mpi`) Training on several processes, *ranks*, which an MPI starts and connects (`mpirun -n 4 program`).
//!
//! [`run`] makes a program one of the ranks and gives it the [`Communicator`]. Models communicate with operators of the
//! language, [`Communicator::all_reduce`] and its like, in every interpretation and in compiled code. A step of data
//! parallel training takes the mean of the gradients between the derivative and the update:
//!
//! ```
//! use antiphon::distributed::{self, Communicator};
//! use antiphon::{NdArray, Real, Result, Tensor, TrainingStep, Var, value_and_grad};
//!
//! /// Each rank has rows of its own; weights are the same, and stay so.
//! fn step<T: Tensor>(world: &Communicator, w: &mut T, (x, y): &(T, T)) -> Result<T> {
//!     let (mut loss, mut gradient) =
//!         value_and_grad(|w| (Var::lift(x).matmul(&w) - Var::lift(y)).square().mean(..), w)?;
//!     world.mean_gradients(&mut loss, &mut gradient)?;
//!     *w = w.clone() - gradient.scale(0.1);
//!     Ok(loss)
//! }
//!
//! distributed::run(|world| {
//!     let w = NdArray::from(vec![1.0f64, -1.0]);
//!     world.check_same("the initial weights", &w)?;
//!     let mut training = TrainingStep::eager(w, |w, data| step(world, w, data)).over(world);
//!     let rows = NdArray::from(vec![world.rank() as f64, 1.0]).unsqueeze(0);
//!     let loss = training.call(&(rows, NdArray::from(vec![0.5])))?;
//!     assert!(loss.item() > 0.0);
//!     Ok(())
//! })?;
//! # Ok::<(), antiphon::Error>(())
//! ```
//!
//! Before each communication the ranks tell each other what it is, in a few words of their own. So what would be a
//! wait without end is an error on all ranks: another order, other shapes, a rank whose program ends earlier, or one
//! that has failed, which is named, with what it says. When a rank dies, `mpirun` ends the others; they notice it while
//! they communicate, as an error too, so that what they have can be saved before they end.

mod buckets;
mod element;
mod gradients;
mod operators;
mod protocol;
mod raw;
mod same;
mod signal;
mod step;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::continuation::unwinding::catch;
use crate::error::{Error, Result};
use protocol::State;

pub use operators::ReduceOp;

/// All ranks of a job, seen by one of them. Copies are the same.
#[derive(Clone)]
pub struct Communicator {
    rank: usize,
    size: usize,
    /// None of a process that was started alone.
    state: Option<Arc<Mutex<State>>>,
}

/// Without the rank: programs in which it occurs are the same on all ranks.
impl fmt::Debug for Communicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Communicator").field("size", &self.size).finish_non_exhaustive()
    }
}

/// Where launchers of MPI programs tell each process of how many it is one: Open MPI's, MPICH's and MVAPICH's.
const SIZES: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"];

/// Of how many processes a launcher of MPI programs says that this is one; `None` if it was started alone.
pub fn launched() -> Option<usize> {
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    // Slurm's `srun --mpi=pmix` tells each process its rank, and all programs how many there are.
    let of_slurm = || std::env::var_os("PMIX_RANK").and_then(|_| number("SLURM_NTASKS"));
    SIZES.iter().find_map(|name| number(name)).or_else(of_slurm)
}

impl Communicator {
    /// That of this process alone, whatever job it is a part of: nothing is communicated.
    pub fn alone() -> Communicator {
        Communicator { rank: 0, size: 1, state: None }
    }

    /// The number of this process, from zero.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many processes there are.
    pub fn size(&self) -> usize {
        self.size
    }

    /// What ranks say is the same for a process alone.
    fn state(&self) -> Option<MutexGuard<'_, State>> {
        // A thread that panics while it communicates leaves a failure behind, or nothing.
        self.state.as_ref().map(|state| state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The failure that has ended communication, if one has: the rank, and what it says.
    pub fn failure(&self) -> Option<Error> {
        let failure = self.state()?.failure.clone()?;
        Some(Error::Rank { rank: failure.rank, reason: failure.reason })
    }

    /// Tells the other ranks that this one has failed, and waits until they know. They get an error with the rank and
    /// the reason at their next communication; from then on nobody communicates. Returns the error of the rank that
    /// failed first, which may be another one.
    ///
    /// [`run`] does it with an error that a rank returns, and a [step](crate::TrainingStep::over) with one of its own.
    pub fn fail(&self, error: Error) -> Error {
        let Some(mut state) = self.state() else { return error };
        if state.failure.is_none() {
            state.fail(&error.to_string());
        }
        match &state.failure {
            Some(failure) if failure.rank != self.rank => {
                Error::Rank { rank: failure.rank, reason: failure.reason.clone() }
            }
            _ => error,
        }
    }
}

/// Makes this process a rank of the job that it was started in, runs a function of all ranks' [`Communicator`], and
/// waits for the other ranks. A process that was started alone has a communicator of one rank, and no MPI.
///
/// If the function fails on any rank, or panics, it fails on all: each gets an error that names the rank. What MPI
/// would then wait for is left; the process has to end, with the error, and so does the job. `SIGTERM`, which `mpirun`
/// sends to the other ranks when one has died, becomes an error of the communication that a rank waits for.
///
/// # Errors
/// What the function returns or raises; [`Error::Rank`] if another rank fails; [`Error::Config`] if MPI cannot be
/// started, or was before in this process.
pub fn run<R>(f: impl FnOnce(&Communicator) -> Result<R>) -> Result<R> {
    if launched().is_none() {
        return catch(|| f(&Communicator::alone()));
    }
    // What is communicated is copied at each call: to memory that is there.
    antiphon_system::heap::keep_freed();
    let (universe, mpi) = raw::Mpi::start().map_err(|reason| Error::Config { name: "mpi", reason })?;
    if mpi.size > 1 {
        signal::watch();
    }
    let (rank, size) = (mpi.rank, mpi.size);
    let world = Communicator { rank, size, state: Some(Arc::new(Mutex::new(State::new(mpi)))) };
    let outcome = catch_unwind(AssertUnwindSafe(|| catch(|| f(&world))));
    let outcome = match outcome {
        Ok(Ok(result)) => match world.state().map_or(Ok(()), |mut state| state.end()) {
            Ok(()) => {
                // MPI ends, which waits for all ranks.
                drop(universe);
                return Ok(result);
            }
            Err(reason) => Err(world.failure().unwrap_or(Error::Config { name: "mpi", reason })),
        },
        // What comes of another rank's failure has the line at which it was found out.
        Ok(Err(error)) if world.failure().is_some() => Err(error),
        Ok(Err(error)) => Err(world.fail(error)),
        Err(panic) => {
            let said =
                panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(|s| &s[..]));
            world.fail(Error::User(format!("panicked: {}", said.unwrap_or("")).into()));
            end_after_failure(&world, universe);
            resume_unwind(panic)
        }
    };
    end_after_failure(&world, universe);
    outcome
}

/// Waits for the others to know, and leaves MPI as it is, which would wait for what will not come.
fn end_after_failure(world: &Communicator, universe: mpi::environment::Universe) {
    if let Some(mut state) = world.state() {
        state.end_after_failure();
    }
    std::mem::forget(universe);
}
