//! Files are replaced as a whole: on a full disk, in a wrong place, and when the process is killed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use antiphon::Error;
use antiphon::io::{
    Metadata, load_checkpoint, load_npz, save_checkpoint, save_npz, save_safetensors, write_atomically,
};

fn metadata(step: u64) -> Metadata {
    Metadata::from([("step".into(), step.to_string())])
}

#[test]
fn a_place_where_nothing_can_be_written_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("no/such/directory/model.npz");
    for path in [&missing, directory.path(), Path::new("/dev/null")] {
        let error = save_npz(path, &large(1.0)).unwrap_err();
        assert!(matches!(&error, Error::Io { path: named, .. } if named == path), "{error:?}");
        let error = load_npz(path, &mut large(0.0)).unwrap_err();
        let named = error.to_string().starts_with(&path.display().to_string());
        assert!(named, "{error}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[cfg(unix)]
#[test]
fn replacing_a_file_keeps_its_permissions_and_links() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let directory = tempfile::tempdir().unwrap();
    let (file, link) = (directory.path().join("file"), directory.path().join("link"));
    write_atomically(&file, b"old").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("file", &link).unwrap();
    write_atomically(&link, b"new").unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"new");
    assert!(link.is_symlink());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(only_files(directory.path()), ["file", "link"]);
    // A link that leads nowhere stays one.
    fs::remove_file(&file).unwrap();
    assert!(write_atomically(&link, b"new").is_err());
    assert!(link.is_symlink() && !file.exists());
}

fn only_files(directory: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(directory).unwrap().map(name).collect();
    names.sort();
    names
}

const FILE: &str = "ANTIPHON_TEST_FILE";

/// This test program again, as the child of its test of this name.
fn child(test: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test]).env(FILE, path);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The file of the test whose child this process is, if it is one.
fn childs_file() -> Option<PathBuf> {
    std::env::var_os(FILE).map(PathBuf::from)
}

/// Parameters of 200 kB, all of them `value`.
fn large(value: f64) -> Vec<f64> {
    vec![value; 3000]
}

#[cfg(unix)]
fn save_on_a_full_disk(path: &Path) {
    // SAFETY: the process runs this test only; ignoring the signal makes the write fail with EFBIG, as a full
    // disk makes it fail with ENOSPC.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        let limit = libc::rlimit { rlim_cur: 4096, rlim_max: 4096 };
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
    }
    for result in [
        save_checkpoint(path, &large(2.0), &0.0, &metadata(2)),
        save_safetensors(path, &large(2.0)),
        save_npz(path, &large(2.0)),
    ] {
        let Err(Error::Io { path: named, source }) = result else { panic!("{result:?}") };
        assert_eq!(named, path);
        assert_eq!(source.raw_os_error(), Some(libc::EFBIG));
    }
    // What still fits is still written.
    save_npz(path.with_file_name("small"), &1.0).unwrap();
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_old_file() {
    if let Some(path) = childs_file() {
        return save_on_a_full_disk(&path);
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoint");
    save_checkpoint(&path, &large(1.0), &0.5, &metadata(1)).unwrap();
    assert!(child("a_full_disk_leaves_the_old_file", &path).status().unwrap().success());
    let (mut params, mut state) = (large(0.0), 0.0);
    assert_eq!(load_checkpoint(&path, &mut params, &mut state).unwrap(), metadata(1));
    assert_eq!((params, state), (large(1.0), 0.5));
    assert_eq!(only_files(directory.path()), ["checkpoint", "small"]);
}

/// Saves until the kernel ends the process, in the middle of a write.
#[cfg(unix)]
fn die_while_saving(path: &Path) {
    // SAFETY: the process runs this test only. The signal has its usual meaning, which is the end.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_DFL);
        let limit = libc::rlimit { rlim_cur: 4096, rlim_max: 4096 };
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
    }
    save_npz(path, &large(2.0)).unwrap();
}

#[cfg(unix)]
#[test]
fn what_killed_writers_leave_is_swept_at_the_next_save() {
    if let Some(path) = childs_file() {
        return die_while_saving(&path);
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("weights.npz");
    for _ in 0..2 {
        let status = child("what_killed_writers_leave_is_swept_at_the_next_save", &path).status().unwrap();
        assert_eq!(status.code(), None, "the child is ended by a signal");
        // The second child has swept what the first one left.
        let left = only_files(directory.path());
        assert!(
            left.len() == 1 && left[0].starts_with(".antiphon-") && left[0].ends_with(".tmp"),
            "{left:?}"
        );
    }
    save_npz(&path, &large(1.0)).unwrap();
    assert_eq!(only_files(directory.path()), ["weights.npz"]);
}

/// What is not surely left behind stays: files of live writers, of other users, of other names, and what is no file.
#[cfg(unix)]
#[test]
fn only_leftovers_are_swept() {
    use std::os::unix::fs::symlink;
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let held = fs::File::create(at(".antiphon-held.tmp")).unwrap();
    held.lock().unwrap();
    for name in [".antiphon-left.tmp", ".antiphon-other", "antiphon-a.tmp", "precious"] {
        fs::write(at(name), "x").unwrap();
    }
    symlink(at("precious"), at(".antiphon-link.tmp")).unwrap();
    fs::create_dir(at(".antiphon-directory.tmp")).unwrap();
    // SAFETY: the strings end in zeros; the calls read them.
    unsafe {
        let name = |name: &str| std::ffi::CString::new(at(name).to_str().unwrap()).unwrap();
        assert_eq!(libc::mkfifo(name(".antiphon-pipe.tmp").as_ptr(), 0o600), 0);
        if libc::geteuid() == 0 {
            fs::write(at(".antiphon-theirs.tmp"), "x").unwrap();
            assert_eq!(libc::chown(name(".antiphon-theirs.tmp").as_ptr(), 65534, 65534), 0);
        }
    }
    let mut expected = only_files(directory.path());
    write_atomically(at("new"), b"new").unwrap();
    expected.retain(|name| name != ".antiphon-left.tmp");
    expected.push("new".into());
    expected.sort();
    assert_eq!(only_files(directory.path()), expected);
    assert_eq!(fs::read(at("precious")).unwrap(), b"x");
    // When its writer ends, the first one is a leftover too. (Closing the file would not do here: a process that another
    // test is just starting has it as well, for a moment.)
    held.unlock().unwrap();
    drop(held);
    write_atomically(at("new"), b"newer").unwrap();
    expected.retain(|name| name != ".antiphon-held.tmp");
    assert_eq!(only_files(directory.path()), expected);
}

#[test]
fn writers_do_not_sweep_each_other() {
    let directory = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let path = directory.path().join(format!("file {writer}"));
            scope.spawn(move || {
                for round in 0..25u8 {
                    write_atomically(&path, &[round; 100]).unwrap();
                    assert_eq!(fs::read(&path).unwrap(), [round; 100]);
                }
            });
        }
    });
    assert_eq!(only_files(directory.path()).len(), 8);
}

fn save_for_ever(path: &Path) {
    for step in 1.. {
        save_checkpoint(path, &large(step as f64), &(step as f64), &metadata(step)).unwrap();
    }
}

#[test]
fn a_kill_at_any_moment_leaves_a_whole_file() {
    if let Some(path) = childs_file() {
        return save_for_ever(&path);
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoint");
    save_checkpoint(&path, &large(0.0), &0.0, &metadata(0)).unwrap();
    let mut steps = BTreeMap::new();
    for kill in 0..12 {
        let mut child = child("a_kill_at_any_moment_leaves_a_whole_file", &path).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(40 + 13 * kill));
        child.kill().unwrap();
        child.wait().unwrap();
        let (mut params, mut state) = (large(f64::NAN), f64::NAN);
        let metadata = load_checkpoint(&path, &mut params, &mut state).unwrap();
        let step: f64 = metadata["step"].parse().unwrap();
        assert_eq!((params, state), (large(step), step));
        *steps.entry(step as u64).or_insert(0) += 1;
    }
    assert!(steps.len() > 1, "the children were killed before they saved anything");
}
