//! Files made by hand to cost much more than their size, or to be something else than they seem.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use std::time::Duration;

use antiphon::data::idx::Idx;
use antiphon::data::{Images, Text, Treebank, read_glove};
use antiphon::io::{
    Metadata, load_checkpoint, load_npz, load_safetensors, read_metadata, save_checkpoint, save_npz,
    save_safetensors,
};
use antiphon::optim::{Adam, Optimizer};
use antiphon::{NdArray, Params, Tensor};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use ndarray::arr1;
use ndarray_npy::NpzWriter;

use super::{Directory, message, refused, refusing};

/// An `.npy` whose header is of a version, claims a length, and has this text.
fn npy(version: u8, claimed: u32, text: &str) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY".to_vec();
    bytes.extend([version, 0]);
    bytes.extend(&claimed.to_le_bytes()[..if version == 1 { 2 } else { 4 }]);
    bytes.extend(text.as_bytes());
    bytes
}

/// An `.npy` of this shape, as Python writes it, and of these elements.
fn described(shape: &str, elements: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = npy(1, text.len() as u32, &text);
    bytes.extend(elements);
    bytes
}

/// An entry of an archive: its name, its contents, and what they are compressed to if they are.
type Entry<'a> = (&'a str, &'a [u8], Option<&'a [u8]>);

/// An archive, and where its directory begins.
fn zip(entries: &[Entry<'_>]) -> (Vec<u8>, usize) {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, contents, deflated) in entries {
        let stored = deflated.unwrap_or(contents);
        let method = if deflated.is_some() { 8u16 } else { 0 };
        let mut fields = method.to_le_bytes().to_vec();
        fields.extend([0; 4]);
        fields.extend(rawzip::crc32(contents).to_le_bytes());
        fields.extend((stored.len() as u32).to_le_bytes());
        fields.extend((contents.len() as u32).to_le_bytes());
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend([0; 2]);
        directory.extend(b"PK\x01\x02\x14\0\x14\0\0\0");
        directory.extend(&fields);
        directory.extend([0; 10]);
        directory.extend((bytes.len() as u32).to_le_bytes());
        directory.extend(name.as_bytes());
        bytes.extend(b"PK\x03\x04\x14\0\0\0");
        bytes.extend(&fields);
        bytes.extend(name.as_bytes());
        bytes.extend(stored);
    }
    let start = bytes.len();
    let count = (entries.len() as u16).to_le_bytes();
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([count, count].concat());
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend((start as u32).to_le_bytes());
    bytes.extend([0; 2]);
    (bytes, start)
}

fn deflate(contents: &[u8]) -> Vec<u8> {
    let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
    deflate.write_all(contents).unwrap();
    deflate.finish().unwrap()
}

/// So many zeros, compressed by what `encoder` makes, never all at once.
fn zeros<W: Write>(mut encoder: W, count: usize) -> W {
    let chunk = vec![0; 1 << 16];
    for start in (0..count).step_by(chunk.len()) {
        encoder.write_all(&chunk[..chunk.len().min(count - start)]).unwrap();
    }
    encoder
}

/// Loads an `.npz` into one array of two elements.
#[track_caller]
fn npz_is_refused(directory: &Directory, bytes: &[u8], parts: &[&str]) {
    let path = directory.file("model.npz", bytes);
    let zeros = vec![NdArray::<f64>::zeros(&[2])];
    let mut model = zeros.clone();
    refused(load_npz(&path, &mut model), &path, parts);
    assert_eq!(model, zeros, "a file that is refused changes nothing");
}

#[test]
fn headers_of_npy_are_not_believed() {
    let directory = Directory::new();
    let is_refused = |contents: &[u8], parts: &[&str]| {
        npz_is_refused(&directory, &zip(&[("0.npy", contents, None)]).0, parts);
    };
    is_refused(&npy(2, u32::MAX, "{"), &["0 is damaged", "4294967295 bytes"]);
    is_refused(&npy(3, 1 << 30, "{"), &["0 is damaged", "1073741824 bytes"]);
    is_refused(&npy(2, 60_000, "{"), &["0 is damaged", "ends within its header"]);
    is_refused(&npy(1, 10, "{'descr'"), &["0 is damaged", "ends within its header"]);
    for bracket in ["(", "[", "{1:"] {
        let deep = bracket.repeat(20_000);
        is_refused(&npy(2, deep.len() as u32 + 1, &format!("{deep}\n")), &["0 is damaged", "nested"]);
    }
    let digits = format!("({},)", "9".repeat(30_000));
    is_refused(&described(&digits, &[]), &["0 is damaged"]);
    is_refused(
        &described("(18446744073709551615, 18446744073709551615)", &[]),
        &["has shape", "should have [2]"],
    );
    is_refused(&described("(0, 18446744073709551615)", &[]), &["has shape", "should have [2]"]);
    is_refused(&described(&format!("({})", "7, ".repeat(9000)), &[]), &["has shape", "… 9,000 axes]"]);
    is_refused(&described("(2,)", &[0; 15]), &["truncated", "0"]);
    is_refused(&described("(2,)", &[0; 17]), &["0 is damaged", "more bytes than elements"]);
}

#[test]
fn entries_of_an_archive_are_counted_and_lie_apart() {
    let directory = Directory::new();
    let is_refused = |bytes: &[u8], parts: &[&str]| npz_is_refused(&directory, bytes, parts);
    let array = described("(2,)", &[0; 16]);
    is_refused(&zip(&[("0.npy", &array, None), ("0.npy", &array, None)]).0, &["0 is there twice"]);
    is_refused(&zip(&[("0.npy", &array, None), ("0", &array, None)]).0, &["0 is there twice"]);
    // Two entries, one after the other in the directory, both of the first one's bytes.
    let path = directory.at("overlap.npz");
    let (mut bytes, start) = zip(&[("0.npy", &array, None), ("1.npy", &array, None)]);
    let second = start + 46 + 5;
    bytes[second + 42..second + 46].fill(0);
    fs::write(&path, &bytes).unwrap();
    let mut model = vec![NdArray::<f64>::zeros(&[2]); 2];
    refused(load_npz(&path, &mut model), &path, &["0 is damaged", "overlaps"]);
    // The directory itself as the contents of an entry.
    let (mut bytes, start) = zip(&[("0.npy", &array, None)]);
    let long = (start as u32).to_le_bytes();
    bytes[start + 20..start + 24].copy_from_slice(&long);
    is_refused(&bytes, &["0 is damaged", "overlaps"]);
    // More entries than there are, or fewer.
    for count in [0u16, 2, 60_000] {
        let (mut bytes, _) = zip(&[("0.npy", &array, None)]);
        let end = bytes.len() - 22;
        for at in [end + 8, end + 10] {
            bytes[at..at + 2].copy_from_slice(&count.to_le_bytes());
        }
        is_refused(&bytes, &["model.npz"]);
    }
}

#[test]
fn compressed_zeros_of_an_archive_are_not_unpacked() {
    let directory = Directory::new();
    let mut bomb = DeflateEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&described("(125000000,)", &[])).unwrap();
    let bomb = zeros(bomb, 1 << 30).finish().unwrap();
    let bytes = zip(&[("0.npy", &described("(2,)", &[0; 16]), Some(&bomb))]).0;
    npz_is_refused(&directory, &bytes, &["0 has shape [125000000] but should have [2]"]);
    // It says what is wanted, and goes on.
    let mut bomb = DeflateEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&described("(2,)", &[])).unwrap();
    let bomb = zeros(bomb, 1 << 28).finish().unwrap();
    let bytes = zip(&[("0.npy", &described("(2,)", &[0; 16]), Some(&bomb))]).0;
    npz_is_refused(&directory, &bytes, &["0 is damaged"]);
}

#[test]
fn checksums_of_an_archive_are_compared_on_every_path() {
    let directory = Directory::new();
    let (two, none) = (described("(2,)", &[7; 16]), described("(0,)", &[]));
    for (array, shape) in [(&two, 2), (&none, 0)] {
        for deflated in [None, Some(deflate(array))] {
            let (mut bytes, start) = zip(&[("0.npy", array, deflated.as_deref())]);
            let path = directory.file("model.npz", &bytes);
            let mut model = vec![NdArray::<f64>::zeros(&[shape])];
            load_npz(&path, &mut model).unwrap();
            bytes[start + 16] ^= 1;
            fs::write(&path, &bytes).unwrap();
            let what = format!("{shape} elements, compressed: {}", deflated.is_some());
            let error = load_npz(&path, &mut model).expect_err(&what).to_string();
            assert!(error.contains("0 is damaged"), "{what}: {error}");
        }
    }
}

fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

#[test]
fn headers_of_safetensors_are_not_believed() {
    let directory = Directory::new();
    let is_refused = |bytes: &[u8], parts: &[&str]| {
        let path = directory.file("model.safetensors", bytes);
        let (mut params, mut state) = (vec![NdArray::<f64>::zeros(&[2])], 0.0);
        refused(load_safetensors(&path, &mut params), &path, parts);
        message(load_checkpoint(&path, &mut params, &mut state), &path);
        message(read_metadata(&path), &path);
        refusing::assert_nothing_was_refused();
    };
    let array = |shape: &str, start: u64, end: u64| {
        format!("{{\"dtype\":\"F64\",\"shape\":{shape},\"data_offsets\":[{start},{end}]}}")
    };
    let of = |arrays: &str, data: usize| with_header(&format!("{{{arrays}}}"), &vec![0; data]);
    is_refused(
        &of(&format!("\"0\":{}", array("[0,18446744073709551615]", 0, 0)), 0),
        &["has shape [0, 18446744073709551615]"],
    );
    is_refused(&of(&format!("\"0\":{}", array("[18446744073709551615,9]", 0, 0)), 0), &["has shape"]);
    is_refused(&of(&format!("\"0\":{}", array("[2]", 0, 15)), 16), &["damaged: 0"]);
    is_refused(&of(&format!("\"0\":{}", array("[2]", 8, 24)), 24), &["damaged: 0"]);
    is_refused(&of(&format!("\"0\":{}", array("[2]", 0, 16)), 15), &["truncated"]);
    is_refused(&of(&format!("\"0\":{}", array("[2]", 0, 16)), 17), &["extended"]);
    let good = array("[2]", 0, 16);
    is_refused(&of(&format!("\"0\":{good},\"0\":{good}"), 16), &["0 is there twice"]);
    is_refused(&of(&format!("\"0\":{good},\"\\u0030\":{good}"), 16), &["0 is there twice"]);
    let metadata = "\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}";
    is_refused(&of(&format!("{metadata},\"0\":{good}"), 16), &["a is there twice"]);
    let metadata = "\"__metadata__\":{}";
    is_refused(&of(&format!("{metadata},{metadata},\"0\":{good}"), 16), &["two maps of metadata"]);
    is_refused(&with_header(&"[".repeat(1_000_000), &[]), &["not a .safetensors file"]);
    is_refused(&with_header(&"{\"a\":".repeat(200_000), &[]), &["not a .safetensors file"]);
    for length in [1 << 20, 1 << 24, u64::MAX, 1 << 63] {
        is_refused(&[&length.to_le_bytes()[..], b"{}"].concat(), &["not a .safetensors file"]);
    }
}

#[test]
fn a_checkpoint_of_impossible_shapes_or_another_version_is_refused() {
    let directory = Directory::new();
    let header = "{\"__metadata__\":{\"antiphon\":\"checkpoint 2\",\"antiphon.checksum\":\"CHECK\"},\"params.0\":\
                  {\"dtype\":\"F64\",\"shape\":[0,18446744073709551615],\"data_offsets\":[0,0]}}";
    // Its checksum is right.
    let zeros = with_header(&header.replace("CHECK", &"0".repeat(64)), &[]);
    let text =
        String::from_utf8_lossy(&zeros[8..]).replace(&"0".repeat(64), blake3::hash(&zeros).to_hex().as_str());
    let path = directory.file("checkpoint", &with_header(&text, &[]));
    assert_eq!(read_metadata(&path).unwrap(), Metadata::new());
    let (mut params, mut state) = (vec![NdArray::<f64>::zeros(&[0])], Vec::<f64>::new());
    refused(load_checkpoint(&path, &mut params, &mut state), &path, &["[0, 18446744073709551615]"]);
    for (from, to, part) in [
        ("checkpoint 2", "checkpoint 1", "is \"checkpoint 1\""),
        ("antiphon.checksum", "antiphon.checksums", "without its checksum"),
    ] {
        let path = directory.file("checkpoint", &with_header(&text.replace(from, to), &[]));
        refused(read_metadata(&path), &path, &[part]);
        refused(load_checkpoint(&path, &mut params, &mut state), &path, &[part]);
    }
}

/// What the user's own metadata say may look like the checksum.
#[test]
fn metadata_may_look_like_a_checksum() {
    let directory = Directory::new();
    let path = directory.at("checkpoint");
    let look = format!("\"antiphon.checksum\":\"{}\"", "0".repeat(64));
    let metadata = Metadata::from([(look.clone(), look.clone()), ("a".into(), format!("\\{look}"))]);
    save_checkpoint(&path, &1.0, &2.0, &metadata).unwrap();
    let (mut params, mut state) = (0.0, 0.0);
    assert_eq!(load_checkpoint(&path, &mut params, &mut state).unwrap(), metadata);
    assert_eq!((params, state), (1.0, 2.0));
}

/// Of two files that have nothing in common the beginning is told.
#[test]
fn long_lists_of_differences_are_cut() {
    let directory = Directory::new();
    let many = vec![0.5; 1254];
    let [npz, safetensors] = ["model.npz", "model.safetensors"].map(|name| directory.at(name));
    save_npz(&npz, &many).unwrap();
    save_safetensors(&safetensors, &many).unwrap();
    let more = "is not a parameter; … and 1,234 more";
    refused(load_npz(&npz, &mut Vec::<f64>::new()), &npz, &[more]);
    refused(load_safetensors(&safetensors, &mut Vec::<f64>::new()), &safetensors, &[more]);
    save_npz(&npz, &Vec::<f64>::new()).unwrap();
    refused(load_npz(&npz, &mut many.clone()), &npz, &["0 is missing", "is missing; … and 1,234 more"]);
    // Names are of one line each, and not of any length.
    let name = format!("\u{1b}[2J\n{}", "x".repeat(5000));
    let array = described("(2,)", &[0; 16]);
    let path = directory.file("model.npz", &zip(&[(&name, &array, None)]).0);
    refused(load_npz(&path, &mut 0.0), &path, &["\\u{1b}[2J\\nxxx", "xxx… is not a parameter"]);
}

#[test]
fn two_leaves_of_one_name_are_not_loaded() {
    #[derive(Clone, Params)]
    struct Twice<T> {
        #[params(name = "b")]
        w: T,
        b: T,
    }
    let directory = Directory::new();
    let [npz, safetensors] = ["model.npz", "model.safetensors"].map(|name| directory.at(name));
    #[derive(Clone, Params)]
    struct Once<T> {
        b: T,
    }
    save_npz(&npz, &Once { b: 1.0 }).unwrap();
    save_safetensors(&safetensors, &Once { b: 1.0 }).unwrap();
    let mut twice = Twice { w: 0.0, b: 0.0 };
    refused(load_npz(&npz, &mut twice), &npz, &["two parameters are named b"]);
    refused(load_safetensors(&safetensors, &mut twice), &safetensors, &["two parameters are named b"]);
    refused(
        load_checkpoint(&safetensors, &mut twice, &mut 0.0),
        &safetensors,
        &["two parameters are named params.b"],
    );
}

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

/// Archives that NumPy or others write, which are not hostile at all, are still read.
#[test]
fn honest_archives_are_read() {
    let directory = Directory::new();
    let path = directory.at("model.npz");
    // In big-endian order, with a header of the second version, after something else, and with a comment at the end.
    let text = "{'descr': '>f8', 'fortran_order': False, 'shape': (2,), }\n";
    let mut array = npy(2, text.len() as u32, text);
    array.extend([1.5f64, -2.0].into_iter().flat_map(f64::to_be_bytes));
    let (mut bytes, _) = zip(&[("0.npy", &array, Some(&deflate(&array)))]);
    let end = bytes.len();
    bytes[end - 2..].copy_from_slice(&5u16.to_le_bytes());
    bytes.extend(b"hello");
    fs::write(&path, &bytes).unwrap();
    let mut model = vec![NdArray::<f64>::zeros(&[2])];
    load_npz(&path, &mut model).unwrap();
    assert_eq!(model, [NdArray::from(vec![1.5, -2.0])]);
    let mut npz = NpzWriter::new_compressed(Cursor::new(Vec::new()));
    npz.add_array("0", &arr1(&[0.5f32, 0.25])).unwrap();
    fs::write(&path, npz.finish().unwrap().into_inner()).unwrap();
    load_npz(&path, &mut model).unwrap();
    assert_eq!(model, [NdArray::from(vec![0.5, 0.25])]);
    // More elements than are read at once, in all formats.
    let large: Vec<NdArray<f64>> = vec![(0..200_000).map(f64::from).collect::<Vec<_>>().into()];
    let mut loaded = vec![NdArray::<f64>::zeros(&[200_000])];
    save_npz(&path, &large).unwrap();
    load_npz(&path, &mut loaded).unwrap();
    assert_eq!(loaded, large);
    let state = Adam::default().init(&large);
    save_checkpoint(&path, &large, &state, &Metadata::new()).unwrap();
    let mut loaded = vec![NdArray::<f64>::zeros(&[200_000])];
    load_checkpoint(&path, &mut loaded, &mut state.clone()).unwrap();
    assert_eq!(loaded, large);
}
