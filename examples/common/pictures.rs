//! Digits to train on: MNIST's files, or drawn ones.

use std::collections::BTreeMap;
use std::path::PathBuf;

use antiphon::data::Images;
use antiphon::error::Error;
use antiphon::{IntTensor, Result, Tensor};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::cli::{bad, count};
use super::network::{Batch, Source};
use super::session::fingerprint;

/// Which images.
#[derive(Args)]
pub struct ImageFlags {
    /// Images in MNIST's format (IDX, compressed by gzip or not); without them, digits are drawn
    #[arg(long, requires = "labels")]
    pub images: Option<PathBuf>,
    /// Their labels
    #[arg(long, requires = "images")]
    pub labels: Option<PathBuf>,
}

/// How many of them.
#[derive(Args, Serialize)]
pub struct PartFlags {
    /// How many digits to draw [default: 12000]
    #[arg(long, value_parser = count)]
    draw: Option<usize>,
    /// How many of the last images are held out [default: a sixth]
    #[arg(long, value_parser = count)]
    held_out: Option<usize>,
}

/// The settings that these flags change.
#[derive(Clone, Serialize, Deserialize)]
pub struct Part {
    draw: usize,
    held_out: Option<usize>,
}

impl Default for Part {
    fn default() -> Part {
        Part { draw: 12_000, held_out: None }
    }
}

/// How a model classifies images `[batch, pixels]`: logits `[batch, 10]`.
pub trait Classifier<T> {
    fn logits(&self, images: &T) -> T;
}

/// Images in two parts: the first ones to train on, the last ones held out. Step `s` takes images `s·B` to `s·B + B − 1`
/// of the first part, modulo its whole batches. Pixels are divided by 255.
pub struct Pictures {
    training: Images,
    held_out: Images,
    batch: usize,
    seed: u64,
}

impl Pictures {
    pub fn load(flags: &ImageFlags, part: &Part, batch: usize, seed: u64) -> Result<Pictures> {
        let images = match (&flags.images, &flags.labels) {
            (Some(images), Some(labels)) => Images::open(images, labels)?,
            _ => Images::draw(part.draw, seed),
        };
        if images.size() != [28, 28] {
            let reason =
                format!("the images are of {:?} pixels, but the model is for 28 × 28", images.size());
            let path = flags.images.clone().unwrap_or_default();
            return Err(Error::Format { path, reason });
        }
        let held_out = part.held_out.unwrap_or(images.len() / 6);
        let n = images.len();
        if n < held_out + batch {
            return Err(bad(
                "batch",
                format!("{n} images are too few to hold {held_out} out and train on {batch}"),
            ));
        }
        println!("{n} images, the last {held_out} of them held out");
        let (training, held_out) = images.split_at(n - held_out);
        Ok(Pictures { training, held_out, batch, seed })
    }
}

fn arrays<T: Tensor>(images: &Images, range: std::ops::Range<usize>) -> Result<(T, T::Int)> {
    let n = range.len();
    let pixels: Vec<f64> =
        range.clone().flat_map(|i| images.pixels(i)).map(|&x| f64::from(x) / 255.0).collect();
    let labels: Vec<i64> = images.labels()[range].iter().map(|&label| i64::from(label)).collect();
    Ok((T::from_elements(&[n, pixels.len() / n], &pixels)?, T::Int::from_elements(&[n], &labels)?))
}

impl<T: Tensor, M: Classifier<T>> Source<T, M> for Pictures {
    /// Images `[batch, 784]`; labels `[batch]`, and a seed for dropout.
    fn batch(&self, step: usize) -> Result<Batch<T>> {
        let start = step % (self.training.len() / self.batch) * self.batch;
        let (images, labels) = arrays(&self.training, start..start + self.batch)?;
        let seed = T::Int::from_elements(&[], &[(self.seed as i64).wrapping_add(step as i64)])?;
        Ok(Batch { reals: vec![images], ints: vec![labels, seed] })
    }

    fn accuracy(&self, model: &M) -> Result<BTreeMap<String, f64>> {
        let n = self.held_out.len();
        let mut right = 0;
        for start in (0..n).step_by(100) {
            let (images, labels) = arrays::<T>(&self.held_out, start..n.min(start + 100))?;
            let guesses = model.logits(&images).argmax(-1).elements();
            let pairs = guesses.into_iter().flatten().zip(labels.elements().into_iter().flatten());
            right += pairs.filter(|(guess, label)| guess == label).count();
        }
        let share = (n > 0).then(|| ("held-out images".into(), right as f64 / n as f64));
        Ok(share.into_iter().collect())
    }

    fn examples(&self) -> usize {
        self.batch
    }

    fn fingerprint(&self) -> String {
        let images = [&self.training, &self.held_out];
        let bytes = |images: &Images| {
            let pixels = (0..images.len()).flat_map(|i| images.pixels(i).to_vec());
            pixels.chain(images.labels().to_vec()).collect::<Vec<_>>()
        };
        fingerprint(images.into_iter().flat_map(bytes))
    }
}
