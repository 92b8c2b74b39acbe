//! Files: what is written comes back, and what is not right is refused by name.

use std::fs;
use std::path::Path;

use antiphon::io::{
    Metadata, Stored, load_checkpoint, load_npz, load_safetensors, read_metadata, save_checkpoint, save_npz,
    save_safetensors,
};
use antiphon::optim::{Adam, OptState, Optimizer};
use antiphon::{Error, Float, NdArray, Params, Result, Tensor};
use ndarray::{arr1, arr2};
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
        // Infinity is a number of both; a finite one that is too large for the model is an error, and nothing changes.
        let endless = Model { wx: f64::INFINITY, layers: vec![f64::from(f32::MAX)] };
        let too_large = Model { wx: 1e39, layers: vec![2.0] };
        let load = |wide: &Model<f64>, model: &mut Model<f32>| match kind {
            "npz" => save_npz(&path, wide).and_then(|()| load_npz(&path, model)),
            _ => save_safetensors(&path, wide).and_then(|()| load_safetensors(&path, model)),
        };
        let mut model = Model { wx: 1.0, layers: vec![1.0] };
        load(&endless, &mut model).unwrap();
        assert_eq!(model, Model { wx: f32::INFINITY, layers: vec![f32::MAX] });
        let error = load(&too_large, &mut model).unwrap_err().to_string();
        assert!(error.contains("Wx") && error.contains("1e39 is more than"), "{error}");
        assert_eq!(model, Model { wx: f32::INFINITY, layers: vec![f32::MAX] });
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
fn metadata_that_could_not_be_read_again_are_not_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoint");
    save_checkpoint(&path, &1.0, &2.0, &metadata(1)).unwrap();
    let much = Metadata::from([("much".into(), " ".repeat(5 << 20))]);
    let error = save_checkpoint(&path, &1.0, &2.0, &much).unwrap_err().to_string();
    assert!(error.contains("cannot be written") && error.contains("4194304"), "{error}");
    assert_eq!(read_metadata(&path).unwrap(), metadata(1));
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

/// Arrays of all ranks, some empty, one whose memory is not in row-major order.
fn arrays<E: Float>() -> Vec<NdArray<E>>
where
    NdArray<E>: Tensor,
{
    let matrix = NdArray::<E>::from_elements(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    let tensor = matrix.reshape(&[1, 2, 3, 1]);
    vec![
        matrix.transpose(),
        matrix,
        tensor,
        NdArray::zeros(&[0, 4]),
        NdArray::full(&[], 7.5),
        NdArray::ones(&[2]),
    ]
}

#[test]
fn arrays_of_all_shapes_come_back() {
    fn check<E: Float>(directory: &Path)
    where
        NdArray<E>: Tensor + Stored,
    {
        let zeros = || arrays::<E>().map_leaves(|x| NdArray::<E>::zeros(&x.shape()));
        let path = directory.join("file");
        let mut loaded = zeros();
        save_safetensors(&path, &arrays::<E>()).unwrap();
        load_safetensors(&path, &mut loaded).unwrap();
        assert_eq!(loaded, arrays::<E>());
        let mut loaded = zeros();
        save_npz(&path, &arrays::<E>()).unwrap();
        load_npz(&path, &mut loaded).unwrap();
        assert_eq!(loaded, arrays::<E>());
        let (mut loaded, mut state) = (zeros(), (zeros(), NdArray::<E>::scalar(E::from_f64(0.0))));
        let saved = (arrays::<E>(), NdArray::scalar(E::from_f64(3.0)));
        save_checkpoint(&path, &arrays::<E>(), &saved, &metadata(3)).unwrap();
        load_checkpoint(&path, &mut loaded, &mut state).unwrap();
        assert_eq!((loaded, state), (arrays::<E>(), saved));
    }
    let directory = tempfile::tempdir().unwrap();
    check::<f32>(directory.path());
    check::<f64>(directory.path());
}

/// As NumPy writes an array in Fortran's order.
#[test]
fn column_major_archives_are_read_as_what_they_mean() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fortran.npz");
    let matrix = arr2(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    let mut npz = NpzWriter::new(fs::File::create(&path).unwrap());
    npz.add_array("0", &matrix.t().as_standard_layout().reversed_axes()).unwrap();
    npz.finish().unwrap();
    let bytes = fs::read(&path).unwrap();
    assert!(bytes.windows(22).any(|window| window == b"'fortran_order': True,"));
    let mut loaded = vec![NdArray::<f64>::zeros(&[2, 3])];
    load_npz(&path, &mut loaded).unwrap();
    assert_eq!(loaded, [NdArray::from(matrix)]);
}
