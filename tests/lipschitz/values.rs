//! Values from other programs and closed forms.

use antiphon::lipschitz::{Kind, LipschitzConstant, Network, Slopes};

use crate::networks::{Array, LONG, absolute, formula, matrix};

/// Raises unless a bound is near a value, and not below it if it is an upper bound.
#[track_caller]
fn assert_is(found: LipschitzConstant, expected: f64, part: f64) {
    let difference = found.value - expected;
    assert!(difference.abs() <= part * expected.abs().max(1.0), "{found} instead of {expected}");
    // The values were rounded too.
    if found.kind == Kind::UpperBound {
        assert!(difference >= -4.0 * f64::EPSILON * expected, "{found} is below {expected}");
    }
}

#[test]
fn networks_by_a_formula_have_the_constants_of_other_programs() {
    let table: [(&[usize], [f64; 5]); 3] = [
        (
            &[2, 8, 1],
            [
                1.371598824907429,
                0.9713816711557788,
                0.6583035344366309,
                0.6583035344366309,
                0.6583035344366308,
            ],
        ),
        (
            &[2, 8, 8, 2],
            [3.569464282363247, 1.795436126714272, 0.8613011897769087, 0.834394774347801, 0.834394774347801],
        ),
        (
            &[4, 16, 1],
            [1.646289557234505, 1.165146955980841, 0.7430316884704361, 0.743031688470436, 0.743031688470436],
        ),
    ];
    for (sizes, [auto_lip, fast, seq_lip, lipsdp, patterns]) in table {
        let network = formula(sizes);
        assert_is(network.auto_lip(), auto_lip, 1e-8);
        assert_is(network.eclipse_fast(), fast, 1e-8);
        assert_is(network.seq_lip_exact(LONG).unwrap(), seq_lip, 1e-8);
        assert_is(network.seq_lip_greedy().unwrap(), seq_lip, 1e-8);
        assert_is(network.lipsdp_neuron(LONG).unwrap(), lipsdp, 1e-6);
        // By descent the same bound is reached, nearly.
        assert_is(network.eclipse(LONG), lipsdp, 1e-4);
        if sizes.len() == 3 {
            assert_is(network.all_patterns(LONG).unwrap(), patterns, 1e-8);
        }
    }
}

#[test]
fn the_absolute_value_has_the_constant_one() {
    let network = absolute();
    assert_is(network.frobenius(), 2.0, 1e-12);
    assert_is(network.auto_lip(), 2.0, 1e-12);
    assert_is(network.eclipse_fast(), 2f64.sqrt(), 1e-12);
    assert_is(network.eclipse(LONG), 1.0, 1e-6);
    assert_is(network.lipsdp_neuron(LONG).unwrap(), 1.0, 1e-8);
    assert_is(network.seq_lip_exact(LONG).unwrap(), 1.0, 1e-8);
    assert_is(network.seq_lip_greedy().unwrap(), 1.0, 1e-12);
    assert_is(network.all_patterns(LONG).unwrap(), 1.0, 1e-12);
    assert_is(network.lower_bound(LONG).unwrap(), 1.0, 1e-12);
    // The same as one neuron with slopes from −1 to 1.
    let network =
        Network::kinked(&[matrix(1, 1, |_, _| 1.0), matrix(1, 1, |_, _| 1.0)], Slopes::SYMMETRIC).unwrap();
    assert_is(network.lipsdp_neuron(LONG).unwrap(), 1.0, 1e-8);
    assert_is(network.norm_at(&Array::from(vec![-3.0])).unwrap(), 1.0, 1e-12);
}

#[test]
fn one_layer_has_its_spectral_norm() {
    let hilbert = matrix(5, 5, |r, c| 1.0 / (r + c + 1) as f64);
    let small = matrix(2, 2, |r, c| [[1.0, 2.0], [3.0, 4.0]][r][c]);
    for (weights, norm) in [(hilbert, 1.567050691098231), (small, 5.464985704219043)] {
        let network = Network::of_slopes(&[weights], Slopes::UNIT).unwrap();
        assert_is(network.auto_lip(), norm, 1e-12);
        assert_is(network.layer_norms()[0], norm, 1e-12);
        assert_is(network.eclipse_fast(), norm, 1e-12);
        assert_is(network.eclipse(LONG), norm, 1e-12);
        assert_is(network.lipsdp_neuron(LONG).unwrap(), norm, 1e-12);
        assert_is(network.seq_lip_exact(LONG).unwrap(), norm, 1e-12);
        assert_is(network.all_patterns(LONG).unwrap(), norm, 1e-12);
        assert_is(network.lower_bound(LONG).unwrap(), norm, 1e-12);
    }
}

/// `max_σ ⟨σv, u⟩` is the sum of the positive products: 1/π in the limit for directions that are equally likely.
#[test]
fn random_directions_have_the_paper_s_limit() {
    for n in [8, 1024] {
        let angle = |k: usize| std::f64::consts::TAU * k as f64 / n as f64;
        let scale = (n as f64 / 2.0).sqrt();
        let first = matrix(1, n, |r, _| angle(r).sin() / scale);
        let second = matrix(n, 1, |_, c| angle(c).cos() / scale);
        let network = Network::relu(&[first, second]).unwrap();
        let expected = if n == 8 { 0.25 } else { 0.31830589143212884 };
        // ⟨σv, u⟩ is over unit vectors, each of n/2 as long squared.
        assert_is(network.seq_lip_greedy().unwrap(), expected, 1e-9);
        if n == 8 {
            assert_is(network.seq_lip_exact(LONG).unwrap(), expected, 1e-9);
        }
    }
}

#[test]
fn weights_of_any_size_have_their_constants() {
    let of = |scale: f64| {
        let weights = [
            matrix(2, 3, |r, c| scale * (r as f64 - c as f64 + 0.5)),
            matrix(3, 1, |_, c| (c as f64 - 1.25) / scale),
        ];
        Network::relu(&weights).unwrap()
    };
    let expected = of(1.0);
    for scale in [1e-150, 1e150, 2f64.powi(-900), 2f64.powi(900)] {
        let network = of(scale);
        assert_is(network.frobenius(), expected.frobenius().value, 1e-9);
        assert_is(network.auto_lip(), expected.auto_lip().value, 1e-9);
        assert_is(network.eclipse_fast(), expected.eclipse_fast().value, 1e-9);
        assert_is(network.lipsdp_neuron(LONG).unwrap(), expected.lipsdp_neuron(LONG).unwrap().value, 1e-9);
        assert_is(network.seq_lip_exact(LONG).unwrap(), expected.seq_lip_exact(LONG).unwrap().value, 1e-9);
        assert_is(network.all_patterns(LONG).unwrap(), expected.all_patterns(LONG).unwrap().value, 1e-9);
        assert_is(network.lower_bound(LONG).unwrap(), expected.lower_bound(LONG).unwrap().value, 1e-9);
    }
    // Bounds that no number is as large as are infinite, and not wrong.
    let huge = Network::relu(&[matrix(1, 1, |_, _| 1e200), matrix(1, 1, |_, _| 1e200)]).unwrap();
    for bound in [huge.frobenius(), huge.auto_lip(), huge.eclipse_fast(), huge.lipsdp_neuron(LONG).unwrap()] {
        assert_eq!(bound.value, f64::INFINITY, "{bound}");
    }
    assert!(huge.lower_bound(LONG).unwrap().value < f64::INFINITY);
    // And those less than all numbers are not zero.
    let tiny = Network::relu(&[matrix(1, 1, |_, _| 1e-200), matrix(1, 1, |_, _| 1e-200)]).unwrap();
    for bound in [tiny.frobenius(), tiny.auto_lip(), tiny.eclipse_fast(), tiny.lipsdp_neuron(LONG).unwrap()] {
        assert!(bound.value > 0.0 && bound.value < 1e-300, "{bound}");
    }
    let zero = Network::relu(&[matrix(2, 2, |_, _| 0.0), matrix(2, 1, |_, _| 1.0)]).unwrap();
    for bound in [
        zero.frobenius(),
        zero.auto_lip(),
        zero.seq_lip_exact(LONG).unwrap(),
        zero.lower_bound(LONG).unwrap(),
    ] {
        assert_eq!(bound.value, 0.0, "{bound}");
    }
    assert!(zero.lipsdp_neuron(LONG).map_or(true, |bound| bound.value >= 0.0));
}

/// Around 3 the absolute value is linear: one of its neurons is idle.
#[test]
fn local_bounds_leave_idle_neurons_out() {
    let bound = |at: f64, radius: f64| absolute().local_bound(&Array::from(vec![at]), radius, LONG).unwrap();
    assert_is(bound(3.0, 1.0), 1.0, 1e-12);
    assert_is(bound(0.0, 1.0), 1.0, 1e-12);
    let first = matrix(2, 4, |r, c| [[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]][r][c]);
    let second = matrix(4, 1, |_, _| 1.0);
    // 3·|x| + |y|, with x that is at least 1, or at least −1: and biases that move it.
    let network = Network::relu(&[first, second]).unwrap();
    let x = Array::from(vec![2.0, 0.0]);
    assert_is(network.local_bound(&x, 1.0, LONG).unwrap(), 10f64.sqrt(), 1e-8);
    let biases = [Array::from(vec![-100.0, 100.0, -100.0, -100.0]), Array::from(vec![0.0])];
    let moved = network.with_biases(&biases).unwrap();
    assert_is(moved.local_bound(&x, 1.0, LONG).unwrap(), 3.0, 1e-8);
    assert_is(moved.local_bound(&x, 1e6, LONG).unwrap(), 10f64.sqrt(), 1e-6);
    assert!(moved.local_bound(&x, f64::NAN, LONG).is_err() && moved.local_bound(&x, -1.0, LONG).is_err());
}
