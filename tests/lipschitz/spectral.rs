//! Norms of matrices, convolutions and affine programs.

use antiphon::lipschitz::{
    SingularValue, circular_convolution_norm, convolution_norm, convolution_norm_bound, gram_bound,
    power_method, singular_values, spectral_norm_bound,
};
use antiphon::nn::Rng;
use antiphon::{NdArray, Real, Tensor, Window2d, function, grad};

use crate::networks::{Array, matrix};

#[track_caller]
fn assert_near(found: f64, expected: f64, part: f64) {
    assert!((found - expected).abs() <= part * expected.abs(), "{found} instead of {expected}");
}

fn of_rows(rows: &[&[f64]]) -> Array {
    Array::from_elements(&[rows.len(), rows[0].len()], &rows.concat()).unwrap()
}

fn small() -> Array {
    of_rows(&[&[1.0, 2.0], &[3.0, 4.0]])
}

#[test]
fn the_power_method_takes_the_steps_that_it_takes_elsewhere() {
    let start = Array::from(vec![1.0, 0.0]);
    let steps = [5.464875558040171, 5.464985702003958, 5.464985704218998];
    for (steps, expected) in steps.into_iter().enumerate() {
        // The bias has no part in it.
        let found =
            power_method(|x| x.matmul(&antiphon::Var::lift(&small().transpose())) + 7.0, &start, steps + 1);
        let found = found.unwrap();
        assert_near(found.value, expected, 1e-14);
    }
}

/// `∂σ₁ = u₁ᵀ·dM·v₁`: with the vectors frozen, the derivative of `⟨u, M·v⟩` is that of the norm.
#[test]
fn singular_vectors_give_the_derivative_of_the_norm() {
    let found = singular_values(|x| x.matmul(&antiphon::Var::lift(&small().transpose())), &[2], 2).unwrap();
    assert_near(found[0].value, 5.464985704219043, 1e-13);
    assert_near(found[1].value, 2.0 / 5.464985704219043, 1e-11);
    let SingularValue { left, right, .. } = found[0].clone();
    let frozen = function::<Array, _>(|m| {
        let (left, right) = (antiphon::Var::lift(&left), antiphon::Var::lift(&right));
        (left.unsqueeze(-1) * m * right).sum(..)
    });
    let derivative = grad(frozen, &small()).unwrap();
    let expected = [0.233042460131697, 0.33068839528718, 0.526804530425364, 0.747538215559223];
    for (found, expected) in derivative.view().iter().zip(expected) {
        assert_near(*found, expected, 1e-12);
    }
}

#[test]
fn gram_iteration_falls_to_the_norm_and_not_below() {
    let expected = [5.477225575051661, 5.465013178953566, 5.464985704495301, 5.464985704219043];
    for (squarings, expected) in expected.into_iter().enumerate() {
        let bound = gram_bound(&small(), squarings).unwrap().value;
        assert!(bound >= expected * (1.0 - 2.0 * f64::EPSILON), "{bound} is below {expected}");
        assert_near(bound, expected, 1e-13);
    }
    let hilbert = matrix(5, 5, |r, c| 1.0 / (r + c + 1) as f64);
    assert_near(spectral_norm_bound(&hilbert).unwrap().value, 1.567050691098231, 1e-12);
    assert_near(gram_bound(&hilbert, 8).unwrap().value, 1.567050691098231, 1e-12);
    // Of any size.
    for size in [1e-200, 1e200] {
        let scaled = small() * size;
        assert_near(gram_bound(&scaled, 6).unwrap().value / size, 5.464985704219043, 1e-12);
        assert_near(spectral_norm_bound(&scaled).unwrap().value / size, 5.464985704219043, 1e-12);
    }
}

#[test]
fn bounds_of_random_matrices_are_above_what_vectors_show() {
    let mut rng = Rng::new(5);
    for n in 1..60 {
        let m = 1 + (7 * n) % 50;
        let a = matrix(n, m, |_, _| rng.normal());
        let bounds = [0, 1, 5, 12].map(|squarings| gram_bound(&a, squarings).unwrap().value);
        let certified = spectral_norm_bound(&a).unwrap().value;
        let found = singular_values(|x| x.matmul(&antiphon::Var::lift(&a)), &[n], 1).unwrap()[0].value;
        assert!(bounds.windows(2).all(|pair| pair[1] <= pair[0] * (1.0 + 1e-12)), "{bounds:?}");
        assert!(found <= certified && found <= bounds[3], "{found} {certified} {bounds:?}");
        assert!(certified <= found * (1.0 + 1e-11), "{found} {certified}");
        let x = NdArray::from((0..n).map(|_| rng.normal()).collect::<Vec<f64>>());
        let norm = |x: &Array| x.square().sum(..).item().sqrt();
        assert!(norm(&x.matmul(&a)) <= certified * norm(&x) * (1.0 + 1e-14));
    }
}

fn kernel(rows: &[&[f64]]) -> Array {
    of_rows(rows).reshape(&[1, 1, rows.len(), rows[0].len()])
}

#[test]
fn convolutions_with_zeros_around_have_their_norms() {
    let line = |elements: &[f64], padding: usize, stride: usize, n: usize| {
        (kernel(&[elements]), [1, n], Window2d { stride: [1, stride], padding: [0, padding] })
    };
    let plane = |rows: &[&[f64]]| (kernel(rows), [28, 28], Window2d { stride: [1, 1], padding: [1, 1] });
    let cases = [
        (line(&[1.0, -2.0, 1.0], 1, 1, 28), 3.988275914308719),
        (line(&[1.0, 1.0, 1.0], 1, 1, 28), 2.988275914308719),
        (line(&[1.0, 2.0, 3.0], 0, 2, 9), 4.342131039737249),
        (plane(&[&[0.0, 1.0, 0.0], &[1.0, -4.0, 1.0], &[0.0, 1.0, 0.0]]), 7.976551828617438),
        (plane(&[&[1.0; 3], &[1.0; 3], &[1.0; 3]]), 8.929792940037611),
        (plane(&[&[1.0, 0.0, -1.0], &[2.0, 0.0, -2.0], &[1.0, 0.0, -1.0]]), 7.929792940037611),
    ];
    for ((kernel, size, window), expected) in cases {
        let found = convolution_norm(&kernel, size, window).unwrap();
        assert_near(found.value, expected, 1e-12);
        let bound = convolution_norm_bound(&kernel, size, window).unwrap().value;
        assert!(bound >= found.value, "{bound} is below {}", found.value);
        assert_near(bound, expected, 1e-10);
        // The torus is a little larger.
        let torus = circular_convolution_norm(&kernel, [size[0] + 2, size[1] + 2]).unwrap().value;
        assert!(torus >= found.value && torus <= 1.4 * found.value, "{torus} {}", found.value);
    }
}

#[test]
fn circular_convolutions_have_the_largest_norm_of_a_frequency() {
    let line = kernel(&[&[1.0, -2.0, 1.0]]);
    assert_near(circular_convolution_norm(&line, [1, 28]).unwrap().value, 4.0, 1e-11);
    let sum = kernel(&[&[1.0; 3], &[1.0; 3], &[1.0; 3]]);
    assert_near(circular_convolution_norm(&sum, [28, 28]).unwrap().value, 9.0, 1e-11);
    // Of channels, by the matrix of a torus whose size is no power of two, and smaller than the kernel along one axis.
    let mut rng = Rng::new(3);
    let elements: Vec<f64> = (0..2 * 3 * 3 * 2).map(|_| rng.normal()).collect();
    let kernel = Array::from_elements(&[2, 3, 3, 2], &elements).unwrap();
    for [h, w] in [[5, 6], [2, 7]] {
        let mut whole = vec![0.0; 2 * h * w * 3 * h * w];
        for (k, x) in elements.iter().enumerate() {
            let (o, c, u, v) = (k / 18, k / 6 % 3, k / 2 % 3, k % 2);
            for r in 0..h {
                for s in 0..w {
                    let (to, from) = ((o * h + r) * w + s, (c * h + (r + u) % h) * w + (s + v) % w);
                    whole[to * 3 * h * w + from] += x;
                }
            }
        }
        let whole = Array::from_elements(&[2 * h * w, 3 * h * w], &whole).unwrap();
        let expected = spectral_norm_bound(&whole).unwrap().value;
        assert_near(circular_convolution_norm(&kernel, [h, w]).unwrap().value, expected, 1e-10);
    }
}

/// A convolution whose matrix is too large is bounded on a torus, which is a power of two.
#[test]
fn a_large_convolution_is_bounded_without_its_matrix() {
    let mut rng = Rng::new(4);
    let elements: Vec<f64> = (0..3 * 2 * 9).map(|_| rng.normal()).collect();
    let kernel = Array::from_elements(&[3, 2, 3, 3], &elements).unwrap();
    let window = Window2d { stride: [1, 1], padding: [1, 1] };
    let bound = convolution_norm_bound(&kernel, [30, 30], window).unwrap();
    let found = convolution_norm(&kernel, [30, 30], window).unwrap().value;
    assert_eq!(bound.method, "Fourier transform");
    assert!(found <= bound.value && bound.value <= 1.05 * found, "{found} {bound}");
}

#[test]
fn deflation_finds_equal_values_as_often_as_they_are_there() {
    let diagonal = Array::from(vec![3.0, -3.0, 2.0, 0.0]);
    let values = singular_values(|x| x * antiphon::Var::lift(&diagonal), &[4], 4).unwrap();
    for (found, expected) in values.iter().zip([3.0, 3.0, 2.0, 0.0]) {
        assert!((found.value - expected).abs() < 1e-12, "{found:?}");
    }
    // Averages of windows of 2 × 2: all are ½.
    let values = singular_values(
        |x| x.avg_pool2d([2, 2], Window2d { stride: [2, 2], padding: [0, 0] }),
        &[1, 1, 4, 4],
        5,
    );
    for (i, found) in values.unwrap().iter().enumerate() {
        assert!((found.value - if i < 4 { 0.5 } else { 0.0 }).abs() < 1e-12, "{i} {found:?}");
    }
}

#[test]
fn what_has_no_norm_is_an_error_with_the_reason() {
    let says = |error: antiphon::Error, word: &str| {
        let error = error.to_string();
        assert!(error.contains(word) && error.contains("spectral.rs"), "{error}");
    };
    says(singular_values(|x| x.square(), &[3], 1).unwrap_err(), "not affine");
    says(singular_values(|x| x, &[3], 4).unwrap_err(), "4 singular values");
    says(singular_values(|x| x * f64::NAN, &[3], 1).unwrap_err(), "not finite");
    says(power_method(|x| x, &Array::zeros(&[3]), 1).unwrap_err(), "start");
    says(spectral_norm_bound(&Array::from(vec![1.0])).unwrap_err(), "[1]");
    says(gram_bound(&of_rows(&[&[1.0, f64::NAN]]), 1).unwrap_err(), "[0, 1] is NaN");
    let window = Window2d::default();
    says(convolution_norm(&small(), [3, 3], window).unwrap_err(), "[2, 2]");
    let kernel = kernel(&[&[1.0, 1.0, 1.0]]);
    says(convolution_norm_bound(&kernel, [3, 2], window).unwrap_err(), "no window [1, 3]");
    says(
        convolution_norm(&kernel, [3, 3], Window2d { stride: [0, 1], padding: [0, 0] }).unwrap_err(),
        "no window",
    );
    says(circular_convolution_norm(&kernel, [0, 3]).unwrap_err(), "[0, 3]");
}
