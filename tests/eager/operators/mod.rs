//! Every array operator's derivatives, up to the second order, in both modes, against differences; those of what is
//! composed up to the third.

mod table;

use antiphon::check::RunsOn;
use antiphon::{Axes, Int, IntTensor, NdInt, Tensor, check_gradients, program};
use table::{Formula, array};

fn check(cases: &[table::Case]) {
    check_to(cases, 2);
}

fn check_to(cases: &[table::Case], order: usize) {
    for &(formula, shapes) in cases {
        for shapes in shapes {
            let x: Vec<_> = shapes.iter().zip(1..).map(|(shape, seed)| array(shape, seed)).collect();
            if let Err(error) = check_gradients(&Formula(formula), &x, order) {
                panic!("{formula} of {shapes:?}: {error}");
            }
        }
    }
}

#[test]
fn unary() {
    check(table::UNARY);
}

#[test]
fn binary() {
    check(table::BINARY);
}

#[test]
fn reductions() {
    check(table::REDUCTIONS);
}

#[test]
fn products() {
    check(table::PRODUCTS);
}

#[test]
fn shapes() {
    check(table::SHAPES);
}

#[test]
fn indexing() {
    check(table::INDEXING);
}

#[test]
fn images() {
    check(table::IMAGES);
}

#[test]
fn random_masks() {
    check(table::RANDOM_MASKS);
}

#[test]
fn further_reductions() {
    check_to(table::composed::FURTHER_REDUCTIONS, 3);
}

#[test]
fn orders() {
    check_to(table::composed::ORDERS, 3);
}

#[test]
fn arrangements() {
    check_to(table::composed::ARRANGEMENTS, 3);
}

#[test]
fn einsum() {
    check_to(table::composed::EINSUM, 3);
}

#[test]
fn convolutions() {
    check_to(table::composed::CONVOLUTIONS, 3);
}

#[test]
fn random_keys() {
    check_to(table::composed::RANDOM_KEYS, 3);
}

/// Of functions of matrices, to the third order.
#[test]
fn linear_algebra() {
    let mut wrong = Vec::new();
    for &(formula, shapes) in table::linalg::LINEAR_ALGEBRA {
        for shapes in shapes {
            let x: Vec<_> = shapes.iter().zip(1..).map(|(shape, seed)| array(shape, seed)).collect();
            if let Err(error) = check_gradients(&table::linalg::Formula(formula), &x, 3) {
                wrong.push(format!("{formula} of {shapes:?}: {error}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Third order costs more to compile, so only these.
#[test]
fn third_order() {
    let x = [array(&[2, 2], 1), array(&[2, 2], 2)];
    check_gradients(&program!(|x| (x[0].matmul(&x[1]) + x[0].exp()).tanh()), &x, 3).unwrap();
    check_gradients(&program!(|x| x[0].softmax(1) * x[1].square() / 3.0), &x, 3).unwrap();
}

/// A checker that accepts everything would be worth nothing.
#[test]
fn a_wrong_derivative_is_found() {
    struct Wrong;
    impl<T: Tensor> RunsOn<T> for Wrong {
        fn call(&self, x: &[T]) -> T {
            // The second factor is hidden from the derivative.
            x[0].clone() * x[0].detach()
        }
    }
    let error = check_gradients(&Wrong, &[array(&[3], 1)], 1).unwrap_err();
    assert!(matches!(error, antiphon::Error::GradientCheck { .. }), "{error}");
    assert!(check_gradients(&Wrong, &[array(&[3], 1)], 4).is_err());
}

#[test]
fn axes_convert_from_what_users_write() {
    assert_eq!(Axes::from([0usize, 1]), Axes::from([0, 1]));
    assert_eq!(Axes::from(-1), Axes::from([-1isize]));
    let seven = NdInt::constant(7);
    assert_eq!(seven.elements(), Some(vec![7]));
}
