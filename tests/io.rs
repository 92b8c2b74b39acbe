//! Files: what is written comes back, what is not right is refused by name, and nothing is ever half-written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use antiphon::io::{
    Metadata, load_checkpoint, load_npz, load_safetensors, read_metadata, save_checkpoint, save_npz,
    save_safetensors, write_atomically,
};
use antiphon::optim::{Adam, OptState, Optimizer};
use antiphon::{Error, Params, Result};
use ndarray::{Array2, ArrayD, arr1, arr2};
use ndarray_npy::{NpzReader, NpzWriter};
use safetensors::tensor::{Dtype, TensorView};

#[derive(Clone, Debug, PartialEq, Params)]
struct Model<T> {
    #[params(name = "Wx")]
    wx: T,
    layers: Vec<T>,
}

fn model() -> Model<f64> {
    Model { wx: 0.1, layers: vec![-2.5, 1e300] }
}

fn blank<T: Default + Clone>() -> Model<T> {
    Model { wx: T::default(), layers: vec![T::default(); 2] }
}

fn metadata(step: u64) -> Metadata {
    Metadata::from([("step".into(), step.to_string()), ("text".into(), "\"ü\"\n".into())])
}

/// The `.safetensors` bytes of such tensors.
fn safetensors(tensors: &[(&str, Dtype, &[usize], &[u8])]) -> Vec<u8> {
    let views = tensors
        .iter()
        .map(|&(name, dtype, shape, data)| (name, TensorView::new(dtype, shape.to_vec(), data).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

/// Loads bytes as a file of each kind.
fn load(directory: &Path, kind: &str, bytes: &[u8]) -> (Result<()>, Model<f64>) {
    let path = directory.join(format!("weights.{kind}"));
    fs::write(&path, bytes).unwrap();
    let mut loaded = blank();
    let result = match kind {
        "npz" => load_npz(&path, &mut loaded),
        "safetensors" => load_safetensors(&path, &mut loaded),
        _ => load_checkpoint(&path, &mut loaded, &mut Adam::default().init(&blank::<f64>())).map(drop),
    };
    (result, loaded)
}

/// What has to be in the message of a refusal, which has to leave the structure alone.
#[track_caller]
fn assert_refused(directory: &Path, kind: &str, bytes: &[u8], parts: &[&str]) {
    let (result, loaded) = load(directory, kind, bytes);
    let error = result.expect_err("a file that should be refused");
    assert!(matches!(error, Error::Format { .. }), "{error:?}");
    let message = error.to_string();
    for part in [&*format!("weights.{kind}")].iter().chain(parts) {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
    assert_eq!(loaded, blank());
}

#[test]
fn parameters_come_back_bit_by_bit() {
    let directory = tempfile::tempdir().unwrap();
    let odd = Model { wx: f64::MIN_POSITIVE / 8.0, layers: vec![-0.0, f64::INFINITY] };
    for original in [model(), odd] {
        let path = directory.path().join("model.safetensors");
        save_safetensors(&path, &original).unwrap();
        let mut loaded = blank();
        load_safetensors(&path, &mut loaded).unwrap();
        let bits = |model: &Model<f64>| model.map_leaves(|x| x.to_bits() as f64).leaves();
        assert_eq!(bits(&loaded), bits(&original));
        let path = directory.path().join("model.npz");
        save_npz(&path, &original).unwrap();
        let mut loaded = blank();
        load_npz(&path, &mut loaded).unwrap();
        assert_eq!(bits(&loaded), bits(&original));
    }
}

#[test]
fn values_are_converted_to_the_models_precision() {
    let directory = tempfile::tempdir().unwrap();
    let narrow: Model<f32> = Model { wx: 0.1, layers: vec![-2.5, 3e38] };
    for kind in ["safetensors", "npz"] {
        let path = directory.path().join(kind);
        let (mut wide, mut back) = (blank::<f64>(), blank::<f32>());
        match kind {
            "npz" => {
                save_npz(&path, &narrow).unwrap();
                load_npz(&path, &mut wide).unwrap();
                save_npz(&path, &wide).unwrap();
                load_npz(&path, &mut back).unwrap();
            }
            _ => {
                save_safetensors(&path, &narrow).unwrap();
                load_safetensors(&path, &mut wide).unwrap();
                save_safetensors(&path, &wide).unwrap();
                load_safetensors(&path, &mut back).unwrap();
            }
        }
        assert_eq!(wide, narrow.map_leaves(|x| f64::from(*x)));
        assert_eq!(back, narrow);
    }
}

#[test]
fn npz_names_are_the_fields_and_numpys_variants_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.npz");
    save_npz(&path, &model()).unwrap();
    let mut names = NpzReader::new(fs::File::open(&path).unwrap()).unwrap().names().unwrap();
    names.sort();
    assert_eq!(names, ["Wx", "layers.0", "layers.1"]);

    let mut npz = NpzWriter::new_compressed(fs::File::create(&path).unwrap());
    for (name, x) in [("layers.1", 3.0f32), ("Wx", 1.0), ("layers.0", 2.0)] {
        npz.add_array(name, &ndarray::arr0(x)).unwrap();
    }
    npz.finish().unwrap();
    let mut loaded = blank::<f64>();
    load_npz(&path, &mut loaded).unwrap();
    assert_eq!(loaded.leaves(), [1.0, 2.0, 3.0]);
}

#[test]
fn a_training_goes_on_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoint.safetensors");
    let adam = Adam::default();
    let grads = |step: u64| Model { wx: step as f64, layers: vec![1.0 / (step + 1) as f64, -0.3] };
    let train = |steps: std::ops::Range<u64>, params: &mut Model<f64>, state: &mut OptState<Model<f64>>| {
        for step in steps {
            adam.update(state, params, &grads(step), &0.01).unwrap();
        }
    };
    let (mut straight, mut straight_state) = (model(), adam.init(&model()));
    train(0..10, &mut straight, &mut straight_state);

    let (mut params, mut state) = (model(), adam.init(&model()));
    train(0..4, &mut params, &mut state);
    // The state may be any structure, here with a hidden state beside the optimiser's.
    save_checkpoint(&path, &params, &(state, 0.25), &metadata(4)).unwrap();

    assert_eq!(read_metadata(&path).unwrap(), metadata(4));
    let (mut params, mut state) = (blank(), (adam.init(&blank()), 0.0));
    assert_eq!(load_checkpoint(&path, &mut params, &mut state).unwrap(), metadata(4));
    assert_eq!(state.1, 0.25);
    train(4..10, &mut params, &mut state.0);
    assert_eq!(params, straight);
    assert_eq!(state.0.leaves(), straight_state.leaves());
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let path = directory.join("whole");
    let state = Adam::default().init(&model());
    for kind in ["safetensors", "checkpoint", "npz"] {
        match kind {
            "safetensors" => save_safetensors(&path, &model()).unwrap(),
            "checkpoint" => save_checkpoint(&path, &model(), &state, &metadata(1)).unwrap(),
            _ => save_npz(&path, &model()).unwrap(),
        }
        let whole = fs::read(&path).unwrap();
        assert!(load(directory, kind, &whole).0.is_ok());
        for length in 0..whole.len() {
            assert_refused(directory, kind, &whole[..length], &[]);
        }
    }
}

#[test]
fn a_damaged_archive_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("whole");
    save_npz(&path, &model()).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let needle = 1e300f64.to_le_bytes();
    let position = bytes.windows(8).position(|window| window == needle).unwrap();
    bytes[position] ^= 1;
    assert_refused(directory.path(), "npz", &bytes, &["layers.1", "damaged"]);
}

#[test]
fn foreign_files_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let text = "To be, or not to be, that is the question: whether 'tis nobler in the mind".as_bytes();
    for foreign in [text, &[0; 100], &[0xff; 100], b"", b"PK\x03\x04", b"\x93NUMPY\x01\0v\0{'descr': '<f8'}"]
    {
        assert_refused(directory, "npz", foreign, &["not a .npz file"]);
        assert_refused(directory, "safetensors", foreign, &["not a .safetensors file"]);
        assert_refused(directory, "checkpoint", foreign, &["not a .safetensors file"]);
    }
    // The header is right, but not its contents.
    let mut header = 2u64.to_le_bytes().to_vec();
    header.extend(b"[]");
    assert_refused(directory, "safetensors", &header, &["not a .safetensors file"]);
    // Parameters alone are no checkpoint.
    let path = directory.join("whole");
    save_safetensors(&path, &model()).unwrap();
    assert_refused(directory, "checkpoint", &fs::read(&path).unwrap(), &["not a checkpoint"]);
}

#[test]
fn leaves_that_do_not_fit_are_all_named() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let parts =
        ["Wx has shape [2, 1] but should have []", "layers.1 is missing", "layers.2 is not a parameter"];
    let bytes = safetensors(&[
        ("Wx", Dtype::F64, &[2, 1], &[0; 16]),
        ("layers.0", Dtype::F64, &[], &[0; 8]),
        ("layers.2", Dtype::F64, &[], &[0; 8]),
    ]);
    assert_refused(directory, "safetensors", &bytes, &parts);

    let path = directory.join("made.npz");
    let mut npz = NpzWriter::new(fs::File::create(&path).unwrap());
    npz.add_array("Wx", &arr2(&[[1.0], [2.0]])).unwrap();
    npz.add_array("layers.0", &ndarray::arr0(1.0)).unwrap();
    npz.add_array("layers.2", &ndarray::arr0(1.0)).unwrap();
    npz.finish().unwrap();
    assert_refused(directory, "npz", &fs::read(&path).unwrap(), &parts);
}

#[test]
fn numbers_of_other_types_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    for (dtype, name) in [(Dtype::I64, "I64"), (Dtype::C64, "C64")] {
        let bytes = safetensors(&[("Wx", dtype, &[], &[0; 8])]);
        assert_refused(directory, "safetensors", &bytes, &["Wx holds", name, "F32 or F64"]);
    }
    let path = directory.join("made.npz");
    let mut npz = NpzWriter::new(fs::File::create(&path).unwrap());
    npz.add_array("Wx", &arr1(&[1i64, 2])).unwrap();
    npz.finish().unwrap();
    assert_refused(directory, "npz", &fs::read(&path).unwrap(), &["Wx holds", "<i8", "<f4"]);
}

#[test]
fn a_checkpoint_of_another_optimiser_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("weights.checkpoint");
    let state = antiphon::optim::Adagrad::default().init(&model());
    save_checkpoint(&path, &model(), &state, &metadata(1)).unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_refused(
        directory.path(),
        "checkpoint",
        &bytes,
        &["state.exp_avg.Wx is missing", "state.sum.Wx is not a parameter"],
    );
}

#[test]
fn two_leaves_of_one_name_are_not_saved() {
    #[derive(Clone, Params)]
    struct Twice<T> {
        #[params(name = "b")]
        w: T,
        b: T,
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("twice");
    for result in [
        save_npz(&path, &Twice { w: 1.0, b: 2.0 }),
        save_safetensors(&path, &Twice { w: 1.0, b: 2.0 }),
        save_checkpoint(&path, &Twice { w: 1.0, b: 2.0 }, &0.0, &Metadata::new()),
    ] {
        let message = result.unwrap_err().to_string();
        assert!(message.contains("two parameters are named"), "{message}");
    }
    assert!(!path.exists());
}

#[test]
fn a_place_where_nothing_can_be_written_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("no/such/directory/model.npz");
    for path in [&missing, directory.path(), Path::new("/dev/null")] {
        let error = save_npz(path, &model()).unwrap_err();
        assert!(matches!(&error, Error::Io { path: named, .. } if named == path), "{error:?}");
        let error = load_npz(path, &mut blank::<f64>()).unwrap_err();
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

/// This test program, running one of the `#[ignore]`d tests below on a file.
fn child(test: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored"]).env("ANTIPHON_TEST_FILE", path);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn childs_file() -> PathBuf {
    std::env::var_os("ANTIPHON_TEST_FILE").expect("run by another test").into()
}

/// Parameters of 200 kB, all of them `value`.
fn large(value: f64) -> Vec<f64> {
    vec![value; 3000]
}

#[cfg(unix)]
#[test]
#[ignore = "run by a_full_disk_leaves_the_old_file"]
fn child_with_a_full_disk() {
    // SAFETY: the process runs this test only; ignoring the signal makes the write fail with EFBIG, as a full
    // disk makes it fail with ENOSPC.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        let limit = libc::rlimit { rlim_cur: 4096, rlim_max: 4096 };
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
    }
    let path = childs_file();
    for result in [
        save_checkpoint(&path, &large(2.0), &0.0, &metadata(2)),
        save_safetensors(&path, &large(2.0)),
        save_npz(&path, &large(2.0)),
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
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoint");
    save_checkpoint(&path, &large(1.0), &0.5, &metadata(1)).unwrap();
    assert!(child("child_with_a_full_disk", &path).status().unwrap().success());
    let (mut params, mut state) = (large(0.0), 0.0);
    assert_eq!(load_checkpoint(&path, &mut params, &mut state).unwrap(), metadata(1));
    assert_eq!((params, state), (large(1.0), 0.5));
    assert_eq!(only_files(directory.path()), ["checkpoint", "small"]);
}

#[test]
#[ignore = "run by a_kill_at_any_moment_leaves_a_whole_file"]
fn child_that_saves_for_ever() {
    let path = childs_file();
    for step in 1.. {
        save_checkpoint(&path, &large(step as f64), &(step as f64), &metadata(step)).unwrap();
    }
}

#[test]
fn a_kill_at_any_moment_leaves_a_whole_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoint");
    save_checkpoint(&path, &large(0.0), &0.0, &metadata(0)).unwrap();
    let mut steps = BTreeMap::new();
    for kill in 0..12 {
        let mut child = child("child_that_saves_for_ever", &path).spawn().unwrap();
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

/// The arrays of a file that NumPy would write in Fortran's order.
#[test]
fn column_major_archives_are_read_in_row_major_order() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fortran.npz");
    let matrix: Array2<f64> = arr2(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    let mut npz = NpzWriter::new(fs::File::create(&path).unwrap());
    npz.add_array("w", &matrix.t().as_standard_layout().to_owned().reversed_axes()).unwrap();
    npz.finish().unwrap();
    let read: ArrayD<f64> = NpzReader::new(fs::File::open(&path).unwrap()).unwrap().by_name("w").unwrap();
    assert_eq!(read, matrix.into_dyn());
}
