//! How much a cache holds, and how long.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use antiphon_staging::jit::cache::{Cache, Limits};

use crate::{key, object};

/// Lets a file look as if it were last used so long ago.
fn used(directory: &Path, name: &str, ago: Duration) {
    let file = File::options().append(true).create(true).open(directory.join(name)).unwrap();
    file.set_modified(SystemTime::now() - ago).unwrap();
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

const DAY: Duration = Duration::from_secs(24 * 3600);

#[test]
fn what_was_used_the_longest_ago_is_evicted_when_there_is_too_much() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("cache");
    let cache = Cache::open(&directory, Limits { bytes: 1 << 20, age: 90 * DAY }).unwrap();
    for i in 0..10 {
        cache.write(&key(i), &object(i, 100_000)).unwrap();
        used(&directory, &format!("{}.o", key(i)), DAY * (20 - i as u32));
    }
    assert_eq!(names(&directory).len(), 10, "a million bytes are within the limit");
    // Reading counts as use.
    assert_eq!(cache.read(&key(0)), Some(object(0, 100_000)));
    cache.write(&key(10), &object(10, 100_000)).unwrap();
    let kept: Vec<u64> = (0..11).filter(|&i| cache.read(&key(i)).is_some()).collect();
    assert_eq!(kept, [0, 5, 6, 7, 8, 9, 10], "down to three quarters of the limit");
    // What is larger than everything together is not kept at all, and costs the others nothing.
    cache.write(&key(11), &object(11, 2 << 20)).unwrap();
    assert_eq!(names(&directory).len(), kept.len());
    let none = Cache::open(&directory, Limits { bytes: 0, ..Limits::default() }).unwrap();
    none.write(&key(12), &object(12, 10)).unwrap();
    assert_eq!(none.read(&key(12)), None);
}

#[test]
fn what_is_old_is_evicted_leftovers_are_swept_and_what_is_not_the_caches_stays() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("cache");
    let cache = Cache::open(&directory, Limits { bytes: 1 << 20, age: 90 * DAY }).unwrap();
    let old = "0123456789abcdef0123456789abcdef";
    let old_code = format!("{old}.o");
    let (recent, expired) = (format!("{}.o", key(1)), format!("{}.o", key(2)));
    used(&directory, &recent, 89 * DAY);
    used(&directory, &expired, 91 * DAY);
    used(&directory, &old_code, 91 * DAY);
    used(&directory, ".antiphon-AbCdEf.tmp", Duration::ZERO);
    // A writer that lives has locked its file.
    used(&directory, ".antiphon-writing.tmp", DAY);
    let writing = File::open(directory.join(".antiphon-writing.tmp")).unwrap();
    writing.lock().unwrap();
    used(&directory, "notes.txt", 1000 * DAY);
    used(&directory, "notes.o", 1000 * DAY);
    used(&directory, "notes.tmp", 1000 * DAY);
    File::create(directory.join(format!("{}.o", key(3)))).unwrap().set_len(64 << 30).unwrap();
    fs::create_dir(directory.join(format!("{}.o", key(4)))).unwrap();
    cache.write(&key(5), &object(5, 1000)).unwrap();
    let [directory_of_4, written] = [4, 5].map(|i| format!("{}.o", key(i)));
    let expected =
        [".antiphon-writing.tmp", &recent, &directory_of_4, &written, "notes.o", "notes.tmp", "notes.txt"];
    assert_eq!(names(&directory), expected);
}

#[test]
fn a_file_of_the_future_or_of_1960_is_a_file() {
    let root = tempfile::tempdir().unwrap();
    let cache = Cache::open(root.path(), Limits::default()).unwrap();
    let path = root.path().join(format!("{}.o", key(1)));
    for time in [SystemTime::now() + 1000 * DAY, SystemTime::UNIX_EPOCH - 3650 * DAY] {
        cache.write(&key(1), &object(1, 10)).unwrap();
        File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
        assert_eq!(cache.read(&key(1)), Some(object(1, 10)));
        let now = fs::metadata(&path).unwrap().modified().unwrap();
        assert!(now >= SystemTime::now() - DAY, "it was used just now");
    }
}

#[test]
fn whoever_reads_while_others_write_and_evict_finds_all_or_nothing() {
    let root = tempfile::tempdir().unwrap();
    let open = || Cache::open(&root.path().join("cache"), Limits { bytes: 1 << 20, age: DAY }).unwrap();
    std::thread::scope(|scope| {
        for i in 0..3 {
            scope.spawn(move || {
                let cache = open();
                for j in 0..40 {
                    cache.write(&key(j % 20), &object(i, 100_000)).unwrap();
                }
            });
        }
        let (cache, mut seen) = (open(), 0);
        while seen < 50 {
            for j in 0..20 {
                if let Some(found) = cache.read(&key(j)) {
                    assert_eq!(found, object(found.arena, 100_000));
                    seen += 1;
                }
            }
        }
    });
    let left = names(&root.path().join("cache"));
    assert!(left.len() <= 10 && left.iter().all(|name| name.ends_with(".o")), "{left:?}");
}
