//! Data that unpacks to more than it should, lines and trees without end, and what is no file.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use antiphon::data::idx::Idx;
use antiphon::data::{Images, Text, Treebank, read_glove};
use antiphon::io::{load_checkpoint, load_npz, load_safetensors, read_metadata, save_npz};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Directory, refused, zeros};

#[test]
fn images_are_not_unpacked_beyond_what_they_say() {
    let directory = Directory::new();
    let header = |shape: &[u32]| {
        let mut bytes = vec![0, 0, 8, shape.len() as u8];
        shape.iter().for_each(|n| bytes.extend(n.to_be_bytes()));
        bytes
    };
    let packed = |name: &str, shape: &[u32], count: usize| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&header(shape)).unwrap();
        directory.file(name, &zeros(gzip, count).finish().unwrap())
    };
    let bomb = packed("bomb", &[3, 2, 2], 1 << 30);
    refused(Idx::open(&bomb, 3), &bomb, &["byte 28", "more bytes than an array of [3, 2, 2]"]);
    // It says what it is: far too much for its size.
    let bomb = packed("bomb", &[1 << 10, 1 << 10, 1 << 8], 1 << 28);
    refused(Idx::open(&bomb, 3), &bomb, &["byte 4", "[1024, 1024, 256]", "so small a file"]);
    for shape in [[u32::MAX; 3], [1 << 16, 1 << 8, 1 << 8], [0, u32::MAX, u32::MAX]] {
        let path = directory.file("images", &header(&shape));
        match shape[0] {
            0 => assert!(Idx::open(&path, 3).unwrap().elements.is_empty()),
            _ => refused(Idx::open(&path, 3), &path, &["byte 4"]),
        }
    }
    let path = directory.file("images", &header(&[1 << 10, 1 << 10, 1 << 10]));
    refused(Idx::open(&path, 3), &path, &["byte 16", "after 0"]);
    // Two files that do not belong together are not unpacked to find that out.
    let images = packed("images.gz", &[4000, 64, 64], 4000 << 12);
    let labels = packed("labels.gz", &[4001], 4001);
    refused(Images::open(&images, &labels), &labels, &["4001 labels", "4000 images"]);
    // An honest file of zeros is one.
    let labels = packed("labels.gz", &[1 << 20], 1 << 20);
    assert_eq!(Idx::open(&labels, 1).unwrap().elements.len(), 1 << 20);
}

#[test]
fn lines_end_somewhere() {
    let directory = Directory::new();
    let long = |name: &str, start: &str, piece: &[u8], count: usize| {
        let path = directory.at(name);
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(start.as_bytes()).unwrap();
        let chunk = piece.repeat((1 << 16) / piece.len());
        (0..count).for_each(|_| file.write_all(&chunk).unwrap());
        path
    };
    let words = ["cat".to_string()];
    for piece in [&b"x"[..], b" 1", b"\0", b"9"] {
        let path = long("glove", "dog 1 2 3\ncat 1 2 ", piece, 2000);
        refused(read_glove(&path, 3, &words), &path, &["line 2", "longer than"]);
    }
    // A width from elsewhere is no reason to ask for memory either.
    let path = directory.file("glove", b"cat 1 2 3\n");
    for width in [1 << 40, usize::MAX] {
        refused(read_glove(&path, width, &words), &path, &["line 1", "3 numbers"]);
    }
    let digits = format!("cat 1 2 {}\ncat 1 2 1e999999999\n", "0".repeat(2000));
    let path = directory.file("glove", digits.as_bytes());
    refused(read_glove(&path, 3, &words), &path, &["line 2", "finite"]);
    for piece in [&b"(2 "[..], b"x", b"(2 a)", b" "] {
        let path = long("trees", "(2 a)\n", piece, 2000);
        refused(Treebank::open(&path), &path, &["line 2", "longer than 1048576 bytes"]);
    }
    let deep = "(2 ".repeat(300_000);
    let path = directory.file("trees", format!("(2 a)\n{deep}\n").as_bytes());
    refused(Treebank::open(&path), &path, &["line 2", "nested deeper"]);
    let wide = format!("(2 {})\n", "(2 a)".repeat(200_000));
    let path = directory.file("trees", wide.as_bytes());
    refused(Treebank::open(&path), &path, &["line 1", "200000 subtrees"]);
}

/// What is as deep as it may be is within reach of everything that is recursive over trees, in a thread of the usual
/// size.
#[test]
fn the_deepest_tree_is_far_from_the_end_of_the_stack() {
    let deepest = (1..).map(|depth| 100 * depth).take_while(|&depth| parsed(depth).is_some()).last();
    let deepest = deepest.expect("a deep tree");
    let use_it = move || {
        let bank = parsed(deepest).expect("the deepest tree");
        let again = bank.clone();
        assert_eq!(bank, again);
        assert_eq!(bank.trees()[0].words().len(), deepest);
        assert_eq!(Treebank::parse("again", &bank.to_text()).unwrap(), bank);
        assert!(format!("{bank:?}").len() > deepest);
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(use_it).unwrap().join().unwrap();
}

/// A tree so deep.
fn parsed(depth: usize) -> Option<Treebank> {
    let text = format!("{}(2 a){}", "(2 ".repeat(depth - 1), " (2 b))".repeat(depth - 1));
    Treebank::parse("memory", &text).ok()
}

/// Every reader refuses what is no regular file, and none waits.
#[cfg(unix)]
#[test]
fn only_regular_files_are_read() {
    let directory = Directory::new();
    let pipe = directory.at("pipe");
    let name = std::ffi::CString::new(pipe.to_str().unwrap()).unwrap();
    // SAFETY: `name` is a string that ends in a zero, which the call reads.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let link = directory.at("link");
    std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
    let (done, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for path in [pipe.as_path(), Path::new("/dev/zero"), &link] {
            let (mut params, mut state) = (0.0, 0.0);
            let parts = &["not a regular file"];
            refused(load_npz(path, &mut params), path, parts);
            refused(load_safetensors(path, &mut params), path, parts);
            refused(load_checkpoint(path, &mut params, &mut state), path, parts);
            refused(read_metadata(path), path, parts);
            refused(Idx::open(path, 1), path, parts);
            refused(Images::open(path, path), path, parts);
            refused(Text::open(path), path, parts);
            refused(Treebank::open(path), path, parts);
            refused(read_glove(path, 3, &[]), path, parts);
            refused(save_npz(path, &params), path, parts);
        }
        // A file that says it is empty is read to its end all the same.
        let version = Path::new("/proc/version");
        if version.exists() {
            assert!(Text::open(version).unwrap().len() > 10);
            refused(load_npz(version, &mut 0.0), version, &["not a .npz file"]);
        }
        done.send(()).unwrap();
    });
    wait.recv_timeout(Duration::from_secs(60)).expect("a reader that fails or does not return");
}
