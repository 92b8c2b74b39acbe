//! Archives of arrays that claim what they do not hold, or hold what they do not claim.

use std::fs;
use std::io::{Cursor, Write};

use antiphon::io::{
    Metadata, load_checkpoint, load_npz, load_safetensors, save_checkpoint, save_npz, save_safetensors,
};
use antiphon::optim::{Adam, Optimizer};
use antiphon::{NdArray, Tensor};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use ndarray::arr1;
use ndarray_npy::NpzWriter;

use super::{Directory, refused, zeros};

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
