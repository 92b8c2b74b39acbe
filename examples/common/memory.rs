//! What a training asks of the allocator.

use antiphon::Result;

use super::cli::bad;

/// Fails if the system has no room for a training of so many parameters (each with its gradient and what the optimiser
/// keeps of it, in single precision) and other numbers: better in one line, and before anything begins, than by the
/// allocator's end of the program.
pub fn check_room(parameters: f64, others: f64) -> Result<()> {
    let bytes = 4.0 * (4.0 * parameters + others);
    // Asked for and not touched, memory costs nothing.
    Vec::<u8>::new().try_reserve_exact(bytes as usize).map_err(|_| {
        let gigabytes = bytes / 1e9;
        bad(
            "memory",
            format!("there is none for a training of this size, which needs {gigabytes:.0} GB or more"),
        )
    })
}

/// Lets glibc keep freed arrays for the next step instead of giving them back to the system: fetching them again
/// costs up to a third of a small step. Elsewhere nothing happens.
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: sets two limits of the allocator; both are valid, and any thread may do so at any time.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 30);
    }
}
