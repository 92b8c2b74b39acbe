//! An allocator that refuses what no honest file of these tests needs.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// More than this, at once or together, is refused: then the process ends, or the caller has an error to report.
pub const LIMIT: usize = 64 << 20;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static REFUSED: AtomicUsize = AtomicUsize::new(0);

struct Limited;

// SAFETY: passes on to the system's allocator what it does not refuse, and null is the answer for the latter.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        if live.saturating_add(layout.size()) > LIMIT {
            LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
            REFUSED.fetch_max(layout.size(), Ordering::Relaxed);
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's contract is the same.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's contract is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Limited = Limited;

/// Fails if anything was refused so far, which an error may have hidden.
#[track_caller]
pub fn assert_nothing_was_refused() {
    assert_eq!(REFUSED.load(Ordering::Relaxed), 0, "bytes that were asked for at once");
}
