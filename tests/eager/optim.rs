//! Optimisers against sequences worked out by hand, from the formulas of PyTorch 2.x's documentation.

use antiphon::optim::*;
use antiphon::{Error, NdArray, OrRaise, Params, Real, Tensor, grad};

/// Parameters after each of some gradients, from `w`, at one learning rate.
fn path<T: Real>(optimizer: &impl Optimizer, w: T, grads: &[T], lr: f64) -> Vec<T> {
    let mut w = w;
    let mut state = optimizer.init(&w);
    grads
        .iter()
        .map(|g| {
            optimizer.update(&mut state, &mut w, g, &T::constant(lr)).unwrap();
            w.clone()
        })
        .collect()
}

#[track_caller]
fn assert_close(got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len());
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let scale = expected.abs().max(1e-3);
        assert!((got - expected).abs() <= 1e-13 * scale, "step {i}: {got:e} but expected {expected:e}");
    }
}

const GRADS: [f64; 6] = [0.5, -1.25, 2.0, 0.0, -0.75, 3.0];

/// `Σᵢ₌₁ᵗ decayᵗ⁻ⁱ·xᵢ` for every `t`: what an average that decays has collected.
fn decayed(decay: f64, xs: &[f64]) -> Vec<f64> {
    (1..=xs.len()).map(|t| (0..t).map(|i| decay.powi((t - 1 - i) as i32) * xs[i]).sum()).collect()
}

/// `w` after each of some steps downwards.
fn walk(w: f64, steps: impl IntoIterator<Item = f64>) -> Vec<f64> {
    steps
        .into_iter()
        .scan(w, |w, step| {
            *w -= step;
            Some(*w)
        })
        .collect()
}

#[test]
fn sgd_steps_against_the_gradient() {
    assert_close(&path(&Sgd::default(), 1.0, &GRADS, 0.1), &walk(1.0, GRADS.map(|g| 0.1 * g)));
}

#[test]
fn momentum_is_a_decaying_sum_of_gradients() {
    let heavy = Sgd { momentum: Momentum::Heavy(0.9), ..Sgd::default() };
    let v = decayed(0.9, &GRADS);
    assert_close(&path(&heavy, 1.0, &GRADS, 0.1), &walk(1.0, v.iter().map(|v| 0.1 * v)));
    // Under a constant gradient the step grows to lr·g/(1 − μ).
    let far = path(&heavy, 0.0, &[1.0; 400], 0.1);
    assert!((far[398] - far[399] - 1.0).abs() < 1e-12);
}

#[test]
fn nesterov_looks_one_step_ahead() {
    let nesterov = Sgd { momentum: Momentum::Nesterov(0.9), ..Sgd::default() };
    let v = decayed(0.9, &GRADS);
    let steps = GRADS.iter().zip(&v).map(|(g, v)| 0.1 * (g + 0.9 * v));
    assert_close(&path(&nesterov, 1.0, &GRADS, 0.1), &walk(1.0, steps));
}

#[test]
fn weight_decay_shrinks_geometrically_without_gradients() {
    let decay = |n: i32| (1..=n).map(|n| 2.0 * (1.0f64 - 0.1 * 0.5).powi(n)).collect::<Vec<_>>();
    let sgd = Sgd { weight_decay: 0.5, ..Sgd::default() };
    assert_close(&path(&sgd, 2.0, &[0.0; 5], 0.1), &decay(5));
    let adamw = AdamW { weight_decay: 0.5, ..AdamW::default() };
    assert_close(&path(&adamw, 2.0, &[0.0; 5], 0.1), &decay(5));
}

/// In the others the decay is part of the gradient: a gradient of zero with decay is the gradient `λ·w`.
#[test]
fn coupled_weight_decay_is_the_gradient_of_a_square() {
    fn check<A: Optimizer, B: Optimizer>(with_decay: A, without: B) {
        let (mut w, mut v) = (2.0, 2.0);
        let (mut ws, mut vs) = (with_decay.init(&w), without.init(&v));
        for g in GRADS {
            with_decay.update(&mut ws, &mut w, &g, &0.1).unwrap();
            let coupled = g + 0.5 * v;
            without.update(&mut vs, &mut v, &coupled, &0.1).unwrap();
            assert_eq!(w, v);
        }
        assert_ne!(w, 2.0);
    }
    check(Adagrad { weight_decay: 0.5, ..Adagrad::default() }, Adagrad::default());
    check(RmsProp { weight_decay: 0.5, ..RmsProp::default() }, RmsProp::default());
    check(Adam { weight_decay: 0.5, ..Adam::default() }, Adam::default());
}

#[test]
fn adagrad_divides_by_the_root_of_the_sum_of_squares() {
    let m = decayed(1.0, &GRADS.map(|g| g * g));
    let steps = GRADS.iter().zip(&m).map(|(g, m)| 0.1 * g / (m.sqrt() + 1e-10));
    assert_close(&path(&Adagrad::default(), 1.0, &GRADS, 0.1), &walk(1.0, steps));
    // The epsilon lies outside of the root: a gradient as small as it takes half a step.
    assert_close(&path(&Adagrad::default(), 1.0, &[1e-10], 0.1), &[0.95]);
    // Without any gradient nothing moves.
    assert_eq!(path(&Adagrad::default(), 1.0, &[0.0], 0.1), [1.0]);
}

#[test]
fn rmsprop_divides_by_the_root_of_a_mean_of_squares() {
    let rms = RmsProp { alpha: 0.9, epsilon: 1e-3, ..RmsProp::default() };
    let v = decayed(0.9, &GRADS.map(|g| 0.1 * g * g));
    let d: Vec<f64> = GRADS.iter().zip(&v).map(|(g, v)| g / (v.sqrt() + 1e-3)).collect();
    assert_close(&path(&rms, 1.0, &GRADS, 0.1), &walk(1.0, d.iter().map(|d| 0.1 * d)));
    let momentum = RmsProp { momentum: 0.5, ..rms };
    let b = decayed(0.5, &d);
    assert_close(&path(&momentum, 1.0, &GRADS, 0.1), &walk(1.0, b.iter().map(|b| 0.1 * b)));
}

/// Adam's steps by its definition, `m̂` and `v̂` as explicit sums.
fn adam_steps(b1: f64, b2: f64, epsilon: f64) -> Vec<f64> {
    let m = decayed(b1, &GRADS.map(|g| (1.0 - b1) * g));
    let v = decayed(b2, &GRADS.map(|g| (1.0 - b2) * g * g));
    (0..GRADS.len())
        .map(|i| {
            let (m_hat, v_hat) = (m[i] / (1.0 - b1.powi(i as i32 + 1)), v[i] / (1.0 - b2.powi(i as i32 + 1)));
            0.1 * m_hat / (v_hat.sqrt() + epsilon)
        })
        .collect()
}

#[test]
fn adam_divides_corrected_means() {
    let adam = Adam { beta1: 0.8, beta2: 0.95, epsilon: 1e-4, weight_decay: 0.0 };
    assert_close(&path(&adam, 1.0, &GRADS, 0.1), &walk(1.0, adam_steps(0.8, 0.95, 1e-4)));
    // Under a constant gradient the corrected means are exact, and every step is lr·g/(|g| + ε).
    let step = 0.1 * 4.0 / (4.0 + 1e-8);
    assert_close(&path(&Adam::default(), 1.0, &[4.0; 5], 0.1), &walk(1.0, [step; 5]));
    // Without memory it is the sign of the gradient.
    let signs = Adam { beta1: 0.0, beta2: 0.0, epsilon: 0.0, weight_decay: 0.0 };
    assert_close(&path(&signs, 1.0, &[4.0, -0.5], 0.1), &[0.9, 1.0]);
}

#[test]
fn adamw_decays_beside_the_gradient() {
    let adamw = AdamW { beta1: 0.8, beta2: 0.95, epsilon: 1e-4, weight_decay: 0.3 };
    let expected: Vec<f64> = adam_steps(0.8, 0.95, 1e-4)
        .into_iter()
        .scan(1.0, |w, step| {
            *w = *w * (1.0 - 0.1 * 0.3) - step;
            Some(*w)
        })
        .collect();
    assert_close(&path(&adamw, 1.0, &GRADS, 0.1), &expected);
}

/// `1 − 0.999ᵗ` computed naively in f32 is off by 5·10⁻⁵ at the first step.
#[test]
fn adams_bias_correction_is_exact_in_single_precision() {
    let w = path(&Adam::default(), 0.0f32, &[3.0, 3.0, 3.0], 1.0);
    for (w, expected) in w.iter().zip([-1.0f32, -2.0, -3.0]) {
        assert!((w / expected - 1.0).abs() < 2e-6, "{w} but expected {expected}");
    }
}

#[derive(Clone, Debug, PartialEq, Params)]
struct Model<T> {
    #[params(name = "W")]
    w: T,
    layers: Vec<T>,
}

fn model() -> Model<f64> {
    Model { w: 1.0, layers: vec![2.0, 3.0] }
}

#[test]
fn every_parameter_gets_its_own_gradient_and_memory() {
    let grads = Model { w: 0.5, layers: vec![-1.0, 4.0] };
    for name in AnyOptimizer::NAMES {
        let optimizer: AnyOptimizer = name.parse().unwrap();
        let mut params = model();
        let mut state = optimizer.init(&params);
        for _ in 0..3 {
            optimizer.update(&mut state, &mut params, &grads, &0.1).unwrap();
        }
        let alone = |w, g| path(&optimizer, w, &[g; 3], 0.1)[2];
        assert_eq!(params.leaves(), [alone(1.0, 0.5), alone(2.0, -1.0), alone(3.0, 4.0)], "{name}");
        assert_eq!(*state.count(), 3.0);
    }
}

#[test]
fn the_state_is_a_structure_and_a_training_goes_on_from_it() {
    let optimizer: AnyOptimizer = "adam".parse().unwrap();
    let grads = Model { w: 0.5, layers: vec![-1.0, 4.0] };
    let (mut params, mut state) = (model(), optimizer.init(&model()));
    optimizer.update(&mut state, &mut params, &grads, &0.1).unwrap();
    assert_eq!(
        state.names(),
        [
            "step",
            "exp_avg.W",
            "exp_avg.layers.0",
            "exp_avg.layers.1",
            "exp_avg_sq.W",
            "exp_avg_sq.layers.0",
            "exp_avg_sq.layers.1"
        ]
    );
    assert_close(&state.slot("exp_avg").unwrap().leaves(), &[0.05, -0.1, 0.4]);
    assert!(state.slot("sum").is_none());

    let mut again: OptState<Model<f64>> = optimizer.init(&model()).with_leaves(state.leaves()).unwrap();
    let mut copy = params.clone();
    optimizer.update(&mut again, &mut copy, &grads, &0.1).unwrap();
    optimizer.update(&mut state, &mut params, &grads, &0.1).unwrap();
    assert_eq!(copy, params);
    assert_eq!(again.leaves(), state.leaves());
}

#[test]
fn what_does_not_belong_together_is_refused_and_nothing_changes() {
    let adam = Adam::default();
    let (mut params, mut state) = (model(), adam.init(&model()));
    let before = state.leaves();
    let other = Model { w: 0.5, layers: vec![1.0] };
    let refused = adam.update(&mut state, &mut params, &other, &0.1);
    assert!(matches!(refused, Err(Error::Structure(_))), "{refused:?}");
    let refused = Adagrad::default().update(&mut state, &mut params, &model(), &0.1);
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("sum") && message.contains("exp_avg"), "{message}");
    let mut small = adam.init(&other);
    assert!(adam.update(&mut small, &mut params, &model(), &0.1).is_err());
    assert_eq!((params, state.leaves()), (model(), before));
    // The same names, but a parameter of another shape: with one that broadcasts, and with one that does not.
    for shape in [[1, 3], [4, 3]] {
        let (mut w, g) = (NdArray::<f64>::ones(&[2, 3]), NdArray::ones(&[2, 3]));
        let mut state = adam.init(&NdArray::ones(&shape));
        let refused = adam.update(&mut state, &mut w, &g, &NdArray::scalar(0.1));
        assert!(matches!(refused, Err(Error::Structure(_))), "{refused:?}");
        assert_eq!((w, state.count().item()), (NdArray::ones(&[2, 3]), 0.0));
    }
}

#[test]
fn unknown_names_are_answered_with_the_known_ones() {
    let message = "adamax".parse::<AnyOptimizer>().unwrap_err().to_string();
    for name in AnyOptimizer::NAMES {
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn clipping_limits_elements_or_the_whole() {
    let grads = || Model { w: 3.0, layers: vec![-4.0, 12.0] };
    let mut by_value = grads();
    clip_by_value(&mut by_value, 5.0);
    assert_eq!(by_value.leaves(), [3.0, -4.0, 5.0]);

    assert_eq!(global_norm(&grads()), 13.0);
    let mut within = grads();
    assert_eq!(clip_by_global_norm(&mut within, 14.0), 13.0);
    assert_eq!(within, grads());
    let mut clipped = grads();
    assert_eq!(clip_by_global_norm(&mut clipped, 6.5), 13.0);
    assert_close(&clipped.leaves(), &[3.0, -4.0, 12.0].map(|g| g * (6.5 / (13.0 + 1e-6))));

    let mut bad = Model { w: f64::NAN, layers: vec![1.0] };
    clip_by_value(&mut bad, 0.5);
    assert!(bad.w.is_nan() && bad.layers == [0.5]);
    assert!(clip_by_global_norm(&mut bad, 1.0).is_nan());
}

#[test]
fn schedules_pass_through_their_fixed_points() {
    let at = |schedule: Schedule, steps: &[u64]| steps.iter().map(|&s| schedule.at(s)).collect::<Vec<_>>();
    assert_close(&at(Schedule::Constant { lr: 0.3 }, &[0, 7, u64::MAX]), &[0.3; 3]);
    let step = Schedule::Step { lr: 1.0, factor: 0.5, every: 10 };
    assert_close(&at(step, &[0, 9, 10, 19, 20, 35]), &[1.0, 1.0, 0.5, 0.5, 0.25, 0.125]);
    let exponential = Schedule::Exponential { lr: 2.0, factor: 0.5 };
    assert_close(&at(exponential, &[0, 1, 5]), &[2.0, 1.0, 0.0625]);
    let linear = Schedule::Linear { from: 1.0, to: 0.2, steps: 8 };
    assert_close(&at(linear, &[0, 2, 4, 8, 9]), &[1.0, 0.8, 0.6, 0.2, 0.2]);
    assert_close(&at(Schedule::Linear { from: 1.0, to: 0.2, steps: 0 }, &[0]), &[0.2]);
    let cosine = Schedule::Cosine { lr: 1.0, to: 0.1, warm_up: 4, steps: 16 };
    // Sixths of half a turn: cos 30°, 60°, 90°, …
    let root = 3f64.sqrt() / 2.0;
    assert_close(
        &at(cosine, &[0, 1, 3, 4, 6, 8, 10, 12, 16, 99]),
        &[0.25, 0.5, 1.0, 1.0, 0.1 + 0.45 * (1.0 + root), 0.1 + 0.45 * 1.5, 0.55, 0.1 + 0.45 * 0.5, 0.1, 0.1],
    );
    let cold = Schedule::Cosine { lr: 1.0, to: 0.0, warm_up: 0, steps: 2 };
    assert_close(&at(cold, &[0, 1, 2]), &[1.0, 0.5, 0.0]);
}

#[test]
fn arrays_are_updated_element_by_element() {
    let grads = [[0.5, -1.25], [2.0, 0.0], [-0.75, 3.0]];
    // LAMB's step depends on the norm of all elements.
    for name in AnyOptimizer::NAMES.into_iter().filter(|name| *name != "lamb") {
        let optimizer: AnyOptimizer = name.parse().unwrap();
        let array = |x: [f64; 2]| NdArray::<f64>::from_elements(&[2, 1], &x).unwrap();
        let together = path(&optimizer, array([1.0, -2.0]), &grads.map(array), 0.1);
        let first = path(&optimizer, 1.0, &grads.map(|g| g[0]), 0.1);
        let second = path(&optimizer, -2.0, &grads.map(|g| g[1]), 0.1);
        for (together, alone) in together.iter().zip(first.into_iter().zip(second)) {
            let together: Vec<f64> = together.view().iter().copied().collect();
            assert_close(&together, &[alone.0, alone.1]);
        }
    }
    let norm = global_norm(&vec![NdArray::<f64>::full(&[2, 8], 3.0), NdArray::full(&[25], 1.0)]);
    assert_eq!(norm, NdArray::scalar(13.0));
}

#[test]
fn a_gradient_or_rate_of_another_shape_is_refused() {
    let array = |shape: &[usize]| NdArray::<f64>::full(shape, 1.0);
    let sgd = Sgd::default();
    for (g, lr) in [(array(&[3]), array(&[])), (array(&[]), array(&[])), (array(&[1]), array(&[1, 1, 2]))] {
        let mut w = Model { w: array(&[1]), layers: vec![array(&[1])] };
        let grads = Model { w: array(&[1]), layers: vec![g.clone()] };
        let error = sgd.update(&mut sgd.init(&w), &mut w, &grads, &lr).unwrap_err();
        match g.shape().as_slice() {
            [1] => assert!(matches!(error, Error::Operand { .. }), "{error:?}"),
            _ => assert!(error.to_string().contains("layers.0"), "{error}"),
        }
        assert_eq!(w.leaves(), [array(&[1]), array(&[1])]);
    }
}

/// Optimisers are written over any interpretation, so a training can itself be differentiated.
#[test]
fn the_loss_after_training_has_a_derivative_by_the_learning_rate() {
    fn trained<T: Real>(optimizer: &impl Optimizer, lr: T) -> T {
        let mut w = T::constant(3.0);
        let mut state = optimizer.init(&w);
        for _ in 0..3 {
            let gradient = w.clone();
            optimizer.update(&mut state, &mut w, &gradient, &lr).or_raise();
        }
        w.square().scale(0.5)
    }
    // Of ½w², sgd makes wₙ = w·(1 − lr)ⁿ.
    let slope = grad(|lr| trained(&Sgd::default(), lr), &0.25).unwrap();
    assert_close(&[slope], &[-9.0 * 3.0 * 0.75f64.powi(5)]);
    for name in AnyOptimizer::NAMES {
        let optimizer: AnyOptimizer = name.parse().unwrap();
        let slope = grad(|lr| trained(&optimizer, lr), &0.25).unwrap();
        let quotient = (trained(&optimizer, 0.25 + 1e-6) - trained(&optimizer, 0.25 - 1e-6)) / 2e-6;
        assert!((slope / quotient - 1.0).abs() < 1e-7, "{name}: {slope} but expected {quotient}");
    }
}
