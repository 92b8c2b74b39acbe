//! Communication as operators: values, derivatives in every mode, batches, and compiled code.

use antiphon::distributed::{Communicator, ReduceOp};
use antiphon::recording::{self, Recorded};
use antiphon::{
    Control, Dual, NdArray, OrRaise, Real, Result, Tensor, Var, compile, grad, hvp, jvp, linearize, pullback,
    value_and_grad, vmap,
};

use crate::job::on_ranks;

type Array = NdArray<f64>;

/// What a rank has, of which no two elements are the same, of whatever rank.
fn of_rank(rank: usize, shape: &[usize]) -> Array {
    let size: usize = shape.iter().product();
    let element = |i: usize| ((7 * i + 5 * rank + 3) as f64 * 0.7).sin() + 0.1 * rank as f64;
    Array::from_elements(shape, &(0..size).map(element).collect::<Vec<_>>()).unwrap()
}

fn elements(x: &Array) -> Vec<f64> {
    x.view().iter().copied().collect()
}

/// All of them.
const OPERATORS: [&str; 7] = ["sum", "mean", "max", "broadcast", "reduce", "all_gather", "reduce_scatter"];

/// One of them.
fn apply<T: Tensor>(world: &Communicator, name: &str, x: &T) -> T {
    let last = world.size() - 1;
    match name {
        "sum" => world.all_reduce(x, ReduceOp::Sum),
        "mean" => world.all_reduce(x, ReduceOp::Mean),
        "max" => world.all_reduce(x, ReduceOp::Max),
        "broadcast" => world.broadcast(x, last),
        "reduce" => world.reduce(x, last),
        "all_gather" => world.all_gather(x),
        "reduce_scatter" => world.reduce_scatter(x),
        _ => unreachable!("{name}"),
    }
}

/// What it has to give on a rank, from all ranks' operands.
fn expected(name: &str, all: &[Array], rank: usize) -> Array {
    let last = all.len() - 1;
    let fold = |f: fn(Array, &Array) -> Array| all[1..].iter().fold(all[0].clone(), f);
    let sum = || fold(|a, b| a + b);
    match name {
        "sum" => sum(),
        "mean" => sum().scale(1.0 / all.len() as f64),
        "max" => fold(|a, b| a.maximum(b)),
        "broadcast" => all[last].clone(),
        "reduce" if rank == last => sum(),
        "reduce" => Array::zeros(&all[0].shape()),
        "all_gather" => Array::concat(all, 0),
        "reduce_scatter" => {
            let part = all[0].shape()[0] / all.len();
            sum().slice(0, rank * part..(rank + 1) * part)
        }
        _ => unreachable!("{name}"),
    }
}

fn assert_close(what: &str, a: &[f64], b: &[f64], within: f64) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= within * (1.0 + b.abs()), "{what}: element {i}: {a} and {b}");
    }
}

fn values(world: &Communicator) -> Result<()> {
    let (rank, ranks) = (world.rank(), world.size());
    for shape in [vec![12], vec![12, 3], vec![24, 1, 2]] {
        let all: Vec<Array> = (0..ranks).map(|rank| of_rank(rank, &shape)).collect();
        for name in OPERATORS {
            let (y, wanted) = (apply(world, name, &all[rank]), expected(name, &all, rank));
            assert_eq!(y.shape(), wanted.shape(), "{name}");
            assert_close(name, &elements(&y), &elements(&wanted), 1e-14);
            let single = |x: &Array| NdArray::<f32>::from_elements(&x.shape(), &elements(x)).unwrap();
            let y: Vec<f64> =
                apply(world, name, &single(&all[rank])).view().iter().map(|&x| x.into()).collect();
            assert_close(name, &y, &elements(&wanted), 1e-6);
        }
    }
    let number = Array::scalar(rank as f64);
    assert_eq!(world.all_reduce(&number, ReduceOp::Max).item(), (ranks - 1) as f64);
    // Of nothing.
    assert_eq!(world.all_reduce(&Array::zeros(&[0, 3]), ReduceOp::Sum).shape().as_slice(), [0, 3]);
    Ok(())
}

#[test]
fn values_on_two_ranks() {
    on_ranks(2, "operators::values_on_two_ranks", values);
}

#[test]
fn values_on_three_ranks() {
    on_ranks(3, "operators::values_on_three_ranks", values);
}

#[test]
fn values_on_four_ranks() {
    on_ranks(4, "operators::values_on_four_ranks", values);
}

/// A loss with communication in its middle; its weights differ from rank to rank.
fn loss<T: Tensor>(world: &Communicator, name: &str, weights: &Array, x: &T) -> T {
    let y = apply(world, name, &(x.square() + x.sin()));
    let weights = T::from_elements(&y.shape(), &elements(weights)[..y.size()]).unwrap();
    (y.tanh() * weights).sum(..)
}

/// The derivatives are those of the sum of all ranks' losses, in each mode and nesting.
fn derivatives(world: &Communicator) -> Result<()> {
    const N: usize = 12;
    let (rank, ranks) = (world.rank(), world.size());
    let (x, weights) = (of_rank(rank, &[N]), of_rank(rank + 17, &[N * ranks]));
    let total =
        |x: &Array, name: &str| world.all_reduce(&loss(world, name, &weights, x), ReduceOp::Sum).item();
    for name in OPERATORS {
        let gradient = grad(|x| loss(world, name, &weights, &x), &x)?;
        let step = 1e-6;
        for of in 0..ranks {
            for i in 0..N {
                let moved = |by: f64| {
                    let mut moved = elements(&x);
                    moved[i] += if of == rank { by } else { 0.0 };
                    total(&Array::from(moved), name)
                };
                let difference = (moved(step) - moved(-step)) / (2.0 * step);
                if of == rank {
                    assert_close(name, &[elements(&gradient)[i]], &[difference], 1e-7);
                }
            }
        }
        // All ranks' inputs along directions of their own: forward, and twice in every order.
        let v = of_rank(rank + 5, &[N]);
        let (_, tangent) = jvp(|x| loss(world, name, &weights, &x), &x, &v)?;
        let (forward, reverse) = (
            world.all_reduce(&tangent, ReduceOp::Sum).item(),
            world.all_reduce(&(gradient.clone() * &v).sum(..), ReduceOp::Sum).item(),
        );
        assert_close(name, &[forward], &[reverse], 1e-12);
        // The same derivatives, made once and applied afterwards.
        let (_, linear) = linearize(|x| loss(world, name, &weights, &x), &x)?;
        assert_close(name, &[linear.apply(&v)?.item()], &[tangent.item()], 1e-14);
        let (_, transposed) = pullback(|x| loss(world, name, &weights, &x), &x)?;
        let pulled = transposed.apply(&Array::scalar(1.0))?;
        assert_close(name, &elements(&pulled), &elements(&gradient), 1e-14);
        let (_, second) = hvp(|x| loss(world, name, &weights, &x), &x, &v)?;
        let along = |by: f64| grad(|x| loss(world, name, &weights, &x), &(x.clone() + v.clone().scale(by)));
        let difference = (along(step)? - along(-step)?).scale(1.0 / (2.0 * step));
        assert_close(name, &elements(&second), &elements(&difference), 1e-6);
        let twice = grad(
            |x| {
                let inner = grad(|x| loss(world, name, &weights, &x), &x).unwrap();
                (inner * Var::lift(&v)).sum(..)
            },
            &x,
        )?;
        assert_close(name, &elements(&twice), &elements(&second), 1e-12);
    }
    Ok(())
}

#[test]
fn derivatives_on_two_ranks() {
    on_ranks(2, "operators::derivatives_on_two_ranks", derivatives);
}

#[test]
fn derivatives_on_three_ranks() {
    on_ranks(3, "operators::derivatives_on_three_ranks", derivatives);
}

/// Rows of a batch as if each were alone, and their gradients.
#[test]
fn batches() {
    on_ranks(2, "operators::batches", |world| {
        let weights = of_rank(world.rank() + 17, &[8]);
        let rows = of_rank(world.rank(), &[3, 4]);
        for name in OPERATORS {
            let values = vmap(|x| loss(world, name, &weights, &x), &rows)?;
            let slopes = vmap(|x| grad(|x| loss(world, name, &weights, &x), &x).unwrap(), &rows)?;
            for i in 0..3 {
                let row = rows.slice(0, i..i + 1).reshape(&[4]);
                let value = loss(world, name, &weights, &row).item();
                assert_close(name, &[elements(&values)[i]], &[value], 1e-14);
                let slope = grad(|x| loss(world, name, &weights, &x), &row)?;
                assert_close(name, &elements(&slopes)[4 * i..4 * (i + 1)], &elements(&slope), 1e-14);
            }
        }
        Ok(())
    });
}

/// The largest of all, with their conventions: equal parts where several are, and NaN is the largest.
#[test]
fn maxima() {
    on_ranks(3, "operators::maxima", |world| {
        // On rank 1 and 2 the same is the largest in element 0, on all in element 1, on rank 2 alone in element 2.
        let x = Array::from([[1.0, 4.0, -3.0], [2.0, 4.0, -2.0], [2.0, 4.0, -1.0]][world.rank()].to_vec());
        let slope = grad(|x| world.all_reduce(&x, ReduceOp::Max).sum(..), &x)?;
        // Each of three ranks counts the maximum once.
        let shares = [[0.0, 1.0, 0.0], [1.5, 1.0, 0.0], [1.5, 1.0, 3.0]][world.rank()].to_vec();
        assert_close("max", &elements(&slope), &shares, 1e-15);
        let x = Array::from(vec![if world.rank() == 1 { f64::NAN } else { f64::INFINITY }, -0.5]);
        let y = world.all_reduce(&x, ReduceOp::Max);
        assert!(elements(&y)[0].is_nan() && elements(&y)[1] == -0.5);
        Ok(())
    });
}

/// All operators, one after the other, and communication in a loop; what each rank has of its own is data.
fn all<T: Tensor + Control>(world: &Communicator, x: &T, weights: &T) -> T {
    let communicating = world.clone();
    let (_, looped) = T::while_loop(
        (T::constant(0.0), x.clone()),
        |(i, _)| i.less(&T::constant(3.0)),
        |(i, x)| {
            let mean = communicating.all_reduce(&(x.clone() * &x).sin(), ReduceOp::Mean);
            (i + T::constant(1.0), x + mean.scale(0.5))
        },
    );
    let mut sum = looped.sum(..);
    for name in OPERATORS {
        let y = apply(world, name, &(x.square() + x.sin()));
        sum += (y.tanh() * weights.slice(0, 0..y.size())).sum(..);
    }
    sum
}

/// Value, gradient, its change along a direction, and that again in reverse.
fn everything<T: Tensor + Control>(world: &Communicator, (x, w, v): &(T, T, T)) -> Result<Vec<T>> {
    let (value, gradient) = value_and_grad(|x| all(world, &x, &Var::lift(w)), x)?;
    let (_, forward) = hvp(|x| all(world, &x, &Var::lift(&Dual::lift(w))), x, v)?;
    let reverse = grad(
        |x| {
            let w = Var::lift(w);
            let gradient = grad(|x| all(world, &x, &Var::lift(&w)), &x).or_raise();
            (gradient * Var::lift(v)).sum(..)
        },
        x,
    )?;
    Ok(vec![value, gradient, forward, reverse])
}

/// Compiled code and the interpreter give what the operators give as they are, though what each rank communicates
/// differs; the program is the same on all ranks.
#[test]
fn compiled() {
    on_ranks(2, "operators::compiled", |world| {
        let rank = world.rank();
        let data = (of_rank(rank, &[12]), of_rank(rank + 17, &[24]), of_rank(rank + 5, &[12]));
        let eager = everything(world, &data)?;
        let model = |data: (Recorded, Recorded, Recorded)| everything(world, &data).or_raise();
        let program = recording::record("everything", model, &data)?;
        let interpreted = recording::interpret(&program, &data)?;
        let compiled = compile("everything", model, &data)?.call(&data)?;
        for (i, what) in ["the value", "the gradient", "forward over reverse", "reverse over reverse"]
            .into_iter()
            .enumerate()
        {
            assert_close(what, &elements(&interpreted[i]), &elements(&eager[i]), 1e-12);
            assert_close(what, &elements(&compiled[i]), &elements(&eager[i]), 1e-12);
        }
        let text = program.to_string();
        let lines: Vec<f64> = text.bytes().map(f64::from).collect();
        let sum = lines.iter().zip(1..).map(|(byte, i)| byte * f64::from(i % 97)).sum();
        world.check_same("the program", &Array::scalar(sum))
    });
}

/// A run that begins again, since it needs more memory than it had, takes over what was communicated before: on one
/// rank it does, on the other it does not.
#[test]
fn a_run_that_begins_again() {
    on_ranks(2, "operators::a_run_that_begins_again", |world| {
        fn deep<T: Tensor>(world: &Communicator, depth: &T) -> T {
            let before = world.all_reduce(depth, ReduceOp::Sum);
            let y = T::fix(depth.clone(), |sum, x: T| {
                let rest = || x.sin() + sum(x.clone() - T::constant(1.0));
                T::cond(&x.less(&T::constant(0.0)), || x.clone(), rest)
            });
            world.all_reduce(&y, ReduceOp::Sum) + before
        }
        let model = |x: Recorded| value_and_grad(|x| deep(world, &x), &x).or_raise();
        let mut compiled = compile("deep", model, &Array::scalar(3.0))?;
        for depths in [[3.0, 2.0], [3.0, 400_000.0], [5.0, 2.0]] {
            let depth = Array::scalar(depths[world.rank()]);
            let (value, slope) = compiled.call(&depth)?;
            let sum = |depth: f64| {
                let terms = (0..=depth as usize).map(|i| (depth - i as f64).sin());
                terms.sum::<f64>() - 1.0
            };
            let expected = sum(depths[0]) + sum(depths[1]) + depths[0] + depths[1];
            assert_close("value", &[value.item()], &[expected], 1e-9);
            let cosines = (0..=depth.item() as usize).map(|i| (depth.item() - i as f64).cos());
            // The last argument is −1, of which the derivative is one; both ranks count both sums.
            let expected = 2.0 * (cosines.sum::<f64>() + 2.0);
            assert_close("slope", &[slope.item()], &[expected], 1e-9);
        }
        Ok(())
    });
}

/// What is wrong is an error with the user's line.
#[test]
fn what_is_wrong() {
    on_ranks(2, "operators::what_is_wrong", |world| {
        let said = |f: &dyn Fn(Var<'_, Array>) -> Array| {
            let error = grad(|x| Var::lift(&f(x)), &Array::zeros(&[3])).unwrap_err().to_string();
            assert!(error.contains("tests/mpi/operators.rs"), "{error}");
            error
        };
        let error = said(&|_| world.broadcast(&Array::zeros(&[3]), 2));
        assert!(error.starts_with("broadcast: rank 2, of 2"), "{error}");
        let error = said(&|_| world.reduce_scatter(&Array::zeros(&[3])));
        assert!(error.contains("3 rows, which 2 ranks do not divide"), "{error}");
        let error = said(&|_| world.all_gather(&Array::scalar(3.0)));
        assert!(error.contains("a number has no rows"), "{error}");
        // Nobody has communicated anything.
        assert_eq!(world.all_reduce(&Array::scalar(1.0), ReduceOp::Sum).item(), 2.0);
        Ok(())
    });
}
