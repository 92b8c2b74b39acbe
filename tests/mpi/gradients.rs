//! Means of gradients: in few messages, begun early or not.

use antiphon::distributed::Communicator;
use antiphon::{NdArray, Real, Result, Tensor, TrainingStep, Var, value_and_grad};

use crate::job::on_ranks;

type Array = NdArray<f64>;
type Model<T> = (T, Vec<T>);

fn rows(rank: usize) -> Array {
    Array::from_elements(&[2, 3], &(0..6).map(|i| (i + 6 * rank) as f64 * 0.1).collect::<Vec<_>>()).unwrap()
}

fn model() -> Model<Array> {
    let weights = |shape: &[usize], by: f64| {
        let size = shape.iter().product::<usize>();
        Array::from_elements(shape, &(0..size).map(|i| (i as f64 * by).sin()).collect::<Vec<_>>()).unwrap()
    };
    // The second is larger than a message.
    (weights(&[3, 4], 0.3), vec![weights(&[4, 200_000], 0.7), weights(&[200_000], 0.2), Array::scalar(0.5)])
}

/// A step of gradient descent; with `early`, what is used last begins to travel first.
fn step<T: Tensor>(world: &Communicator, early: bool, model: &mut Model<T>, (x, rate): &(T, T)) -> Result<T> {
    let (mut loss, mut gradients) = value_and_grad(
        |(first, rest)| {
            let h = Var::lift(x).matmul(&first).tanh();
            let rest = if early { world.early("1", &rest) } else { rest };
            ((h.matmul(&rest[0]) + &rest[1]).tanh().mean(-1) - &rest[2]).square().mean(..)
        },
        model,
    )?;
    world.mean_gradients(&mut loss, &mut gradients)?;
    model.0 = model.0.clone() - gradients.0 * rate;
    for (leaf, gradient) in model.1.iter_mut().zip(gradients.1) {
        *leaf = leaf.clone() - gradient * rate;
    }
    Ok(loss)
}

/// Several steps on the ranks' rows are those of one process with all rows, in each mode.
fn steps(world: &Communicator) -> Result<()> {
    let all: Vec<Array> = (0..world.size()).map(rows).collect();
    let (rate, all) = (Array::scalar(30.0), Array::concat(&all, 0));
    // What a process alone does.
    let alone = Communicator::alone();
    let mut single = TrainingStep::eager(model(), |m, data| step(&alone, false, m, data));
    let mut ways = [false, true].map(|early| {
        (early, TrainingStep::eager(model(), move |m, data| step(world, early, m, data)).over(world))
    });
    let mut compiled = [false, true]
        .map(|early| TrainingStep::compiled(model(), move |m, data| step(world, early, m, data)).over(world));
    for _ in 0..4 {
        let expected = single.call(&(all.clone(), rate.clone()))?.item();
        let data = (rows(world.rank()), rate.clone());
        let found = ways.iter_mut().map(|(_, step)| step).chain(&mut compiled).map(|step| step.call(&data));
        for loss in found {
            let loss = loss?.item();
            assert!((loss - expected).abs() <= 1e-12 * expected.abs(), "{loss} and {expected}");
        }
    }
    for (_, step) in &ways {
        world.check_same("what was trained", &step.state())?;
    }
    Ok(())
}

#[test]
fn of_two_ranks() {
    on_ranks(2, "gradients::of_two_ranks", steps);
}

#[test]
fn of_three_ranks() {
    on_ranks(3, "gradients::of_three_ranks", steps);
}

/// Names that no gradient has, and gradients that are not all of it, are errors.
#[test]
fn what_is_begun_wrongly() {
    on_ranks(2, "gradients::what_is_begun_wrongly", |world| {
        let x = Array::from(vec![world.rank() as f64, 2.0]);
        let slope = |name: &str, more: f64| -> Result<Array> {
            let (mut loss, mut slope) =
                value_and_grad(|x| world.early(name, &x).square().sum(..) + x.scale(more).sum(..), &x)?;
            world.mean_gradients(&mut loss, &mut slope)?;
            Ok(slope)
        };
        assert_eq!(slope("", 0.0)?.view().iter().copied().collect::<Vec<_>>(), [1.0, 4.0]);
        let error = slope("", 1.0).unwrap_err().to_string();
        assert!(error.contains("the gradient of `` that was begun early is not all of it"), "{error}");
        let error = slope("y", 0.0).unwrap_err().to_string();
        assert!(error.contains("`y` was begun early, and there is no parameter of this name"), "{error}");
        // What was begun is forgotten with the error.
        assert_eq!(slope("", 0.0)?.view().iter().copied().collect::<Vec<_>>(), [1.0, 4.0]);
        Ok(())
    });
}
