//! What PyTorch computed: tests/reference/torch_values.json, which tests/reference/torch_values.py writes.

use antiphon::{NdArray, NdInt, Tensor};
use serde_json::Value;

pub type Array = NdArray<f64>;

/// `sin(seed + 1.7·i + 0.3·i²)` for each element: numbers without pattern, which the script makes as well.
pub fn numbers(seed: f64, shape: &[usize]) -> Array {
    let count: usize = shape.iter().product();
    let element = |i: usize| (seed + 1.7 * i as f64 + 0.3 * (i * i) as f64).sin();
    Array::from_elements(shape, &(0..count).map(element).collect::<Vec<_>>()).unwrap()
}

pub fn ints(elements: &[i64]) -> NdInt {
    elements.to_vec().into()
}

/// The values that one function of the script returned.
pub struct Reference(Value);

impl Reference {
    pub fn of(function: &str) -> Reference {
        let text = include_str!("../reference/torch_values.json");
        let mut values: Value = serde_json::from_str(text).unwrap();
        Reference(values[function].take())
    }

    /// The value below these keys, joined by slashes.
    #[track_caller]
    pub fn at(&self, path: &str) -> Array {
        let mut value = &self.0;
        for key in path.split('/') {
            value = match value {
                Value::Array(list) => &list[key.parse::<usize>().unwrap()],
                _ => &value[key],
            };
        }
        let list = |key: &str| value[key].as_array().unwrap_or_else(|| panic!("no {key} at {path}: {value}"));
        let shape: Vec<usize> = list("shape").iter().map(|n| n.as_u64().unwrap() as usize).collect();
        let elements: Vec<f64> = list("elements").iter().map(|x| x.as_f64().unwrap()).collect();
        Array::from_elements(&shape, &elements).unwrap()
    }
}

/// Fails unless two arrays have one shape, and elements that differ by rounding only.
#[track_caller]
pub fn assert_close(found: &Array, expected: &Array, what: &str) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    for (i, (found, expected)) in found.view().iter().zip(expected.view().iter()).enumerate() {
        let error = (found - expected).abs() / (1.0 + expected.abs());
        assert!(error <= 1e-12, "{what}, element {i}: {found} but expected {expected}");
    }
}
