//! What bounds of Lipschitz constants take, each method by itself: `cargo bench --bench lipschitz`.
//!
//! Networks are of normal deviates; `benches/peers/lipschitz_peer.py` times LipSDP-Neuron of the same ones with cvxpy,
//! from `out/lipschitz`, where this writes them.

use std::path::Path;
use std::time::{Duration, Instant};

use antiphon::lipschitz::{LipschitzConstant, Network};
use antiphon::nn::Rng;
use antiphon::{NdArray, Result, Tensor};

type Array = NdArray<f64>;

const LIMIT: Duration = Duration::from_secs(120);

fn weights(sizes: &[usize], seed: u64) -> Vec<Array> {
    let mut rng = Rng::new(seed);
    let layer = |pair: &[usize], rng: &mut Rng| {
        let scale = (pair[0] as f64).sqrt().recip();
        let elements: Vec<f64> = (0..pair[0] * pair[1]).map(|_| scale * rng.normal()).collect();
        Array::from_elements(pair, &elements).expect("as many elements")
    };
    sizes.windows(2).map(|pair| layer(pair, &mut rng)).collect()
}

/// The least time of some runs, in milliseconds.
fn time(name: &str, runs: usize, method: impl Fn() -> Result<LipschitzConstant>) {
    let mut least = f64::INFINITY;
    let mut found = None;
    for _ in 0..runs {
        let start = Instant::now();
        let result = method();
        least = least.min(start.elapsed().as_secs_f64() * 1e3);
        found = Some(result);
    }
    match found.expect("a run") {
        Ok(constant) => println!("{name:<44} {least:>11.3} ms   {constant}"),
        Err(error) => println!("{name:<44} {least:>11.3} ms   {error}"),
    }
}

/// Writes weights for the peer: one file for each layer, `[inputs, outputs]`.
fn save(name: &str, weights: &[Array]) -> Result<()> {
    let folder = Path::new("out/lipschitz");
    std::fs::create_dir_all(folder).map_err(|source| antiphon::Error::Io { path: folder.into(), source })?;
    let path = folder.join(format!("{name}.npz"));
    antiphon::io::save_npz(path, &weights.to_vec())
}

fn main() -> Result<()> {
    for (name, sizes) in
        [("4-80-1", &[4, 80, 1][..]), ("2-10-30-20-2", &[2, 10, 30, 20, 2]), ("784-50-10", &[784, 50, 10])]
    {
        let weights = weights(sizes, 1);
        save(name, &weights)?;
        let network = Network::relu(&weights)?;
        time(&format!("LipSDP-Neuron, {name}"), 5, || network.lipsdp_neuron(LIMIT));
        time(&format!("ECLipsE, {name}"), 3, || Ok(network.eclipse(LIMIT)));
        time(&format!("ECLipsE-Fast, {name}"), 20, || Ok(network.eclipse_fast()));
    }
    for (n, runs) in [(5, 20), (15, 10), (20, 10), (50, 1)] {
        let network = Network::relu(&weights(&[n, n, n], 2))?;
        time(&format!("SeqLip exact, {n} neurons"), runs, || network.seq_lip_exact(LIMIT));
        time(&format!("SeqLip greedy, {n} neurons"), runs, || network.seq_lip_greedy());
    }
    let deep = Network::relu(&weights(&[&[4][..], &[80; 100], &[1]].concat(), 3))?;
    time("ECLipsE-Fast, 100 layers of 80", 20, || Ok(deep.eclipse_fast()));
    time("AutoLip, 100 layers of 80", 20, || Ok(deep.auto_lip()));
    Ok(())
}
