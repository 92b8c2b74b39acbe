//! What `mpirun` tells the ranks that are left when one has died: to end (`SIGTERM`). It is noted, and a rank finds out
//! when it waits for others, so that it ends with an error, and can save what it has.

use std::sync::atomic::{AtomicBool, Ordering};

static TOLD: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_: libc::c_int) {
    TOLD.store(true, Ordering::Relaxed);
}

/// Notes the signal from now on.
pub(super) fn watch() {
    // SAFETY: the handler only stores to an atomic, which a handler may do at any time.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = note as extern "C" fn(libc::c_int) as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGTERM, &action, std::ptr::null_mut());
    }
}

/// Whether this process was told to end.
pub(super) fn told_to_end() -> bool {
    TOLD.load(Ordering::Relaxed)
}
