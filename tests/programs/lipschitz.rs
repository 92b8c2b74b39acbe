//! The example `lipschitz`: its report, its tables, and files that are none.

use std::fs::File;
use std::path::Path;

use ndarray::{Array1, Array2, array};
use ndarray_npy::NpzWriter;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{example, fail, succeed};

/// Runs the example in a directory; its report.
fn run(directory: &Path, flags: &[&str]) -> Value {
    let report = directory.join("report.json");
    let mut command = example("lipschitz");
    succeed(command.args(flags).arg("--report").arg(&report).arg("--out").arg(directory));
    serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap()
}

fn picture(directory: &Path, name: &str) -> String {
    let picture = std::fs::read_to_string(directory.join(name)).unwrap();
    assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
    picture
}

/// `|x|` as a network, with the bias of the first layer if that is asked for.
fn write(path: &Path, bias: bool) {
    let mut file = NpzWriter::new(File::create(path).unwrap());
    file.add_array("W1", &array![[1.0, -1.0]]).unwrap();
    if bias {
        file.add_array("b1", &Array1::<f32>::zeros(2)).unwrap();
    }
    file.add_array("W2", &array![[1.0], [1.0]]).unwrap();
    file.finish().unwrap();
}

#[test]
fn a_file_of_weights_has_a_report_of_all_bounds() {
    let directory = TempDir::new().unwrap();
    let weights = directory.path().join("weights.npz");
    for bias in [false, true] {
        write(&weights, bias);
        let report = run(directory.path(), &["--weights", weights.to_str().unwrap()]);
        let expected = [
            ("frobenius", 2.0, "upper bound"),
            ("auto_lip", 2.0, "upper bound"),
            ("eclipse_fast", 2f64.sqrt(), "upper bound"),
            ("eclipse", 1.0, "upper bound"),
            ("seq_lip_exact", 1.0, "upper bound"),
            ("seq_lip_greedy", 1.0, "estimate"),
            ("lipsdp_neuron", 1.0, "upper bound"),
            ("lower_bound", 1.0, "lower bound"),
        ];
        for (method, value, kind) in expected {
            let entry = &report[method];
            let found = entry["value"].as_f64().unwrap();
            assert!((found - value).abs() < 1e-6, "{method}: {found}");
            assert!(entry["kind"] == kind && entry["ms"].as_f64().unwrap() > 0.0, "{entry}");
            assert!(entry.get("reason").is_none(), "{entry}");
        }
        let layers = report["layers"].as_array().unwrap();
        assert_eq!(layers.len(), 2);
        assert!((layers[0]["spectral_norm"].as_f64().unwrap() - 2f64.sqrt()).abs() < 1e-9);
        assert!(picture(directory.path(), "bounds.svg").contains("lipsdp_neuron"));
    }
}

#[test]
fn what_takes_too_long_is_null_with_the_reason() {
    let directory = TempDir::new().unwrap();
    let report = run(directory.path(), &["--model", "random:20-30-30-20", "--time-limit", "0.001"]);
    let entry = &report["seq_lip_exact"];
    assert!(entry["value"].is_null() && entry["kind"] == "upper bound", "{entry}");
    assert!(entry["reason"].as_str().unwrap().contains("time limit"), "{entry}");
    assert!(report["auto_lip"]["value"].as_f64().unwrap() > report["eclipse"]["value"].as_f64().unwrap());
}

/// Numbers that are too large or too small for one are null, and not what JSON has no word for.
#[test]
fn reports_of_extreme_networks_are_json() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("weights.npz");
    for scale in [0.0, 1e-200, 1e200, 1.7e308] {
        let mut file = NpzWriter::new(File::create(&path).unwrap());
        file.add_array("W1", &(Array2::<f64>::ones((2, 3)) * scale)).unwrap();
        file.add_array("W2", &(Array2::<f64>::ones((3, 2)) * scale)).unwrap();
        file.finish().unwrap();
        let report = run(directory.path(), &["--weights", path.to_str().unwrap(), "--time-limit", "2"]);
        let upper = &report["auto_lip"];
        assert_eq!(upper["value"].is_null(), scale > 1.0, "{report}");
        assert_eq!(upper.get("reason").is_some(), scale > 1.0, "{report}");
        let lower = report["lower_bound"]["value"].as_f64().unwrap();
        assert!(upper["value"].as_f64().is_none_or(|upper| lower <= upper), "{report}");
        picture(directory.path(), "bounds.svg");
    }
}

#[test]
fn networks_of_a_table_are_trained_and_judged() {
    let directory = TempDir::new().unwrap();
    let mode = if cfg!(feature = "staging") { "compiled" } else { "eager" };
    let flags = ["--table", "depth", "--mode", mode, "--steps", "5", "--time-limit", "0.01"];
    let report = run(directory.path(), &flags);
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 7);
    for (row, layers) in rows.iter().zip(4..) {
        assert_eq!(row["layers"], layers);
        let number = |key: &str| row[key].as_f64().unwrap();
        assert!(number("lower_bound") <= number("eclipse_fast"), "{row}");
        assert!(number("eclipse_fast") < number("auto_lip"), "{row}");
    }
    assert!(picture(directory.path(), "depth.svg").contains("AutoLip"));
}

#[test]
fn what_is_no_network_is_one_line_that_says_why() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("weights.npz");
    let with = |arrays: &[(&str, Array2<f64>)]| {
        let mut file = NpzWriter::new(File::create(&path).unwrap());
        arrays.iter().for_each(|(name, array)| file.add_array(*name, array).unwrap());
        file.finish().unwrap();
        fail(example("lipschitz").arg("--weights").arg(&path))
    };
    let one = Array2::<f64>::ones((1, 2));
    assert!(with(&[("weights", one.clone())]).contains("W1"));
    assert!(with(&[("W1", one.clone()), ("W3", one.clone())]).contains("W3"));
    assert!(with(&[("W1", one.clone()), ("W2", one.clone())]).contains("layer 1 has 2 outputs"));
    assert!(with(&[("W1", one.clone() * f64::NAN)]).contains("NaN"));
    // Numbers of another type, and an array that is damaged, which is not said to be of another type.
    let mut file = NpzWriter::new(File::create(&path).unwrap());
    file.add_array("W1", &Array2::<i64>::ones((1, 2))).unwrap();
    file.finish().unwrap();
    let error = fail(example("lipschitz").arg("--weights").arg(&path));
    assert!(error.contains("W1") && error.contains("<i8") && error.contains("64 bits"), "{error}");
    write(&path, true);
    let mut bytes = std::fs::read(&path).unwrap();
    let header = bytes.windows(6).position(|part| part == b"\x93NUMPY").unwrap();
    bytes[header] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = fail(example("lipschitz").arg("--weights").arg(&path));
    assert!(error.contains("W1") && !error.contains("<f8"), "{error}");
    std::fs::write(&path, b"no file of arrays").unwrap();
    assert!(fail(example("lipschitz").arg("--weights").arg(&path)).contains("weights.npz"));
    assert!(fail(example("lipschitz").args(["--model", "cosines:2"])).contains("cosines:2-8-1"));
    assert!(fail(&mut example("lipschitz")).contains("--weights"));
}
