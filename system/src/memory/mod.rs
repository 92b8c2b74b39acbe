//! How much memory this process may use, and how much address space.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use crate::cgroup::{Group, groups};
use crate::proc::{Buffer, field};

/// Memory that a process may use, in bytes. Limits on its address space count as limits on its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All of it: the machine's, or the least limit of the process and of the control groups that it is in.
    pub total: u64,
    /// What can still be taken without anybody having to write to a disk for it.
    pub available: u64,
    /// What can still be taken before the kernel kills someone or refuses: more than that by the machine's free swap
    /// space, as far as no other limit stands before it.
    pub before_end: u64,
    /// What is left of the address space, if that is limited.
    pub address_space: Option<u64>,
}

/// What counts before anything could be read: enough for programs that are not deep.
const UNKNOWN: Memory =
    Memory { total: 64 << 20, available: 64 << 20, before_end: 64 << 20, address_space: None };

/// The memory of this process at this moment. Takes some 50 µs.
///
/// Where the system does not tell (it is no Linux) half of the machine's memory counts as available.
/// While its files cannot be read, for want of descriptors, say, what was last read counts.
pub fn memory() -> Memory {
    static LAST: Mutex<Option<Memory>> = Mutex::new(None);
    let now = own().and_then(|files| files.memory(rlimits()));
    let mut last = LAST.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    *last = now.or(*last);
    last.unwrap_or(UNKNOWN)
}

/// Bytes of address space that this process may still map and write to, if that is limited: by `RLIMIT_AS` or
/// `RLIMIT_DATA` (`ulimit -v` and `-d`), or since the system promises no more memory than it has.
pub fn address_space() -> Option<u64> {
    match own() {
        Some(files) => Some(files.address_space(rlimits())?.1),
        None => memory().address_space,
    }
}

/// The limits on all of the address space, and on what of it is the process's own to write to.
fn rlimits() -> [Option<u64>; 2] {
    [libc::RLIMIT_AS, libc::RLIMIT_DATA].map(|resource| {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the call writes to the structure that it is given, and nothing else.
        let failed = unsafe { libc::getrlimit(resource, &raw mut limit) } != 0;
        (!failed && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
    })
}

/// What tells of this process, if that can be found out now. In which control groups it is, is looked up once.
fn own() -> Option<&'static Files> {
    static OWN: OnceLock<Files> = OnceLock::new();
    if OWN.get().is_none() {
        let _ = OWN.set(Files::below(Path::new("/"))?);
    }
    OWN.get()
}

/// Where it is said how much memory a process may use.
pub(crate) struct Files {
    meminfo: PathBuf,
    statm: PathBuf,
    overcommit: PathBuf,
    groups: Vec<Group>,
}

impl Files {
    /// Those of the process whose `/proc` and `/sys` are below `root`.
    pub(crate) fn below(root: &Path) -> Option<Files> {
        Some(Files {
            meminfo: root.join("proc/meminfo"),
            statm: root.join("proc/self/statm"),
            overcommit: root.join("proc/sys/vm/overcommit_memory"),
            groups: groups(root)?,
        })
    }

    /// `None` if it cannot be read now.
    pub(crate) fn memory(&self, rlimits: [Option<u64>; 2]) -> Option<Memory> {
        let mut buffer = Buffer::default();
        let mut memory = self.machine(&mut buffer);
        let mut least = (u64::MAX, u64::MAX);
        for (limit, left) in self.groups.iter().filter_map(|group| group.limit_and_left(&mut buffer)) {
            least = (least.0.min(limit), least.1.min(left));
        }
        if buffer.starved {
            return None;
        }
        let space = self.address_space(rlimits);
        memory.address_space = space.map(|(_, left)| left);
        for (limit, left) in std::iter::once(least).chain(space) {
            memory.total = memory.total.min(limit);
            memory.available = memory.available.min(left);
            memory.before_end = memory.before_end.min(left);
        }
        Some(memory)
    }

    fn machine(&self, buffer: &mut Buffer) -> Memory {
        let text = buffer.read(&self.meminfo).unwrap_or("");
        let bytes = |name| field(text, name).map(|kib| kib << 10);
        let total = bytes("MemTotal").unwrap_or_else(physical);
        // Kernels before 3.14 do not say what is available.
        let available = bytes("MemAvailable").or_else(|| bytes("MemFree")).unwrap_or(total / 2);
        let before_end = available + bytes("SwapFree").unwrap_or(0);
        Memory { total, available, before_end, address_space: None }
    }

    /// The least limit, and what is left of it, where the [limits of the process](rlimits) are these.
    pub(crate) fn address_space(&self, [all, data]: [Option<u64>; 2]) -> Option<(u64, u64)> {
        let mut buffer = Buffer::default();
        let strict = buffer.read(&self.overcommit).is_some_and(|mode| mode.trim() == "2");
        let promised = strict.then(|| {
            let text = buffer.read(&self.meminfo)?;
            let [limit, used] = ["CommitLimit", "Committed_AS"].map(|name| field(text, name));
            Some((limit? << 10, limit?.saturating_sub(used?) << 10))
        });
        let pages = buffer.read(&self.statm).unwrap_or("");
        // SAFETY: asks for a constant.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64;
        let used = |place| pages.split_ascii_whitespace().nth(place)?.parse::<u64>().ok();
        let left = |limit: u64, place| (limit, limit.saturating_sub(used(place).unwrap_or(0) * page));
        [all.map(|limit| left(limit, 0)), data.map(|limit| left(limit, 5)), promised.flatten()]
            .into_iter()
            .flatten()
            .min_by_key(|(_, left)| *left)
    }
}

/// The machine's memory, as every Unix tells it.
fn physical() -> u64 {
    // SAFETY: asks for constants.
    let [pages, page] = [libc::_SC_PHYS_PAGES, libc::_SC_PAGESIZE].map(|name| unsafe { libc::sysconf(name) });
    pages.max(0) as u64 * page.max(0) as u64
}

#[cfg(test)]
mod tests;
