//! Caches into which somebody else put something.

use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use antiphon_staging::jit::cache::{self, decode, encode};
use antiphon_staging::*;

use crate::common::tower;

/// Another user.
const NOBODY: u32 = 65534;
/// In the environment of a child: where its cache is.
const DIRECTORY: &str = "ANTIPHON_TEST_CACHE";
/// In the environment of a child: its umask.
const UMASK: &str = "ANTIPHON_TEST_UMASK";

fn is_root() -> bool {
    // SAFETY: it asks for a number, and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

fn options(directory: &Path) -> CompileOptions {
    CompileOptions { cache: Some(directory.into()), ..CompileOptions::default() }
}

/// Compiles a program twice, checks what the code computes, and says each time whether it came from the cache.
fn twice(directory: &Path) -> [bool; 2] {
    [(); 2].map(|()| {
        let mut compiled = compile(&tower(3), &options(directory)).unwrap();
        assert_eq!(compiled.run(&[0.3.into()]), interpret(&tower(3), &[0.3.into()]), "a stranger's code ran");
        compiled.was_cached()
    })
}

/// What a child does instead of its test: it compiles twice and prints where the code came from.
fn is_child() -> bool {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return false };
    if let Ok(umask) = std::env::var(UMASK) {
        // SAFETY: this test alone runs in the process. Of root's privileges nothing is left that could hide a mistake.
        unsafe {
            libc::umask(umask.parse().unwrap());
            if is_root() {
                assert_eq!((libc::setgid(NOBODY), libc::setuid(NOBODY)), (0, 0));
            }
        }
    }
    println!("from the cache: {:?}", twice(directory.as_ref()));
    true
}

/// Runs a test of this program as a child. It fails the test if the child takes longer than a minute.
fn child(test: &str, directory: &Path, umask: Option<u32>) -> Output {
    child_to(test, directory, umask, Stdio::piped())
}

/// [`child`] with this as its standard error stream.
fn child_to(test: &str, directory: &Path, umask: Option<u32>, stderr: Stdio) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(DIRECTORY, directory);
    command.envs(umask.map(|umask| (UMASK, umask.to_string())));
    let mut child: Child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("it hangs: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

/// A cache in a directory of its own, with a file of code in it that belongs to another program.
struct Planted {
    root: tempfile::TempDir,
    directory: PathBuf,
    file: PathBuf,
}

impl Planted {
    fn new() -> Planted {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("above/cache");
        let key = |n: usize| cache::key(&tower(n), &options(&directory));
        let file = |n: usize| directory.join(format!("{}.o", key(n)));
        compile(&tower(4), &options(&directory)).unwrap();
        // Whole and right for this key, but for who put it there.
        let foreign = decode(&key(4), &fs::read(file(4)).unwrap()).unwrap();
        fs::remove_file(file(4)).unwrap();
        let file = file(3);
        fs::write(&file, encode(&key(3), &foreign).unwrap()).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        Planted { root, directory, file }
    }
    fn above(&self) -> &Path {
        self.directory.parent().unwrap()
    }
    fn elsewhere(&self) -> PathBuf {
        self.root.path().join("elsewhere")
    }
}

fn mode(path: &Path, mode: u32) -> bool {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    true
}

/// Gives a file, directory or link to another user, which only root can.
fn give(path: &Path) -> bool {
    is_root() && lchown(path, Some(NOBODY), None).is_ok()
}

/// Puts a link in the place of something that goes elsewhere.
fn link(at: &Planted, path: &Path) -> bool {
    fs::rename(path, at.elsewhere()).unwrap();
    symlink(at.elsewhere(), path).unwrap();
    true
}

fn make(path: &Path, kind: libc::mode_t, device: libc::dev_t) -> bool {
    fs::remove_file(path).unwrap();
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the path is a string that ends with a zero and lives as long as the call.
    unsafe { libc::mknod(path.as_ptr(), kind | 0o600, device) == 0 }
}

/// Whether something was planted; some of it only root can.
type Plant = fn(&Planted) -> bool;

/// What may be wrong with a cache so that nothing of it may be used, and what is said of it.
const DIRECTORIES: [(Plant, &str); 9] = [
    (|at| mode(&at.directory, 0o777), "above/cache can be written by other users (its mode is 777)"),
    (|at| mode(&at.directory, 0o770), "above/cache can be written by other users (its mode is 770)"),
    (|at| mode(&at.directory, 0o1777), "above/cache can be written by other users (its mode is 1777)"),
    (|at| give(&at.directory), "above/cache belongs to user 65534"),
    (|at| link(at, &at.directory), "above/cache is a link"),
    (
        |at| {
            fs::rename(&at.directory, at.elsewhere()).unwrap();
            File::create(&at.directory).is_ok()
        },
        "above/cache is not a directory",
    ),
    (|at| mode(at.above(), 0o777), "above can be written by other users (its mode is 777)"),
    (|at| give(at.above()), "above belongs to user 65534"),
    (|at| link(at, at.above()) && give(at.above()), "above belongs to user 65534"),
];

#[test]
fn a_directory_that_others_could_have_changed_is_not_used_and_that_is_said_once() {
    if is_child() {
        return;
    }
    let untouched = Planted::new();
    let would_be = compile(&tower(3), &options(&untouched.directory)).unwrap().was_cached();
    assert!(would_be, "what is planted is what would be used if it were not for its owner and its mode");
    for (plant, said) in DIRECTORIES {
        let planted = Planted::new();
        if !plant(&planted) {
            continue;
        }
        let test = "planted::a_directory_that_others_could_have_changed_is_not_used_and_that_is_said_once";
        refused(&child(test, &planted.directory, None), [false, false], Some(said));
    }
}

/// As where standard error is a file on a disk that is full.
#[cfg(target_os = "linux")]
#[test]
fn where_nobody_can_be_told_the_program_goes_on() {
    if is_child() {
        return;
    }
    let planted = Planted::new();
    assert!(mode(&planted.directory, 0o777));
    let full = File::options().write(true).open("/dev/full").unwrap();
    let test = "planted::where_nobody_can_be_told_the_program_goes_on";
    refused(&child_to(test, &planted.directory, None, full.into()), [false, false], None);
}

/// That a child compiled, or found what it is to find, and said one line about it or none.
#[track_caller]
fn refused(output: &Output, cached: [bool; 2], said: Option<&str>) {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{said:?}:\n{out}\n{err}");
    assert!(out.contains(&format!("from the cache: {cached:?}")), "{said:?}:\n{out}");
    let lines: Vec<&str> = err.lines().filter(|line| line.starts_with("antiphon: ")).collect();
    assert_eq!(lines.len(), said.iter().count(), "{said:?}:\n{err}");
    assert!(said.is_none_or(|said| lines[0].contains(said)), "{said:?}:\n{err}");
    assert!(said.is_none() || lines[0].contains("ANTIPHON_CACHE"), "what to do:\n{err}");
}

/// What may lie in place of a file, whether it is replaced by a good one, and what is said of it.
const FILES: [(Plant, bool, Option<&str>); 10] = [
    (|at| mode(&at.file, 0o666), true, Some(".o can be written by other users (its mode is 666)")),
    (|at| mode(&at.file, 0o620), true, Some(".o can be written by other users (its mode is 620)")),
    (|at| give(&at.file), true, Some(".o belongs to user 65534")),
    (|at| link(at, &at.file), true, Some(".o is a link")),
    (|at| make(&at.file, libc::S_IFIFO, 0), false, Some(".o is not a regular file")),
    // Zeros without end.
    (
        |at| is_root() && make(&at.file, libc::S_IFCHR, libc::makedev(1, 5)),
        false,
        Some(".o is not a regular file"),
    ),
    (
        |at| {
            fs::remove_file(&at.file).unwrap();
            fs::create_dir(&at.file).is_ok()
        },
        false,
        Some(".o is not a regular file"),
    ),
    (|at| make(&at.file, libc::S_IFSOCK, 0), false, None),
    // It has a whole header, and 64 GiB of zeros behind it.
    (|at| File::options().write(true).open(&at.file).unwrap().set_len(64 << 30).is_ok(), true, None),
    // All that is left of it is a header's beginning with an arena of 2⁶⁰ bytes.
    (
        |at| {
            let mut bytes = fs::read(&at.file).unwrap();
            bytes[24..32].copy_from_slice(&(1u64 << 60).to_le_bytes());
            fs::write(&at.file, &bytes[..40]).is_ok()
        },
        true,
        None,
    ),
];

#[test]
fn what_is_no_file_of_this_user_is_neither_used_nor_waited_for_and_is_replaced() {
    if is_child() {
        return;
    }
    for (i, (plant, replaced, said)) in FILES.into_iter().enumerate() {
        let planted = Planted::new();
        if !plant(&planted) {
            continue;
        }
        let elsewhere = fs::read(planted.elsewhere()).ok();
        let test = "planted::what_is_no_file_of_this_user_is_neither_used_nor_waited_for_and_is_replaced";
        let output = child(test, &planted.directory, None);
        refused(&output, [false, replaced], said);
        assert_eq!(fs::read(planted.elsewhere()).ok(), elsewhere, "{i}: nothing is written through a link");
        if replaced {
            let new = fs::symlink_metadata(&planted.file).unwrap();
            assert!(new.is_file() && new.mode() & 0o777 == 0o600 && new.len() < 1 << 20, "{i}: {new:?}");
        }
    }
}

#[test]
fn directories_and_files_are_this_users_alone_whatever_the_umask() {
    if is_child() {
        return;
    }
    for umask in [0, 0o777, 0o022, 0o277] {
        let root = tempfile::tempdir().unwrap();
        if is_root() {
            give(root.path());
        }
        let directory = root.path().join("missing/cache");
        let test = "planted::directories_and_files_are_this_users_alone_whatever_the_umask";
        refused(&child(test, &directory, Some(umask)), [false, true], None);
        let modes = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!([directory.parent().unwrap(), &directory].map(modes), [0o700; 2], "{umask:o}");
        let files: Vec<_> =
            fs::read_dir(&directory).unwrap().map(|file| modes(&file.unwrap().path())).collect();
        assert_eq!(files, [0o600], "{umask:o}");
    }
}

#[test]
fn a_link_of_this_user_above_the_directory_is_followed() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("real")).unwrap();
    symlink("nothing/../real", root.path().join("linked")).unwrap();
    fs::create_dir(root.path().join("nothing")).unwrap();
    assert_eq!(twice(&root.path().join("linked/./cache")), [false, true]);
    assert_eq!(fs::read_dir(root.path().join("real/cache")).unwrap().count(), 1);
    // A link to itself leads nowhere.
    symlink("round", root.path().join("round")).unwrap();
    assert_eq!(twice(&root.path().join("round/cache")), [false, false]);
}
