//! Losses and their gradients.

use antiphon::nn::loss::{self, CrossEntropy, Reduction};
use antiphon::{Error, NdBool, Real, value_and_grad};

use super::reference::{Array, Reference, assert_close, ints, numbers};

/// A loss of two arrays: every reduction, and the gradients of mean and sum, in both modes.
macro_rules! check_pair {
    ($name:literal, |$x:ident, $y:ident, $reduction:ident| $loss:expr) => {{
        let reference = Reference::of("losses");
        let of = |path: &str| reference.at(&format!("{}/{path}", $name));
        let data = (of("x"), of("y"));
        let none = {
            let ($x, $y, $reduction) = (&data.0, &data.1, Reduction::None);
            $loss
        };
        assert_close(&none, &of("none"), $name);
        for ($reduction, key) in [(Reduction::Mean, "mean"), (Reduction::Sum, "sum")] {
            let found = both!(data.clone(), |data| value_and_grad(
                |($x, $y)| {
                    let ($x, $y) = (&$x, &$y);
                    $loss
                },
                &data
            )
            .unwrap());
            for (mode, (value, (dx, dy))) in found {
                let what = format!("{} {key} {mode}", $name);
                assert_close(&value, &of(&format!("{key}/value")), &what);
                assert_close(&dx, &of(&format!("{key}/gradients/0")), &what);
                assert_close(&dy, &of(&format!("{key}/gradients/1")), &what);
            }
        }
    }};
}

#[test]
fn losses_of_pairs_are_pytorchs() {
    check_pair!("mse", |x, y, reduction| loss::mse(x, y, reduction));
    check_pair!("l1", |x, y, reduction| loss::l1(x, y, reduction));
    check_pair!("huber", |x, y, reduction| loss::huber(x, y, 0.7, reduction));
    check_pair!("smooth_l1", |x, y, reduction| loss::smooth_l1(x, y, 0.4, reduction));
    check_pair!("bce", |x, y, reduction| loss::binary_cross_entropy(x, y, reduction));
    check_pair!("kl", |x, y, reduction| loss::kl_divergence(x, y, reduction));
    check_pair!("kl_log", |x, y, reduction| loss::kl_divergence_of_logs(x, y, reduction));
}

/// A loss of logits and classes, likewise; the classes are data of the compiled code.
macro_rules! check_classes {
    ($name:literal, $targets:expr, |$x:ident, $targets_of:ident, $reduction:ident| $loss:expr) => {{
        let reference = Reference::of("losses");
        let of = |path: &str| reference.at(&format!("{}/{path}", $name));
        let data = (of("x"), ints(&$targets));
        let none = {
            let ($x, $targets_of, $reduction) = (&data.0, &data.1, Reduction::None);
            $loss
        };
        assert_close(&none, &of("none"), $name);
        for ($reduction, key) in [(Reduction::Mean, "mean"), (Reduction::Sum, "sum")] {
            let found = both!(data.clone(), |data| {
                let (x, targets) = data;
                let $targets_of = &targets;
                value_and_grad(
                    |x| {
                        let $x = &x;
                        $loss
                    },
                    &x,
                )
                .unwrap()
            });
            for (mode, (value, dx)) in found {
                let what = format!("{} {key} {mode}", $name);
                assert_close(&value, &of(&format!("{key}/value")), &what);
                assert_close(&dx, &of(&format!("{key}/gradients/0")), &what);
            }
        }
    }};
}

const TARGETS: [i64; 4] = [2, 0, 1, 1];
const IGNORED: [i64; 4] = [2, -100, 1, -100];

#[test]
fn losses_of_classes_are_pytorchs() {
    let plain = CrossEntropy::default();
    let ignoring = CrossEntropy { ignore: Some(-100), ..plain };
    let smooth = CrossEntropy { smoothing: 0.2, ..ignoring };
    check_classes!("nll", TARGETS, |x, targets, reduction| loss::nll(x, targets, None, reduction));
    check_classes!("nll_ignored", IGNORED, |x, targets, reduction| {
        loss::nll(x, targets, Some(-100), reduction)
    });
    check_classes!("ce", TARGETS, |x, targets, reduction| plain.of(x, targets, reduction));
    check_classes!("ce_ignored", IGNORED, |x, targets, reduction| ignoring.of(x, targets, reduction));
    check_classes!("ce_smooth", IGNORED, |x, targets, reduction| smooth.of(x, targets, reduction));
}

#[test]
fn cosine_embedding_is_pytorchs() {
    let alike: NdBool = ndarray::arr1(&[true, false, false, true]).into_dyn().into();
    let reference = Reference::of("losses");
    let of = |path: &str| reference.at(&format!("cosine/{path}"));
    let data = ((of("x"), of("y")), alike);
    let ((x, y), alike) = &data;
    assert_close(&loss::cosine_embedding(x, y, alike, 0.1, Reduction::None), &of("none"), "cosine");
    let found = both!(data.clone(), |data| {
        let (pair, alike) = data;
        value_and_grad(|(x, y)| loss::cosine_embedding(&x, &y, &alike, 0.1, Reduction::Mean), &pair).unwrap()
    });
    for (mode, (value, (dx, dy))) in found {
        assert_close(&value, &of("mean/value"), mode);
        assert_close(&dx, &of("mean/gradients/0"), mode);
        assert_close(&dy, &of("mean/gradients/1"), mode);
    }
}

/// Where other formulas for them lose digits or make NaN.
#[test]
fn losses_are_exact_at_their_ends() {
    let x = Array::from(vec![800.0, -800.0, 40.0, 0.0]);
    let y = Array::from(vec![1.0, 0.0, 1.0, 1.0]);
    let (values, slopes) = (
        loss::binary_cross_entropy(&x, &y, Reduction::None),
        value_and_grad(|x| loss::binary_cross_entropy(&x, &antiphon::Var::lift(&y), Reduction::Sum), &x)
            .unwrap()
            .1,
    );
    assert_close(&values, &vec![0.0, 0.0, (-40f64).exp(), 2f64.ln()].into(), "values");
    assert!((values.view()[[2]] / (-40f64).exp() - 1.0).abs() < 1e-12, "{values:?}");
    assert_close(&slopes, &vec![0.0, 0.0, -(-40f64).exp(), -0.5].into(), "slopes");
    // A target of probability zero does not count, whatever is predicted for it.
    let (log_prediction, target) = (Array::from(vec![f64::NEG_INFINITY, 0.0]), Array::from(vec![0.0, 1.0]));
    let (value, slopes) = value_and_grad(
        |(x, y)| loss::kl_divergence(&x, &y, Reduction::Sum),
        &(log_prediction.clone(), target.clone()),
    )
    .unwrap();
    assert_eq!((value.item(), slopes.0), (0.0, -target.clone()));
    assert_eq!(loss::kl_divergence_of_logs(&log_prediction, &target.log(), Reduction::Sum).item(), 0.0);
    // No row counts: 0/0, as in PyTorch.
    let ignoring = CrossEntropy { ignore: Some(1), ..CrossEntropy::default() };
    assert!(ignoring.of(&numbers(1.0, &[1, 3]), &ints(&[1]), Reduction::Mean).item().is_nan());
    assert_eq!(ignoring.of(&numbers(1.0, &[1, 3]), &ints(&[1]), Reduction::Sum).item(), 0.0);
}

#[test]
fn what_does_not_fit_names_the_users_line() {
    fn message(f: impl Fn(Array) -> Array) -> String {
        let error = antiphon::reset(|_| Ok(f(numbers(1.0, &[2, 3])))).expect_err("an error");
        assert!(matches!(error, Error::Shape { .. } | Error::Argument { .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.contains("(tests/surface/losses.rs:"), "{message}");
        message
    }
    let other = numbers(1.0, &[2, 1]);
    for (loss, name) in [
        (loss::mse as fn(&Array, &Array, Reduction) -> Array, "mse"),
        (loss::l1, "l1"),
        (loss::binary_cross_entropy, "binary_cross_entropy"),
        (loss::kl_divergence, "kl_divergence"),
    ] {
        let error =
            antiphon::reset(|_| Ok(loss(&numbers(1.0, &[2, 3]), &other, Reduction::Mean))).err().unwrap();
        assert!(error.to_string().contains(&format!("{name}: cannot combine [2, 3] with [2, 1]")), "{error}");
    }
    assert!(message(|x| loss::mse(&x, &other, Reduction::Mean)).contains("[2, 3] with [2, 1]"));
    assert!(message(|x| loss::huber(&x, &x, 0.0, Reduction::Mean)).contains("δ is 0"));
    assert!(message(|x| loss::smooth_l1(&x, &x, f64::NAN, Reduction::Mean)).contains("δ is NaN"));
    let smooth = CrossEntropy { smoothing: 1.5, ..CrossEntropy::default() };
    assert!(message(|x| smooth.of(&x, &ints(&[0, 1]), Reduction::Mean)).contains("smoothing 1.5"));
}
