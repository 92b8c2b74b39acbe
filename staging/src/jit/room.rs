//! The room that compiled code runs in, a stack and an arena, lent to one run at a time. Each thread keeps that of its
//! last run for the next one, of whatever program.
//!
//! A program gets as much as its runs have been found to need so far. One that comes to the end of it has written
//! nothing and is run again with more, until its own size or the memory of the process stands against it; see
//! [`budget`](antiphon_system::budget).

use std::cell::{Cell, RefCell};

use antiphon_system::budget::{Claim, Grant, Limit};
use antiphon_system::recent::Recent;
use antiphon_system::reserve::Reserved;

use crate::ir::error::{Error, Result};

/// What recursion gets of stack and arena at first.
const FIRST: usize = 256 << 10;
/// Up to here what a program gets is quadrupled, from here on doubled.
const LARGE: usize = 64 << 20;
/// What is kept in any case, of stack and of arena.
const KEPT: usize = 16 << 20;

/// What room is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Stack,
    Arena,
}

/// How much room a program needs.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    part: Part,
    /// Bytes in any case.
    fixed: usize,
    /// Bytes for recursion, as far as runs have shown.
    pub recursion: usize,
    /// No more than that is wanted for it.
    pub most: Option<usize>,
}

impl Need {
    /// That of a program of which nothing else is known.
    pub fn new(part: Part, fixed: usize) -> Need {
        Need { part, fixed, recursion: FIRST, most: None }
    }

    /// Limits what there may be for recursion.
    pub fn limited(self, most: Option<usize>) -> Need {
        Need { recursion: self.recursion.min(most.unwrap_or(usize::MAX)), most, ..self }
    }
}

/// A region, and the right to fill it.
pub struct Room {
    region: Reserved,
    /// Usable bytes.
    bytes: usize,
    /// For what is needed in any case, and for recursion.
    _grants: [Grant; 2],
}

/// What a thread keeps of one part between runs, and what runs have used of it.
struct Kept {
    room: Cell<Option<Room>>,
    recent: RefCell<Recent>,
}

thread_local! {
    static STACK: Kept = const { Kept { room: Cell::new(None), recent: RefCell::new(Recent::NONE) } };
    static ARENA: Kept = const { Kept { room: Cell::new(None), recent: RefCell::new(Recent::NONE) } };
}

/// Gives the memory that this thread keeps for compiled code back to the system.
pub fn release() {
    for part in [Part::Stack, Part::Arena] {
        part.with_kept(|kept| kept.room.take());
    }
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Part::Stack => "stack",
            Part::Arena => "arena",
        }
    }

    /// `None` while the thread ends, when nothing is kept any more.
    fn with_kept<R>(self, f: impl FnOnce(&Kept) -> R) -> Option<R> {
        match self {
            Part::Stack => STACK.try_with(f).ok(),
            Part::Arena => ARENA.try_with(f).ok(),
        }
    }
}

impl Room {
    /// What the thread keeps, if that is enough, or new room.
    ///
    /// # Errors
    /// [`Error::StackExhausted`] if there is no such memory, [`Error::Reserve`] if there is no such address space.
    pub fn take(need: &Need) -> Result<Room> {
        let kept = need.part.with_kept(|kept| kept.room.take()).flatten();
        match kept.filter(|room| room.bytes >= need.fixed.saturating_add(need.recursion)) {
            Some(room) => Ok(room),
            None => Room::new(need, need.recursion),
        }
    }

    /// Room for recursion of at least so many bytes, if not all that is wanted.
    fn new(need: &Need, least: usize) -> Result<Room> {
        let Need { part, fixed, recursion, most } = *need;
        let ended = |by| Error::StackExhausted { what: part.name(), bytes: 0, by };
        let claim = Claim::of(recursion, most.is_some());
        let grants = [
            Grant::new(Claim::Whatever, fixed, fixed).map_err(ended)?,
            Grant::new(claim, least, recursion).map_err(ended)?,
        ];
        let bytes = fixed.saturating_add(grants[1].bytes());
        let region = Reserved::new(bytes).map_err(|_| Error::Reserve { bytes })?;
        Ok(Room { region, bytes, _grants: grants })
    }

    /// More room, in place of this, which a run has used up: nothing of it is needed any more.
    ///
    /// # Errors
    /// [`Error::StackExhausted`] if there is no more.
    pub fn more(self, need: &mut Need) -> Result<Room> {
        let (part, had) = (need.part, need.recursion);
        let ended = |by| Error::StackExhausted { what: part.name(), bytes: had, by };
        let most = need.most.unwrap_or(usize::MAX);
        if had >= most {
            self.keep(need);
            return Err(ended(Limit::Size));
        }
        let times = if had < LARGE { 4 } else { 2 };
        need.recursion = had.saturating_mul(times).max(FIRST).min(most);
        drop(self);
        let room = Room::new(need, had.saturating_add(1)).map_err(|error| match error {
            Error::StackExhausted { by, .. } => ended(by),
            _ => ended(Limit::AddressSpace),
        })?;
        need.recursion = room.bytes - need.fixed;
        Ok(room)
    }

    /// Keeps the room for the thread's next run, unless it is much more than most runs need.
    pub fn keep(self, need: &Need) {
        need.part.with_kept(|kept| {
            let mut recent = kept.recent.borrow_mut();
            recent.note(need.fixed.saturating_add(need.recursion));
            if self.bytes <= KEPT.max(recent.usual().saturating_mul(2)) {
                kept.room.set(Some(self));
            }
        });
    }

    /// The region, of which at least what was needed is usable.
    pub fn region(&mut self) -> &mut Reserved {
        &mut self.region
    }
}
