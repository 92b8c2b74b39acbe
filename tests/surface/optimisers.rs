//! Optimisers, schedules and metrics.

use antiphon::nn::loss::{self, Reduction};
use antiphon::optim::metrics::{self, RunningMean};
use antiphon::optim::*;
use antiphon::{Error, NdArray, Params, Real, Result, Tensor, TrainingStep, Var, compile, value_and_grad};

use super::reference::{Array, Reference, assert_close, ints, numbers};

type Pair<T> = (T, T);

fn start() -> Pair<Array> {
    (numbers(1.0, &[2, 3]), numbers(2.0, &[3]))
}

/// The gradients of a step.
fn slopes(step: usize) -> Pair<Array> {
    (numbers(10.0 + step as f64, &[2, 3]), numbers(20.0 + step as f64, &[3]))
}

const STEPS: usize = 6;

/// Steps of an optimiser, eagerly and compiled, against PyTorch's.
fn check(name: &str, optimizer: impl Optimizer + Clone + Send, lr: f64) {
    fn step<T: Tensor>(
        optimizer: &impl Optimizer,
        (params, state): &mut (Pair<T>, OptState<Pair<T>>),
        (gradients, lr): &(Pair<T>, T),
    ) -> Result<T> {
        optimizer.update(state, params, gradients, lr)?;
        Ok(T::constant(0.0))
    }
    let begin = (start(), optimizer.init(&start()));
    let copy = optimizer.clone();
    let eager = TrainingStep::eager(begin.clone(), move |state, data| step(&copy, state, data));
    let compiled = TrainingStep::compiled(begin, move |state, data| step(&optimizer, state, data));
    let reference = Reference::of("optimisers");
    for (mode, mut training) in [("eager", eager), ("compiled", compiled)] {
        for i in 0..STEPS {
            training.call(&(slopes(i), Array::scalar(lr))).unwrap();
            let ((w, b), _) = training.state();
            let what = format!("{name} {mode} step {i}");
            assert_close(&w, &reference.at(&format!("{name}/{i}/0")), &what);
            assert_close(&b, &reference.at(&format!("{name}/{i}/1")), &what);
        }
    }
}

#[test]
fn steps_are_those_of_papers_and_of_pytorch() {
    check("lion", Lion { weight_decay: 0.3, ..Lion::default() }, 0.1);
    check("lamb", Lamb::default(), 0.1);
    let groups = Groups::new(AdamW { weight_decay: 0.1, ..AdamW::default() });
    let groups = groups.with("1", AdamW { weight_decay: 0.0, ..AdamW::default() }).unwrap().rate("0", 3.0);
    check("groups", groups, 0.01);
}

#[test]
fn frozen_parameters_stay_and_groups_of_nothing_are_refused() {
    let (mut params, adam) = (start(), Groups::new(Adam::default()).frozen("0"));
    let mut state = adam.init(&params);
    adam.update(&mut state, &mut params, &slopes(0), &Array::scalar(0.1)).unwrap();
    assert_eq!(params.0, start().0);
    assert_ne!(params.1, start().1);
    assert_eq!(state.slot("exp_avg").unwrap().0, Array::zeros(&[2, 3]));
    // Of several patterns the last one counts.
    let (mut params, sgd) = (start(), Groups::new(Sgd::default()).rate("*", 5.0).rate("1", 2.0));
    sgd.update(&mut sgd.init(&start()), &mut params, &slopes(0), &Array::scalar(0.5)).unwrap();
    assert_close(&params.0, &(start().0 - slopes(0).0 * 2.5), "0");
    assert_close(&params.1, &(start().1 - slopes(0).1), "1");
    let typo = Groups::new(Sgd::default()).rate("head.*", 2.0);
    let before = params.clone();
    let refused = typo.update(&mut typo.init(&params.clone()), &mut params, &slopes(0), &Array::scalar(0.5));
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("no parameter's name matches the group \"head.*\""), "{message}");
    assert_eq!(params, before);
    let heavy = Sgd { momentum: Momentum::Heavy(0.9), ..Sgd::default() };
    let refused = Groups::new(Sgd::default()).with("0", heavy).unwrap_err();
    assert!(matches!(refused, Error::Config { .. }), "{refused}");
    assert!(refused.to_string().contains("momentum_buffer"), "{refused}");
}

#[test]
fn averages_are_pytorchs() {
    fn step<T: Tensor>((params, average): &mut (Pair<T>, Pair<T>), change: &Pair<T>) -> Result<T> {
        params.0 += &change.0;
        params.1 += &change.1;
        Ema { decay: 0.9 }.update(average, params)?;
        Ok(T::constant(0.0))
    }
    let begin = (start(), start());
    let eager = TrainingStep::eager(begin.clone(), step);
    let compiled = TrainingStep::compiled(begin, step);
    let reference = Reference::of("optimisers");
    for (mode, mut training) in [("eager", eager), ("compiled", compiled)] {
        for i in 0..STEPS {
            training.call(&slopes(i)).unwrap();
            let (_, (w, b)) = training.state();
            assert_close(&w, &reference.at(&format!("average/{i}/0")), mode);
            assert_close(&b, &reference.at(&format!("average/{i}/1")), mode);
        }
    }
    let mut average = Array::zeros(&[2]);
    let refused = Ema { decay: 0.9 }.update(&mut average, &Array::ones(&[3])).unwrap_err();
    assert!(matches!(refused, Error::Structure(_)), "{refused}");
    assert_eq!(average, Array::zeros(&[2]));
}

/// Gradients of batches, added up over calls of one compiled step: the updates are those of their means.
#[test]
fn accumulated_gradients_are_gradients_of_larger_batches() {
    type Training<T> = (Pair<T>, OptState<Pair<T>>, Pair<T>);
    fn step<T: Tensor>((params, state, sum): &mut Training<T>, (g, due): &(Pair<T>, T::Int)) -> Result<T> {
        accumulate(sum, g, 0.5)?;
        let due = antiphon::Int::equal(due, &antiphon::Int::constant(1));
        update_when(&due, &Adam::default(), state, params, sum, &T::constant(0.1))?;
        Ok(T::constant(0.0))
    }
    let begin = (start(), Adam::default().init(&start()), zeros(&start()));
    let eager = TrainingStep::eager(begin.clone(), step);
    let compiled = TrainingStep::compiled(begin, step);
    for (mode, mut training) in [("eager", eager), ("compiled", compiled)] {
        let (mut params, mut state) = (start(), Adam::default().init(&start()));
        for i in 0..STEPS {
            let before = training.state().0;
            let due = antiphon::NdInt::scalar(i as i64 % 2);
            training.call(&(slopes(i), due)).unwrap();
            if i % 2 == 0 {
                assert_eq!(training.state().0, before, "{mode}");
                continue;
            }
            let mean = |a: Array, b: Array| (a + b) * 0.5;
            let ((a, b), (c, d)) = (slopes(i - 1), slopes(i));
            let mean = (mean(a, c), mean(b, d));
            Adam::default().update(&mut state, &mut params, &mean, &Array::scalar(0.1)).unwrap();
            let (found, found_state, sum) = training.state();
            assert_close(&found.0, &params.0, mode);
            assert_close(&found.1, &params.1, mode);
            assert_eq!(found_state.count().item(), (i / 2 + 1) as f64);
            assert_eq!(sum, zeros(&start()));
        }
    }
}

#[test]
fn updates_that_are_due_in_parts_are_refused_and_nothing_changes() {
    let (mut w, mut sum) = ((numbers(1.0, &[]), numbers(2.0, &[2])), (numbers(3.0, &[]), numbers(4.0, &[2])));
    let before = (w.clone(), sum.clone());
    let mut state = Adam::default().init(&w);
    for elements in [vec![true, false], vec![true, false, true]] {
        let due = ndarray::ArrayD::from_shape_vec(vec![elements.len()], elements).unwrap().into();
        let lr = Array::scalar(0.1);
        let refused = update_when(&due, &Adam::default(), &mut state, &mut w, &mut sum, &lr);
        assert!(matches!(refused, Err(Error::Structure(_) | Error::Shape { .. })), "{refused:?}");
        assert_eq!((w.clone(), sum.clone()), before);
        assert_eq!(state.count().item(), 0.0);
    }
}

/// Logistic regression with a penalty.
fn regression<T: Tensor>(w: &T, x: &T, y: &T) -> T {
    loss::binary_cross_entropy(&x.matmul(w), y, Reduction::Mean) + w.square().sum(..) * 0.05
}

#[test]
fn lbfgs_finds_pytorchs_minimum_eagerly_and_compiled() {
    let reference = Reference::of("optimisers");
    let (x, y) = (reference.at("lbfgs/x"), reference.at("lbfgs/y"));
    let lbfgs = Lbfgs { gradient: 1e-10, change: 0.0, ..Lbfgs::default() };
    let data = (Array::zeros(&[3]), x.clone(), y.clone());
    let gradient = |w: &Array| value_and_grad(|w| regression(&w, &Var::lift(&x), &Var::lift(&y)), w);
    let mut compiled = compile(
        "regression",
        |(w, x, y)| value_and_grad(|w| regression(&w, &Var::lift(&x), &Var::lift(&y)), &w).unwrap(),
        &data,
    )
    .unwrap();
    let (mut eagerly, mut by_code) = (data.0.clone(), data.0.clone());
    let found = [
        lbfgs.minimize(&mut eagerly, gradient).unwrap(),
        lbfgs.minimize(&mut by_code, |w| compiled.call(&(w.clone(), x.clone(), y.clone()))).unwrap(),
    ];
    for (minimum, w) in found.into_iter().zip([eagerly, by_code]) {
        assert_eq!(minimum.stopped, Stopped::Gradient, "{minimum:?}");
        assert!(minimum.iterations < 30 && minimum.evaluations < 45, "{minimum:?}");
        assert!((minimum.value - reference.at("lbfgs/value").item()).abs() < 1e-13, "{minimum:?}");
        let error = (w - reference.at("lbfgs/w")).abs().max(..).item();
        assert!(error < 1e-8, "{error}");
    }
}

type Fit<T> = ((T, T), LbfgsState<(T, T)>);

/// A step of L-BFGS as part of a training step.
fn lbfgs_step<T: Tensor>((params, state): &mut Fit<T>, (x, y, lr): &(T, T, T)) -> Result<T> {
    let (value, gradient) = value_and_grad(
        |(w, b)| {
            let scores = Var::lift(x).matmul(&w) + b;
            loss::binary_cross_entropy(&scores, &Var::lift(y), Reduction::Mean) + w.square().sum(..) * 0.05
        },
        params,
    )?;
    Lbfgs { history: 3, ..Lbfgs::default() }.update(state, params, &gradient, lr)?;
    Ok(value)
}

#[test]
fn lbfgs_steps_are_pytorchs_eagerly_and_compiled() {
    let reference = Reference::of("optimisers");
    let data = (reference.at("lbfgs/x"), reference.at("lbfgs/y"), Array::scalar(0.8));
    let params = (Array::zeros(&[3]), Array::scalar(0.3));
    let three = Lbfgs { history: 3, ..Lbfgs::default() };
    let start = (params.clone(), three.init(&params));
    let eager = TrainingStep::eager(start.clone(), lbfgs_step);
    let compiled = TrainingStep::compiled(start.clone(), lbfgs_step);
    for (mode, mut training) in [("eager", eager), ("compiled", compiled)] {
        for step in 0..8 {
            training.call(&data).unwrap();
            let (w, b) = training.state().0;
            assert_close(&w, &reference.at(&format!("lbfgs_steps/{step}/w")), &format!("{mode}, {step}"));
            assert_close(&b, &reference.at(&format!("lbfgs_steps/{step}/b")), &format!("{mode}, {step}"));
        }
        for _ in 8..40 {
            training.call(&data).unwrap();
        }
        let last = training.call(&data).unwrap();
        assert!((last - training.call(&data).unwrap()).abs().item() < 1e-15, "{mode}");
        // What is remembered is saved and loaded as parameters are.
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.safetensors");
        antiphon::io::save_safetensors(&path, &training.state().1).unwrap();
        let mut loaded = three.init(&params);
        antiphon::io::load_safetensors(&path, &mut loaded).unwrap();
        assert_eq!(loaded.leaves(), training.state().1.leaves(), "{mode}");
    }
    let (mut params, mut state) = start;
    let others = [
        Lbfgs::default().update(&mut state, &mut params, &(Array::zeros(&[3]), Array::scalar(0.0)), &data.2),
        three.update(&mut state, &mut params, &(Array::zeros(&[2]), Array::scalar(0.0)), &data.2),
        three.update(&mut state, &mut params, &vec![Array::zeros(&[3])], &data.2),
    ];
    for refused in others {
        assert!(matches!(refused, Err(Error::Structure(_))), "{refused:?}");
    }
}

#[test]
fn lbfgs_goes_through_valleys_and_walls() {
    use antiphon::Number;
    /// Rosenbrock's valley in `n` dimensions.
    fn valley<T: Tensor>(x: &T) -> T {
        let n = x.shape()[0];
        let (a, b) = (x.slice(0, 0..n - 1), x.slice(0, 1..n));
        ((b - a.square()).square() * 100.0 + (-a + 1.0).square()).sum(..)
    }
    let exact = Lbfgs { change: 0.0, ..Lbfgs::default() };
    let mut x = Array::full(&[20], -1.0);
    let found = exact.minimize(&mut x, |x| value_and_grad(|x| valley(&x), x)).unwrap();
    assert_eq!(found.stopped, Stopped::Gradient);
    assert!((x - 1.0).abs().max(..).item() < 1e-6 && found.iterations < 150, "{found:?}");
    // Infinite beyond a wall, and the first step would go there.
    fn wall<T: Number>(x: &T) -> T {
        -x.log() + x.clone() * 100.0
    }
    let mut x = 1e-4f64;
    let found = Lbfgs::default().minimize(&mut x, |x| value_and_grad(|x| wall(&x), x)).unwrap();
    assert!((x - 0.01).abs() < 1e-6, "{x} {found:?}");
    // Single precision, in which the value stops to change.
    let mut x = NdArray::<f32>::full(&[4], -1.0);
    let found = Lbfgs::default().minimize(&mut x, |x| value_and_grad(|x| valley(&x), x)).unwrap();
    assert!((x - 1.0).abs().max(..).item() < 1e-2, "{found:?}");
}

#[test]
fn lbfgs_leaves_parameters_alone_where_it_fails() {
    let before = Array::from(vec![1.0, 2.0]);
    let mut x = before.clone();
    let refused = Lbfgs::default().minimize(&mut x, |_| Ok((Array::scalar(f64::NAN), Array::zeros(&[2]))));
    assert!(matches!(refused, Err(Error::Diverged { .. })), "{refused:?}");
    let refused = Lbfgs::default().minimize(&mut x, |_| Ok((Array::scalar(1.0), Array::zeros(&[3]))));
    assert!(matches!(refused, Err(Error::Structure(_))), "{refused:?}");
    let refused = Lbfgs::default().minimize(&mut x, |x| Ok((x.clone(), x.clone())));
    assert!(matches!(refused, Err(Error::Operand { .. })), "{refused:?}");
    let mut calls = 0;
    let refused = Lbfgs::default().minimize(&mut x, |x| {
        calls += 1;
        match calls {
            1 => Ok((x.square().sum(..), x.clone() * 2.0)),
            _ => Err(Error::Diverged { what: "mine".into(), value: 0.0 }),
        }
    });
    assert!(refused.unwrap_err().to_string().contains("mine"));
    assert_eq!(x, before);
}

#[test]
fn schedules_are_pytorchs() {
    let reference = Reference::of("optimisers");
    let cosine = Schedule::Cosine { lr: 0.5, to: 0.01, warm_up: 0, steps: 10 };
    let warm_up = Schedule::WarmUp { lr: 0.5, to: 0.0, warm_up: 4, steps: 12 };
    let one_cycle = Schedule::OneCycle { lr: 0.5, steps: 20, rise: 0.3, start: 25.0, end: 1e4 };
    for (name, schedule) in [("cosine", cosine), ("warm_up", warm_up), ("one_cycle", one_cycle)] {
        let expected = reference.at(name);
        let found: Vec<f64> = (0..expected.size() as u64).map(|step| schedule.at(step)).collect();
        assert_close(&found.into(), &expected, name);
    }
    assert_eq!(one_cycle.at(1000), 0.5 / 25.0 / 1e4);
    for (steps, rise) in [(0, 0.3), (1, 0.3), (10, 0.1), (10, 0.0), (10, 1.0)] {
        let cycle = Schedule::OneCycle { lr: 0.5, steps, rise, start: 25.0, end: 1e4 };
        assert!((0..12).all(|step| (0.0..=0.5).contains(&cycle.at(step))), "{cycle:?}");
    }
    assert_eq!(Schedule::WarmUp { lr: 0.5, to: 0.5, warm_up: 2, steps: 2 }.at(7), 0.5);
}

/// Accuracy, counts, and precision, recall and F₁.
fn measures<T: Tensor>((logits, targets): &(T, T::Int)) -> (T, T, [T; 3]) {
    let confusion: T = metrics::confusion(&logits.argmax(-1), targets, 3);
    let metrics::Scores { precision, recall, f1 } = metrics::scores(&confusion);
    (metrics::accuracy(logits, targets), confusion, [precision, recall, f1])
}

#[test]
fn metrics_count() {
    let logits = Array::from_elements(&[4, 3], &[9., 0., 0., 0., 9., 0., 9., 0., 0., 1., 1., 0.]).unwrap();
    let targets = ints(&[0, 1, 1, 2]);
    for (mode, (accuracy, confusion, [precision, recall, f1])) in
        both!((logits, targets), |data| measures(&data))
    {
        assert_eq!(accuracy.item(), 0.5, "{mode}");
        let counts = Array::from_elements(&[3, 3], &[1., 0., 0., 1., 1., 0., 1., 0., 0.]).unwrap();
        assert_eq!(confusion, counts, "{mode}");
        assert_close(&precision, &vec![1.0 / 3.0, 1.0, 0.0].into(), mode);
        assert_close(&recall, &vec![1.0, 0.5, 0.0].into(), mode);
        assert_close(&f1, &vec![0.5, 2.0 / 3.0, 0.0].into(), mode);
    }
    let mut mean = RunningMean::default();
    assert_eq!(mean.mean(), None);
    mean.add(f64::NAN, 0.0);
    assert_eq!(mean.mean(), None);
    (1..=4).for_each(|x| mean.add(f64::from(x), f64::from(x)));
    assert!((mean.mean().unwrap() - 3.0).abs() < 1e-15);
    let error =
        antiphon::reset(|_| Ok(metrics::scores(&Array::zeros(&[2, 3])).f1)).err().unwrap().to_string();
    assert!(
        error.contains("as many rows as columns") && error.contains("tests/surface/optimisers.rs"),
        "{error}"
    );
}

#[test]
fn trainings_stop_when_nothing_improves() {
    let mut stopping = EarlyStopping::new(3).at_least(0.1);
    let enough: Vec<bool> = [1.0, 0.95, 0.85, 0.8, f64::NAN, 0.76].map(|loss| stopping.observe(loss)).into();
    assert_eq!(enough, [false, false, false, false, false, true]);
    assert_eq!((stopping.best(), stopping.improved()), (Some((2, 0.85)), false));
    assert!(!stopping.observe(0.1) && stopping.improved());
    let mut never = EarlyStopping::new(2);
    assert_eq!([never.observe(f64::NAN), never.observe(f64::NAN)], [false, true]);
    assert_eq!(never.best(), None);
}
