//! Files of every format, with some of their bytes changed.

use std::fmt::Debug;
use std::fs;
use std::io::Write;
use std::path::Path;

use antiphon::data::idx::Idx;
use antiphon::data::{Images, Treebank, read_glove};
use antiphon::io::{
    Import, Metadata, load_checkpoint, load_npz, load_safetensors, read_metadata, save_checkpoint, save_npz,
    save_safetensors,
};
use antiphon::{NdArray, Params, Result, Tensor};
use flate2::Compression;
use flate2::write::GzEncoder;
use ndarray_npy::NpzWriter;

use super::{Directory, Model, message, model, refusing, state};

/// How many cases of each format.
pub fn cases() -> u64 {
    std::env::var("CASES").map_or(1_000, |cases| cases.parse().expect("CASES is a number"))
}

/// A stream of numbers: SplitMix64 (Steele, Lea & Flood, *Fast splittable pseudorandom number generators*, 2014).
pub struct Choices(pub u64);

impl Choices {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        start..(start + self.below(33)).min(length)
    }
}

/// Numbers that are too large, wrap, or are one off.
const NUMBERS: [u64; 12] =
    [0, 1, 2, 0x7f, 0xff, 0x100, 0xffff, 1 << 31, 0xffff_ffff, 1 << 40, 1 << 63, u64::MAX];

/// Changes some bytes: flipped bits, ends cut off, pieces put in, taken out, repeated or moved, and numbers, binary or
/// written out, in the place of others.
pub fn mutate(bytes: &mut Vec<u8>, choices: &mut Choices) {
    for _ in 0..1 + choices.below(3) {
        let length = bytes.len();
        let at = choices.below(length);
        match choices.below(9) {
            _ if bytes.is_empty() => bytes.push(choices.next() as u8),
            0 | 1 => bytes[at] ^= 1 << choices.below(8),
            2 => bytes[at] = choices.next() as u8,
            3 => bytes.truncate(at),
            4 => {
                let piece: Vec<u8> = (0..1 + choices.below(16)).map(|_| choices.next() as u8).collect();
                bytes.splice(at..at, piece);
            }
            5 => drop(bytes.drain(choices.range(length))),
            6 => {
                let piece = bytes[choices.range(length)].to_vec();
                let place = choices.range(length);
                bytes.splice(place, piece);
            }
            7 => {
                let number = NUMBERS[choices.below(NUMBERS.len())];
                let width = 1 << choices.below(4);
                let number = if choices.below(2) == 0 {
                    number.to_le_bytes()
                } else {
                    number.swap_bytes().to_le_bytes()
                };
                for (to, byte) in bytes[at..].iter_mut().zip(&number[..width]) {
                    *to = *byte;
                }
            }
            _ => {
                let digits = |byte: &u8| byte.is_ascii_digit();
                let Some(start) = bytes[at..].iter().position(digits).map(|offset| at + offset) else {
                    continue;
                };
                let count = bytes[start..].iter().take_while(|byte| digits(byte)).count();
                let number = NUMBERS[choices.below(NUMBERS.len())].to_string();
                bytes.splice(start..start + count, number.into_bytes());
            }
        }
    }
}

/// Loads mutations of a file; what is not refused has to be `sound`, of the bytes and what they were read as.
fn mutations<T: Debug>(
    path: &Path,
    load: impl Fn(&Path) -> Result<T>,
    sound: impl Fn(&T) -> bool,
) -> [u64; 2] {
    let whole = fs::read(path).unwrap();
    assert!(sound(&load(path).unwrap()));
    let mut outcomes = [0; 2];
    for seed in 0..cases() {
        let mut bytes = whole.clone();
        mutate(&mut bytes, &mut Choices(seed));
        if bytes == whole {
            continue;
        }
        write_anew(path, &bytes);
        match load(path) {
            Ok(loaded) => {
                assert!(sound(&loaded), "mutation {seed} of {} is {loaded:?}", path.display());
                outcomes[0] += 1;
            }
            Err(error) => {
                message::<()>(Err(error), path);
                outcomes[1] += 1;
            }
        }
        refusing::assert_nothing_was_refused();
    }
    assert!(outcomes[1] > cases() / 4, "{}: {outcomes:?} were read and refused", path.display());
    outcomes
}

/// Writes a file that is not there: some file systems wait for the disk when one that is there is cut and written
/// again.
fn write_anew(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

fn zeros() -> Model {
    model().map_leaves(|leaf| NdArray::zeros(&leaf.shape()))
}

/// Loads into zeros, which stay if the file is refused.
fn load(path: &Path, load: impl Fn(&Path, &mut Model) -> Result<()>) -> Result<Model> {
    let mut loaded = zeros();
    let outcome = load(path, &mut loaded);
    if outcome.is_err() {
        assert_eq!(loaded, zeros(), "a file that is refused changes nothing");
    }
    outcome.map(|()| loaded)
}

#[test]
fn npz() {
    let directory = Directory::new();
    let stored = directory.at("stored.npz");
    save_npz(&stored, &model()).unwrap();
    let deflated = directory.at("deflated.npz");
    let mut npz = NpzWriter::new_compressed(fs::File::create(&deflated).unwrap());
    model().visit(&mut |name, leaf| npz.add_array(name.to_string(), &leaf.view()).unwrap());
    npz.finish().unwrap();
    for path in [stored, deflated] {
        // Each array has its checksum, so what is loaded is what was saved.
        mutations(&path, |path| load(path, |path, model| load_npz(path, model)), |loaded| *loaded == model());
    }
}

#[test]
fn safetensors() {
    let directory = Directory::new();
    let path = directory.at("model.safetensors");
    save_safetensors(&path, &model()).unwrap();
    let sound = |loaded: &Model| loaded.shapes() == model().shapes();
    let [read, _] = mutations(&path, |path| load(path, |path, model| load_safetensors(path, model)), sound);
    assert!(read > 0, "without a checksum, another element is as good as any");
}

/// Half precision, integers, arrays that are passed over, and one that is transposed.
#[test]
fn imported_safetensors() {
    let directory = Directory::new();
    let whole = fs::read("tests/reference/pretrained.safetensors").unwrap();
    let path = directory.file("pretrained.safetensors", &whole);
    let zeros = || -> Model { vec![NdArray::zeros(&[3, 4]), NdArray::zeros(&[]), NdArray::zeros(&[3])] };
    let names = ["fc.weight", "features.1.num_batches_tracked", "features.0.bias"];
    let import = Import::new().names(|leaf| Some(names[leaf.parse::<usize>().unwrap()].into()));
    let import = import.transposed("0").integers_as_reals("1").allow_missing().allow_unused();
    let load = |path: &Path| {
        let mut model = zeros();
        let report = import.load_safetensors(path, &mut model);
        if report.is_err() {
            assert_eq!(model, zeros(), "a file that is refused changes nothing");
        }
        report.map(|report| (report, model))
    };
    let [read, _] = mutations(&path, load, |(report, model)| {
        let missing = |name: &str| report.missing.iter().any(|(leaf, _)| leaf == name);
        let kept = model.iter().enumerate().all(|(i, leaf)| !missing(&i.to_string()) || *leaf == zeros()[i]);
        kept && model.shapes() == zeros().shapes() && report.loaded.len() + report.missing.len() == 3
    });
    assert!(read > 0, "without a checksum, another element is as good as any");
}

/// A checkpoint in which any byte has changed is refused: it has a checksum of the whole file.
#[test]
fn checkpoints() {
    let directory = Directory::new();
    let path = directory.at("checkpoint.safetensors");
    let metadata = Metadata::from([("step".into(), "12".into()), ("text".into(), "\"ü\"\n".into())]);
    save_checkpoint(&path, &model(), &state(), &metadata).unwrap();
    let read = |path: &Path| {
        let found = read_metadata(path);
        let loaded = load(path, |path, model| {
            let mut state = state().map_leaves(|leaf| NdArray::<f64>::zeros(&leaf.shape()));
            load_checkpoint(path, model, &mut state).map(|loaded| assert_eq!(loaded, metadata))
        });
        assert!(found.is_err() || loaded.is_ok(), "its metadata are read, but not its arrays");
        loaded.and(found)
    };
    assert_eq!(mutations(&path, read, |found| *found == metadata)[0], 0, "read though they had changed");
}

/// Every bit of a checkpoint, each alone.
#[test]
fn no_flipped_bit_of_a_checkpoint_is_read() {
    let directory = Directory::new();
    let path = directory.at("checkpoint.safetensors");
    let metadata = Metadata::from([("settings".into(), "{\"hidden\":8}".into())]);
    save_checkpoint(&path, &vec![0.5, -1.0], &0.25, &metadata).unwrap();
    let whole = fs::read(&path).unwrap();
    assert!(8 * whole.len() > 1000);
    for bit in 0..8 * whole.len() {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        write_anew(&path, &bytes);
        let (mut params, mut state) = (vec![0.0; 2], 0.0);
        message(load_checkpoint(&path, &mut params, &mut state), &path);
        assert_eq!((params, state), (vec![0.0; 2], 0.0), "bit {bit}");
        message(read_metadata(&path), &path);
    }
}

fn idx() -> Idx {
    Idx { shape: vec![5, 3, 2], elements: (0..30).collect() }
}

#[test]
fn idx_files() {
    let directory = Directory::new();
    let plain = directory.at("images");
    idx().save(&plain).unwrap();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&fs::read(&plain).unwrap()).unwrap();
    let compressed = directory.file("images.gz", &gzip.finish().unwrap());
    let sound = |idx: &Idx| idx.elements.len() == idx.shape.iter().product::<usize>();
    for path in [plain, compressed] {
        mutations(&path, |path| Idx::open(path, 3), sound);
    }
}

#[test]
fn labelled_images() {
    let directory = Directory::new();
    let [images, labels] = ["images", "labels"].map(|name| directory.at(name));
    Images::draw(6, 1).save(&images, &labels).unwrap();
    let sound = |images: &Images| images.labels().iter().all(|&label| label < 10) && !images.is_empty();
    mutations(&labels, |labels| Images::open(&images, labels), sound);
}

#[test]
fn word_vectors() {
    let directory = Directory::new();
    let text = "the 0.5 -1 2e-3\n. . . 1 2 3\ncat 0.125 0.25 0.5\n3 4 5 6\r\n";
    let path = directory.file("glove.txt", text.as_bytes());
    let words = ["the", ". . .", "3", "dog"].map(String::from);
    let sound = |rows: &Vec<Option<Vec<f64>>>| {
        rows.iter().flatten().all(|row| row.len() == 3 && row.iter().all(|x| x.is_finite()))
    };
    mutations(&path, |path| read_glove(path, 3, &words), sound);
}

#[test]
fn treebanks() {
    let directory = Directory::new();
    let path = directory.file("trees.txt", Treebank::generate(4, 1).to_text().as_bytes());
    let sound = |bank: &Treebank| Treebank::parse("again", &bank.to_text()).is_ok_and(|again| again == *bank);
    mutations(
        &path,
        |path| Treebank::open(path),
        |bank| bank.trees().iter().all(|tree| tree.labels().iter().all(|&label| label < 5)) && sound(bank),
    );
}
