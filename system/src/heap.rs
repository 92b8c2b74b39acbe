//! Freed memory that the allocator keeps for the next array, instead of giving it back to the system.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
use std::sync::Once;

/// From how many bytes on glibc may give an allocation back to the system as soon as it is freed: what its threshold
/// for mappings of their own is at first. Smaller allocations need not ask for anything here.
pub const LARGE: usize = 128 << 10;

/// Lets glibc's allocator keep what it has freed, up to 62 MiB, as it does in a process that has once freed 31 MiB in
/// one piece: by doing that, the first time. At first it gives back whatever is more than 256 KiB at its end, or as
/// much as twice the largest mapping that it has freed, and then each page of the next array is a fault of its own:
/// half of the time of a derivative of a few arrays of 500 KiB. Thresholds that the user has set (`mallopt`,
/// `MALLOC_TRIM_THRESHOLD_`) hold, and other allocators are not asked.
#[inline]
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // SAFETY: what is given, if anything is, is freed and not used in between.
            unsafe { libc::free(std::hint::black_box(libc::malloc(31 << 20))) };
        });
    }
}
