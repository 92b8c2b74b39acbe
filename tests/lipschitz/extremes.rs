//! Networks whose numbers are very large, very small, or zero: no upper bound is below any lower one, and none panics.

use std::time::Duration;

use antiphon::lipschitz::{
    Network, Slopes, circular_convolution_norm, convolution_norm, convolution_norm_bound,
};
use antiphon::nn::Rng;
use antiphon::{Tensor, Window2d};

use crate::networks::{Array, LONG, matrix};

/// `log₂` of the largest norm over all patterns, of any size: of weights `[in, out]`.
fn logarithm_by_patterns(weights: &[Array], slopes: Slopes) -> f64 {
    let widths: Vec<usize> = weights[..weights.len() - 1].iter().map(|w| w.shape()[1]).collect();
    let neurons: usize = widths.iter().sum();
    let mut largest = f64::NEG_INFINITY;
    for pattern in 0..1u32 << neurons {
        let mut bit = 0;
        // A row for each input, near one, and what it is divided by.
        let n = weights[0].shape()[0];
        let mut rows: Vec<Vec<f64>> =
            (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
        let mut exponent = 0.0;
        let near_one = |rows: &mut Vec<Vec<f64>>, exponent: &mut f64| {
            let size = rows.iter().flatten().fold(0.0f64, |most, x| most.max(x.abs()));
            if size > 0.0 {
                let power = size.log2().floor();
                *exponent += power;
                rows.iter_mut().flatten().for_each(|x| {
                    *x = *x / (power / 2.0).floor().exp2() / (power - (power / 2.0).floor()).exp2()
                });
            }
        };
        for (layer, w) in weights.iter().enumerate() {
            let mut w: Vec<Vec<f64>> =
                w.view().outer_iter().map(|row| row.iter().copied().collect()).collect();
            near_one(&mut w, &mut exponent);
            let outputs = w[0].len();
            rows = rows
                .iter()
                .map(|row| (0..outputs).map(|j| row.iter().zip(&w).map(|(x, w)| x * w[j]).sum()).collect())
                .collect();
            if layer < widths.len() {
                for j in 0..outputs {
                    let slope = if pattern >> bit & 1 == 1 { slopes.high } else { slopes.low };
                    rows.iter_mut().for_each(|row| row[j] *= slope);
                    bit += 1;
                }
            }
            near_one(&mut rows, &mut exponent);
        }
        // The power method, from a vector that is orthogonal to none for certain.
        let columns = rows[0].len();
        let mut v: Vec<f64> = (0..columns).map(|j| 1.0 + (j as f64 * 1.7).sin()).collect();
        let mut norm = 0.0;
        for _ in 0..200 {
            let y: Vec<f64> = rows.iter().map(|row| row.iter().zip(&v).map(|(a, b)| a * b).sum()).collect();
            let size = v.iter().map(|x| x * x).sum::<f64>().sqrt();
            norm = y.iter().map(|x| x * x).sum::<f64>().sqrt() / size;
            if norm == 0.0 {
                break;
            }
            let next =
                (0..columns).map(|j| rows.iter().zip(&y).map(|(row, y)| row[j] * y).sum::<f64>() / size);
            v = next.collect();
        }
        largest = largest.max(norm.log2() + exponent);
    }
    largest
}

fn random(rng: &mut Rng, kind: u64) -> (Vec<Array>, Slopes) {
    let below = |rng: &mut Rng, n: usize| (rng.uniform() * n as f64) as usize % n;
    let depth = 1 + below(rng, 4);
    let sizes: Vec<usize> = (0..=depth).map(|_| 1 + below(rng, 4)).collect();
    let weights = sizes.windows(2).map(|pair| {
        let scale: f64 = match kind % 6 {
            0 => 1.0,
            1 => [1e200, 1e-200][below(rng, 2)],
            2 => [1e-150, 1e150, 1.0, 1e-310][below(rng, 4)],
            3 => [1e-8, 1e8, 1.0][below(rng, 3)],
            4 => [1e300, 1e-300, 1e-320][below(rng, 3)],
            _ => [0.0, 1.0, 1.0, 1.0][below(rng, 4)],
        };
        // Of full rank, of rank one, with rows and columns of zeros, with numbers that are far apart.
        let form = below(rng, 5);
        let (left, right) = (rng.normal(), rng.normal());
        let numbers: Vec<f64> = (0..pair[0] * pair[1]).map(|_| rng.normal()).collect();
        let far = [1e-12, 1.0, 1e12, 1e-100];
        matrix(pair[0], pair[1], |r, c| {
            let x = numbers[c * pair[1] + r];
            scale
                * match form {
                    0 | 1 => x,
                    2 => (left + r as f64) * (right - c as f64),
                    3 => {
                        if r == 0 || c == 1 {
                            0.0
                        } else {
                            x
                        }
                    }
                    _ => x * if scale.abs() < 1e100 { far[(r + 2 * c) % 4] } else { 1.0 },
                }
        })
    });
    let weights = weights.collect();
    let slopes = [
        (0.0, 1.0),
        (-1.0, 1.0),
        (0.01, 1.0),
        (-0.5, -0.1),
        (2.0, 2.0),
        (0.0, 0.0),
        (-3.0, 0.5),
        (1e-300, 1.0),
        (0.3, 1e10),
        (-1e-5, 0.0),
        (-1.0, 0.0),
    ][below(rng, 11)];
    (weights, Slopes { low: slopes.0, high: slopes.1 })
}

#[test]
fn no_upper_bound_is_below_a_lower_one() {
    let times: u64 = std::env::var("TIMES").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    let first: u64 = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1140);
    let (mut finite, mut all) = (0, 0);
    for seed in first..first + 60 * times {
        let mut rng = Rng::new(seed);
        let (weights, slopes) = random(&mut rng, seed);
        let network = Network::kinked(&weights, slopes).unwrap();
        let biases: Vec<Array> = weights
            .iter()
            .map(|w| Array::from((0..w.shape()[1]).map(|_| rng.normal()).collect::<Vec<_>>()))
            .collect();
        let network = if seed % 2 == 0 { network } else { network.with_biases(&biases).unwrap() };
        let neurons: usize = network.widths().sum();
        let what = || format!("seed {seed}: {network:?}");
        let mut upper = vec![
            network.frobenius(),
            network.auto_lip(),
            network.eclipse_fast(),
            network.eclipse(Duration::from_millis(50)),
        ];
        for bound in [network.lipsdp_neuron(LONG), network.seq_lip_exact(LONG), network.all_patterns(LONG)] {
            // Which says why, if it is none.
            match bound {
                Ok(bound) => upper.push(bound),
                Err(error) => assert!(error.to_string().len() > 20, "{}: {error}", what()),
            }
        }
        let greedy = network.seq_lip_greedy();
        let exact = if neurons <= 10 { logarithm_by_patterns(&weights, slopes) } else { f64::NEG_INFINITY };
        let mut lower = vec![];
        lower.extend(network.lower_bound(Duration::from_millis(20)));
        let x = Array::from((0..network.inputs()).map(|_| rng.normal()).collect::<Vec<_>>());
        lower.extend(network.norm_at(&x));
        let local = network.local_bound(&x, 1e-3, Duration::from_millis(100)).unwrap();
        if let Ok(norm) = network.norm_at(&x) {
            assert!(norm.value <= local.value, "{}: {norm} > {local} in a ball", what());
        }
        // By all regions, and at inputs in the ball.
        for radius in [0.0, 1e-3, 0.5, 1e300] {
            let Ok(exact) = network.local_exact(&x, radius, Duration::from_millis(200)) else { continue };
            for place in 0..6 {
                let v: Vec<f64> = (0..network.inputs()).map(|_| rng.normal()).collect();
                let size = v.iter().map(|v| v * v).sum::<f64>().sqrt() * (1.0 + 1e-9);
                let share = if place % 2 == 0 { 1.0 } else { rng.uniform() };
                let there = x.clone() + Array::from(v) * (share * radius.min(10.0) / size);
                if let Ok(norm) = network.norm_at(&there) {
                    assert!(norm.value <= exact.value, "{}: {norm} > {exact} in a ball of {radius}", what());
                }
            }
        }
        for radius in [0.0, 1e300] {
            let other = network.local_bound(&x, radius, Duration::from_millis(100)).unwrap();
            assert!(
                radius > 0.0
                    || network.norm_at(&x).is_ok_and(|norm| norm.value <= other.value)
                    || network.norm_at(&x).is_err()
            );
        }
        for bound in &upper {
            all += 1;
            finite += usize::from(bound.value.is_finite());
            assert!(bound.value >= 0.0, "{}: {bound}", what());
            let logarithm = bound.value.log2();
            assert!(
                exact <= logarithm + 1e-12 * exact.abs().max(1.0) || exact < -1073.0,
                "{}: {bound} is below 2^{exact}",
                what()
            );
            for lower in &lower {
                assert!(lower.value <= bound.value, "{}: {lower} > {bound}", what());
            }
        }
        // (As far as the power method came to its end there.)
        for lower in &lower {
            let logarithm = lower.value.log2();
            assert!(
                neurons > 10 || lower.value == 0.0 || logarithm <= exact + 1e-2,
                "{}: {lower} is above 2^{exact}",
                what()
            );
        }
        drop(greedy);
    }
    println!("{finite} of {all} upper bounds are finite");
    assert!(finite * 10 > all * 7, "{finite} of {all} upper bounds are finite");
}

#[test]
fn a_ball_without_a_radius_is_none() {
    let network = Network::relu(&[matrix(2, 3, |_, _| 1.0), matrix(3, 1, |_, _| 1.0)]).unwrap();
    let x = Array::from(vec![0.5, 1.0]);
    for radius in [-1.0, f64::NAN, f64::INFINITY] {
        let error = network.local_bound(&x, radius, LONG).unwrap_err().to_string();
        assert!(error.contains(&format!("a radius of {radius}")), "{error}");
    }
    assert!(network.local_bound(&Array::from(vec![f64::NAN, 1.0]), 1.0, LONG).is_err());
}

#[test]
fn a_hundred_layers_of_extreme_size() {
    for scale in [1e-20, 1.0, 1e20] {
        let mut rng = Rng::new(4);
        let weights: Vec<Array> = (0..100)
            .map(|i| {
                let scale = if i % 2 == 0 { scale } else { 1.0 / scale };
                matrix(5, 5, |_, _| scale * rng.normal() * 0.6)
            })
            .collect();
        let network = Network::relu(&weights).unwrap();
        let lower = network.lower_bound(Duration::from_millis(200)).unwrap().value;
        let bounds = [
            network.frobenius(),
            network.auto_lip(),
            network.eclipse_fast(),
            network.eclipse(Duration::ZERO),
        ];
        for bound in bounds {
            assert!(bound.value.is_finite() && bound.value > 0.0 && lower <= bound.value, "{bound} {lower}");
        }
    }
    // All in one direction: together they are no number, and their lower bound is none of zero.
    let mut rng = Rng::new(4);
    let small = |size: f64| (0..100).map(|i| if i < 50 { size } else { 1.0 / size }).collect::<Vec<f64>>();
    for scales in [small(1e-10), small(1e10)] {
        let layer =
            |scale: &f64| matrix(5, 5, |r, c| scale * (rng.normal() * 0.2 + f64::from(u8::from(r == c))));
        let network = Network::relu(&scales.iter().map(layer).collect::<Vec<Array>>()).unwrap();
        let lower = network.lower_bound(Duration::from_millis(200)).unwrap().value;
        let upper = network.eclipse_fast().value;
        assert!(lower > 0.0 && lower <= upper && upper.is_finite(), "{lower} {upper}");
    }
}

/// A convolution's matrix from what it makes of each pixel.
fn convolved(kernel: &Array, size: [usize; 2], window: Window2d) -> Array {
    let channels = kernel.shape()[1];
    let n = channels * size[0] * size[1];
    let columns: Vec<Array> = (0..n)
        .map(|i| {
            let pixel = Array::from((0..n).map(|j| f64::from(u8::from(i == j))).collect::<Vec<_>>());
            let y = pixel.reshape(&[1, channels, size[0], size[1]]).conv2d(kernel, window);
            y.reshape(&[y.size()])
        })
        .collect();
    Array::stack(&columns, 1)
}

#[test]
fn convolutions_of_all_windows() {
    let mut rng = Rng::new(9);
    let mut checked = 0;
    for case in 0..400 {
        let mut below = |n: usize| (rng.uniform() * n as f64) as usize % n;
        let shape = [1 + below(2), 1 + below(2), 1 + below(4), 1 + below(4)];
        let size = [1 + below(4), 1 + below(4)];
        let window = Window2d { stride: [below(4), 1 + below(3)], padding: [below(4), below(4)] };
        let scale = [1.0, 1e-200, 1e200, 0.0][below(4)];
        let kernel =
            Array::from((0..shape.iter().product()).map(|_| scale * rng.normal()).collect::<Vec<_>>());
        let kernel = kernel.reshape(&shape);
        let bound = convolution_norm_bound(&kernel, size, window);
        let fits = window.stride[0] > 0
            && size[0] + 2 * window.padding[0] >= shape[2]
            && size[1] + 2 * window.padding[1] >= shape[3];
        assert_eq!(bound.is_ok(), fits, "case {case}: {shape:?} {size:?} {window:?}");
        let Ok(bound) = bound else { continue };
        checked += 1;
        let exact =
            antiphon::lipschitz::spectral_norm_bound(&convolved(&kernel, size, window)).unwrap().value;
        assert!(
            bound.value >= exact * (1.0 - 1e-12) && bound.value <= exact * (1.0 + 1e-9),
            "case {case}: {bound} and {exact}"
        );
        let lower = convolution_norm(&kernel, size, window);
        if scale == 1.0 {
            assert!((lower.as_ref().unwrap().value - exact).abs() <= 1e-9 * exact, "case {case}: {exact}");
        }
        assert!(lower.is_err() || lower.unwrap().value <= bound.value * (1.0 + 1e-15), "case {case}");
    }
    assert!(checked > 150, "{checked}");
}

#[test]
fn convolutions_on_a_torus_of_kernels_that_are_larger() {
    let mut rng = Rng::new(2);
    for case in 0..60 {
        let mut below = |n: usize| (rng.uniform() * n as f64) as usize % n;
        let shape = [1 + below(2), 1 + below(2), 1 + below(5), 1 + below(5)];
        let [h, w] = [1 + below(4), 1 + below(4)];
        let kernel = Array::from((0..shape.iter().product()).map(|_| rng.normal()).collect::<Vec<_>>())
            .reshape(&shape);
        let mut whole = vec![0.0; shape[0] * h * w * shape[1] * h * w];
        for ((o, c), (u, v)) in (0..shape[0])
            .flat_map(|o| (0..shape[1]).map(move |c| (o, c)))
            .flat_map(|oc| (0..shape[2]).flat_map(move |u| (0..shape[3]).map(move |v| (oc, (u, v)))))
        {
            for (i, j) in (0..h).flat_map(|i| (0..w).map(move |j| (i, j))) {
                let row = (o * h + i) * w + j;
                let column = (c * h + (i + u) % h) * w + (j + v) % w;
                whole[row * shape[1] * h * w + column] += kernel.view()[[o, c, u, v]];
            }
        }
        let whole = Array::from_elements(&[shape[0] * h * w, shape[1] * h * w], &whole).unwrap();
        let exact = antiphon::lipschitz::spectral_norm_bound(&whole).unwrap().value;
        let bound = circular_convolution_norm(&kernel, [h, w]).unwrap().value;
        assert!(
            bound >= exact * (1.0 - 1e-13) && bound <= exact * (1.0 + 1e-9),
            "case {case}: {bound} {exact}"
        );
    }
}

#[test]
fn ties_are_not_certified() {
    use antiphon::optim::metrics::certified_accuracy;
    use antiphon::{NdArray, NdInt, reset};
    let logits = Array::from_elements(&[4, 2], &[1.0, 1.0, 2.0, 1.0, 0.0, 1.0, f64::NAN, 0.0]).unwrap();
    let targets = NdInt::from(vec![0, 0, 0, 0]);
    let part = |lipschitz: f64, radius: f64| certified_accuracy(&logits, &targets, lipschitz, radius).item();
    // Of a tie the first is said to be right, and a change of nothing at all may show that it is not.
    assert_eq!(part(1.0, 0.0), 0.25);
    assert_eq!(part(0.0, 1.0), 0.25);
    assert_eq!(part(1.0, 0.7), 0.25);
    // √2·L·r is 1 up to rounding: upwards.
    assert_eq!(part(1.0, 0.5f64.sqrt()), 0.0);
    assert_eq!(part(f64::INFINITY, 0.0), 0.0);
    assert_eq!(part(f64::INFINITY, 1.0), 0.0);
    let single = NdArray::<f32>::from_elements(&[1, 2], &[1.0, 0.0]).unwrap();
    assert_eq!(certified_accuracy(&single, &NdInt::from(vec![0]), 1.0, 0.5f64.sqrt()).item(), 0.0);
    for (lipschitz, radius) in [(-1.0, 1.0), (1.0, -1.0), (f64::NAN, 1.0), (1.0, f64::NAN)] {
        let error = reset(|_| Ok(part(lipschitz, radius))).unwrap_err().to_string();
        assert!(error.contains("certified_accuracy") && error.contains("extremes.rs"), "{error}");
    }
}

#[test]
fn transforms_of_extreme_kernels() {
    let signs: Vec<f64> = (0..9).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
    for scale in [1.5e308, 1e200, 1e-200, 1e-310] {
        let kernel = Array::from_elements(&[1, 1, 3, 3], &signs).unwrap() * scale;
        for size in [[4, 4], [5, 3], [6, 8]] {
            let bound = circular_convolution_norm(&kernel, size).unwrap().value;
            // At the frequency of the signs, of even sizes.
            let exact = if size == [5, 3] { scale } else { 9.0 * scale };
            assert!(bound >= exact * (1.0 - 1e-12), "{size:?}: {bound} {exact}");
            assert!(bound <= 9.0 * scale * (1.0 + 1e-9) + 1e-307, "{size:?}: {bound}");
        }
        // Too large for its matrix: by a torus.
        let window = Window2d { stride: [1, 1], padding: [1, 1] };
        let bound = convolution_norm_bound(&kernel, [40, 40], window).unwrap().value;
        assert!(bound >= 8.9 * scale && bound <= 9.0 * scale * (1.0 + 1e-9) + 1e-307, "{bound} {scale}");
    }
    let kernel = Array::ones(&[1, 1, 3, 3]);
    for size in [[1 << 40, 1 << 40], [usize::MAX, 1], [1 << 20, 1 << 20]] {
        let error = circular_convolution_norm(&kernel, size).unwrap_err().to_string();
        assert!(error.contains("too large"), "{error}");
        let window = Window2d { stride: [1, 1], padding: [0, 1] };
        assert!(convolution_norm_bound(&kernel, size, window).is_err());
    }
    for padding in [[usize::MAX, 0], [usize::MAX / 2, 0], [1 << 62, 1 << 62]] {
        let window = Window2d { stride: [1, 1], padding };
        assert!(convolution_norm_bound(&kernel, [4, 4], window).is_err() || padding[0] > 1 << 60);
    }
}
