//! Address space that takes memory only as far as it is touched.

use std::cell::Cell;
use std::io;
use std::num::NonZeroUsize;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use corosensei::stack::{Stack, StackPointer};

use crate::memory::address_space;

/// Inaccessible bytes at the low end: pages of the largest kind that Linux uses. What catches code that runs off a
/// stack without having asked.
pub const GUARD: usize = 1 << 16;

/// The largest region that there can be: an eighth of what the address space of most processors holds.
#[cfg(target_pointer_width = "64")]
pub const MAX_SIZE: usize = 1 << 44;
/// The largest region that there can be: a quarter of the address space.
#[cfg(not(target_pointer_width = "64"))]
pub const MAX_SIZE: usize = 1 << 30;

/// Address space that all regions together take where it is not limited: half of what there is.
#[cfg(target_pointer_width = "64")]
const ALL: usize = 1 << 46;
#[cfg(not(target_pointer_width = "64"))]
const ALL: usize = 1 << 31;
/// A region gets one part in so many of what is left of that.
const PART: usize = 1024;

/// The bytes that are reserved at present.
static RESERVED: AtomicUsize = AtomicUsize::new(0);

/// A region that is readable and writable down to a guard, and belongs to this value alone.
#[derive(Debug)]
pub struct Reserved {
    /// One past its last byte.
    end: usize,
    /// Where the guard lies: all that is mapped.
    start: Cell<usize>,
    /// How far down the region may [reach](Reserved::reach).
    lowest: usize,
}

impl Reserved {
    /// A region of at least so many usable bytes, all zero.
    ///
    /// # Errors
    /// The operating system's, if it grants no such address space; `bytes` may be anything.
    pub fn new(bytes: usize) -> io::Result<Reserved> {
        let none = || io::Error::from(io::ErrorKind::OutOfMemory);
        let bytes =
            bytes.checked_next_multiple_of(GUARD).filter(|&bytes| bytes <= MAX_SIZE).ok_or_else(none)?;
        let start = map(None, bytes + GUARD, ACCESSIBLE)?;
        let region = Reserved::mapped(start, bytes + GUARD, start);
        protect(start, GUARD, libc::PROT_NONE)?;
        Ok(region)
    }

    /// A stack that may reach down so many bytes, or less where there is not so much address space, of which at first
    /// only `first` need be usable.
    ///
    /// Where address space is limited, which it otherwise hardly is, only what is used is mapped.
    ///
    /// # Errors
    /// The operating system's, if there is not even room for `first`.
    pub fn growing(first: usize, bytes: usize) -> io::Result<Reserved> {
        let first = first.next_multiple_of(GUARD).min(MAX_SIZE);
        if let Some(left) = address_space() {
            let bytes = bytes.min(usize::try_from(left).unwrap_or(usize::MAX)).clamp(first, MAX_SIZE);
            return match slot::reserve(first, bytes) {
                Some(region) => Ok(region),
                None => Reserved::new(first.max(bytes / PART)),
            };
        }
        let left = ALL.saturating_sub(RESERVED.load(Ordering::Relaxed));
        let mut bytes = bytes.min(left / PART).max(first);
        loop {
            match Reserved::new(bytes) {
                // The address space of this processor is smaller.
                Err(_) if bytes / 2 >= first => bytes /= 2,
                result => return result,
            }
        }
    }

    fn mapped(start: usize, bytes: usize, lowest: usize) -> Reserved {
        RESERVED.fetch_add(bytes, Ordering::Relaxed);
        Reserved { end: start + bytes, start: Cell::new(start), lowest }
    }

    /// The first usable byte.
    pub fn start(&self) -> *mut u8 {
        ptr::with_exposed_provenance_mut(self.start.get() + GUARD)
    }

    /// One past the last byte.
    #[inline]
    pub fn end(&self) -> *mut u8 {
        ptr::with_exposed_provenance_mut(self.end)
    }

    /// Usable bytes that there are, or may be after [`reach`](Reserved::reach).
    pub fn size(&self) -> usize {
        self.end - self.lowest - GUARD
    }

    /// Asks for large pages below the last `from` and above the last `to` bytes, which are usable: whoever uses much
    /// memory in order has fewer addresses to look up. It is a wish, which the operating system may or may not fulfil.
    pub fn prefer_large_pages(&self, from: usize, to: usize) {
        #[cfg(target_os = "linux")]
        if from < to && to <= self.end - self.start.get() - GUARD {
            // SAFETY: advice of this kind changes no contents; these addresses belong to the region.
            unsafe {
                let start = ptr::with_exposed_provenance_mut(self.end - to);
                libc::madvise(start, to - from, libc::MADV_HUGEPAGE);
            }
        }
    }

    /// Makes the last so many bytes usable, if they are not: code may be running on them.
    ///
    /// # Errors
    /// The operating system's, if there is no such address space; more than [`size`](Reserved::size) is refused.
    pub fn reach(&self, bytes: usize) -> io::Result<()> {
        let old = self.start.get();
        if bytes <= self.end - old - GUARD {
            return Ok(());
        }
        if bytes > self.size() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let start = (self.end - bytes - GUARD) & !(GUARD - 1);
        map(Some(start), old - start, libc::PROT_NONE)?;
        if let Err(error) = protect(start + GUARD, old - start, ACCESSIBLE) {
            protect(old, GUARD, libc::PROT_NONE)?;
            unmap(start, old - start);
            return Err(error);
        }
        RESERVED.fetch_add(old - start, Ordering::Relaxed);
        self.start.set(start);
        Ok(())
    }

    /// Gives the memory of all but the last so many bytes back, and the address space if the region can
    /// [reach](Reserved::reach) there again: they are zero when they are used again.
    ///
    /// # Safety
    /// Nobody needs what is in those bytes.
    pub unsafe fn forget_below(&self, kept: usize) {
        let old = self.start.get();
        let Some(kept) = kept.checked_next_multiple_of(GUARD).filter(|kept| *kept < self.end - old - GUARD)
        else {
            return;
        };
        let start = self.end - kept - GUARD;
        if self.lowest == old {
            let bytes = start - old;
            // SAFETY: these pages belong to the region; as the caller promises, nobody needs them.
            unsafe {
                libc::madvise(ptr::with_exposed_provenance_mut(old + GUARD), bytes, libc::MADV_DONTNEED)
            };
        } else if protect(start, GUARD, libc::PROT_NONE).is_ok() {
            self.start.set(start);
            RESERVED.fetch_sub(start - old, Ordering::Relaxed);
            unmap(old, start - old);
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let (start, bytes) = (self.start.get(), self.end - self.start.get());
        RESERVED.fetch_sub(bytes, Ordering::Relaxed);
        unmap(start, bytes);
    }
}

// SAFETY: `base` and `limit` are the ends of one mapping, multiples of the page size, which stays where it is as long
// as this value lives; its low end is inaccessible. What is mapped below the limit later is accessible where it was,
// and inaccessible at its own low end.
unsafe impl Stack for Reserved {
    #[inline]
    fn base(&self) -> StackPointer {
        NonZeroUsize::new(self.end).expect("a mapping is not at zero")
    }
    #[inline]
    fn limit(&self) -> StackPointer {
        NonZeroUsize::new(self.start.get()).expect("a mapping is not at zero")
    }
}

const ACCESSIBLE: libc::c_int = libc::PROT_READ | libc::PROT_WRITE;

/// New address space of the system's choice, or in this place, where nothing must be.
fn map(place: Option<usize>, bytes: usize, access: libc::c_int) -> io::Result<usize> {
    #[cfg(target_os = "linux")]
    let fixed = libc::MAP_FIXED_NOREPLACE;
    // Elsewhere the place is a wish, which may not be fulfilled.
    #[cfg(not(target_os = "linux"))]
    let fixed = 0;
    let kind = libc::MAP_PRIVATE
        | libc::MAP_ANONYMOUS
        | libc::MAP_NORESERVE
        | if place.is_some() { fixed } else { 0 };
    let wish = ptr::without_provenance_mut(place.unwrap_or(0));
    // SAFETY: a new anonymous mapping, at an address of the system's choice or where there is none, touches no other.
    let start = unsafe { libc::mmap(wish, bytes, access, kind, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let start = start.expose_provenance();
    if place.is_some_and(|place| place != start) {
        unmap(start, bytes);
        return Err(io::ErrorKind::AddrInUse.into());
    }
    Ok(start)
}

/// Only for what this file has mapped, and nobody uses.
fn unmap(start: usize, bytes: usize) {
    // SAFETY: mapped by `map`, and unmapped once: by whoever owned it.
    unsafe { libc::munmap(ptr::with_exposed_provenance_mut(start), bytes) };
}

/// Only for what this file has mapped.
fn protect(start: usize, bytes: usize, access: libc::c_int) -> io::Result<()> {
    // SAFETY: mapped by `map`; a guard is made of what nobody uses yet, and what is made accessible was a guard.
    match unsafe { libc::mprotect(ptr::with_exposed_provenance_mut(start), bytes, access) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Places for regions that are mapped as they grow: far below where the system maps, so that there is room under each.
mod slot {
    use std::io;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{ACCESSIBLE, GUARD, Reserved, map, protect, unmap};

    /// So many places are tried.
    const TRIES: usize = 256;
    /// No region grows beyond this, so that there is room for hundreds.
    const LARGEST: usize = (usize::MAX >> 28) + 1;

    struct Slots {
        /// One past the end of the topmost one.
        top: usize,
        size: usize,
        count: usize,
    }

    /// The places, each for a region of so many bytes, if this is the first call.
    fn slots(bytes: usize) -> Option<&'static Slots> {
        static SLOTS: OnceLock<Option<Slots>> = OnceLock::new();
        let find = || {
            // Where the system maps at present.
            let here = map(None, GUARD, libc::PROT_NONE).ok()?;
            unmap(here, GUARD);
            let size = (bytes.min(LARGEST) + 2 * GUARD).next_power_of_two();
            // A quarter of what is below, where neither programs nor what they map usually are.
            let count = (here / 4 / size).checked_sub(2)?;
            Some(Slots { top: here / size * size - size, size, count })
        };
        SLOTS.get_or_init(find).as_ref().filter(|slots| slots.count > 0)
    }

    /// A region that may grow to so many bytes, as far as there is room, of which `first` are mapped.
    pub(super) fn reserve(first: usize, bytes: usize) -> Option<Reserved> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let slots = slots(bytes.max(first))?;
        let bytes = bytes.next_multiple_of(GUARD).min(slots.size - 2 * GUARD);
        if first > bytes {
            return None;
        }
        for _ in 0..TRIES.min(slots.count) {
            let end = slots.top - NEXT.fetch_add(1, Ordering::Relaxed) % slots.count * slots.size;
            match map(Some(end - first - GUARD), first + GUARD, ACCESSIBLE) {
                Ok(start) => {
                    let region = Reserved::mapped(start, first + GUARD, end - bytes - GUARD);
                    return protect(start, GUARD, libc::PROT_NONE).ok().map(|()| region);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(_) => return None,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_zero_and_writable_and_given_back_on_demand() {
        for region in [Reserved::new(1 << 20).unwrap(), Reserved::growing(1 << 20, 1 << 30).unwrap()] {
            assert!(region.size() >= 1 << 20);
            let last = region.end().wrapping_sub(1);
            // SAFETY: the region is this test's alone, and these addresses lie in it.
            unsafe {
                for address in [region.start(), last] {
                    assert_eq!(address.read_volatile(), 0);
                    address.write_volatile(1);
                }
                region.forget_below(GUARD);
                assert_eq!((region.start().read_volatile(), last.read_volatile()), (0, 1));
            }
        }
    }

    #[test]
    fn a_region_in_a_slot_grows_under_what_is_there_up_to_its_size() {
        let [a, b] = [0, 1].map(|_| slot::reserve(2 * GUARD, 1 << 30).expect("an address space with room"));
        for region in [&a, &b] {
            let top = region.end().wrapping_sub(1);
            // SAFETY: the region is this test's alone, and its last byte is mapped from the beginning.
            unsafe { top.write_volatile(7) };
            for bytes in [3 * GUARD + 1, 64 << 20, 2 * GUARD] {
                region.reach(bytes).unwrap();
                let low = region.end().wrapping_sub(bytes);
                assert!(region.start() <= low && region.limit().get() + GUARD == region.start().addr());
                // SAFETY: `reach` has made these bytes part of the region.
                unsafe {
                    low.write_volatile(8);
                    region.start().write_volatile(9);
                }
            }
            // SAFETY: as above; nobody needs what is in the region.
            unsafe {
                region.forget_below(GUARD + 1);
                assert_eq!((region.start().read_volatile(), top.read_volatile()), (8, 7));
                assert_eq!(region.start(), region.end().wrapping_sub(2 * GUARD));
                region.reach(4 * GUARD).unwrap();
                assert_eq!(region.start().read_volatile(), 0);
            }
            assert!(region.reach(region.size() + 1).is_err() && region.reach(usize::MAX).is_err());
        }
    }

    #[test]
    fn what_cannot_be_is_an_error_whatever_the_number() {
        for bytes in [MAX_SIZE + 1, usize::MAX / 2, usize::MAX - GUARD, usize::MAX] {
            assert!(Reserved::new(bytes).is_err(), "{bytes}");
        }
        assert!(Reserved::growing(GUARD, usize::MAX).unwrap().size() >= GUARD);
    }
}
