//! What a training asks of the C library's allocator.

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
