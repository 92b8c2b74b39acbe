//! Steps whose data comes in many shapes.

use antiphon::{NdArray, Tensor, TrainingStep};

type Array = NdArray<f64>;

/// A step that adds up what it is given, compiled or read from no cache.
fn sums(most: usize) -> TrainingStep<'static, Array, Array, Array> {
    let step = TrainingStep::compiled(Array::scalar(0.0), |sum, xs: &antiphon::recording::Recorded| {
        *sum += xs.sum(..);
        Ok(*sum)
    });
    step.configure(|options| options.cache = None).keep_variants(most)
}

fn ones(n: usize) -> Array {
    Array::full(&[n], 1.0)
}

#[test]
fn code_for_many_shapes_is_kept_within_a_limit_and_what_was_used_the_longest_ago_is_dropped() {
    let mut step = sums(8);
    let mut total = 0.0;
    let mut call = |step: &mut TrainingStep<'_, Array, Array, Array>, n: usize| {
        total += n as f64;
        assert_eq!(step.call(&ones(n)).unwrap().item(), total);
        assert_eq!(step.state().item(), total, "the state outlives the code that changed it");
        (step.compilations(), step.evictions())
    };
    for n in 1..=300 {
        assert_eq!(call(&mut step, n), (n, n.saturating_sub(8)));
        // Used at each step, it stays.
        assert_eq!(call(&mut step, 1), (n, n.saturating_sub(8)));
    }
    for n in 294..=300 {
        assert_eq!(call(&mut step, n), (300, 292), "{n}");
    }
    assert_eq!(call(&mut step, 293), (301, 293), "it is compiled again");
    assert_eq!(call(&mut step, 1), (302, 294), "it was used before all others that are kept");
}

#[test]
fn fewer_are_kept_from_the_moment_that_it_is_said_and_one_at_least() {
    let mut step = sums(8);
    (1..=5).for_each(|n| drop(step.call(&ones(n)).unwrap()));
    assert_eq!((step.compilations(), step.evictions()), (5, 0));
    let mut step = step.keep_variants(0);
    assert_eq!((step.compilations(), step.evictions()), (5, 4));
    assert!(step.program().is_some(), "the code of the last call");
    for n in [5, 5, 4, 4] {
        step.call(&ones(n)).unwrap();
    }
    assert_eq!((step.compilations(), step.evictions()), (6, 5));
    assert_eq!(step.state().item(), 33.0);
    let eager = TrainingStep::eager(0.0, |sum: &mut f64, x: &f64| {
        *sum += x;
        Ok(*sum)
    });
    let mut eager = eager.keep_variants(1);
    for n in 0..3 {
        eager.call(&f64::from(n)).unwrap();
    }
    assert_eq!((eager.compilations(), eager.evictions()), (0, 0));
}

#[test]
fn a_step_that_cannot_be_compiled_counts_as_no_compilation() {
    let step = TrainingStep::compiled(Array::scalar(0.0), |sum, xs: &antiphon::recording::Recorded| {
        *sum += xs.reshape(&[2, 2]).sum(..);
        Ok(*sum)
    });
    let mut step = step.configure(|options| options.cache = None).keep_variants(1);
    step.call(&ones(4)).unwrap();
    step.call(&ones(3)).unwrap_err();
    step.call(&ones(4)).unwrap();
    assert_eq!((step.compilations(), step.evictions()), (1, 0), "nor does it take another one's place");
}
