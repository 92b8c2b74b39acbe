//! Layers that are no farther apart than their inputs.

use antiphon::lipschitz::spectral_norm;
use antiphon::nn::{AlmostOrthogonal, Orthogonal, OrthogonalLinear, Rng, Sandwich, SdpResidual};
use antiphon::{Dual, Params, Tensor, check_gradients, jvp, program};

use super::{Array, Value, assert_close, bound, everywhere};

/// Parameters far from where they start.
fn large<P: Params<Leaf = Array, With<Array> = P>>(layer: &P, by: f64) -> P {
    let mut place = 0;
    layer.map_leaves(|leaf| {
        place += 1;
        let shift =
            leaf.view().iter().enumerate().map(|(i, _)| ((i * 7 + place) as f64).sin()).collect::<Vec<_>>();
        leaf.clone() * by + Array::from_elements(&leaf.shape(), &shift).unwrap()
    })
}

/// A layer of each kind, from as many numbers as are said to others.
macro_rules! for_each_layer {
    (|$layer:ident, $name:ident, $inputs:ident| $body:expr) => {
        for by in [0.3, 1.0, 20.0] {
            let mut rng = Rng::new(7);
            for ($inputs, outputs) in [(4, 4), (3, 6), (6, 2)] {
                for kind in [Orthogonal::Cayley, Orthogonal::Bjorck(12)] {
                    let ($layer, $name) = (large(&OrthogonalLinear::new(&mut rng, $inputs, outputs, kind), by), "orthogonal");
                    $body
                }
                let ($layer, $name) = (large(&AlmostOrthogonal::new(&mut rng, $inputs, outputs), by), "almost orthogonal");
                $body
                let ($layer, $name) = (large(&SdpResidual::new(&mut rng, $inputs, outputs), by), "residual");
                $body
                let ($layer, $name) = (large(&Sandwich::new(&mut rng, $inputs, outputs), by), "sandwich");
                $body
            }
        }
    };
}

#[test]
fn no_derivative_is_longer_than_its_direction() {
    let mut longest: f64 = 0.0;
    for_each_layer!(|layer, name, inputs| {
        let lifted = layer.map_leaves(Value::lift);
        assert_close(bound(|x| lifted.apply(&x), &everywhere(inputs)).value, 1.0, 1e-12);
        for place in 0..6 {
            let x: Vec<f64> = (0..inputs).map(|i| ((i * 5 + place * 3) as f64).cos() * 4.0).collect();
            let x = Array::from(x);
            let along = layer.map_leaves(Dual::lift);
            let column = |i: usize| {
                let direction =
                    Array::from((0..inputs).map(|j| f64::from(u8::from(i == j))).collect::<Vec<_>>());
                jvp(|x| along.apply(&x), &x, &direction).unwrap().1
            };
            let slope = Array::stack(&(0..inputs).map(column).collect::<Vec<_>>(), 1);
            let norm = spectral_norm(&slope).item();
            assert!(norm <= 1.0 + 1e-12, "{name}: {norm}");
            longest = longest.max(norm);
        }
    });
    assert!(longest > 0.999);
}

/// The norm of a layer's derivative at some places, in double precision, whatever that of the layer is.
fn longest<E: antiphon::Float, L>(
    layer: &L,
    inputs: usize,
    apply: impl Fn(&L, &antiphon::NdArray<E>) -> antiphon::NdArray<E>,
) -> f64 {
    // By differences: a layer is piecewise linear.
    let mut most: f64 = 0.0;
    for place in 0..4 {
        for direction in 0..3 * inputs {
            let x: Vec<f64> = (0..inputs).map(|i| ((i * 5 + place * 3) as f64).cos() * 4.0).collect();
            let y: Vec<f64> = x
                .iter()
                .enumerate()
                .map(|(i, x)| x + 8.0 * ((i * 11 + direction * 7) as f64 * 1.3 + 0.2).sin())
                .collect();
            let [x, y] = [x, y].map(|x| antiphon::NdArray::<E>::from_elements(&[inputs], &x).unwrap());
            let numbers = |x: &antiphon::NdArray<E>| x.view().iter().map(|x| x.to_f64()).collect::<Vec<_>>();
            let distance =
                |a: Vec<f64>, b: Vec<f64>| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
            let apart = distance(numbers(&x), numbers(&y));
            most = most.max(distance(numbers(&apply(layer, &x)), numbers(&apply(layer, &y))) / apart);
        }
    }
    most
}

/// Parameters that are zero, huge, tiny, and of which some are much larger than others.
fn extreme<E: antiphon::Float, P: Params<Leaf = antiphon::NdArray<E>, With<antiphon::NdArray<E>> = P>>(
    layer: &P,
    scale: f64,
    far: bool,
) -> P {
    let mut place = 0;
    layer.map_leaves(|leaf| {
        place += 1;
        let numbers: Vec<f64> = (0..leaf.size())
            .map(|i| {
                let x = ((i * i * 3 + i * 7 + place) as f64).sin() * scale;
                if far && i % 3 == 1 { x * 1e-8 } else { x }
            })
            .collect();
        antiphon::NdArray::from_elements(&leaf.shape(), &numbers).unwrap()
    })
}

fn extremes<E: antiphon::Float>(scales: &[f64], tolerance: f64) {
    let mut rng = Rng::new(7);
    for (&scale, far) in scales.iter().flat_map(|scale| [(scale, false), (scale, true)]) {
        for (inputs, outputs) in [(1, 1), (3, 3), (5, 5), (3, 6), (6, 2)] {
            macro_rules! check {
                ($layer:expr) => {{
                    let layer = extreme::<E, _>(&$layer, scale, far);
                    let norm = longest(&layer, inputs, |layer, x| layer.apply(x));
                    assert!(norm <= 1.0 + tolerance, "{scale} {far} {inputs} {outputs}: {norm} of {layer:?}");
                }};
            }
            check!(OrthogonalLinear::new(&mut rng, inputs, outputs, Orthogonal::Cayley));
            check!(OrthogonalLinear::new(&mut rng, inputs, outputs, Orthogonal::Bjorck(3)));
            check!(OrthogonalLinear::new(&mut rng, inputs, outputs, Orthogonal::Bjorck(12)));
            check!(AlmostOrthogonal::new(&mut rng, inputs, outputs));
            check!(SdpResidual::new(&mut rng, inputs, outputs));
            check!(Sandwich::new(&mut rng, inputs, outputs));
        }
    }
}

#[test]
fn extreme_parameters_make_no_layer_longer() {
    // (Biases are as large, so that the rounding of results is no less than theirs.)
    extremes::<f64>(&[0.0, 1e-300, 1e-160, 1e-20, 1.0, 30.0, 1e4], 1e-9);
    extremes::<f32>(&[0.0, 1e-38, 1e-23, 1e-10, 1.0, 30.0, 80.0], 1e-3);
}

/// Without a bias, whose own size is that of rounding.
#[test]
fn huge_matrices_are_no_longer_than_one() {
    let numbers = |n: usize| (0..n).map(|i| ((i * i) as f64 * 0.7 + 1.0).sin()).collect::<Vec<f64>>();
    for scale in [1e8, 1e16, 1e30, 1e100, 1e200, 1e305] {
        for (m, n) in [(3, 3), (4, 4), (5, 3), (2, 6)] {
            let w = Array::from_elements(&[m, n], &numbers(m * n)).unwrap() * scale;
            for kind in [Orthogonal::Cayley, Orthogonal::Bjorck(0), Orthogonal::Bjorck(20)] {
                // It may say that it found no inverse.
                let made = antiphon::vmap(
                    |_: antiphon::Batch<Array>| antiphon::Batch::lift(&kind.of(&w)),
                    &Array::zeros(&[1]),
                );
                let Ok(made) = made else { continue };
                let norm = spectral_norm(&made.index(0, 0)).item();
                assert!(norm <= 1.0 + 1e-12 || norm.is_infinite(), "{kind:?} of {scale}: {norm}");
                assert!(kind == Orthogonal::Cayley || norm.is_finite(), "{kind:?} of {scale}: {norm}");
            }
            let layer = AlmostOrthogonal { w: w.clone(), b: Array::zeros(&[n]) };
            let norm = longest(&layer, m, |layer, x| layer.apply(x));
            assert!(norm <= 1.0 + 1e-12 && norm > 0.1, "{scale}: {norm}");
            let layer = SdpResidual { w, b: Array::zeros(&[n]), log_q: Array::full(&[n], 1e3) };
            let norm = longest(&layer, m, |layer, x| layer.apply(x));
            assert!(norm <= 1.0 + 1e-12, "{scale}: {norm}");
        }
    }
}

#[test]
fn matrices_are_orthogonal() {
    let numbers = |n: usize| (0..n).map(|i| ((i * i) as f64 * 0.7 + 1.0).sin() * 3.0).collect::<Vec<f64>>();
    for (m, n) in [(4, 4), (5, 3), (2, 6)] {
        let w = Array::from_elements(&[m, n], &numbers(m * n)).unwrap();
        for (kind, tolerance) in [(Orthogonal::Cayley, 1e-13), (Orthogonal::Bjorck(40), 1e-10)] {
            let q = kind.of(&w);
            let gram = if m < n { q.matmul(&q.transpose()) } else { q.transpose().matmul(&q) };
            for (place, x) in gram.view().indexed_iter() {
                assert_close(*x, if place[0] == place[1] { 1.0 } else { 0.0 }, tolerance);
            }
        }
    }
}

#[test]
fn derivatives_of_layers() {
    let numbers = |shape: &[usize], by: f64| {
        let n = shape.iter().product();
        Array::from_elements(shape, &(0..n).map(|i| (i as f64 * by + 0.3).sin()).collect::<Vec<_>>()).unwrap()
    };
    let x = [
        numbers(&[2, 3], 1.1),
        numbers(&[4], 2.3),
        numbers(&[3, 4], 0.9),
        numbers(&[7, 4], 1.9),
        numbers(&[4], 0.7),
    ];
    let of = &x[..];
    check_gradients(
        &program!(
            |x| OrthogonalLinear { w: x[2].clone(), b: x[1].clone(), by: Orthogonal::Cayley }.apply(&x[0])
        ),
        of,
        2,
    )
    .unwrap();
    check_gradients(
        &program!(
            |x| OrthogonalLinear { w: x[2].clone(), b: x[1].clone(), by: Orthogonal::Bjorck(5) }.apply(&x[0])
        ),
        of,
        2,
    )
    .unwrap();
    check_gradients(&program!(|x| AlmostOrthogonal { w: x[2].clone(), b: x[1].clone() }.apply(&x[0])), of, 2)
        .unwrap();
    check_gradients(
        &program!(|x| SdpResidual { w: x[2].clone(), b: x[1].clone(), log_q: x[4].clone() }.apply(&x[0])),
        of,
        2,
    )
    .unwrap();
    check_gradients(
        &program!(|x| Sandwich { w: x[3].clone(), b: x[1].clone(), log_psi: x[4].clone() }.apply(&x[0])),
        of,
        2,
    )
    .unwrap();
}

#[cfg(feature = "staging")]
#[test]
fn layers_in_compiled_code() {
    use antiphon::compile;
    use antiphon::recording::Recorded;
    let x = Array::from_elements(&[2, 4], &[0.1, -2.0, 0.7, 0.5, 1.0, 0.2, -0.4, 3.0]).unwrap();
    macro_rules! same {
        ($layer:expr) => {
            let layer = $layer;
            let inputs = (layer, x.clone());
            let mut code = compile("layer", |(layer, x)| of(layer, &x), &inputs).unwrap();
            let (got, expected) = (code.call(&inputs).unwrap(), inputs.0.apply(&x));
            for (got, expected) in got.view().iter().zip(expected.view()) {
                assert_close(*got, *expected, 1e-12);
            }
        };
    }
    let mut rng = Rng::new(1);
    {
        fn of(layer: Sandwich<Recorded>, x: &Recorded) -> Recorded {
            layer.apply(x)
        }
        same!(Sandwich::<Array>::new(&mut rng, 4, 3));
    }
    {
        fn of(layer: OrthogonalLinear<Recorded>, x: &Recorded) -> Recorded {
            layer.apply(x)
        }
        same!(OrthogonalLinear::<Array>::new(&mut rng, 4, 3, Orthogonal::Cayley));
    }
    {
        fn of(layer: SdpResidual<Recorded>, x: &Recorded) -> Recorded {
            layer.apply(x)
        }
        same!(SdpResidual::<Array>::new(&mut rng, 4, 5));
    }
}
