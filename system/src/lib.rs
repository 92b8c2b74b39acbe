//! What Antiphon asks of the operating system, once for the calculus and for compiled code: files that are
//! [opened](file::open) if they are regular ones, and [replaced](file::replace) as a whole, [directories](private) that
//! belong to one user alone, freed memory that is [kept](heap) for the next array, the [threads] that large operators
//! share, and address space that is [reserved](reserve::Reserved) and filled with memory within the limits of the
//! [process](memory::memory) and of what all its stacks may [take](budget).

mod cgroup;
mod proc;

pub mod budget;
pub mod file;
pub mod heap;
pub mod memory;
pub mod print;
#[cfg(unix)]
pub mod private;
pub mod recent;
pub mod reserve;
pub mod threads;
