//! What one rank does wrong is an error on all of them, which names the rank.

use antiphon::distributed::ReduceOp;
use antiphon::{Error, NdArray, Real, Result, Tensor, TrainingStep};

use crate::job::{errors_on_ranks, on_ranks, say};

type Array = NdArray<f64>;

fn sum(world: &antiphon::distributed::Communicator, n: usize) -> Result<f64> {
    let mut step = TrainingStep::eager((), |(), n: &usize| {
        Ok(world.all_reduce(&Array::ones(&[*n]), ReduceOp::Sum).sum(..).item())
    });
    step.call(&n)
}

#[test]
fn other_shapes() {
    let said = errors_on_ranks(3, "agreement::other_shapes", |world| {
        sum(world, 4)?;
        sum(world, if world.rank() == 1 { 5 } else { 4 }).map(drop)
    });
    for said in said.unwrap_or_default() {
        assert!(said.contains("rank 1: is at all_reduce (sum) of 5 f64, and rank 0 is at"), "{said}");
        assert!(said.contains("all_reduce (sum) of 4 f64: all ranks have to communicate the same"), "{said}");
        assert!(said.contains("tests/mpi/agreement.rs"), "{said}");
    }
}

#[test]
fn other_operators() {
    let said = errors_on_ranks(2, "agreement::other_operators", |world| {
        let x = Array::ones(&[4]);
        let mut step = TrainingStep::eager((), |(), _: &()| {
            Ok(match world.rank() {
                0 => world.broadcast(&x, 1),
                _ => world.all_gather(&x),
            })
        });
        step.call(&()).map(drop)
    });
    for said in said.unwrap_or_default() {
        assert!(
            said.contains("rank 1: is at all_gather of 4 f64, and rank 0 is at broadcast of 4"),
            "{said}"
        );
    }
}

#[test]
fn a_program_that_ends_earlier() {
    let said = errors_on_ranks(2, "agreement::a_program_that_ends_earlier", |world| match world.rank() {
        0 => sum(world, 4).map(drop),
        _ => Ok(()),
    });
    for said in said.unwrap_or_default() {
        assert!(said.contains("rank 1: is at its end, and rank 0 is at all_reduce"), "{said}");
    }
}

#[test]
fn an_error_of_one_rank() {
    let said = errors_on_ranks(3, "agreement::an_error_of_one_rank", |world| {
        for round in 0..10 {
            if (world.rank(), round) == (2, 5) {
                return Err(Error::Config { name: "data", reason: "the disk is gone".into() });
            }
            sum(world, 1000)?;
        }
        Ok(())
    });
    if let Some(said) = said {
        assert!(said[0].contains("rank 2: data: the disk is gone"), "{}", said[0]);
        assert!(said[1].contains("rank 2: data: the disk is gone"), "{}", said[1]);
        assert_eq!(said[2], "data: the disk is gone");
    }
}

/// The step's error is that of all ranks, and none has another state than before.
#[test]
fn an_error_of_one_rank_within_a_step() {
    let said = errors_on_ranks(2, "agreement::an_error_of_one_rank_within_a_step", |world| {
        let step = |x: &mut Array, rows: &Vec<i64>| {
            let row = x.gather_rows(&rows.clone().into());
            let (mut loss, mut slope) = (row.sum(..), row);
            world.mean_gradients(&mut loss, &mut slope)?;
            *x = x.clone() - slope.sum(..).scale(0.5);
            Ok(loss)
        };
        let mut step = TrainingStep::eager(Array::ones(&[3]), step).over(world);
        step.call(&vec![0])?;
        let before = step.state();
        let error = step.call(&vec![if world.rank() == 1 { 3 } else { 0 }]).unwrap_err();
        assert_eq!(step.state(), before);
        assert_eq!(matches!(error, Error::Rank { rank: 1, .. }), world.rank() == 0, "{error}");
        assert!(world.failure().is_some());
        Err(error)
    });
    if let Some(said) = said {
        assert!(said[0].starts_with("rank 1: gather_rows: index 3 is out of range"), "{}", said[0]);
        assert!(said[1].starts_with("gather_rows: index 3 is out of range"), "{}", said[1]);
    }
}

/// All others find out that one panicked.
#[test]
fn a_panic_of_one_rank() {
    let said = errors_on_ranks(2, "agreement::a_panic_of_one_rank", |world| {
        if world.rank() == 1 {
            say(1, "a panic");
            panic!("of rank {}", world.rank());
        }
        sum(world, 4).map(drop)
    });
    if let Some(said) = said {
        assert!(said[0].contains("rank 1: panicked: of rank 1"), "{}", said[0]);
    }
}

#[test]
fn weights_that_differ() {
    on_ranks(3, "agreement::weights_that_differ", |world| {
        let rank = world.rank();
        let weights =
            |differ: bool| (Array::ones(&[2]), vec![Array::scalar(if differ { 1e-300 } else { 0.0 })]);
        world.check_same("the weights", &weights(false))?;
        let said = world.check_same("the weights", &weights(rank == 2)).unwrap_err().to_string();
        let expected = "the weights: `1.0` [] has other numbers on rank 2 and on rank 0";
        assert!(said.contains(expected), "{said}");
        let shapes = Array::zeros(&[2 + usize::from(rank == 1)]);
        let said = world.check_same("the weights", &shapes).unwrap_err().to_string();
        assert!(said.contains("is of another name, shape or type on rank 1"), "{said}");
        let said =
            world.check_same("the weights", &vec![Array::ones(&[1]); 1 + rank]).unwrap_err().to_string();
        assert!(said.contains("there are 2 and 1 of them on rank 1"), "{said}");
        // Zeros have signs: the bits are compared.
        let zero = Array::scalar(if rank == 0 { 0.0 } else { -0.0 });
        assert!(world.check_same("the weights", &zero).is_err());
        Ok(())
    });
}
