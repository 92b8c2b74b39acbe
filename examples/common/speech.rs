//! Speech that is made: words of letters, of which each is two tones for a while, with pauses, in noise.

use std::collections::BTreeMap;

use antiphon::io::Stored;
use antiphon::nn::Rng;
use antiphon::nn::ctc::{PrefixBeamSearch, greedy};
use antiphon::{IntTensor, NdArray, NdInt, Result, Tensor};

use super::deep_speech::{BLANK, DeepSpeech};
use super::files::{checksum, elements};
use super::network::{Batch, Source};

/// Letters; classes are these behind the blank.
pub const LETTERS: &[u8] = b"adeilnorst";
/// Frequencies of a spectrogram.
pub const BINS: usize = 16;
/// Letters of a word, at most.
const LONGEST: usize = 6;
/// Frames of a letter, and of the pause before it.
const FRAMES: [usize; 2] = [4, 8];
const PAUSE: [usize; 2] = [0, 3];
/// Frames of a spectrogram, with its padding.
pub const TIME: usize = LONGEST * (FRAMES[1] + PAUSE[1] + 1);

/// Spoken words, of which a seed makes as many as are asked for.
pub struct Speech {
    pub batch: usize,
    pub seed: u64,
}

/// Some words, as arrays that are padded to one size.
struct Spoken {
    /// `[batch, 1, bins, time]`.
    spectrograms: Vec<f64>,
    /// Frames of each.
    frames: Vec<i64>,
    words: Vec<Vec<i64>>,
}

impl Speech {
    /// Words that only this number makes.
    fn spoken(&self, number: u64) -> Spoken {
        let mut rng = Rng::new(self.seed.wrapping_mul(0x9e37_79b9).wrapping_add(number));
        let mut spoken = Spoken {
            spectrograms: vec![0.0; self.batch * BINS * TIME],
            frames: Vec::with_capacity(self.batch),
            words: Vec::with_capacity(self.batch),
        };
        for b in 0..self.batch {
            let letters = between(&mut rng, [2, LONGEST]);
            let word: Vec<i64> =
                (0..letters).map(|_| 1 + between(&mut rng, [0, LETTERS.len() - 1]) as i64).collect();
            let image = &mut spoken.spectrograms[b * BINS * TIME..][..BINS * TIME];
            let frames = say(&mut rng, &word, image);
            spoken.frames.push(frames as i64);
            spoken.words.push(word);
        }
        spoken
    }

    fn arrays<T: Tensor>(&self, spoken: &Spoken) -> Result<Batch<T>> {
        let spectrograms = T::from_elements(&[self.batch, 1, BINS, TIME], &spoken.spectrograms)?;
        let padded =
            |word: &Vec<i64>| (0..LONGEST).map(|i| word.get(i).copied().unwrap_or(0)).collect::<Vec<_>>();
        let labels: Vec<i64> = spoken.words.iter().flat_map(padded).collect();
        let lengths = spoken.words.iter().map(|word| word.len() as i64);
        let lengths: Vec<i64> = spoken.frames.iter().copied().chain(lengths).collect();
        Ok(Batch {
            reals: vec![spectrograms],
            integers: T::Int::from_elements(&[2, self.batch], &lengths)?,
            labels: T::Int::from_elements(&[self.batch, LONGEST], &labels)?,
        })
    }
}

/// A number of these, ends included.
fn between(rng: &mut Rng, [least, most]: [usize; 2]) -> usize {
    least + ((rng.uniform() * (most - least + 1) as f64) as usize).min(most - least)
}

/// Writes a word's spectrogram `[bins, time]`, and gives the number of frames that it takes.
fn say(rng: &mut Rng, word: &[i64], image: &mut [f64]) -> usize {
    let mut at = 0;
    for (i, &letter) in word.iter().enumerate() {
        let again = i > 0 && word[i - 1] == letter;
        at += between(rng, PAUSE) + usize::from(again);
        // Two tones, no two letters with the same.
        let letter = letter as usize - 1;
        let tones = [1 + letter % 5, 8 + letter / 5 * 4 + letter % 3];
        let loudness = 0.7 + 0.6 * rng.uniform();
        let end = at + between(rng, FRAMES);
        for tone in tones {
            image[tone * TIME..][at..end].iter_mut().for_each(|x| *x += loudness);
            image[(tone + 1) * TIME..][at..end].iter_mut().for_each(|x| *x += 0.4 * loudness);
        }
        at = end;
    }
    for row in image.chunks_mut(TIME) {
        row[..at].iter_mut().for_each(|x| *x += 0.6 * (rng.uniform() - 0.5));
    }
    at
}

/// What a word's labels spell.
fn spelt(word: &[i64]) -> String {
    word.iter().map(|&label| char::from(LETTERS[label as usize - 1])).collect()
}

impl Speech {
    /// Of words that are held out: what was said, what is read greedily, and what a search reads.
    fn transcripts<T: Tensor + Stored>(&self, model: &DeepSpeech<T>) -> Result<[Vec<Vec<i64>>; 3]> {
        let mut all = [(); 3].map(|()| Vec::new());
        for number in 0..4 {
            let spoken = self.spoken(u64::MAX - number);
            let batch: Batch<T> = self.arrays(&spoken)?;
            let (found, steps) = model.log_probabilities(&batch.reals[0], &batch.integers.index(0, 0));
            let found = NdArray::<f64>::from_elements(&found.shape(), &elements(&found))?;
            let steps = NdInt::from(steps.elements().unwrap_or_default());
            let search = PrefixBeamSearch { blank: BLANK, width: 8 };
            let searched = search.decode(&found, &steps)?.into_iter().map(|mut beams| beams.remove(0).labels);
            all[0].extend(spoken.words);
            all[1].extend(greedy(&found, &steps, BLANK)?);
            all[2].extend(searched);
        }
        Ok(all)
    }
}

impl<T: Tensor + Stored> Source<T, DeepSpeech<T>> for Speech {
    fn batch(&self, step: usize) -> Result<Batch<T>> {
        self.arrays(&self.spoken(step as u64))
    }

    fn accuracy(&self, model: &DeepSpeech<T>) -> Result<BTreeMap<String, f64>> {
        let [said, greedily, searched] = self.transcripts(model)?;
        let right = |read: &[Vec<i64>]| {
            let right = said.iter().zip(read).filter(|(said, read)| said == read).count();
            right as f64 / said.len() as f64
        };
        Ok([
            ("words, read greedily".into(), right(&greedily)),
            ("words, by beam search".into(), right(&searched)),
        ]
        .into())
    }

    fn sample(&self, model: &DeepSpeech<T>) -> Result<String> {
        let [said, _, searched] = self.transcripts(model)?;
        let pairs = said.iter().zip(&searched).take(6).map(|(a, b)| format!("{} → {}", spelt(a), spelt(b)));
        Ok(pairs.collect::<Vec<_>>().join(", "))
    }

    fn examples(&self) -> usize {
        self.batch
    }

    fn fingerprint(&self) -> String {
        let spoken = self.spoken(0);
        let bytes = spoken.spectrograms.iter().flat_map(|x| x.to_le_bytes());
        format!("{:016x}", checksum(bytes))
    }
}
