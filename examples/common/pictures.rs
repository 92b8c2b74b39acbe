//! Digits to train on: MNIST's files, or drawn ones.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use antiphon::data::Images;
use antiphon::error::Error;
use antiphon::{IntTensor, Result, Tensor};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::cli::{bad, count, examples};
use super::files::checksum;
use super::network::{Batch, Source};
use super::session::Unit;

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
    #[arg(long, value_parser = examples)]
    draw: Option<usize>,
    /// How many of the last images are held out [default: a sixth]
    #[arg(long, value_parser = count)]
    held_out: Option<usize>,
}

/// The settings that these flags change.
#[derive(Clone, Serialize, Deserialize)]
pub struct Parts {
    draw: usize,
    held_out: Option<usize>,
}

impl Default for Parts {
    fn default() -> Parts {
        Parts { draw: 12_000, held_out: None }
    }
}

/// What digits are called, and how many steps are taken on them unless it is said.
pub const DIGITS: (Unit, usize) = (Unit { one: "an image", many: "images", terms: 1 }, 2000);

/// How a model classifies images `[batch, pixels]`: logits `[batch, 10]`.
pub trait Classifier<T> {
    fn logits(&self, images: &T) -> T;
}

/// Images in two parts: the first ones to train on, the last ones held out. Step `s` takes images `s·B` to `s·B + B −
/// 1` of the first part, modulo its whole batches. Pixels are divided by 255.
pub struct Pictures<T> {
    training: Part<T>,
    held_out: Part<T>,
    batch: usize,
    seed: u64,
    fingerprint: String,
}

/// Images `[n, pixels]` and their labels.
struct Part<T> {
    images: T,
    labels: Vec<i64>,
}

impl<T: Tensor> Part<T> {
    fn new(images: &Images) -> Result<Part<T>> {
        let n = images.len();
        let pixels: Vec<f64> = (0..n).flat_map(|i| images.pixels(i)).map(|&x| f64::from(x) / 255.0).collect();
        let [height, width] = images.size();
        let labels = images.labels().iter().map(|&label| i64::from(label)).collect();
        Ok(Part { images: T::from_elements(&[n, height * width], &pixels)?, labels })
    }

    fn slice(&self, range: Range<usize>) -> Result<(T, T::Int)> {
        let labels = T::Int::from_elements(&[range.len()], &self.labels[range.clone()])?;
        Ok((self.images.slice(0, range), labels))
    }
}

impl<T: Tensor> Pictures<T> {
    pub fn load(flags: &ImageFlags, parts: &Parts, batch: usize, seed: u64) -> Result<Pictures<T>> {
        let images = match (&flags.images, &flags.labels) {
            (Some(images), Some(labels)) => Images::open(images, labels)?,
            _ => Images::draw(parts.draw, seed),
        };
        if images.size() != [28, 28] {
            let reason =
                format!("the images are of {:?} pixels, but the model is for 28 × 28", images.size());
            let path = flags.images.clone().unwrap_or_default();
            return Err(Error::Format { path, reason });
        }
        let n = images.len();
        let held_out = parts.held_out.unwrap_or(n / 6);
        if n.saturating_sub(held_out) < batch {
            let reason = format!("{n} images are too few to hold {held_out} out and train on {batch}");
            return Err(bad("batch", reason));
        }
        println!("{n} images, the last {held_out} of them held out");
        let pixels = (0..n).flat_map(|i| images.pixels(i).to_vec());
        let fingerprint = format!("{:016x}", checksum(pixels.chain(images.labels().to_vec())));
        let (training, held_out) = images.split_at(n - held_out);
        let (training, held_out) = (Part::new(&training)?, Part::new(&held_out)?);
        Ok(Pictures { training, held_out, batch, seed, fingerprint })
    }
}

impl<T: Tensor, M: Classifier<T>> Source<T, M> for Pictures<T> {
    /// Images `[batch, 784]`, a seed for dropout, and labels `[batch]`.
    fn batch(&self, step: usize) -> Result<Batch<T>> {
        let start = step % (self.training.labels.len() / self.batch) * self.batch;
        let (images, labels) = self.training.slice(start..start + self.batch)?;
        let integers = T::Int::from_elements(&[], &[(self.seed as i64).wrapping_add(step as i64)])?;
        Ok(Batch { reals: vec![images], integers, labels })
    }

    fn accuracy(&self, model: &M) -> Result<BTreeMap<String, f64>> {
        let n = self.held_out.labels.len();
        let mut right = 0;
        for start in (0..n).step_by(100) {
            let (images, labels) = self.held_out.slice(start..n.min(start + 100))?;
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
        self.fingerprint.clone()
    }
}
