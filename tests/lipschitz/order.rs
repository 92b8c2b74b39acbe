//! What is below what, of networks of all kinds.

use std::time::Duration;

use antiphon::NdArray;
use antiphon::lipschitz::Network;
use antiphon::nn::Rng;

use crate::networks::{LONG, random};

/// A quarter of a thousand networks for each thread.
#[test]
fn bounds_of_a_thousand_random_networks_are_in_their_order() {
    let quarter = |first: u64| std::thread::spawn(move || in_their_order((first..1000).step_by(4)));
    let threads: Vec<_> = (0..4).map(quarter).collect();
    let strict: usize =
        threads.into_iter().map(|thread| thread.join().expect("all are in their order")).sum();
    assert!(strict > 500, "only {strict} networks tell bounds apart");
}

/// Of how many of these networks the bounds differ noticeably.
fn in_their_order(seeds: impl Iterator<Item = u64>) -> usize {
    let mut strict = 0;
    for seed in seeds {
        let network = random(seed);
        let name = |what: &str| format!("{what} of {network:?}, seed {seed}");
        let below = |a: f64, b: f64, what: &str| assert!(a <= b * (1.0 + 1e-9), "{}: {a} > {b}", name(what));
        let (frobenius, auto_lip) = (network.frobenius().value, network.auto_lip().value);
        let fast = network.eclipse_fast().value;
        let lipsdp = network.lipsdp_neuron(LONG).unwrap().value;
        let exact = network.seq_lip_exact(LONG).unwrap().value;
        let greedy = network.seq_lip_greedy().unwrap().value;
        below(auto_lip, frobenius, "AutoLip and Frobenius");
        below(fast, auto_lip, "ECLipsE-Fast and AutoLip");
        below(lipsdp, fast, "LipSDP and ECLipsE-Fast");
        below(exact, auto_lip, "SeqLip and AutoLip");
        below(greedy, exact, "greedy and exact SeqLip");
        if seed % 25 == 0 {
            let eclipse = network.eclipse(LONG).value;
            below(lipsdp, eclipse, "LipSDP and ECLipsE");
            below(eclipse, fast, "ECLipsE and ECLipsE-Fast");
        }
        let mut bounds = vec![("LipSDP", lipsdp), ("SeqLip", exact)];
        if network.widths().sum::<usize>() <= 6 {
            let patterns = network.all_patterns(LONG).unwrap().value;
            below(patterns, lipsdp, "all patterns and LipSDP");
            below(patterns, exact, "all patterns and SeqLip");
            bounds.push(("all patterns", patterns));
        }
        // Rounding is no excuse here: the bounds count it.
        let mut rng = Rng::new(seed);
        let mut lower = if seed % 50 == 0 { network.lower_bound(LONG).unwrap().value } else { 0.0 };
        for _ in 0..3 {
            let x: Vec<f64> = (0..network.inputs()).map(|_| 3.0 * rng.normal()).collect();
            let x = NdArray::from(x);
            let norm = network.norm_at(&x).unwrap().value;
            let local = network.local_bound(&x, 1e-3, LONG).unwrap().value;
            assert!(norm <= local && local <= fast * (1.0 + 1e-9), "{}: {norm} {local}", name("local bound"));
            lower = lower.max(norm);
        }
        for (method, bound) in bounds {
            assert!(lower <= bound, "{}: {lower} > {bound}", name(method));
        }
        strict += usize::from(lower < 0.999 * auto_lip);
    }
    strict
}

#[test]
fn a_search_finds_what_all_patterns_bound() {
    let mut found = 0;
    for seed in 0..40 {
        let network = random(seed);
        if network.widths().sum::<usize>() <= 8 {
            let (lower, upper) = (network.lower_bound(LONG).unwrap(), network.all_patterns(LONG).unwrap());
            assert!(lower.value <= upper.value, "{lower} > {upper}");
            found += usize::from(lower.value > 0.9 * upper.value);
        }
    }
    assert!(found >= 8, "{found}");
}

#[test]
fn what_takes_too_long_says_so() {
    let network = random(3);
    let at_once = Duration::ZERO;
    for error in
        [network.seq_lip_exact(at_once), network.lipsdp_neuron(at_once), network.all_patterns(at_once)]
    {
        if network.depth() > 1 {
            let error = error.unwrap_err().to_string();
            assert!(error.contains("the time limit of 0ns has ended"), "{error}");
        }
    }
    // These have a bound at any time.
    assert!(network.eclipse(at_once).value.is_finite());
    assert!(network.lower_bound(at_once).unwrap().value.is_finite());
}

/// With two inputs, most directions between wide layers cannot be reached: the best multipliers lie where the chain's
/// matrices are singular, and have to be certified all the same.
#[test]
fn deep_networks_of_few_inputs_have_certified_bounds() {
    let weights = crate::networks::random_weights(&mut Rng::new(1), &[2, 15, 15, 15, 1]);
    let network = Network::relu(&weights).unwrap();
    let (fast, lipsdp) = (network.eclipse_fast().value, network.lipsdp_neuron(LONG).unwrap().value);
    let lower = network.lower_bound(LONG).unwrap().value;
    assert!(lipsdp < 0.7 * fast, "{lipsdp} {fast}");
    assert!(lower <= lipsdp && lower > 0.1 * lipsdp, "{lower} {lipsdp}");
}
