//! SeqLip of layers that are programs: without their matrices, from their largest singular values.

use faer::{Col, Mat, Scale};

use super::affine::{Affine, AffineProgram};
use super::constant::LipschitzConstant;
use super::matrix::Numbers;
use super::network::Slopes;
use super::pair::Pair;
use crate::error::{At, Error, Result};
use crate::language::tensor::Tensor;

const OP: &str = "AffineChain";
/// Directions beside those that are asked for: with them the last ones are found as well.
const MORE: usize = 10;
/// The most times that a layer's products are taken of all directions.
const ROUNDS: usize = 60;
/// The change of a singular value, relative to the largest one, at which a round was the last.
const SETTLED: f64 = 1e-10;
/// How many singular vectors of each side the patterns are looked for from.
const STARTS: usize = 4;

/// The largest singular values of a layer, with their vectors.
struct Truncated {
    /// `[outputs, rank]`.
    left: Mat<f64>,
    /// Descending.
    values: Vec<f64>,
    /// `[inputs, rank]`.
    right: Mat<f64>,
    /// The next value, or zero if there is none: the norm of what is left out.
    rest: f64,
}

/// Affine layers, given as programs, with an activation between them: convolutions, of which the matrix would be too
/// large, averages, or any composition of these.
///
/// Of each layer the `rank` largest singular values are found, by subspace iteration with products alone (Halko,
/// Martinsson & Tropp, *Finding structure with randomness*, 2011, algorithm 4.4), and SeqLip is that of these (Virmaux
/// & Scaman, *Lipschitz regularity of deep neural networks: analysis and efficient estimation*, 2018, sections 4 and
/// 5).
///
/// ```
/// use antiphon::lipschitz::{AffineChain, AffineProgram, Slopes};
/// use antiphon::nn::{Init, Rng};
/// use antiphon::{NdArray, Real, Tensor, Var, Window2d};
/// let rng = &mut Rng::new(1);
/// let mut kernel = |shape: &[usize]| -> NdArray<f64> { Init::HeUniform.sample(shape, rng) };
/// let (first, second, last) = (kernel(&[4, 1, 3, 3]), kernel(&[4, 4, 3, 3]), kernel(&[100, 10]));
/// let halved = Window2d { stride: [2, 2], padding: [1, 1] };
/// let layers: [AffineProgram<'_>; 3] = [
///     &|x| x.conv2d(&Var::lift(&first), halved),
///     &|x| x.conv2d(&Var::lift(&second), halved).reshape(&[1, 100]),
///     &|x| x.matmul(&Var::lift(&last)),
/// ];
/// let chain = AffineChain::new(&layers, &[1, 1, 20, 20], Slopes::UNIT, 100)?;
/// assert!(chain.seq_lip_greedy()?.value < chain.auto_lip().value);
/// # Ok::<(), antiphon::Error>(())
/// ```
pub struct AffineChain {
    layers: Vec<Truncated>,
    slopes: Slopes,
}

impl std::fmt::Debug for AffineChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = |layer: &Truncated| [layer.right.nrows(), layer.left.nrows(), layer.values.len()];
        let sizes: Vec<[usize; 3]> = self.layers.iter().map(size).collect();
        f.debug_struct("AffineChain")
            .field("inputs, outputs and rank", &sizes)
            .field("slopes", &self.slopes)
            .finish_non_exhaustive()
    }
}

impl AffineChain {
    /// Layers, each of which takes what the one before it gives, and the first one an array of a shape. Biases are of
    /// no account. The activation may be another one for each neuron; no more is known of it than its slopes.
    ///
    /// # Errors
    /// What a program raises; [`Error::Argument`] if there is no layer, if one is not affine, not finite, or has no
    /// inputs or outputs, if the rank is zero, or the slopes are not two finite numbers in their order.
    #[track_caller]
    pub fn new(
        layers: &[AffineProgram<'_>],
        shape: &[usize],
        slopes: Slopes,
        rank: usize,
    ) -> Result<AffineChain> {
        let at = At::caller();
        let bad = |reason: String| Err(Error::Argument { op: OP, reason, at });
        if layers.is_empty() || rank == 0 {
            return bad(format!("{} layers, of which {rank} singular values are wanted", layers.len()));
        }
        slopes.check(OP, at)?;
        let mut shape = shape.to_vec();
        let mut found = Vec::with_capacity(layers.len());
        for (number, layer) in layers.iter().enumerate() {
            let affine = Affine::new(OP, at, *layer, &shape).map_err(|error| match error {
                Error::Argument { op: OP, reason, at } => {
                    Error::Argument { op: OP, reason: format!("layer {}: {reason}", number + 1), at }
                }
                other => other,
            })?;
            let outputs = affine.origin.shape();
            if affine.inputs() == 0 || affine.origin.size() == 0 {
                return bad(format!("layer {} takes {shape:?} to {outputs:?}", number + 1));
            }
            let Some(layer) = Truncated::of(&affine, rank)? else {
                return bad(format!("the singular values of layer {} were not found", number + 1));
            };
            found.push(layer);
            shape = outputs.to_vec();
        }
        Ok(AffineChain { layers: found, slopes })
    }

    /// The largest singular values of each layer, descending.
    pub fn singular_values(&self) -> impl Iterator<Item = &[f64]> {
        self.layers.iter().map(|layer| &layer.values[..])
    }

    /// AutoLip, the product of the layers' norms and the largest slopes: an estimate, since the norms are those that
    /// were found, and not bounds of them.
    pub fn auto_lip(&self) -> LipschitzConstant {
        let between = self.slopes.largest().powi(self.layers.len() as i32 - 1);
        let norms: f64 = self.layers.iter().map(|layer| layer.values[0]).product();
        LipschitzConstant::estimate("AutoLip", norms * between)
    }

    /// SeqLip, of patterns that are found by turns: the best one of two vectors, and the best vectors of that pattern.
    /// It is an estimate: there may be better patterns.
    ///
    /// What is left out of a layer is counted in. Of halves `A + A′` and `B + B′`, where `A′` and `B′` are what is left
    /// out, the norm is at most that of `[‖AσB‖, ‖A‖·s·‖B′‖; ‖A′‖·s·‖B‖, ‖A′‖·s·‖B′‖]`, with `s` the largest slope,
    /// and at most `‖A‖·s·‖B‖`.
    ///
    /// # Errors
    /// [`Error::Argument`] if a norm is not finite.
    #[track_caller]
    pub fn seq_lip_greedy(&self) -> Result<LipschitzConstant> {
        let at = At::caller();
        let depth = self.layers.len();
        if depth == 1 {
            return Ok(LipschitzConstant::estimate("greedy SeqLip", self.auto_lip().value));
        }
        let slope = self.slopes.largest();
        let mut product = 1.0;
        for (i, two) in self.layers.windows(2).enumerate() {
            let (before, behind) = (&two[0], &two[1]);
            // Half of a layer belongs to each side, but of the first and the last one all.
            let of_before = if i == 0 { 1.0 } else { 0.5 };
            let of_behind = if i + 2 == depth { 1.0 } else { 0.5 };
            let pair = Pair {
                left: Mat::from_fn(behind.values.len(), behind.right.nrows(), |r, c| {
                    behind.right[(c, r)] * behind.values[r].powf(of_behind)
                }),
                right: Mat::from_fn(before.left.nrows(), before.values.len(), |r, c| {
                    before.left[(r, c)] * before.values[c].powf(of_before)
                }),
                slopes: self.slopes,
            };
            let ends = |layer: &Truncated, power: f64| [layer.values[0], layer.rest].map(|s| s.powf(power));
            let ([b, b_rest], [a, a_rest]) = (ends(before, of_before), ends(behind, of_behind));
            let whole = norm_of_blocks([
                [pair.by_turns(), a * slope * b_rest],
                [a_rest * slope * b, a_rest * slope * b_rest],
            ]);
            product *= whole.min(a * slope * b);
        }
        if !product.is_finite() {
            let reason = format!("SeqLip is {product}");
            return Err(Error::Argument { op: "seq_lip_greedy", reason, at });
        }
        Ok(LipschitzConstant::estimate("greedy SeqLip", product))
    }
}

/// The norm of a matrix of two rows and columns.
fn norm_of_blocks([[a, b], [c, d]]: [[f64; 2]; 2]) -> f64 {
    let (sum, difference) =
        (((a + d).powi(2) + (b - c).powi(2)).sqrt(), ((a - d).powi(2) + (b + c).powi(2)).sqrt());
    0.5 * (sum + difference)
}

impl Truncated {
    /// By subspace iteration; nothing if a factorization does not come to its end.
    fn of(affine: &Affine<AffineProgram<'_>>, rank: usize) -> Result<Option<Truncated>> {
        let (inputs, outputs) = (affine.inputs(), affine.origin.size());
        let width = (rank + MORE).min(inputs).min(outputs);
        let mut numbers = Numbers::new(0);
        let mut images = Mat::from_fn(inputs, width, |_, _| numbers.normal());
        let mut before: Vec<f64> = Vec::new();
        for round in 0..ROUNDS {
            let basis = images.qr().compute_thin_Q();
            let mut moved = Mat::zeros(outputs, width);
            for j in 0..width {
                let (y, back) = affine.image(basis.col_as_slice(j))?;
                y.view().iter().enumerate().for_each(|(i, &y)| moved[(i, j)] = y);
                back.iter().enumerate().for_each(|(i, &x)| images[(i, j)] = x);
            }
            let Ok(svd) = moved.thin_svd() else { return Ok(None) };
            let values: Vec<f64> = svd.S().column_vector().iter().map(|s| s.max(0.0)).collect();
            let kept = rank.min(width);
            let largest = values[0];
            if !largest.is_finite() {
                return Ok(None);
            }
            let change = values.iter().zip(&before).take(kept).map(|(now, then)| (now - then).abs());
            let settled = !before.is_empty() && change.fold(0.0, f64::max) <= SETTLED * largest;
            // All directions, or, behind one round, all those that the layer does not take to zero.
            let all = width == inputs || width == outputs && round > 0;
            if settled || all || round + 1 == ROUNDS {
                return Ok(Some(Truncated {
                    left: svd.U().subcols(0, kept).to_owned(),
                    right: &basis * svd.V().subcols(0, kept),
                    rest: values.get(rank).copied().unwrap_or(0.0),
                    values: values[..kept].to_vec(),
                }));
            }
            before = values;
        }
        unreachable!("the last round returns")
    }
}

impl Pair {
    /// The largest norm found over `σ` by turns, from the patterns that singular vectors of both sides switch on: of
    /// `u` and `v` the best pattern has `σᵢ` high where `(u·left)ᵢ·(right·v)ᵢ > 0`, and of `σ` the next `u` and `v` are
    /// those of a step of the power method. No step makes `u·left·diag(σ)·right·v` less.
    fn by_turns(&self) -> f64 {
        let (outputs, inputs) = (self.left.nrows(), self.right.ncols());
        let mut best: f64 = 0.0;
        for j in 0..STARTS.min(outputs) {
            for k in 0..STARTS.min(inputs) {
                for sign in [1.0, -1.0] {
                    let u = Col::from_fn(outputs, |i| if i == j { sign } else { 0.0 });
                    let v = Col::from_fn(inputs, |i| if i == k { 1.0 } else { 0.0 });
                    best = best.max(self.uphill(u, v));
                }
            }
        }
        // And from all of them at once.
        let all = |n: usize| Col::from_fn(n, |_| (n as f64).sqrt().recip());
        best.max(self.uphill(all(outputs), all(inputs)))
    }

    fn uphill(&self, u: Col<f64>, mut v: Col<f64>) -> f64 {
        let unit = |x: Col<f64>| {
            let size = x.norm_l2();
            (size > 0.0).then(|| (x * Scale(size.recip()), size))
        };
        let (mut back, mut best) = (self.left.transpose() * &u, 0.0f64);
        for _ in 0..1000 {
            let there = &self.right * &v;
            let high: Vec<bool> = (0..self.neurons()).map(|i| back[i] * there[i] > 0.0).collect();
            let active = |x: &Col<f64>| Col::from_fn(x.nrows(), |i| self.slope(high[i]) * x[i]);
            let Some((u, _)) = unit(&self.left * active(&there)) else { return best };
            back = self.left.transpose() * &u;
            let Some((next, value)) = unit(self.right.transpose() * active(&back)) else { return best };
            v = next;
            let settled = value <= best * (1.0 + 1e-9);
            best = best.max(value);
            if settled {
                break;
            }
        }
        best
    }
}
