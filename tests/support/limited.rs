//! Tests that run as children of their own program, under limits on what they may take.

use std::fs;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a child may take, in bytes.
pub struct Limits {
    /// Memory, by a control group.
    pub memory: Option<u64>,
    /// Address space: `RLIMIT_AS`.
    pub address_space: Option<u64>,
    /// Address space of its own that it may write to: `RLIMIT_DATA`.
    pub data: Option<u64>,
}

impl Limits {
    pub const NONE: Limits = Limits { memory: None, address_space: None, data: None };
}

const CHILD: &str = "ANTIPHON_TEST_CHILD";

/// Runs `child` in a process of its own under these limits: `test` is the name of the test that calls this.
///
/// # Panics
/// If it fails or is killed.
pub fn run(test: &str, limits: &Limits, child: impl FnOnce()) {
    if std::env::var_os(CHILD).is_some() {
        return child();
    }
    let group = limits.memory.and_then(|bytes| Group::new(test, bytes).ok());
    let data = limits.data.or(limits.memory.filter(|_| group.is_none()));
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(CHILD, "1");
    let rlimits = [(libc::RLIMIT_AS, limits.address_space), (libc::RLIMIT_DATA, data)];
    let procs = group.as_ref().map(|group| group.0.join("cgroup.procs"));
    let enter = move || {
        for (resource, bytes) in rlimits {
            let Some(bytes) = bytes else { continue };
            let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
            // SAFETY: the call reads the structure that it is given, and nothing else.
            if unsafe { libc::setrlimit(resource, &raw const limit) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        procs.as_ref().map_or(Ok(()), |procs| fs::write(procs, "0"))
    };
    // SAFETY: between `fork` and `exec` it makes system calls with what was prepared, and asks for no memory.
    unsafe { command.pre_exec(enter) };
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let signal = output.status.signal();
    assert!(output.status.success(), "{test}: {:?}, signal {signal:?}: {text}", output.status);
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{test} is no test's name");
}

/// Lets this process have so much more address space than it has now.
#[allow(dead_code, reason = "Not every program with such tests needs it.")]
pub fn leave_address_space(bytes: u64) {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').next().unwrap().parse().unwrap();
    let limit = libc::rlimit { rlim_cur: pages * 4096 + bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the call reads the structure that it is given, and nothing else.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
}

/// A control group inside of this process's own, removed when dropped.
struct Group(PathBuf);

impl Group {
    fn new(name: &str, bytes: u64) -> io::Result<Group> {
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let path = |prefix: &str| own.lines().find_map(|line| Some(line.split_once(prefix)?.1.to_owned()));
        let (parent, file) = match path(":memory:") {
            Some(path) => (Path::new("/sys/fs/cgroup/memory").join(&path[1..]), "memory.limit_in_bytes"),
            None => (Path::new("/sys/fs/cgroup").join(&path("0::").unwrap_or_default()[1..]), "memory.max"),
        };
        let parent = if parent.exists() { parent } else { parent.ancestors().nth(1).unwrap().to_owned() };
        let group = Group(parent.join(format!("antiphon-{name}-{}", std::process::id())));
        fs::create_dir(&group.0)?;
        fs::write(group.0.join(file), bytes.to_string())?;
        Ok(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The kernel may take a moment to see that the child is gone.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}
