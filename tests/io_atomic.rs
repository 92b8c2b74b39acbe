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
