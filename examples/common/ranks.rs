//! One process of several that train together (with the feature `mpi`), or one alone.

use antiphon::error::Error;
use antiphon::io::Stored;
use antiphon::{Params, Result, Tensor, TrainingStep};

use super::cli::bad;

/// What launchers of MPI programs tell each process: of how many it is one.
#[cfg(not(feature = "mpi"))]
fn launched() -> Option<usize> {
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    let of_slurm = || std::env::var_os("PMIX_RANK").and_then(|_| number("SLURM_NTASKS"));
    let sizes = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"];
    sizes.iter().find_map(|name| number(name)).or_else(of_slurm)
}
#[cfg(feature = "mpi")]
use antiphon::distributed::launched;

/// That this process is alone: several would each do all of the work, and write the same files.
///
/// # Errors
/// If a launcher of MPI programs has started several.
pub fn alone() -> Result<()> {
    match launched() {
        Some(size) if size > 1 => Err(bad(
            "mpi",
            format!("started as one of {size} processes, and only char_rnn trains on several"),
        )),
        _ => Ok(()),
    }
}

/// All of the processes, seen by one.
#[derive(Clone, Debug)]
pub struct Ranks {
    #[cfg(feature = "mpi")]
    world: antiphon::distributed::Communicator,
}

#[cfg(feature = "mpi")]
impl Ranks {
    /// Makes this process one of them, and runs a program.
    pub fn run(program: impl FnOnce(&Ranks) -> Result<()>) -> Result<()> {
        antiphon::distributed::run(|world| program(&Ranks { world: world.clone() }))
    }

    pub fn rank(&self) -> usize {
        self.world.rank()
    }

    pub fn size(&self) -> usize {
        self.world.size()
    }

    /// Whether communication has ended, since one has failed.
    pub fn have_failed(&self) -> bool {
        self.world.failure().is_some()
    }

    /// Replaces the loss and the gradients of a rank's part of the batch by those of all of it.
    pub fn mean_gradients<T: Tensor>(
        &self,
        loss: &mut T,
        gradients: &mut impl Params<Leaf = T>,
    ) -> Result<()> {
        match self.size() {
            1 => Ok(()),
            _ => self.world.mean_gradients(loss, gradients),
        }
    }

    /// A parameter whose gradient may travel while the backward pass goes on.
    pub fn early<T: Tensor>(&self, name: &str, parameter: &T) -> T {
        match self.size() {
            1 => parameter.clone(),
            _ => self.world.early(name, parameter),
        }
    }

    /// All ranks' rows.
    pub fn all_gather<T: Tensor>(&self, rows: &T) -> T {
        self.world.all_gather(rows)
    }

    /// That all ranks have the same.
    pub fn check_same<P: Params<Leaf: Stored>>(&self, what: &str, structure: &P) -> Result<()> {
        self.world.check_same(what, structure)
    }

    /// A step whose errors are those of all ranks.
    pub fn over<'f, S: 'f, D: 'f, R: 'f>(
        &self,
        step: TrainingStep<'f, S, D, R>,
    ) -> TrainingStep<'f, S, D, R> {
        step.over(&self.world)
    }
}

#[cfg(not(feature = "mpi"))]
impl Ranks {
    /// Runs a program, alone.
    ///
    /// # Errors
    /// If a launcher has started several: each would train all, and write the same files.
    pub fn run(program: impl FnOnce(&Ranks) -> Result<()>) -> Result<()> {
        match launched() {
            Some(size) if size > 1 => Err(bad(
                "mpi",
                format!("started as one of {size} processes, but built without the feature `mpi`"),
            )),
            _ => program(&Ranks {}),
        }
    }

    pub fn rank(&self) -> usize {
        0
    }

    pub fn size(&self) -> usize {
        1
    }

    pub fn have_failed(&self) -> bool {
        false
    }

    pub fn mean_gradients<T: Tensor>(&self, _: &mut T, _: &mut impl Params<Leaf = T>) -> Result<()> {
        Ok(())
    }

    pub fn early<T: Tensor>(&self, _: &str, parameter: &T) -> T {
        parameter.clone()
    }

    pub fn all_gather<T: Tensor>(&self, rows: &T) -> T {
        rows.clone()
    }

    pub fn check_same<P: Params<Leaf: Stored>>(&self, _: &str, _: &P) -> Result<()> {
        Ok(())
    }

    pub fn over<'f, S: 'f, D: 'f, R: 'f>(
        &self,
        step: TrainingStep<'f, S, D, R>,
    ) -> TrainingStep<'f, S, D, R> {
        step
    }
}

impl Ranks {
    /// Whether this is the one that prints and writes.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// A rank's part of a batch.
    ///
    /// # Errors
    /// If the ranks do not divide it.
    pub fn share(&self, batch: usize) -> Result<usize> {
        match batch.is_multiple_of(self.size()) {
            true => Ok(batch / self.size()),
            false => {
                let reason = format!("{batch}, which {} ranks do not divide", self.size());
                Err(Error::Config { name: "batch", reason })
            }
        }
    }
}
