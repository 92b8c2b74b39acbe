//! Layouts of `/proc` and `/sys` as container engines make them, and what a process may use in each.

use std::fs;
use std::path::Path;

use super::*;

const MIB: u64 = 1 << 20;

/// A machine of 16 GiB, of which 8 are free, with 1 GiB of swap space.
const MEMINFO: &str = "MemTotal:       16777216 kB\nMemFree:         2097152 kB\nMemAvailable:    8388608 kB\n\
                       SwapFree:        1048576 kB\nCommitLimit:     4194304 kB\nCommitted_AS:    1048576 kB\n";
const MACHINE: Memory =
    Memory { total: 16 << 30, available: 8 << 30, before_end: 9 << 30, address_space: None };

/// The memory of a process that sees these files.
fn seen(files: &[(&str, &str)]) -> Memory {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), &[("proc/meminfo", MEMINFO)]);
    write(root.path(), files);
    Files::below(root.path()).unwrap().memory([None, None]).unwrap()
}

fn write(root: &Path, files: &[(&str, &str)]) {
    for (path, contents) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }
}

fn group(total: u64, available: u64) -> Memory {
    Memory { total, available, before_end: available, address_space: None }
}

#[test]
fn without_control_groups_it_is_the_machines() {
    assert_eq!(seen(&[]), MACHINE);
    // Groups without the controller for memory limit nothing.
    let files = [
        ("proc/self/cgroup", "2:cpu:/a\n0::/a\n"),
        (
            "proc/self/mountinfo",
            "30 1 0:1 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
             31 1 0:2 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        ),
        ("sys/fs/cgroup/cpu/a/cpu.shares", "1024"),
    ];
    assert_eq!(seen(&files), MACHINE);
}

/// `docker run --memory 256m`, with version 2 and a namespace of its own.
#[test]
fn a_container_of_version_2_sees_its_limit_at_the_root() {
    let limited = |limit, high, current| {
        seen(&[
            ("proc/self/cgroup", "0::/\n"),
            (
                "proc/self/mountinfo",
                "1128 1127 0:27 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate\n",
            ),
            ("sys/fs/cgroup/memory.max", limit),
            ("sys/fs/cgroup/memory.high", high),
            ("sys/fs/cgroup/memory.current", current),
            (
                "sys/fs/cgroup/memory.stat",
                "anon 90000\nfile 30000\ninactive_file 20971520\nactive_file 10485760\n",
            ),
        ])
    };
    assert_eq!(limited("268435456\n", "max\n", "125829120\n"), group(256 * MIB, 161 * MIB));
    assert_eq!(limited("268435456\n", "134217728\n", "125829120\n"), group(128 * MIB, 33 * MIB));
    assert_eq!(limited("max\n", "max\n", "125829120\n"), MACHINE);
    // Nothing is left, and less than nothing.
    assert_eq!(limited("1048576\n", "max\n", "268435456\n"), group(MIB, 0));
}

/// A service of systemd: limits on any level of the tree count, each with what its level uses.
#[test]
fn every_level_up_to_the_root_counts() {
    let slice = "sys/fs/cgroup/system.slice";
    let file = |level: &str, name: &str| format!("{slice}{level}/{name}");
    let (service, inner) = ("/train.service", "/train.service/worker");
    let names = [("", "4294967296", "1073741824"), (service, "max", "536870912"), (inner, "2147483648", "0")];
    let mut files = vec![
        ("proc/self/cgroup".to_owned(), "0::/system.slice/train.service/worker\n"),
        (
            "proc/self/mountinfo".to_owned(),
            "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n",
        ),
    ];
    for (level, max, current) in names {
        files.extend([(file(level, "memory.max"), max), (file(level, "memory.current"), current)]);
    }
    let view = |files: &[(String, &'static str)]| {
        seen(&files.iter().map(|(path, text)| (path.as_str(), *text)).collect::<Vec<_>>())
    };
    assert_eq!(view(&files), group(2048 * MIB, 2048 * MIB));
    // The slice is nearly full: of its 4 GiB, 3.5 are used by others.
    files.push((file("", "memory.current"), "3758096384"));
    assert_eq!(view(&files), group(2048 * MIB, 512 * MIB));
}

/// Docker with version 1, without a namespace: the path is the host's, of which the container's part is mounted.
#[test]
fn a_container_of_version_1_whose_path_is_the_hosts() {
    let own = "12:pids:/docker/0ab1\n4:cpuset,memory:/docker/0ab1\n1:name=systemd:/docker/0ab1\n";
    let files = |inside: &str| {
        let mount = format!(
            "735 730 0:33 {inside} /sys/fs/cgroup/memory ro,nosuid master:18 - cgroup cgroup rw,memory\n"
        );
        let memory = "sys/fs/cgroup/memory";
        seen(&[
            ("proc/self/cgroup", own),
            ("proc/self/mountinfo", &mount),
            (&format!("{memory}/memory.limit_in_bytes"), "268435456\n"),
            (&format!("{memory}/memory.usage_in_bytes"), "104857600\n"),
            (
                &format!("{memory}/memory.stat"),
                "inactive_file 1\nactive_file 1\nhierarchical_memory_limit 134217728\n\
                 total_inactive_file 10485760\ntotal_active_file 4194304\n",
            ),
        ])
    };
    // The group around it, which is not to be seen, allows less than the group itself.
    let expected = group(128 * MIB, 40 * MIB);
    assert_eq!(files("/docker/0ab1"), expected);
    // A part of which the own path says nothing, and a root from which the path is not mounted.
    assert_eq!(files("/kubepods/pod7"), expected);
    assert_eq!(files("/"), expected);
}

/// Podman in a container: groups within groups, at a place with a blank, and the limit of the outer one is the least.
#[test]
fn nested_containers_of_version_1() {
    let memory = "sys/fs/cgroup/the memory";
    let file = |level: &str, name: &str| format!("{memory}{level}/memory.{name}");
    let unlimited = "9223372036854771712\n";
    let stat = "hierarchical_memory_limit 536870912\ntotal_inactive_file 0\ntotal_active_file 0\n";
    let seen = seen(&[
        ("proc/self/cgroup", "5:memory:/outer/inner\n"),
        (
            "proc/self/mountinfo",
            "35 31 0:32 /outer /sys/fs/cgroup/the\\040memory rw - cgroup cgroup rw,memory\n",
        ),
        (&file("/inner", "limit_in_bytes"), unlimited),
        (&file("/inner", "usage_in_bytes"), "1048576\n"),
        (&file("/inner", "stat"), stat),
        (&file("", "limit_in_bytes"), "536870912\n"),
        (&file("", "usage_in_bytes"), "402653184\n"),
        (&file("", "stat"), stat),
    ]);
    assert_eq!(seen, group(512 * MIB, 128 * MIB));
}

/// A group outside of the namespace: what can be seen is the mount itself.
#[test]
fn a_path_that_leaves_the_namespace_is_not_followed() {
    let files = [
        ("proc/self/cgroup", "0::/../neighbour\n"),
        ("proc/self/mountinfo", "35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
        ("sys/fs/cgroup/memory.max", "1073741824\n"),
        ("sys/fs/cgroup/memory.current", "0\n"),
        ("sys/fs/neighbour/memory.max", "1\n"),
    ];
    assert_eq!(seen(&files), group(1024 * MIB, 1024 * MIB));
}

#[test]
fn files_that_make_no_sense_limit_nothing() {
    for nonsense in ["", "\0", "-5", "99999999999999999999999", "max max", "ünlimited"] {
        let files = [
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mountinfo", "nonsense\n35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
            ("sys/fs/cgroup/memory.max", nonsense),
            ("sys/fs/cgroup/memory.current", nonsense),
            ("sys/fs/cgroup/memory.stat", nonsense),
        ];
        assert_eq!(seen(&files), MACHINE, "{nonsense:?}");
    }
}

#[test]
fn address_space_is_what_limits_leave_of_it() {
    let root = tempfile::tempdir().unwrap();
    let files = |overcommit| {
        let statm = ("proc/self/statm", "1000 300 200 50 0 400 0\n");
        write(
            root.path(),
            &[("proc/meminfo", MEMINFO), statm, ("proc/sys/vm/overcommit_memory", overcommit)],
        );
        Files::below(root.path()).unwrap()
    };
    // SAFETY: asks for a constant.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64;
    let generous = files("0\n");
    assert_eq!(generous.address_space([None, None]), None);
    assert_eq!(generous.address_space([Some(8 << 30), None]), Some((8 << 30, (8 << 30) - 1000 * page)));
    let least = Some((1 << 30, (1 << 30) - 400 * page));
    assert_eq!(generous.address_space([Some(8 << 30), Some(1 << 30)]), least);
    assert_eq!(generous.address_space([Some(1), None]), Some((1, 0)));
    assert_eq!(files("2\n").address_space([None, None]), Some((4 << 30, 3 << 30)));
    // It limits the memory.
    let memory = files("2\n").memory([None, None]).unwrap();
    let expected = Memory { address_space: Some(3 << 30), ..group(4 << 30, 3 << 30) };
    assert_eq!(memory, expected);
}

#[test]
fn this_process_has_memory_and_its_group_is_looked_at() {
    let now = memory();
    assert!(now.available <= now.total && now.available <= now.before_end, "{now:?}");
    assert!(now.total > 1 << 20, "{now:?}");
}
