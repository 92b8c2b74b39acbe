//! `.safetensors` and checkpoints whose headers are not those of their contents.

use antiphon::io::{
    Import, Metadata, load_checkpoint, load_npz, load_safetensors, read_metadata, save_checkpoint, save_npz,
    save_safetensors,
};
use antiphon::{NdArray, Params, Tensor};

use super::{Directory, message, refused, refusing};

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

/// What nobody wants of a file is not believed either: it is passed over only where it is.
#[test]
fn arrays_that_are_passed_over_are_not_believed() {
    let directory = Directory::new();
    let import = Import::new().allow_unused().allow_missing();
    let wanted = "\"0\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]}";
    let file = |others: &str, data: usize| {
        let bytes = with_header(&format!("{{{wanted},{others}}}"), &vec![0; data]);
        directory.file("model.safetensors", &bytes)
    };
    let other = |dtype: &str, shape: &str, start: u64, end: u64| {
        let info = format!("\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[{start},{end}]");
        format!("\"other\":{{{info}}}")
    };
    let ones = || vec![NdArray::<f64>::ones(&[2])];
    for (others, data, part) in [
        (other("I64", "[2]", 4, 20), 19, "truncated"),
        (other("I64", "[2]", 4, 20), 21, "extended"),
        (other("I64", "[2]", 4, 19), 19, "damaged: other"),
        (other("I64", "[2]", 8, 24), 24, "damaged: other"),
        (other("I64", "[2]", 0, 16), 16, "damaged"),
        (other("BOOL", "[18446744073709551615,18446744073709551615]", 4, 20), 20, "damaged: other"),
        (other("F4", "[3]", 4, 5), 5, "damaged: other"),
        (other("U8", "[1152921504606846976]", 4, 1_152_921_504_606_846_980), 20, "truncated"),
    ] {
        let (path, mut model) = (file(&others, data), ones());
        refused(import.load_safetensors(&path, &mut model), &path, &[part]);
        assert_eq!(model, ones());
    }
    for (others, data) in [
        (other("I64", "[2]", 4, 20), 20),
        (other("F4", "[4]", 4, 6), 6),
        (other("F8_E4M3", "[0,18446744073709551615]", 4, 4), 4),
    ] {
        let (path, mut model) = (file(&others, data), ones());
        let report = import.load_safetensors(&path, &mut model).unwrap();
        assert_eq!((model, report.unused.len()), (vec![NdArray::zeros(&[2])], 1));
    }
    refusing::assert_nothing_was_refused();
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
fn a_leaf_that_could_not_be_loaded_again_is_not_saved() {
    #[derive(Clone, Params)]
    struct Odd<T> {
        #[params(name = "__metadata__")]
        b: T,
    }
    let directory = Directory::new();
    let path = directory.at("model.safetensors");
    refused(save_safetensors(&path, &Odd { b: 1.0 }), &path, &["cannot be called __metadata__"]);
    let (mut odd, path) = (Odd { b: 0.0 }, directory.at("model.npz"));
    save_npz(&path, &Odd { b: 1.0 }).unwrap();
    load_npz(&path, &mut odd).unwrap();
    assert_eq!(odd.b, 1.0);
}
