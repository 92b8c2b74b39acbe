//! Address space that takes memory only as far as it is used: arenas, and stacks with a guard page.

use std::num::NonZeroUsize;
use std::ptr;

use corosensei::stack::{Stack, StackPointer};

use crate::error::{Error, Result};

/// Pages of the largest kind that Linux uses for guards.
const PAGE: usize = 1 << 16;

/// The least room that is worth having.
const LEAST: usize = 64 << 20;

/// A reserved region, readable and writable but for a guard at its start.
pub struct Reserved {
    start: *mut u8,
    bytes: usize,
}

// SAFETY: the region belongs to this value alone, and is not tied to a thread.
unsafe impl Send for Reserved {}

impl Reserved {
    /// A region of at least so many usable bytes, all zero.
    ///
    /// # Errors
    /// [`Error::Reserve`] if the system grants no such address space.
    pub fn new(bytes: usize) -> Result<Reserved> {
        let bytes = bytes.next_multiple_of(PAGE) + PAGE;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new anonymous mapping at an address of the system's choice touches no existing one.
        let start = unsafe { libc::mmap(ptr::null_mut(), bytes, access, kind, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(Error::Reserve { bytes });
        }
        let region = Reserved { start: start.cast(), bytes };
        // SAFETY: the first page is part of the mapping just made, which nobody uses yet.
        match unsafe { libc::mprotect(start, PAGE, libc::PROT_NONE) } {
            0 => Ok(region),
            _ => Err(Error::Reserve { bytes }),
        }
    }
    /// A region of `fixed` bytes and as many more, or, where the system has little address space to give, a part of those.
    ///
    /// # Errors
    /// As [`new`](Reserved::new).
    pub fn with_room(fixed: usize, mut more: usize) -> Result<Reserved> {
        loop {
            match Reserved::new(fixed + more) {
                Err(_) if more / 2 >= LEAST => more /= 2,
                result => return result,
            }
        }
    }
    /// The first usable byte.
    pub fn start(&self) -> *mut u8 {
        self.start.wrapping_add(PAGE)
    }
    /// One past the last byte.
    pub fn end(&self) -> *mut u8 {
        self.start.wrapping_add(self.bytes)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and unmapped only here.
        unsafe { libc::munmap(self.start.cast(), self.bytes) };
    }
}

fn pointer(address: *mut u8) -> StackPointer {
    NonZeroUsize::new(address as usize).expect("a mapping is not at zero")
}

// SAFETY: the region is writable from its end down to the guard page at its limit, both multiples of the page size,
// and stays where it is as long as this value lives.
unsafe impl Stack for Reserved {
    fn base(&self) -> StackPointer {
        pointer(self.end())
    }
    fn limit(&self) -> StackPointer {
        pointer(self.start)
    }
}
