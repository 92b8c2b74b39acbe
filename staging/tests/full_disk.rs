//! A disk that is full when code is to be cached. What stands for it, a limit on the size of files, is the process's,
//! so this test has one of its own.
#![cfg(feature = "llvm")]

mod common;

use antiphon_staging::*;
use common::tower;

/// As long as this lives, no file of this process becomes longer than a limit: a write that goes on fails after its
/// beginning, as on a full disk.
struct FullDisk(libc::rlimit);

impl FullDisk {
    fn after(bytes: libc::rlim_t) -> FullDisk {
        let mut usual = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: both calls are given limits that live as long as they run; a signal that is ignored runs no code.
        unsafe {
            assert_eq!(libc::getrlimit(libc::RLIMIT_FSIZE, &mut usual), 0);
            assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &libc::rlimit { rlim_cur: bytes, ..usual }), 0);
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        }
        FullDisk(usual)
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        // SAFETY: the limit lives as long as the call runs.
        unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &self.0) };
    }
}

#[test]
fn a_full_disk_costs_only_time_and_leaves_nothing_half_written() {
    let directory = std::env::temp_dir().join(format!("antiphon-full-{}", std::process::id()));
    let options = CompileOptions { cache: Some(directory.clone()), ..CompileOptions::default() };
    let cached = || {
        let mut compiled = compile(&tower(3), &options).unwrap();
        assert_eq!(compiled.run(&[0.3.into()]), interpret(&tower(3), &[0.3.into()]));
        compiled.was_cached()
    };
    for room in [0, 10, 1000] {
        let _full = FullDisk::after(room);
        assert_eq!([(); 2].map(|()| cached()), [false, false]);
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0, "part of a file is left");
    }
    assert_eq!([(); 2].map(|()| cached()), [false, true]);
    std::fs::remove_dir_all(directory).unwrap();
}
