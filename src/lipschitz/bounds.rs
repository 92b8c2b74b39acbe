//! Bounds and estimates of a network's constant.

use std::time::Duration;

use faer::Mat;

use super::certificate::{frobenius, product_at_most};
use super::constant::LipschitzConstant;
use super::limit::{Deadline, TimeUp, time_up};
use super::matrix::norm_at_most;
use super::network::Network;
use super::pair::pairs;
use super::reduced::Reduced;
use super::semidefinite::{Point, Program};
use super::{chain, descent, patterns};
use crate::error::{At, Error, Result};

impl Network {
    /// The product of the layers' Frobenius norms and the activations' largest slopes: an upper bound.
    pub fn frobenius(&self) -> LipschitzConstant {
        let norms = self.weights.iter().map(|w| frobenius(w.as_ref()));
        LipschitzConstant::upper("Frobenius", product_at_most(norms.chain(self.of_activations())))
    }

    /// AutoLip, the product of the layers' spectral norms and the activations' largest slopes (Virmaux & Scaman,
    /// *Lipschitz regularity of deep neural networks: analysis and efficient estimation*, 2018): an upper bound.
    pub fn auto_lip(&self) -> LipschitzConstant {
        let norms = self.weights.iter().map(|w| norm_at_most(w.as_ref()));
        LipschitzConstant::upper("AutoLip", product_at_most(norms.chain(self.of_activations())))
    }

    /// The spectral norm of each layer, at least so: where [`auto_lip`](Network::auto_lip) comes from.
    pub fn layer_norms(&self) -> Vec<LipschitzConstant> {
        self.weights
            .iter()
            .map(|w| LipschitzConstant::upper("spectral norm", norm_at_most(w.as_ref())))
            .collect()
    }

    /// ECLipsE-Fast: the chain over the layers with one multiplier for each, in closed form (Xu & Sivaranjani,
    /// *ECLipsE: efficient compositional Lipschitz constant estimation for deep neural networks*, 2024): an upper
    /// bound.
    pub fn eclipse_fast(&self) -> LipschitzConstant {
        let reduced = Reduced::of(self);
        let bound = chain::certified_fast(reduced.network());
        LipschitzConstant::upper("ECLipsE-Fast", reduced.back(bound))
    }

    /// The chain over the layers with a multiplier for each neuron, from that of
    /// [`eclipse_fast`](Network::eclipse_fast) on to where L-BFGS takes them, or as far as it comes in the time: an
    /// upper bound in any case. The least one there is is that of [`lipsdp_neuron`](Network::lipsdp_neuron), which
    /// takes longer for wide networks.
    pub fn eclipse(&self, limit: Duration) -> LipschitzConstant {
        let deadline = Deadline::after(limit);
        let reduced = Reduced::of(self);
        let network = reduced.network();
        let mut bound = chain::certified_fast(network);
        if let Some(start) = chain::fast(network, chain::WIDE) {
            bound = bound.min(certified(network, &descent::descend(network, &start, deadline), &start));
        }
        LipschitzConstant::upper("ECLipsE", reduced.back(bound))
    }

    /// The least bound of the semidefinite program LipSDP-Neuron (Fazlyab, Robey, Hassani, Morari & Pappas,
    /// *Efficient and accurate estimation of Lipschitz constants for deep neural networks*, 2019), up to a part of
    /// 10⁻¹⁰, by Newton's method on a barrier. With the multipliers that it finds, the chain gives an upper bound
    /// that does not depend on it.
    ///
    /// With `S` inputs and neurons, a step is of the order of `S³`; there are about 40.
    ///
    /// # Errors
    /// [`Error::Argument`] if the time limit ends, or if rounding does not let it find a point.
    #[track_caller]
    pub fn lipsdp_neuron(&self, limit: Duration) -> Result<LipschitzConstant> {
        const OP: &str = "lipsdp_neuron";
        let (at, deadline) = (At::caller(), Deadline::after(limit));
        let reduced = Reduced::of(self);
        match least(reduced.network(), deadline) {
            Err(TimeUp) => Err(time_up(OP, limit, at)),
            Ok(Some(bound)) => Ok(LipschitzConstant::upper("LipSDP-Neuron", reduced.back(bound))),
            Ok(None) => Err(Error::Argument { op: OP, reason: "no multipliers were found".into(), at }),
        }
    }

    /// SeqLip (Virmaux & Scaman 2018): the product of the largest norms of neighbouring halves of layers over all
    /// patterns of active neurons between them. They are found by branch and bound, with semidefinite programs as
    /// bounds: an upper bound, and no more than a part of 10⁻¹⁰ above that product.
    ///
    /// # Errors
    /// [`Error::Argument`] if the time limit ends, or if singular values are not found.
    #[track_caller]
    pub fn seq_lip_exact(&self, limit: Duration) -> Result<LipschitzConstant> {
        const OP: &str = "seq_lip_exact";
        let (at, deadline) = (At::caller(), Deadline::after(limit));
        if self.depth() == 1 {
            return Ok(LipschitzConstant::upper("SeqLip", self.auto_lip().value));
        }
        let reduced = Reduced::of(self);
        let Some(pairs) = pairs(reduced.network()) else { return Err(no_singular_values(OP, at)) };
        let norms: Result<Vec<f64>, TimeUp> = pairs.pairs.iter().map(|pair| pair.largest(deadline)).collect();
        let norms = norms.map_err(|TimeUp| time_up(OP, limit, at))?;
        let bound = product_at_most(norms) + pairs.more;
        Ok(LipschitzConstant::upper("SeqLip", reduced.back(bound)))
    }

    /// SeqLip with patterns that are found by changing one neuron at a time: an estimate. It is at most
    /// [`seq_lip_exact`](Network::seq_lip_exact), and so neither above nor below the constant for certain.
    ///
    /// # Errors
    /// [`Error::Argument`] if singular values are not found.
    #[track_caller]
    pub fn seq_lip_greedy(&self) -> Result<LipschitzConstant> {
        let at = At::caller();
        if self.depth() == 1 {
            return Ok(LipschitzConstant::estimate("greedy SeqLip", self.auto_lip().value));
        }
        let reduced = Reduced::of(self);
        let Some(pairs) = pairs(reduced.network()) else {
            return Err(no_singular_values("seq_lip_greedy", at));
        };
        let value: f64 = pairs.pairs.iter().map(|pair| pair.greedy().1).product();
        Ok(LipschitzConstant::estimate("greedy SeqLip", reduced.back(value)))
    }

    /// The largest norm of the derivative over all patterns of slopes, `α` or `β` for each neuron, whether there is an
    /// input with that pattern or not: an upper bound, and the least that is known without the biases.
    ///
    /// # Errors
    /// [`Error::Argument`] if there are more than 24 neurons, or if the time limit ends.
    #[track_caller]
    pub fn all_patterns(&self, limit: Duration) -> Result<LipschitzConstant> {
        const OP: &str = "all_patterns";
        let (at, deadline) = (At::caller(), Deadline::after(limit));
        let neurons: usize = self.widths().sum();
        if neurons > patterns::MOST {
            let reason = format!(
                "{neurons} neurons have 2^{neurons} patterns: at most {} are counted out",
                patterns::MOST
            );
            return Err(Error::Argument { op: OP, reason, at });
        }
        let reduced = Reduced::of(self);
        let bound =
            patterns::largest(reduced.network(), deadline).map_err(|TimeUp| time_up(OP, limit, at))?;
        Ok(LipschitzConstant::upper("all patterns", reduced.back(bound)))
    }
}

fn no_singular_values(op: &'static str, at: At) -> Error {
    Error::Argument { op, reason: "the singular values of a layer were not found".into(), at }
}

/// The least bound of the semidefinite program; nothing if rounding does not let it be found.
///
/// # Errors
/// If there is no time left.
fn least(network: &Network, deadline: Deadline) -> Result<Option<f64>, TimeUp> {
    let fast = chain::certified_fast(network);
    if network.depth() == 1 || fast == 0.0 {
        return Ok(Some(fast));
    }
    let Some(start) = chain::fast(network, chain::WIDE) else { return Ok(None) };
    let Some(bound) = chain::bound(network, &start).filter(|&bound| bound > 0.0) else { return Ok(None) };
    let begin = point(&start, 1.1 * bound * bound);
    let program = whole(network);
    let Some(solution) = program.solve(begin, 1e-10, None, deadline)? else {
        return Ok(None);
    };
    let mut rest = solution.point.lambda.iter();
    let layer = |n| rest.by_ref().take(n).map(|lambda| 2.0 * lambda / solution.point.rho).collect();
    let multipliers: chain::Multipliers = network.widths().map(layer).collect();
    Ok(Some(certified(network, &multipliers, &start).min(fast)))
}

/// The point of the semidefinite program that multipliers of the chain are.
fn point(multipliers: &chain::Multipliers, rho: f64) -> Point {
    Point { rho, lambda: multipliers.iter().flatten().map(|lambda| 0.5 * rho * lambda).collect() }
}

/// The bound of some multipliers, at least so: by the chain, or, where its matrices are so near to singular that no
/// step of it is certain, by the whole matrix of the semidefinite program, of multipliers that are nearly these, and
/// a little like others that are well within.
fn certified(network: &Network, multipliers: &chain::Multipliers, within: &chain::Multipliers) -> f64 {
    let by_chain = chain::certified(network, multipliers);
    let (bound, far) = (chain::bound(network, multipliers), chain::bound(network, within));
    let (Some(bound), Some(far)) = (bound, far) else { return by_chain };
    if by_chain <= bound * (1.0 + 1e-9) || bound == 0.0 {
        return by_chain;
    }
    let at = point(multipliers, bound * bound);
    by_chain.min(whole(network).certified_toward(&at, &point(within, 1.1 * far * far)))
}

/// The program of a network.
fn whole(network: &Network) -> Program {
    let (inputs, neurons) = (network.inputs(), network.widths().sum::<usize>());
    let mut rows = Mat::<f64>::zeros(neurons, inputs + neurons);
    let (mut first, mut from) = (0, 0);
    for w in &network.weights[..network.depth() - 1] {
        rows.submatrix_mut(first, from, w.nrows(), w.ncols()).copy_from(w);
        from = inputs + first;
        first += w.nrows();
    }
    let last = network.last();
    let mut output = Mat::<f64>::zeros(last.nrows(), inputs + neurons);
    output.submatrix_mut(0, from, last.nrows(), last.ncols()).copy_from(last);
    Program::new(inputs, rows.as_ref(), output, network.slopes)
}
