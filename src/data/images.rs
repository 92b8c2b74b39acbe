//! Labelled images, from MNIST's files or drawn.

use std::path::Path;

use super::idx::{Idx, Opened};
use super::{digits, wrong_file};
use crate::error::Result;

/// Images of one size in shades of grey, each with a label from 0 to 9.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    size: [usize; 2],
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Images {
    /// Reads MNIST's files; see [`idx`](super::idx).
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) and [`Error::Format`](crate::Error::Format) as [`Idx::open`];
    /// [`Error::Format`](crate::Error::Format) too if the files have different numbers of examples or none at all, and
    /// with the byte for a label above 9.
    pub fn open(images: impl AsRef<Path>, labels: impl AsRef<Path>) -> Result<Images> {
        let (images, labels) = (images.as_ref(), labels.as_ref());
        let pixels = Opened::open(images, 3)?;
        let labelled = Opened::open(labels, 1)?;
        let (n, size) = (pixels.shape[0], [pixels.shape[1], pixels.shape[2]]);
        if labelled.shape[0] != n {
            let reason =
                format!("byte 4: {} labels for the {n} images of {}", labelled.shape[0], images.display());
            return Err(wrong_file(labels, reason));
        }
        if pixels.shape.contains(&0) {
            return Err(wrong_file(images, format!("byte 4: there are no pixels in {:?}", pixels.shape)));
        }
        let (labelled, pixels) = (labelled.read()?, pixels.read()?);
        if let Some(i) = labelled.elements.iter().position(|&label| label > 9) {
            let reason = format!("byte {}: label {} is not a digit", 8 + i, labelled.elements[i]);
            return Err(wrong_file(labels, reason));
        }
        Ok(Images { size, pixels: pixels.elements, labels: labelled.elements })
    }

    /// Draws so many digits of 28 × 28 pixels: strokes of a pen, turned, slanted, stretched and moved a little, with
    /// noise. Image `i` is a function of the seed and `i`.
    pub fn draw(count: usize, seed: u64) -> Images {
        let mut drawn = Images { size: [digits::SIZE; 2], pixels: Vec::new(), labels: Vec::new() };
        for i in 0..count {
            let (label, pixels) = digits::draw(seed, i as u64);
            drawn.labels.push(label);
            drawn.pixels.extend(pixels);
        }
        drawn
    }

    /// Writes two files that [`open`](Images::open) reads.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if one cannot be written.
    pub fn save(&self, images: impl AsRef<Path>, labels: impl AsRef<Path>) -> Result<()> {
        let shape = vec![self.len(), self.size[0], self.size[1]];
        Idx { shape, elements: self.pixels.clone() }.save(images)?;
        Idx { shape: vec![self.len()], elements: self.labels.clone() }.save(labels)
    }

    /// How many there are; at least one from files.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Height and width.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// The pixels of image `i` in row-major order, from 0 to 255.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn pixels(&self, i: usize) -> &[u8] {
        let area = self.size[0] * self.size[1];
        &self.pixels[i * area..(i + 1) * area]
    }

    /// The labels.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The first `n` of them, and the others.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn split_at(self, n: usize) -> (Images, Images) {
        let Images { size, mut pixels, mut labels } = self;
        let rest =
            Images { size, pixels: pixels.split_off(n * size[0] * size[1]), labels: labels.split_off(n) };
        (Images { size, pixels, labels }, rest)
    }
}
