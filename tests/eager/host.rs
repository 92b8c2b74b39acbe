//! Operators of the host, eagerly.

use antiphon::{
    Batch, NdArray, OrRaise, Real, Tensor, Var, check_gradients, grad, hvp, jacobian_sparsity, jvp,
    linearize, program, pullback, vmap,
};

use crate::host_operators::{SolveLower, solve_lower};

type Array = NdArray<f64>;

fn matrices() -> Array {
    // Nothing above the diagonal counts.
    let elements =
        [2.0, 9.0, 9.0, 0.5, 1.5, 9.0, -0.4, 0.3, 0.8, 1.0, 7.0, 7.0, -0.2, 3.0, 7.0, 0.9, 0.1, -2.0];
    Array::from_elements(&[2, 3, 3], &elements).unwrap()
}

fn vector() -> Array {
    Array::from(vec![1.0, -2.0, 0.5])
}

#[test]
fn values_are_those_of_each_element_of_the_batch() {
    let solved = solve_lower(&matrices(), &vector());
    assert_eq!(solved.shape()[..], [2, 3]);
    for i in 0..2 {
        let matrix = matrices().index(0, i);
        let y = solved.index(0, i);
        assert_eq!(solve_lower(&matrix, &vector()), y);
        let lower = Array::from(
            matrix.view().indexed_iter().map(|(i, &x)| if i[1] > i[0] { 0.0 } else { x }).collect::<Vec<_>>(),
        );
        let residual = lower.reshape(&[3, 3]).matmul(&y) - vector();
        assert!(residual.view().iter().all(|x| x.abs() < 1e-14), "{residual}");
    }
    let single = NdArray::<f32>::from_elements(&[1, 1], &[4.0]).unwrap();
    assert_eq!(solve_lower(&single, &NdArray::from(vec![2.0f32])), NdArray::from(vec![0.5f32]));
    assert_eq!(solve_lower(&Array::zeros(&[0, 3, 3]), &vector()).shape()[..], [0, 3]);
    assert_eq!(solve_lower(&Array::zeros(&[0, 0]), &Array::zeros(&[0])), Array::zeros(&[0]));
}

#[test]
fn derivatives_to_third_order() {
    let one = matrices().index(0, 0);
    check_gradients(&program!(|x| solve_lower(&x[0], &x[1])), &[one.clone(), vector()], 3).unwrap();
    // Of batches, one operand of which is the same for all.
    check_gradients(&program!(|x| solve_lower(&x[0], &x[1])), &[matrices(), vector()], 3).unwrap();
    let vectors = Array::from_elements(&[2, 1, 3], &[1.0, 2.0, 3.0, -1.0, 0.5, 0.25]).unwrap();
    check_gradients(&program!(|x| solve_lower(&x[0], &x[1])), &[matrices(), vectors], 3).unwrap();
    let transposed = program!(|x| T::host(&SolveLower { transposed: true }, &[&x[0], &x[1]]));
    check_gradients(&transposed, &[one, vector()], 3).unwrap();
}

/// The rows of a batch are an axis of the batch.
#[test]
fn batches_and_gradients_of_each_row() {
    let f = |matrix: &Array| solve_lower(matrix, &vector()).square().sum(..);
    let each = |i| {
        grad(|x| solve_lower(&x, &Var::lift(&vector())).square().sum(..), &matrices().index(0, i)).unwrap()
    };
    let expected = Array::stack(&[each(0), each(1)], 0);
    let of_rows = vmap(
        |m: Batch<Array>| {
            grad(|m| solve_lower(&m, &Var::lift(&Batch::lift(&vector()))).square().sum(..), &m).or_raise()
        },
        &matrices(),
    );
    assert_eq!(of_rows.unwrap(), expected);
    let sum = grad(
        |m| {
            vmap(|m| solve_lower(&m, &Batch::lift(&Var::lift(&vector()))).square().sum(..), &m)
                .or_raise()
                .sum(..)
        },
        &matrices(),
    );
    assert_eq!(sum.unwrap(), expected);
    let values =
        vmap(|m: Batch<Array>| solve_lower(&m, &Batch::lift(&vector())).square().sum(..), &matrices());
    assert_eq!(
        values.unwrap(),
        Array::from(vec![f(&matrices().index(0, 0)).item(), f(&matrices().index(0, 1)).item()])
    );
}

/// Of rows that do not take an arm, no operator has to have a result there.
#[test]
fn arms_that_some_rows_take() {
    fn f<T: Tensor>(m: &T, b: &T) -> T {
        let scale = b.index(0, 0);
        let nonzero = T::constant(0.0).less(&scale);
        let solved = || solve_lower(&(m.clone() * &scale), b).square().sum(..);
        T::cond(&nonzero, solved, || b.sum(..))
    }
    let rows = Array::from_elements(&[3, 3], &[0.0, 1.0, 2.0, 0.5, 1.0, 2.0, -1.0, 0.0, 3.0]).unwrap();
    let matrix = matrices().index(0, 0);
    let each = |i| antiphon::value_and_grad(|b| f(&Var::lift(&matrix), &b), &rows.index(0, i)).unwrap();
    let (values, slopes): (Vec<Array>, Vec<Array>) = (0..3).map(each).unzip();
    let lifted = Batch::lift(&matrix);
    assert_eq!(vmap(|b: Batch<Array>| f(&lifted, &b), &rows).unwrap(), Array::stack(&values, 0));
    let found = vmap(|b: Batch<Array>| grad(|b| f(&Var::lift(&lifted), &b), &b).or_raise(), &rows).unwrap();
    assert_eq!(found, Array::stack(&slopes, 0));
    let of_sum = grad(|b| vmap(|b| f(&Batch::lift(&Var::lift(&matrix)), &b), &b).or_raise().sum(..), &rows);
    assert_eq!(of_sum.unwrap(), Array::stack(&slopes, 0));
    #[cfg(feature = "staging")]
    {
        use antiphon::recording::Recorded;
        let program = |(m, rows): (Recorded, Recorded)| {
            let m = Batch::lift(&m);
            vmap(|b: Batch<Recorded>| grad(|b| f(&Var::lift(&m), &b), &b).or_raise(), &rows).or_raise()
        };
        let point = (matrix.clone(), rows.clone());
        let found = antiphon::compile("arms", program, &point).unwrap().call(&point).unwrap();
        let apart =
            (found - Array::stack(&slopes, 0)).view().iter().fold(0.0f64, |most, x| most.max(x.abs()));
        assert!(apart < 1e-12, "{apart}");
    }
}

#[test]
fn other_modes() {
    let matrix = matrices().index(0, 0);
    let of_b = |b: &Array| solve_lower(&matrix, b);
    let (y, dy) = jvp(|b| solve_lower(&antiphon::Dual::lift(&matrix), &b), &vector(), &vector()).unwrap();
    assert_eq!((&y, &dy), (&of_b(&vector()), &of_b(&vector())), "it is linear");
    let (y, derivative) = linearize(|(m, b)| solve_lower(&m, &b), &(matrix.clone(), vector())).unwrap();
    let direction = (matrix.clone(), vector() * 3.0);
    let (_, expected) = jvp(|(m, b)| solve_lower(&m, &b), &(matrix.clone(), vector()), &direction).unwrap();
    assert_eq!(y, of_b(&vector()));
    assert_eq!(derivative.apply(&direction).unwrap(), expected);
    let (_, back): (Array, _) = pullback(|(m, b)| solve_lower(&m, &b), &(matrix.clone(), vector())).unwrap();
    let seed = Array::from(vec![1.0, 2.0, 3.0]);
    let (_, expected) =
        antiphon::vjp(|(m, b)| solve_lower(&m, &b), &(matrix.clone(), vector()), &seed).unwrap();
    assert_eq!(back.apply(&seed).unwrap(), expected);
    let twice = hvp(
        |m| solve_lower(&m, &Var::lift(&antiphon::Dual::lift(&vector()))).square().sum(..),
        &matrix,
        &matrix,
    );
    assert!(twice.unwrap().1.view().iter().all(|x| x.is_finite()));
}

/// Each element depends on all within its element of the batch.
#[test]
fn patterns() {
    let vectors = Array::from_elements(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    let matrix = matrices().index(0, 0);
    let found = jacobian_sparsity(
        |b| solve_lower(&antiphon::Traced::lift(&matrix), &b.reshape(&[2, 3])).reshape(&[6]),
        &vectors.reshape(&[6]),
    )
    .unwrap();
    assert_eq!(found.nnz(), 2 * 9);
}

fn assert_refused<R: std::fmt::Debug>(result: antiphon::Result<R>, message: &str) {
    let error = result.unwrap_err().to_string();
    assert!(error.starts_with(message) && error.contains("tests/eager/host.rs"), "{error}");
}

#[test]
fn errors_name_the_operator_the_reason_the_place_and_the_line() {
    let of = |matrix: &Array| grad(|b| solve_lower(&Var::lift(matrix), &b).sum(..), &vector());
    let mut singular = matrices().into_array();
    singular[[1, 2, 2]] = 0.0;
    assert_refused(
        of(&NdArray::from(singular)),
        "solve_lower: element 2 of the diagonal is 0, at [1] of the batch (",
    );
    assert_refused(of(&Array::zeros(&[3, 3])), "solve_lower: element 0 of the diagonal is 0 (");
    assert_refused(of(&vector()), "solve_lower: an operand [3], which has to have 2 axes or more (");
    assert_refused(
        of(&Array::zeros(&[3, 2])),
        "solve_lower: it takes a square matrix and a vector of its size (",
    );
    let one = grad(|b| Tensor::host(&SolveLower { transposed: false }, &[&b]).sum(..), &vector());
    assert_refused(one, "solve_lower: 1 operands, and it takes 2 (");
    let apart = antiphon::vjp(
        |b| solve_lower(&Var::lift(&Array::zeros(&[2, 3, 3])), &b),
        &Array::zeros(&[4, 3]),
        &Array::zeros(&[2, 3]),
    );
    assert_refused(apart, "solve_lower: cannot combine [2] with [4] (");
}
