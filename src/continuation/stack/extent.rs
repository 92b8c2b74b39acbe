//! Stacks, how far down each may be used for now, and the pool that unused ones wait in.

use std::cell::{Cell, RefCell};
use std::ptr::{self, NonNull};

use antiphon_system::budget::{Claim, Grant, Limit};
use antiphon_system::recent::Recent;
use antiphon_system::reserve::Reserved;
use corosensei::stack::{Stack, StackPointer};

use super::{MARGIN, configured, size};
use crate::error::{Error, Result};

/// What a new stack may use, its margin included.
const FIRST: usize = 512 << 10;
/// Address space that a new stack has, which costs no memory until it is touched: what a user's code takes between two
/// operators lies in it, as on a thread's own stack.
const MAPPED: usize = 2 << 20;
/// What is counted of [`FIRST`]: most runs, and endless nestings of shallow ones, touch no more.
const COUNTED: usize = 64 << 10;
/// What an unused stack keeps, if it has used it.
const KEPT: usize = 1 << 20;
/// Up to here a stack takes memory in pages of the usual size, and large ones below: a large page is two megabytes.
const SMALL_PAGES: usize = 4 << 20;
/// Stacks kept per thread for reuse.
const POOLED: usize = 16;

thread_local! {
    #[expect(clippy::vec_box, reason = "what is in use is pointed to, so that it must not move")]
    static POOL: RefCell<Vec<Box<Extent>>> = const { RefCell::new(Vec::new()) };
    /// The stack in use that was taken last; each knows the one before it.
    static USED: Cell<*const Extent> = const { Cell::new(ptr::null()) };
}

/// A stack, and how far down it may be used.
pub(crate) struct Extent {
    region: Reserved,
    /// What it was made for: its configured size, if one was.
    asked: Option<usize>,
    grant: RefCell<Grant>,
    /// Bytes that the grant allows to use.
    granted: Cell<usize>,
    /// Bytes of these that the present run has come to use.
    bytes: Cell<usize>,
    /// The lowest address that code may reach for now.
    floor: Cell<usize>,
    /// Below these last bytes the stack has not asked for large pages yet.
    large_pages: Cell<usize>,
    /// Whether the present run has come to the end.
    ended: Cell<bool>,
    /// Bytes that the last runs could use, but for as many shallow ones since.
    recent: RefCell<Recent>,
    shallow: Cell<usize>,
    /// The stack in use that was taken before this one.
    before: Cell<*const Extent>,
}

impl Extent {
    fn new(asked: Option<usize>) -> Result<Extent> {
        super::ask::prepare();
        let grant = or_released(|| Grant::new(Claim::Whatever, COUNTED, COUNTED));
        let grant = grant.map_err(|by| Error::StackExhausted { limit: 0, depth: None, by })?;
        let reserved = match asked {
            // A configured size is a promise.
            Some(bytes) => Reserved::new(bytes).map_err(|source| (bytes, source)),
            None => Reserved::growing(MAPPED, size()).map_err(|source| (MAPPED, source)),
        };
        let region = reserved.map_err(|(size, source)| Error::StackReserve { size, source })?;
        Ok(Extent {
            floor: Cell::new(floor(&region, FIRST)),
            region,
            asked,
            grant: RefCell::new(grant),
            granted: Cell::new(FIRST),
            bytes: Cell::new(FIRST),
            large_pages: Cell::new(SMALL_PAGES),
            ended: Cell::new(false),
            recent: RefCell::new(Recent::NONE),
            shallow: Cell::new(0),
            before: Cell::new(ptr::null()),
        })
    }

    /// The lowest address that code on this stack may reach for now.
    #[inline]
    pub(crate) fn floor(&self) -> usize {
        self.floor.get()
    }

    /// Whether this is the stack that the caller runs on.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        self.holds(super::stack_pointer())
    }

    #[inline]
    fn holds(&self, address: usize) -> bool {
        (self.region.limit().get()..self.region.end().addr()).contains(&address)
    }

    /// Bytes that the stack has for now.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.get()
    }

    fn set_bytes(&self, bytes: usize) {
        self.bytes.set(bytes);
        self.floor.set(floor(&self.region, bytes));
    }

    /// Lowers the floor.
    pub(super) fn grow(&self) -> Result<(), Limit> {
        let (bytes, size) = (self.bytes.get(), self.region.size());
        if bytes >= size {
            return Err(Limit::Size);
        }
        let mut grant = self.grant.borrow_mut();
        if self.granted.get() <= bytes {
            grant.grow(Claim::of(2 * bytes, self.asked.is_some()), 0, size - bytes)?;
        }
        // In steps also where more is granted, so that it is known how deep a run goes.
        let more = granted(&grant).min(2 * bytes).min(size);
        self.region.reach(more).map_err(|_| {
            grant.shrink(counted(bytes));
            Limit::AddressSpace
        })?;
        self.granted.set(granted(&grant));
        if more > self.large_pages.get() {
            self.region.prefer_large_pages(self.large_pages.get(), more);
            self.large_pages.set(more);
        }
        self.set_bytes(more);
        Ok(())
    }

    /// Notes that the present run has come to the end: it is no measure of what others need.
    pub(super) fn note_end(&self) {
        self.ended.set(true);
    }

    /// Prepares for a run.
    #[inline]
    fn begin(&self) {
        if self.bytes.get() > KEPT {
            self.set_bytes(KEPT);
        }
        self.before.set(USED.replace(self));
    }

    /// Ends a run.
    #[inline]
    fn end(&self) {
        self.leave();
        if self.granted.get() > KEPT {
            self.give_back();
        } else {
            self.ended.set(false);
            self.shallow.set(self.shallow.get().wrapping_add(1));
        }
    }

    /// Goes out of the chain of stacks in use.
    #[inline]
    fn leave(&self) {
        // Stacks usually come back in the order opposite to that in which they were taken.
        let mut after = USED.get();
        if ptr::eq(after, self) {
            USED.set(self.before.get());
        } else {
            // SAFETY: a stack is in the chain from `begin` to `end`, which it outlives.
            while let Some(extent) = unsafe { after.as_ref() } {
                if ptr::eq(extent.before.get(), self) {
                    extent.before.set(self.before.get());
                    break;
                }
                after = extent.before.get();
            }
        }
    }

    /// Gives back what only one of the last runs has used.
    #[cold]
    fn give_back(&self) {
        let mut recent = self.recent.borrow_mut();
        (0..self.shallow.take().min(Recent::RUNS)).for_each(|_| recent.note(0));
        recent.note(if self.ended.take() { 0 } else { self.bytes.get() });
        let kept = recent.usual().max(KEPT);
        if self.granted.get() > kept {
            // SAFETY: nobody runs on the stack any more.
            unsafe { self.region.forget_below(kept.max(MAPPED)) };
            self.grant.borrow_mut().shrink(counted(kept));
            self.granted.set(kept);
            self.set_bytes(kept);
        }
    }
}

/// The lowest address that code may reach on a stack of so many bytes.
fn floor(region: &Reserved, bytes: usize) -> usize {
    region.end().addr() - bytes + MARGIN
}

/// The bytes that a stack with this grant may use.
fn granted(grant: &Grant) -> usize {
    grant.bytes() + (FIRST - COUNTED)
}

/// The grant for so many bytes.
fn counted(bytes: usize) -> usize {
    bytes - (FIRST - COUNTED)
}

/// What `take` takes of the process's memory, if need be after unused stacks have given theirs back.
pub(super) fn or_released<R>(take: impl Fn() -> Result<R, Limit>) -> Result<R, Limit> {
    take().or_else(|limit| {
        if limit == Limit::Size {
            return Err(limit);
        }
        super::release();
        take()
    })
}

/// The stack in use that has this address, if it is not on a stack of somebody else.
pub(super) fn extent_around<'a>(address: usize) -> Option<&'a Extent> {
    let mut next = USED.get();
    loop {
        // SAFETY: a stack is in the chain from `begin` to `end`, which it outlives; the caller runs on the one found.
        let extent = unsafe { next.as_ref() }?;
        if extent.holds(address) {
            return Some(extent);
        }
        next = extent.before.get();
    }
}

/// Releases this thread's unused stacks.
pub(super) fn release() {
    // The pool is gone while the thread ends.
    let unused = POOL.try_with(|pool| pool.try_borrow_mut().map(|mut pool| std::mem::take(&mut *pool)));
    drop(unused);
}

/// A stack on loan from the thread's pool.
pub(crate) struct Pooled(NonNull<Extent>);

impl Pooled {
    /// One from the pool, or a new one.
    pub(crate) fn take() -> Result<Pooled> {
        let asked = configured();
        let take = |pool: &RefCell<Vec<Box<Extent>>>| {
            let mut pool = pool.try_borrow_mut().ok()?;
            let extent = pool.pop()?;
            if extent.asked == asked {
                return Some(extent);
            }
            // They were made for another size, and so were the ones below.
            pool.clear();
            None
        };
        // While the thread ends there is no pool any more.
        let extent = match POOL.try_with(take).ok().flatten() {
            Some(extent) => extent,
            None => Box::new(Extent::new(asked)?),
        };
        let extent = NonNull::from(Box::leak(extent));
        let pooled = Pooled(extent);
        pooled.extent().begin();
        Ok(pooled)
    }

    /// How far down the stack may be used.
    #[inline]
    pub(crate) fn extent(&self) -> &Extent {
        // SAFETY: leaked by `take`, and dropped by nobody else but `drop`.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        self.extent().end();
        // SAFETY: leaked by `take`; it is out of the chain of stacks in use, and no link to it is followed any more.
        let extent = unsafe { Box::from_raw(self.0.as_ptr()) };
        // While the thread ends there is no pool any more: then the stack is released.
        let _ = POOL.try_with(|pool| {
            if let Ok(mut pool) = pool.try_borrow_mut()
                && pool.len() < POOLED
            {
                pool.push(extent);
            }
        });
    }
}

// SAFETY: delegates to `Reserved`, which upholds the contract and lives as long as `Pooled`.
unsafe impl Stack for Pooled {
    #[inline]
    fn base(&self) -> StackPointer {
        self.extent().region.base()
    }
    #[inline]
    fn limit(&self) -> StackPointer {
        self.extent().region.limit()
    }
}
