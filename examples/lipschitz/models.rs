//! Networks to be judged: from files, and by formulas.

use std::fs::File;
use std::path::Path;

use antiphon::error::Error;
use antiphon::lipschitz::Network;
use antiphon::nn::Rng;
use antiphon::{NdArray, Result, Tensor};
use ndarray::ArrayD;
use ndarray_npy::{NpzReader, ReadNpyError, ReadNpzError};

use crate::common::cli;

type Array = NdArray<f64>;

/// Layers `W1`, `b1`, `W2`, … as long as there are any.
pub fn of_file(path: &Path) -> Result<Network> {
    let bad = |reason: String| Error::Format { path: path.into(), reason };
    let file = File::open(path).map_err(|source| Error::Io { path: path.into(), source })?;
    let mut reader = NpzReader::new(file).map_err(|error| bad(error.to_string()))?;
    let names = reader.names().map_err(|error| bad(error.to_string()))?;
    let mut read = |name: &str| -> Result<Option<Array>> {
        // With or without the extension of each array's own file.
        let Some(name) =
            [name.to_string(), format!("{name}.npy")].into_iter().find(|name| names.contains(name))
        else {
            return Ok(None);
        };
        let double: std::result::Result<ArrayD<f64>, _> = reader.by_name(&name);
        let error = match double {
            Ok(array) => return Ok(Some(NdArray::from(array))),
            Err(error) => error,
        };
        // What is wrong with an array of another type is that.
        if matches!(error, ReadNpzError::Npy(ReadNpyError::WrongDescriptor(_))) {
            let single: ArrayD<f32> = reader.by_name(&name).map_err(|error| {
                bad(format!("{name}: {error}; weights and biases are numbers of 32 or 64 bits, <f4 or <f8"))
            })?;
            return Ok(Some(NdArray::from(single.mapv(f64::from))));
        }
        Err(bad(format!("{name}: {error}")))
    };
    let (mut weights, mut biases) = (Vec::new(), Vec::new());
    while let Some(w) = read(&format!("W{}", weights.len() + 1))? {
        let bias = read(&format!("b{}", weights.len() + 1))?;
        let outputs = w.shape().last().copied().unwrap_or(0);
        biases.push(bias.unwrap_or_else(|| Array::zeros(&[outputs])));
        weights.push(w);
    }
    if weights.is_empty() {
        return Err(bad(format!("there is no array W1, but {names:?}")));
    }
    // What has no place, as the second layer of a file without W2, would be missed.
    let is_known = |name: &String| {
        let name = name.strip_suffix(".npy").unwrap_or(name);
        (1..=weights.len()).any(|layer| *name == format!("W{layer}") || *name == format!("b{layer}"))
    };
    let others: Vec<&String> = names.iter().filter(|name| !is_known(name)).collect();
    if !others.is_empty() {
        let layers = weights.len();
        return Err(bad(format!(
            "{others:?} have no place in a network of the {layers} layers that there are"
        )));
    }
    Network::relu(&weights)?.with_biases(&biases)
}

/// A built-in network: "absolute", or "cosines" or "random" with the sizes of its layers.
pub fn built_in(model: &str, seed: u64) -> Result<Network> {
    if model == "absolute" {
        let first = Array::from_elements(&[1, 2], &[1.0, -1.0])?;
        return Network::relu(&[first, Array::ones(&[2, 1])]);
    }
    let unknown = || {
        cli::bad("--model", format!("{model:?} is not \"absolute\", \"cosines:2-8-1\" or \"random:2-8-1\""))
    };
    let (kind, sizes) = model.split_once(':').ok_or_else(unknown)?;
    let sizes: Option<Vec<usize>> = sizes.split('-').map(|size| cli::size(size).ok()).collect();
    let sizes = sizes.filter(|sizes| sizes.len() > 1).ok_or_else(unknown)?;
    let mut rng = Rng::new(seed);
    let mut layers = Vec::new();
    for (k, pair) in sizes.windows(2).enumerate() {
        let (inputs, outputs) = (pair[0], pair[1]);
        let mut elements = Vec::with_capacity(inputs * outputs);
        for c in 0..inputs {
            for r in 0..outputs {
                elements.push(match kind {
                    "cosines" => {
                        ((k + 1) as f64 + 3.0 * r as f64 + 7.0 * c as f64).cos() / (inputs as f64).sqrt()
                    }
                    "random" => rng.normal() * (2.0 / inputs as f64).sqrt(),
                    _ => return Err(unknown()),
                });
            }
        }
        layers.push(Array::from_elements(&[inputs, outputs], &elements)?);
    }
    Network::relu(&layers)
}
