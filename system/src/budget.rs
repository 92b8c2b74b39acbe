//! What the stacks and arenas of this process, all together, may take of its memory.
//!
//! Each holds a [`Grant`] of so many bytes, and asks for more when these are used up. More is granted only while what
//! all of them hold stays below a [share](SHARE) of the memory that the process may use *at that moment*, and while
//! enough is left for what else takes memory until somebody asks again.

use std::sync::{Mutex, PoisonError};

use crate::memory::{Memory, memory};

/// All stacks and arenas together get one part in so many of the memory that the process may use.
pub const SHARE: u64 = 2;
/// Up to here a stack or an arena is granted whatever memory there is, so that a single one that takes the share and
/// does not come to an end leaves the others what most programs need.
pub const SHALLOW: usize = 4 << 20;
/// The least that is granted at once.
const LEAST: u64 = 256 << 10;
/// The most that is granted at once.
const MOST: u64 = 64 << 20;

/// What ended a stack or an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Its own size: the one configured, or the share of all memory that a single one may take.
    Size,
    /// All stacks and arenas of the process together have their [share](SHARE) of its memory.
    Share,
    /// The memory that the process may use is nearly used up.
    Memory {
        /// Bytes that the process could still take before the kernel would kill it or another.
        available: u64,
    },
    /// The process's limit on address space (`ulimit -v`, `ulimit -d`).
    AddressSpace,
}

/// How much of the process's memory a stack or an arena may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// What fits into the common share.
    Share,
    /// A size was asked for: whatever is there.
    Whatever,
}

impl Claim {
    /// That of one which is to have so many bytes; `sized` if that is a size that was asked for.
    pub fn of(bytes: usize, sized: bool) -> Claim {
        if sized || bytes <= SHALLOW { Claim::Whatever } else { Claim::Share }
    }
}

/// How much memory is left alone, so that what else the process does is not killed: 1/32, or 32 MiB if that is more,
/// though never more than an eighth.
pub fn spare(total: u64) -> u64 {
    (total / 32).max((32 << 20).min(total / 8))
}

/// How many bytes may be taken before the memory is looked at again.
pub fn step(total: u64) -> u64 {
    (total / 64).clamp(LEAST, MOST)
}

/// What all grants of the process amount to.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    granted: u64,
    /// The part of it that surely takes memory by now: a stack that asks for more has used what it had.
    touched: u64,
}

impl Totals {
    /// How many more bytes can be granted: at least and at most so many.
    fn more(&self, memory: Memory, claim: Claim, least: u64, most: u64) -> Result<u64, Limit> {
        // Granted, but perhaps not taken from what is available yet.
        let promised = self.granted - self.touched;
        let left = memory.before_end.saturating_sub(promised).saturating_sub(spare(memory.total));
        if left < least {
            return Err(match memory.address_space {
                Some(left) if left == memory.before_end => Limit::AddressSpace,
                _ => Limit::Memory { available: left },
            });
        }
        let share = match claim {
            Claim::Share => (memory.available + self.touched) / SHARE,
            Claim::Whatever => u64::MAX,
        };
        let room = left.min(share.saturating_sub(self.granted));
        if room < least { Err(Limit::Share) } else { Ok(room.min(most)) }
    }
}

static TOTALS: Mutex<Totals> = Mutex::new(Totals { granted: 0, touched: 0 });

fn with_totals<R>(f: impl FnOnce(&mut Totals) -> R) -> R {
    // They are whole between any two statements, so that a panic in between does no harm.
    f(&mut TOTALS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Bytes that one stack or arena may take; given back when dropped.
#[derive(Debug)]
pub struct Grant {
    bytes: u64,
    touched: u64,
}

impl Grant {
    /// A first grant, which is not refused: so little that any operation might take it.
    pub fn first(bytes: usize) -> Grant {
        with_totals(|totals| totals.granted += bytes as u64);
        Grant { bytes: bytes as u64, touched: 0 }
    }

    /// One for memory that nobody has used yet: of at most so many bytes, and at least so many.
    ///
    /// # Errors
    /// Any but [`Limit::Size`] if there is less.
    pub fn new(claim: Claim, least: usize, most: usize) -> Result<Grant, Limit> {
        with_totals(|totals| {
            let memory = memory();
            let bytes = totals.more(memory, claim, least as u64, most as u64)?;
            totals.granted += bytes;
            Ok(Grant { bytes, touched: 0 })
        })
    }

    /// Bytes that are granted.
    pub fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// More of them, since all of these are used up: `least` at least, and about as much again if there is so much, but
    /// never more than `most`.
    ///
    /// # Errors
    /// Any but [`Limit::Size`] if there is less.
    pub fn grow(&mut self, claim: Claim, least: usize, most: usize) -> Result<(), Limit> {
        with_totals(|totals| {
            totals.touched += self.bytes - self.touched;
            self.touched = self.bytes;
            let memory = memory();
            let least = (least as u64).max(LEAST).min(most as u64);
            let most = self.bytes.min(step(memory.total)).max(least).min(most as u64);
            let more = totals.more(memory, claim, least, most)?;
            totals.granted += more;
            self.bytes += more;
            Ok(())
        })
    }

    /// Gives all but so many bytes back.
    pub fn shrink(&mut self, bytes: usize) {
        with_totals(|totals| {
            let (bytes, touched) = (self.bytes.min(bytes as u64), self.touched.min(bytes as u64));
            totals.granted -= self.bytes - bytes;
            totals.touched -= self.touched - touched;
            (self.bytes, self.touched) = (bytes, touched);
        });
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

/// Whether enough memory is left for what else the process does.
///
/// # Errors
/// [`Limit::Memory`] or [`Limit::AddressSpace`] if it is not.
pub fn look() -> Result<Memory, Limit> {
    with_totals(|totals| {
        let memory = memory();
        totals.more(memory, Claim::Whatever, LEAST, LEAST).map(|_| memory)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn what_is_left_alone_and_what_is_granted_at_once_fit_the_memory() {
        assert_eq!(
            [64 * MIB, 256 * MIB, 2048 * MIB, 32 << 30].map(spare),
            [8 * MIB, 32 * MIB, 64 * MIB, 1 << 30]
        );
        assert_eq!([MIB, 256 * MIB, 64 << 30].map(step), [256 << 10, 4 * MIB, 64 * MIB]);
    }

    /// A process of 1 GiB whose stacks ask for as much as they get, step by step, and touch all of it.
    #[test]
    fn stacks_get_half_of_the_memory_and_no_more() {
        let total = 1024 * MIB;
        for heap in [0, 100 * MIB, 600 * MIB] {
            let mut totals = Totals::default();
            loop {
                let left = total - heap - totals.touched;
                let memory = Memory { total, available: left, before_end: left, address_space: None };
                let Ok(more) = totals.more(memory, Claim::Share, MIB, 16 * MIB) else { break };
                totals.granted += more;
                totals.touched = totals.granted;
            }
            let share = (total - heap) / SHARE;
            assert!(totals.granted <= share && totals.granted + MIB > share, "{totals:?}");
        }
    }

    /// Threads that are granted something before any of them has touched it do not get more together.
    #[test]
    fn what_is_granted_and_not_touched_counts() {
        let memory =
            Memory { total: 1024 * MIB, available: 1000 * MIB, before_end: 1000 * MIB, address_space: None };
        for (claim, most) in [(Claim::Share, 500 * MIB), (Claim::Whatever, 1000 * MIB - spare(memory.total))]
        {
            let mut totals = Totals::default();
            while let Ok(more) = totals.more(memory, claim, MIB, 16 * MIB) {
                totals.granted += more;
            }
            assert!(totals.granted <= most && totals.granted + MIB > most, "{totals:?}");
        }
    }

    #[test]
    fn a_grant_counts_until_it_is_dropped() {
        let granted = || with_totals(|totals| totals.granted);
        // Other tests may hold grants at the same time, but not of this size.
        let large = 1 << 50;
        let mut grant = Grant::first(large);
        assert!(granted() >= large as u64);
        assert!(matches!(Grant::new(Claim::Whatever, 1, 1), Err(Limit::Memory { .. })));
        assert_eq!(grant.grow(Claim::Share, 1, 1), Err(Limit::Share));
        grant.shrink(large / 2);
        assert_eq!(grant.bytes(), large / 2);
        drop(grant);
        assert!(granted() < large as u64 / 2);
        assert!(look().is_ok());
    }
}
