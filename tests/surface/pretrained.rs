//! Weights that PyTorch has saved.

use std::path::{Path, PathBuf};

use antiphon::io::{Import, Imported, load_safetensors};
use antiphon::nn::{Conv2d, Linear};
use antiphon::{NdArray, Params, Tensor, Window2d};

use super::reference::{Array, Reference, assert_close};

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/pretrained.safetensors")
}

#[derive(Clone, Debug, Params)]
struct Network<T> {
    conv: Conv2d<T>,
    mean: T,
    fc: Linear<T>,
    /// For another task than PyTorch's.
    head: Linear<T>,
}

fn network() -> Network<Array> {
    let linear = |inputs, outputs| Linear {
        w: Array::zeros(&[inputs, outputs]),
        b: Some(Array::full(&[outputs], 9.0)),
    };
    Network {
        conv: Conv2d {
            kernel: Array::zeros(&[3, 2, 2, 2]),
            b: Array::zeros(&[3]),
            window: Window2d::default(),
        },
        mean: Array::zeros(&[3]),
        fc: linear(3, 4),
        head: linear(4, 2),
    }
}

/// PyTorch's name of a leaf.
fn torch_name(leaf: &str) -> Option<String> {
    Some(match leaf {
        "conv.kernel" => "features.0.weight".into(),
        "conv.b" => "features.0.bias".into(),
        "mean" => "features.1.running_mean".into(),
        "head.w" | "head.b" => return None,
        _ => leaf.replace(".w", ".weight").replace(".b", ".bias"),
    })
}

#[test]
fn weights_of_pytorch_are_taken_over_in_every_precision() {
    let values = Reference::of("pretrained");
    let mut network = network();
    let import = Import::new().names(torch_name).transposed("fc.w").allow_unused();
    let report = import.load_safetensors(file(), &mut network).unwrap();
    for (leaf, name) in [
        (&network.conv.kernel, "features.0.weight"),
        (&network.conv.b, "features.0.bias"),
        (&network.mean, "features.1.running_mean"),
        (&network.fc.w.transpose(), "fc.weight"),
        (network.fc.b.as_ref().unwrap(), "fc.bias"),
    ] {
        assert_eq!(*leaf, values.at(name), "{name}");
    }
    assert_eq!(network.head.w, Array::zeros(&[4, 2]), "it was to stay");
    let loaded: Vec<&str> = report.loaded.iter().map(|Imported { leaf, .. }| leaf.as_str()).collect();
    assert_eq!(loaded, ["conv.kernel", "conv.b", "mean", "fc.w", "fc.b"]);
    assert_eq!(report.kept, ["head.w", "head.b"]);
    assert!(report.missing.is_empty());
    let unused: Vec<String> = report.unused.iter().map(ToString::to_string).collect();
    assert_eq!(unused, ["features.1.num_batches_tracked: I64[]", "head.weight: F32[10, 4]", "mask: BOOL[3]"]);
    let text = report.to_string();
    for line in [
        "loaded   fc.w from fc.weight: BF16[4, 3], axes [1, 0]\n",
        "loaded   conv.b from features.0.bias: F16[3]\n",
        "kept     head.w\n",
        "unused   mask: BOOL[3]\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn single_precision_gets_the_nearest_numbers() {
    let mut single = network().map_leaves(|leaf| NdArray::<f32>::zeros(&leaf.shape()));
    let import = Import::new().names(torch_name).permuted("fc.*w", &[1, 0]).allow_unused();
    import.load_safetensors(file(), &mut single).unwrap();
    let bias = Reference::of("pretrained").at("fc.bias");
    let nearest: Vec<f32> = bias.view().iter().map(|&x| x as f32).collect();
    assert_eq!(single.fc.b.unwrap(), nearest.into());
}

#[test]
fn integers_are_loaded_where_that_is_asked_for() {
    #[derive(Clone, Debug, PartialEq, Params)]
    struct Counters<T> {
        steps: T,
        mask: T,
    }
    let zeros = || Counters { steps: Array::zeros(&[]), mask: Array::zeros(&[3]) };
    let names = |leaf: &str| {
        Some(if leaf == "steps" { "features.1.num_batches_tracked" } else { "mask" }.to_string())
    };
    let mut counters = zeros();
    let error = Import::new().names(names).allow_unused().integers_as_reals("mask");
    let error = error.load_safetensors(file(), &mut counters).unwrap_err().to_string();
    assert!(error.contains("steps holds I64 numbers, but should hold F16, BF16, F32 or F64"), "{error}");
    assert_eq!(counters, zeros());
    let import = Import::new().names(names).allow_unused().integers_as_reals("*");
    import.load_safetensors(file(), &mut counters).unwrap();
    assert_eq!(counters, Counters { steps: Array::scalar(17.0), mask: vec![1.0, 0.0, 1.0].into() });
}

#[test]
fn one_array_may_be_that_of_several_leaves() {
    let mut tied = (Array::zeros(&[4, 3]), Array::zeros(&[3, 4]), Array::zeros(&[4, 3]));
    let import = Import::new().names(|_| Some("fc.weight".into())).transposed("1").allow_unused();
    import.load_safetensors(file(), &mut tied).unwrap();
    let expected = Reference::of("pretrained").at("fc.weight");
    assert_close(&tied.1, &expected.transpose(), "transposed");
    assert_eq!([tied.0, tied.2], [expected.clone(), expected]);
}

/// Each thing that is not allowed is an error that says so, and changes nothing.
#[test]
fn what_is_not_allowed_is_refused_and_nothing_changes() {
    let before = network().leaves();
    let refused = |import: Import<'_>, parts: &[&str]| {
        let mut network = network();
        let error = import.load_safetensors(file(), &mut network).unwrap_err().to_string();
        assert!(error.contains("pretrained.safetensors: "), "{error}");
        for part in parts {
            assert!(error.contains(part), "{error:?} lacks {part:?}");
        }
        assert_eq!(network.leaves(), before);
    };
    let named = || Import::new().names(torch_name);
    refused(
        Import::new(),
        &["conv.kernel is missing", "mask is not a parameter", "head.weight is not a parameter"],
    );
    refused(named(), &["mask is not a parameter", "fc.w has shape [4, 3] but should have [3, 4]"]);
    refused(named().transposed("fc.w"), &["features.1.num_batches_tracked is not a parameter"]);
    refused(
        named().allow_unused().transposed("fc.b"),
        &["fc.b of shape [4] has no two axes to be transposed"],
    );
    refused(named().permuted("fc.w", &[0, 0]), &["fc.w of shape [3, 4] has other axes than the order"]);
    refused(named().transposed("fc.weight"), &["no parameter's name matches \"fc.weight\""]);
    refused(named().integers_as_reals("body.*"), &["no parameter's name matches \"body.*\""]);
    let elsewhere = |leaf: &str| Some(format!("model.{leaf}"));
    refused(
        Import::new().names(elsewhere).allow_unused(),
        &["conv.kernel is missing (as model.conv.kernel)"],
    );
    refused(
        Import::new().names(elsewhere).allow_unused().allow_missing(),
        &["it has none of the parameters"],
    );
    let mut network = network();
    assert!(load_safetensors(file(), &mut network).is_err(), "strict stays strict");
}

#[test]
fn parts_are_taken_and_the_rest_is_listed() {
    let mut network = network();
    let import = Import::new().allow_missing().allow_unused();
    let report = import.load_safetensors(file(), &mut vec![network.clone()]).unwrap_err();
    assert!(report.to_string().contains("none of the parameters"), "{report}");
    let names = |leaf: &str| Some(leaf.replace("fc.b", "fc.bias"));
    let report = Import::new().names(names).allow_missing().allow_unused();
    let report = report.load_safetensors(file(), &mut network).unwrap();
    assert_eq!(report.loaded.len(), 1);
    assert_eq!(report.missing.len(), 6);
    assert_eq!(report.missing[0], ("conv.kernel".into(), vec![3, 2, 2, 2]));
    assert_close(network.fc.b.as_ref().unwrap(), &Reference::of("pretrained").at("fc.bias"), "fc.b");
    assert_eq!(network.conv.kernel, Array::zeros(&[3, 2, 2, 2]));
}
