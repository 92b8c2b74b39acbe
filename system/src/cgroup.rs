//! The control groups that this process is in: of each, how much memory it may take, and takes.

use std::path::{Path, PathBuf};

use crate::proc::{Buffer, field, is_starved};

/// A control group with the controller for memory, and the files that say what it may take.
pub(crate) struct Group {
    limits: Vec<PathBuf>,
    usage: PathBuf,
    stat: PathBuf,
    keys: &'static Keys,
}

/// Names of fields in the file `memory.stat`.
struct Keys {
    /// The least limit of the group and those around it, where it is said.
    limit: Option<&'static str>,
    inactive: &'static str,
    active: &'static str,
}

const V1: Keys = Keys {
    limit: Some("hierarchical_memory_limit"),
    inactive: "total_inactive_file",
    active: "total_active_file",
};
const V2: Keys = Keys { limit: None, inactive: "inactive_file", active: "active_file" };

impl Group {
    fn new(directory: &Path, version: Version) -> Group {
        let (limits, usage, keys): (&[&str], _, _) = match version {
            Version::One => (&["memory.limit_in_bytes"], "memory.usage_in_bytes", &V1),
            // A process beyond `high` is not killed, but slowed down until it hardly runs.
            Version::Two => (&["memory.max", "memory.high"], "memory.current", &V2),
        };
        Group {
            limits: limits.iter().map(|name| directory.join(name)).collect(),
            usage: directory.join(usage),
            stat: directory.join("memory.stat"),
            keys,
        }
    }

    /// The group's limit, and what is left of it, in bytes; `None` if it has none.
    pub(crate) fn limit_and_left(&self, buffer: &mut Buffer) -> Option<(u64, u64)> {
        // A limit that is not there is spelt "max".
        let limits = self.limits.iter().filter_map(|path| buffer.read(path)?.trim().parse().ok());
        let mut limit = limits.min();
        let stat = buffer.read(&self.stat).unwrap_or("");
        let of = |key| field(stat, key);
        if let Some(around) = self.keys.limit.and_then(of) {
            limit = Some(limit.unwrap_or(around).min(around));
        }
        // The kernel takes files' pages back before it kills; those in active use only slowly and in part.
        let reclaimable = of(self.keys.inactive).unwrap_or(0) + of(self.keys.active).unwrap_or(0) / 2;
        let limit = limit?;
        let usage: u64 = buffer.read(&self.usage)?.trim().parse().ok()?;
        Some((limit, limit.saturating_sub(usage.saturating_sub(reclaimable))))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// The groups of the process whose `/proc` and `/sys` are below `root`: its own, and all around it that can be seen.
///
/// Inside of a container the path of the own group may be that of the machine outside, of which only a part is mounted;
/// then the mount's own root says which part.
///
/// `None` if that cannot be found out now.
pub(crate) fn groups(root: &Path) -> Option<Vec<Group>> {
    let mounts = match std::fs::read_to_string(root.join("proc/self/mountinfo")) {
        Err(error) if is_starved(&error) => return None,
        mounts => mounts.unwrap_or_default(),
    };
    let mut buffer = Buffer::default();
    let own = buffer.read(&root.join("proc/self/cgroup")).unwrap_or("").to_owned();
    if buffer.starved {
        return None;
    }
    let mut groups = Vec::new();
    for Mount { version, inside, at } in mounts.lines().filter_map(mount) {
        let Some(path) = own.lines().find_map(|line| own_path(line, version)) else { continue };
        // A path with `..` is of a group outside of the namespace.
        let path = path.strip_prefix(&inside).ok().filter(|path| !path.iter().any(|part| part == ".."));
        let top = root.join(at.strip_prefix("/").unwrap_or(&at));
        let mut directory = top.join(path.unwrap_or(Path::new("")));
        while directory.starts_with(&top) {
            groups.push(Group::new(&directory, version));
            directory.pop();
        }
    }
    Some(groups)
}

struct Mount {
    version: Version,
    /// The group that the mount's root is.
    inside: PathBuf,
    /// Where it is mounted.
    at: PathBuf,
}

/// A line of `/proc/self/mountinfo`, if it is a mount of groups that may have the controller for memory.
fn mount(line: &str) -> Option<Mount> {
    let (mount, system) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let (inside, at) = (unescaped(mount.next()?), unescaped(mount.next()?));
    let mut system = system.split(' ');
    let version = match system.next()? {
        "cgroup" if system.nth(1)?.split(',').any(|option| option == "memory") => Version::One,
        "cgroup2" => Version::Two,
        _ => return None,
    };
    Some(Mount { version, inside, at })
}

/// The path of the process's own group, if this line of `/proc/self/cgroup` says it.
fn own_path(line: &str, version: Version) -> Option<&Path> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    let fits = match version {
        Version::One => controllers.split(',').any(|name| name == "memory"),
        Version::Two => controllers.is_empty(),
    };
    fits.then_some(Path::new(path))
}

/// A path in which blanks and the like are written as `\040`.
fn unescaped(path: &str) -> PathBuf {
    let mut parts = path.split('\\');
    let mut plain = parts.next().unwrap_or("").to_owned();
    for part in parts {
        match part.split_at_checked(3).map(|(code, rest)| (u8::from_str_radix(code, 8), rest)) {
            Some((Ok(code), rest)) => {
                plain.push(char::from(code));
                plain.push_str(rest);
            }
            _ => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain.into()
}
