//! Lower bounds of a network's constant: norms of its derivative where it has one.

use std::thread;
use std::time::Duration;

use super::constant::LipschitzConstant;
use super::limit::Deadline;
use super::matrix::{Numbers, dot, norm_of};
use super::network::Network;
use super::reduced::Scaled;
use crate::array::NdArray;
use crate::error::{At, Error, Result};
use crate::language::tensor::Tensor;

/// How many chains of an annealing there are, and how many steps each has.
const CHAINS: usize = 8;
const STEPS: usize = 400;

/// The largest norm of the derivative that was found so far, and where; and the direction in which it is that long.
#[derive(Clone, Debug)]
struct Found {
    x: Vec<f64>,
    direction: Vec<f64>,
    norm: f64,
}

impl Network {
    /// The largest norm of the derivative that a search finds: a lower bound. It begins at random inputs, on a grid if
    /// there are two of them, and where the derivative is longest in the linear network, goes on along the direction in
    /// which the derivative is longest, and then anneals eight chains, on as many processors as there are.
    ///
    /// # Errors
    /// [`Error::Argument`] if only the activation's slopes are known: if the network was made by
    /// [`of_slopes`](Network::of_slopes); or if its numbers are too far apart to be scaled.
    #[track_caller]
    pub fn lower_bound(&self, limit: Duration) -> Result<LipschitzConstant> {
        let deadline = Deadline::after(limit);
        let scaled = self.searchable("lower_bound", At::caller())?;
        let network = &scaled.network;
        let starts = network.starts();
        let threads = thread::available_parallelism().map_or(1, usize::from).min(CHAINS);
        let found = thread::scope(|scope| {
            let run = |first: usize| {
                let starts = &starts;
                scope.spawn(move || {
                    let chains = (first..CHAINS).step_by(threads);
                    let norms = chains.map(|chain| {
                        let start = starts[chain % starts.len()].clone();
                        network.anneal(start, Numbers::new(chain as u64), deadline)
                    });
                    norms.fold(0.0, f64::max)
                })
            };
            let running: Vec<_> = (0..threads).map(run).collect();
            let join =
                |chain: thread::ScopedJoinHandle<'_, f64>| chain.join().expect("a chain does not panic");
            running.into_iter().map(join).fold(0.0, f64::max)
        });
        Ok(LipschitzConstant::lower("annealing", scaled.back_down(found)))
    }

    /// The norm of the derivative at an input `[inputs]`: a lower bound. (Zero where a neuron is at its kink, up to
    /// rounding: there is no derivative.)
    ///
    /// # Errors
    /// As [`lower_bound`](Network::lower_bound); [`Error::Argument`] if the input does not fit or is not finite.
    #[track_caller]
    pub fn norm_at(&self, x: &NdArray<f64>) -> Result<LipschitzConstant> {
        let at = At::caller();
        let scaled = self.searchable("norm_at", at)?;
        let x = self.input("norm_at", x, at)?;
        let found = scaled.network.found(x, None, 1e-14, 10_000);
        Ok(LipschitzConstant::lower("derivative", found.map_or(0.0, |found| scaled.back_down(found.norm))))
    }

    /// An input as a vector.
    pub(super) fn input(&self, op: &'static str, x: &NdArray<f64>, at: At) -> Result<Vec<f64>> {
        if x.shape().as_slice() != [self.inputs()] {
            let reason = format!("an input {:?} of a network with {} inputs", x.shape(), self.inputs());
            return Err(Error::Argument { op, reason, at });
        }
        if let Some(x) = x.view().iter().find(|x| !x.is_finite()) {
            return Err(Error::Argument { op, reason: format!("an element of the input is {x}"), at });
        }
        Ok(x.view().iter().copied().collect())
    }

    /// The network with weights near one, if its derivative is known.
    fn searchable(&self, op: &'static str, at: At) -> Result<Scaled> {
        if !self.is_kinked && self.depth() > 1 {
            let reason = "only the slopes of the activation are known, not its derivative".into();
            return Err(Error::Argument { op, reason, at });
        }
        let scaled = Scaled::of(self);
        match scaled.is_exact {
            true => Ok(scaled),
            false => {
                let reason = "weights and biases are too far apart in size for a search".into();
                Err(Error::Argument { op, reason, at })
            }
        }
    }

    /// The neurons' slopes at an input; nothing if one is at its kink, up to rounding.
    fn pattern(&self, x: &[f64]) -> Option<Vec<Vec<f64>>> {
        let mut values = x.to_vec();
        let mut pattern = Vec::with_capacity(self.depth() - 1);
        for (w, b) in self.weights.iter().zip(&self.biases).take(self.depth() - 1) {
            let size = norm_of(&values);
            let mut slopes = Vec::with_capacity(b.len());
            let mut next = b.clone();
            for (j, x) in values.iter().enumerate() {
                next.iter_mut().zip(w.col_as_slice(j)).for_each(|(z, w)| *z += w * x);
            }
            for (i, z) in next.iter_mut().enumerate() {
                let row = (0..w.ncols()).map(|j| w[(i, j)] * w[(i, j)]).sum::<f64>().sqrt();
                // What has no weights has no part in the derivative.
                if row > 0.0 && z.abs() <= 1e-12 * (row * size + b[i].abs()) || z.is_nan() {
                    return None;
                }
                let slope = if *z > 0.0 { self.slopes.high } else { self.slopes.low };
                *z *= slope;
                slopes.push(slope);
            }
            pattern.push(slopes);
            values = next;
        }
        Some(pattern)
    }

    /// The derivative with these slopes, in a direction.
    fn along(&self, pattern: &[Vec<f64>], direction: &[f64]) -> Vec<f64> {
        let mut values = direction.to_vec();
        for (layer, w) in self.weights.iter().enumerate() {
            let mut next = vec![0.0; w.nrows()];
            for (j, x) in values.iter().enumerate() {
                next.iter_mut().zip(w.col_as_slice(j)).for_each(|(z, w)| *z += w * x);
            }
            if let Some(slopes) = pattern.get(layer) {
                next.iter_mut().zip(slopes).for_each(|(z, slope)| *z *= slope);
            }
            values = next;
        }
        values
    }

    /// The same derivative, transposed.
    fn back_along(&self, pattern: &[Vec<f64>], adjoint: &[f64]) -> Vec<f64> {
        let mut values = adjoint.to_vec();
        for (layer, w) in self.weights.iter().enumerate().rev() {
            if let Some(slopes) = pattern.get(layer) {
                values.iter_mut().zip(slopes).for_each(|(z, slope)| *z *= slope);
            }
            values = (0..w.ncols()).map(|j| dot(w.col_as_slice(j), &values)).collect();
        }
        values
    }

    /// The norm of the derivative at an input, by the power method from a direction; nothing if it has none there.
    fn found(&self, x: Vec<f64>, direction: Option<&[f64]>, tolerance: f64, most: usize) -> Option<Found> {
        let pattern = self.pattern(&x)?;
        let mut v = direction.map_or_else(|| Numbers::new(1).normals(x.len()), <[f64]>::to_vec);
        let size = norm_of(&v);
        v.iter_mut().for_each(|v| *v /= size);
        let mut norm = 0.0;
        for _ in 0..most {
            let y = self.along(&pattern, &v);
            let now = norm_of(&y);
            let settled = (now - norm).abs() <= tolerance * now;
            norm = now;
            if settled {
                break;
            }
            let next = self.back_along(&pattern, &y);
            let size = norm_of(&next);
            if size == 0.0 {
                break;
            }
            v = next.into_iter().map(|v| v / size).collect();
        }
        norm.is_finite().then_some(Found { x, direction: v, norm })
    }

    /// Where chains begin: the best of many inputs first.
    fn starts(&self) -> Vec<Found> {
        let n = self.inputs();
        let mut numbers = Numbers::new(2);
        // About as large as inputs have to be for biases to matter, and not to be all that does.
        let scale = 1.0 + self.biases.iter().zip(&self.weights).map(|(b, _)| norm_of(b)).sum::<f64>();
        let mut inputs: Vec<Vec<f64>> = (0..256)
            .map(|i| {
                let size = scale * [1.0, 0.1, 10.0, 0.01][i % 4];
                numbers.normals(n).into_iter().map(|x| size * x).collect()
            })
            .collect();
        if n == 2 {
            let grid = (0..32).flat_map(|i| (0..32).map(move |j| [i, j]));
            inputs.extend(grid.map(|at| at.map(|k| scale * (f64::from(k) / 7.75 - 2.0 + 1e-3)).to_vec()));
            let turns = (0..720).map(|k| (f64::from(k) + 0.5) * std::f64::consts::TAU / 720.0);
            inputs.extend(turns.map(|turn: f64| vec![10.0 * scale * turn.cos(), 10.0 * scale * turn.sin()]));
        }
        let high: Vec<Vec<f64>> = self.widths().map(|n| vec![self.slopes.high; n]).collect();
        let mut direction = numbers.normals(n);
        for _ in 0..50 {
            let next = self.back_along(&high, &self.along(&high, &direction));
            let size = norm_of(&next);
            if size > 0.0 {
                direction = next.into_iter().map(|x| x / size).collect();
            }
        }
        for sign in [scale, -scale] {
            inputs.push(direction.iter().map(|x| sign * x).collect());
        }
        let found = inputs.into_iter().filter_map(|x| self.found(x, None, 1e-3, 12));
        let mut found: Vec<Found> = found.collect();
        found.sort_by(|a, b| b.norm.total_cmp(&a.norm));
        if found.is_empty() {
            found.push(Found { x: vec![0.0; n], direction: numbers.normals(n), norm: 0.0 });
        }
        found
    }

    /// Simulated annealing of the norm of the derivative (Kirkpatrick, Gelatt & Vecchi, *Optimization by simulated
    /// annealing*, 1983): the largest norm that was passed.
    fn anneal(&self, start: Found, mut numbers: Numbers, deadline: Deadline) -> f64 {
        let n = self.inputs();
        let (mut now, mut best) = (start.clone(), start);
        for step in 0..STEPS {
            if deadline.is_over() {
                break;
            }
            let cold = 1e-3f64.powf(step as f64 / STEPS as f64);
            let size = norm_of(&now.x).max(1e-300);
            // Every fourth step is along the direction in which the derivative is longest, the others are random ones.
            let x: Vec<f64> = if step % 4 == 0 {
                let sign = if numbers.uniform() < 0.5 { size } else { -size };
                let part = if step % 8 == 0 { 0.0 } else { 1.0 };
                now.x
                    .iter()
                    .zip(&now.direction)
                    .map(|(x, v)| part * x + sign * cold.max(1.0 - part) * v)
                    .collect()
            } else {
                let radius = cold * size / (n as f64).sqrt();
                now.x.iter().map(|x| x + radius * numbers.normal()).collect()
            };
            let Some(found) = self.found(x, Some(&now.direction), 1e-6, 8) else { continue };
            if found.norm > best.norm {
                best = found.clone();
            }
            let loss = (now.norm - found.norm) / now.norm.max(f64::MIN_POSITIVE);
            if loss <= 0.0 || numbers.uniform() < (-loss / (0.1 * cold)).exp() {
                now = found;
            }
        }
        let norm = best.norm;
        self.found(best.x, Some(&best.direction), 1e-15, 1000).map_or(norm, |found| found.norm.max(norm))
    }
}

impl Scaled {
    /// A lower bound of the network it was made of, from one of its own: less what the last sums may be rounded by.
    fn back_down(&self, norm: f64) -> f64 {
        let value = self.back(norm) * (1.0 - 8.0 * f64::EPSILON);
        // What is below the least number was rounded up.
        if value < f64::MIN_POSITIVE { 0.0 } else { value.min(f64::MAX) }
    }
}
