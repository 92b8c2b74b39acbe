//! Deep Speech 2 in small (Amodei et al., *Deep Speech 2: end-to-end speech recognition in English and Mandarin*, 2016,
//! §3): convolutions over a spectrogram, bidirectional recurrence, and the CTC loss.

use antiphon::nn::ctc::Ctc;
use antiphon::nn::loss::Reduction;
use antiphon::nn::{BatchNorm, BatchStatistics, Conv2d, Gru, Linear, Rng, stacked_both_ways};
use antiphon::{IntTensor, OrRaise, Params, Tensor, Window2d};

use super::network::{Batch, Network};

/// The class of no label.
pub const BLANK: usize = 0;

/// Spectrograms to logarithms of the probabilities of classes at each step. Everything is normalised by the statistics
/// of the batch that it is in, also where the model is only tried.
#[derive(Clone, Params)]
pub struct DeepSpeech<T> {
    /// Over frequency and time.
    pub convolutions: Vec<Front<T>>,
    /// Over time.
    pub layers: Vec<Layer<T>>,
    /// Before the output.
    pub norm: BatchNorm<T>,
    /// `[hidden, classes]`.
    pub output: Linear<T>,
}

/// A convolution, normalised, and limited to 0 ..= 20.
#[derive(Clone, Params)]
pub struct Front<T> {
    pub convolution: Conv2d<T>,
    pub norm: BatchNorm<T>,
}

/// A recurrent layer of two directions, whose outputs are added up.
#[derive(Clone, Params)]
pub struct Layer<T> {
    pub norm: BatchNorm<T>,
    pub forward: Gru<T>,
    pub back: Gru<T>,
}

/// The sizes of a model.
#[derive(Clone, Copy)]
pub struct Sizes {
    /// Frequencies of a spectrogram.
    pub bins: usize,
    /// Channels of each convolution.
    pub channels: usize,
    pub hidden: usize,
    pub layers: usize,
    /// The blank included.
    pub classes: usize,
}

impl<T: Tensor> DeepSpeech<T> {
    pub fn new(rng: &mut Rng, sizes: Sizes) -> DeepSpeech<T> {
        let Sizes { bins, channels, hidden, layers, classes } = sizes;
        let mut front = |from: usize, kernel: [usize; 2], stride: [usize; 2]| {
            let mut convolution = Conv2d::new(rng, from, channels, kernel);
            convolution.window = Window2d { stride, padding: kernel.map(|k| k / 2) };
            Front { convolution, norm: BatchNorm::new(channels) }
        };
        let convolutions = vec![front(1, [5, 5], [2, 2]), front(channels, [3, 5], [2, 1])];
        let mut width = channels * bins.div_ceil(2).div_ceil(2);
        let mut layer = || {
            let [forward, back] = [(); 2].map(|()| Gru::new(rng, width, hidden));
            Layer { norm: BatchNorm::new(std::mem::replace(&mut width, hidden)), forward, back }
        };
        let layers = (0..layers).map(|_| layer()).collect();
        let output = Linear::without_bias(rng, hidden, classes);
        DeepSpeech { convolutions, layers, norm: BatchNorm::new(hidden), output }
    }

    /// Logarithms of probabilities `[steps, batch, classes]` of spectrograms `[batch, 1, bins, time]`, and how many
    /// steps each has, of its length in time, `[batch]`.
    pub fn log_probabilities(&self, spectrograms: &T, lengths: &T::Int) -> (T, T::Int) {
        let (mut x, mut lengths) = (spectrograms.clone(), lengths.clone());
        for front in &self.convolutions {
            lengths = front.convolution.lengths(&lengths, 1);
            x = front.apply(&x, &lengths);
        }
        let &[batch, channels, bins, time] = x.shape().as_slice() else { unreachable!("images") };
        let mut x = x.reshape(&[batch, channels * bins, time]).permute(&[2, 0, 1]);
        for layer in &self.layers {
            x = layer.apply(&x, &lengths);
        }
        let x = self.norm.train_steps(&x, &lengths, &BatchStatistics::new(self.norm.gain.size())).0;
        (self.output.apply(&x).log_softmax(-1), lengths)
    }
}

impl<T: Tensor> Front<T> {
    /// What comes after the end of each sequence, of these lengths behind the convolution, is zero.
    fn apply(&self, x: &T, lengths: &T::Int) -> T {
        let x = self.convolution.apply(x);
        let &[batch, channels, bins, time] = x.shape().as_slice() else { unreachable!("images") };
        // Each frequency is a sequence of its own, as long as its spectrogram.
        let steps = x.permute(&[3, 0, 2, 1]).reshape(&[time, batch * bins, channels]);
        let rows: Vec<i64> = (0..batch * bins).map(|i| (i / bins) as i64).collect();
        let rows = T::Int::from_elements(&[batch * bins], &rows).or_raise();
        let averages = BatchStatistics::new(channels);
        let y = self.norm.train_steps(&steps, &lengths.gather_rows(&rows), &averages).0.clamp(0.0, 20.0);
        y.reshape(&[time, batch, bins, channels]).permute(&[1, 3, 2, 0])
    }
}

impl<T: Tensor> Layer<T> {
    fn apply(&self, x: &T, lengths: &T::Int) -> T {
        let x = self.norm.train_steps(x, lengths, &BatchStatistics::new(self.norm.gain.size())).0;
        let cells = [(self.forward.clone(), self.back.clone())];
        let both = stacked_both_ways(&cells, &x, lengths).0;
        let hidden = both.shape()[2] / 2;
        both.slice(-1, 0..hidden) + both.slice(-1, hidden..2 * hidden)
    }
}

impl<T: Tensor> Network<T> for DeepSpeech<T> {
    /// The mean CTC loss, of a batch with lengths of spectrograms and of transcripts, `[2, batch]`.
    fn loss(&self, batch: &Batch<T>) -> T {
        let (found, steps) = self.log_probabilities(&batch.reals[0], &batch.integers.index(0, 0));
        let ctc = Ctc { blank: BLANK, ..Ctc::default() };
        ctc.of(&found, &batch.labels, &steps, &batch.integers.index(0, 1), Reduction::Mean)
    }
}
