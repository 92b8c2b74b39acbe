//! Arrays that are written: where they lie if nobody else needs them, and what they were to whoever does.

use antiphon::at::Write;
use antiphon::{
    Batch, Dual, Error, NdArray, NdInt, OrRaise, Real, Tensor, Var, check_gradients, cps, grad, hvp, jvp,
    vmap,
};

use crate::writing::{WRITING, Writing};

type Array = NdArray<f64>;

fn array(shape: &[usize], phase: f64) -> Array {
    let elements: Vec<f64> =
        (0..shape.iter().product()).map(|i| (phase + i as f64 * 1.7).sin() * 0.9).collect();
    Array::from_elements(shape, &elements).unwrap()
}

fn numbers(x: &Array) -> Vec<f64> {
    x.view().iter().copied().collect()
}

fn address(x: &Array) -> *const f64 {
    x.view().as_ptr()
}

#[test]
fn programs_to_the_third_order() {
    for &(name, shapes) in WRITING {
        let x: Vec<Array> = shapes.iter().zip(1..).map(|(shape, i)| array(shape, f64::from(i))).collect();
        check_gradients(&Writing(name), &x, 3).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn what_nobody_else_holds_is_written_where_it_lies() {
    let x = array(&[100], 1.0);
    let lies = address(&x);
    let y = x.at(3).set(&Array::scalar(7.0)).at(0..2).add(&Array::scalar(1.0));
    assert_eq!(address(&y), lies);
    assert_eq!(y.get(3).item(), 7.0);
    // Not if it is held.
    let z = y.clone().at(3).set(&Array::scalar(8.0));
    assert_ne!(address(&z), lies);
    assert_eq!([y.get(3).item(), z.get(3).item()], [7.0, 8.0]);
    // In a derivative the first write copies what came in from outside, and all others write where it is then.
    let places = std::cell::RefCell::new(Vec::new());
    let slope = grad(
        |x| {
            let mut y = x.clone() * 1.0;
            for i in 0..4 {
                y = y.at(i).set(&x.get(i + 1).square());
            }
            places.borrow_mut().push(address(y.value()));
            y = y.at(7).add(&x.get(0));
            places.borrow_mut().push(address(y.value()));
            y.sum(..)
        },
        &z,
    )
    .unwrap();
    let expected: Vec<f64> = numbers(&z)
        .iter()
        .enumerate()
        .map(|(i, x)| match i {
            0 => 1.0,
            1..4 => 2.0 * x,
            4 => 1.0 + 2.0 * x,
            _ => 1.0,
        })
        .collect();
    assert_eq!(numbers(&slope), expected);
    // Whoever has looked at the value keeps it.
    let places = places.into_inner();
    assert_ne!(places[0], places[1]);
}

#[test]
fn old_versions_are_what_they_were() {
    let x = array(&[6], 0.5);
    // All versions of an array are kept, and read in the order of their making and against it.
    fn versions<T: Tensor>(x: &T, backwards: bool) -> T {
        let mut all = vec![x.clone()];
        for i in 0..5 {
            let last = all[i].clone();
            let product = last.get(i) * last.get(i + 1);
            all.push(last.at(i).set(&product).at((i + 3) % 6).add(&product));
        }
        if backwards {
            all.reverse();
        }
        all.iter().zip(1..).map(|(y, i)| y.sin() * f64::from(i)).reduce(|a, b| a * 0.5 + b).unwrap().sum(..)
    }
    check_gradients(&antiphon::program!(|x| versions(&x[0], false)), std::slice::from_ref(&x), 3).unwrap();
    check_gradients(&antiphon::program!(|x| versions(&x[0], true)), std::slice::from_ref(&x), 3).unwrap();
    for backwards in [false, true] {
        let plain = versions(&x, backwards).item();
        let value = antiphon::value_and_grad(|x| versions(&x, backwards), &x).unwrap().0;
        assert_eq!(value.item(), plain);
    }
}

#[test]
fn a_version_is_read_while_another_is_written() {
    let x = array(&[4], 0.2);
    fn f<'r>(x: &Var<'r, Array>) -> Var<'r, Array> {
        let y = x.clone() * 2.0;
        let z = y.clone().at(0).set(&Var::constant(5.0));
        // In the middle of the chain, and again after that.
        let w = z.clone().at(1).set(&Var::constant(6.0));
        let read = [numbers(w.value()), numbers(y.value()), numbers(z.value())];
        assert_eq!(read[1], numbers(&(x.value().clone() * 2.0)));
        assert_eq!([read[2][0], read[2][1]], [5.0, read[1][1]]);
        assert_eq!([read[0][0], read[0][1], read[0][2]], [5.0, 6.0, read[1][2]]);
        let again = y.clone().at(3).set(&Var::constant(9.0));
        assert_eq!(again.get(0).value().item(), read[1][0]);
        (again * w * z).sum(..)
    }
    grad(|x| f(&x), &x).unwrap();
}

#[test]
fn versions_in_the_explicit_spelling() {
    let x = array(&[3], 0.7);
    let one = NdInt::from(vec![1]).reshape_to(&[]);
    let set = Write::Set { distinct: true };
    let old = numbers(&(x.clone() * 3.0));
    // After an operator has returned, or failed, the array is back.
    for fails in [false, true] {
        let outcome = cps::grad(&x, |x, k| {
            let three = Var::constant(3.0);
            cps::mul(x, &three, |y| {
                let seven = Var::constant(7.0);
                let written = cps::write_rows(y, set, 1, &one, &seven, |z| {
                    assert_eq!(z.value().get(1).item(), 7.0);
                    if fails {
                        return cps::reshape(z, &antiphon::Shape::from_slice(&[2]), |_| Ok(()));
                    }
                    cps::sum(z, antiphon::Axes::from(..), |sum| k(sum))
                });
                assert_eq!(written.is_err(), fails);
                assert_eq!(numbers(y.value()), old);
                if fails { cps::sum(y, antiphon::Axes::from(..), |sum| k(sum)) } else { Ok(()) }
            })
        });
        let expected = if fails { vec![3.0, 3.0, 3.0] } else { vec![3.0, 0.0, 3.0] };
        assert_eq!(numbers(&outcome.unwrap()), expected);
    }
}

trait ReshapeTo {
    fn reshape_to(self, shape: &[usize]) -> Self;
}
impl ReshapeTo for NdInt {
    fn reshape_to(self, shape: &[usize]) -> Self {
        antiphon::IntTensor::reshape(&self, shape)
    }
}

/// The two programs: `x₀ := x₀·x₁`, and `y₀ := y₁·y₂` with `y = x²`, of which `Σ x·y`.
fn first<T: Tensor>(x: &T) -> T {
    x.clone().at(0).set(&(x.get(0) * x.get(1))).sum(..)
}
fn second<T: Tensor>(x: &T) -> T {
    let y = x.square();
    let product = y.get(1) * y.get(2);
    (y.at(0).set(&product) * x).sum(..)
}

#[test]
fn closed_forms_at_every_nesting() {
    let x = Array::from(vec![2.0, -3.0, 0.5]);
    let v = Array::from(vec![1.0, -2.0, 4.0]);
    let [a, b, c] = [2.0f64, -3.0, 0.5];
    assert_eq!(numbers(&grad(|x| first(&x), &x).unwrap()), [b, a + 1.0, 1.0]);
    assert_eq!(numbers(&hvp(|x| first(&x), &x, &v).unwrap().1), [-2.0, 1.0, 0.0]);
    assert_eq!(jvp(|x| first(&x), &x, &v).unwrap().1.item(), b - 2.0 * (a + 1.0) + 4.0);
    // a·b²c² + b³ + c³.
    let slope = [b * b * c * c, 2.0 * a * b * c * c + 3.0 * b * b, 2.0 * a * b * b * c + 3.0 * c * c];
    assert_eq!(numbers(&grad(|x| second(&x), &x).unwrap()), slope);
    let product = [
        -2.0 * 2.0 * b * c * c + 4.0 * 2.0 * b * b * c,
        2.0 * b * c * c - 2.0 * (2.0 * a * c * c + 6.0 * b) + 4.0 * 4.0 * a * b * c,
        2.0 * b * b * c - 2.0 * 4.0 * a * b * c + 4.0 * (2.0 * a * b * b + 6.0 * c),
    ];
    let close = |x: &Array, y: &[f64]| {
        assert!(numbers(x).iter().zip(y).all(|(x, y)| (x - y).abs() < 1e-12), "{x} {y:?}")
    };
    close(&hvp(|x| second(&x), &x, &v).unwrap().1, &product);
    let along = grad(|x| (grad(|y| second(&y), &x).or_raise() * Var::lift(&v)).sum(..), &x).unwrap();
    close(&along, &product);
    let by_forward = grad(|x| jvp(|y: Dual<_>| second(&y), &x, &Var::lift(&v)).or_raise().1, &x).unwrap();
    close(&by_forward, &product);
    let rows = Array::from_elements(&[2, 3], &[2.0, -3.0, 0.5, 1.0, 1.0, 1.0]).unwrap();
    let slopes = vmap(|x: Batch<Array>| grad(|x| second(&x), &x).or_raise(), &rows).unwrap();
    close(&slopes, &[slope, [1.0, 5.0, 5.0]].concat());
}

#[test]
fn indices_of_which_some_are_equal() {
    // The last one stays, however it is found: the indices known; few of many; many of few.
    let check = |shape: &[usize], places: Vec<i64>| {
        let places = NdInt::from(places);
        let x = array(shape, 0.1);
        let rows = array(&[&[antiphon::IntTensor::shape(&places)[0]], &shape[1..]].concat(), 0.9);
        let (by_x, by_rows) = grad(
            |(x, rows): (Var<'_, Array>, Var<'_, Array>)| x.at(&places).set(&rows).square().sum(..),
            &(x.clone(), rows.clone()),
        )
        .unwrap();
        let kept = antiphon::IntTensor::elements(&places).unwrap();
        for (i, place) in kept.iter().enumerate() {
            let last = !kept[i + 1..].contains(place);
            let expected = if last { rows.get(i) * 2.0 } else { rows.get(i) * 0.0 };
            assert_eq!(by_rows.get(i), expected, "{i}");
            assert_eq!(by_x.get(*place as usize), rows.get(i) * 0.0);
        }
    };
    check(&[5, 2], vec![3, 1, 3, 3, 0]);
    check(&[3], (0..40).map(|i| i * 7 % 3).collect());
}

#[test]
fn mistakes() {
    let x = array(&[3, 2], 0.0);
    let row = Array::from(vec![1.0, 2.0]);
    // Errors name this file.
    macro_rules! message {
        (|$x:ident| $f:expr) => {
            grad(|$x| $f.sum(..), &x).unwrap_err().to_string()
        };
    }
    let error = message!(|x| x.clone().at(3).set(&x.get(0)));
    assert!(error.contains("at: index 3 is out of range for a dimension of length 3"), "{error}");
    assert!(error.contains("in_place.rs"), "{error}");
    let error = message!(|x| x.clone().at(&NdInt::from(vec![0, -1])).set(&x.get(0)));
    assert!(error.contains("set_rows: index -1 is out of range"), "{error}");
    let error = message!(|x| x.clone().at((1, &NdInt::from(vec![2]))).add(&x.get((0, 0))));
    assert!(error.contains("at: index 2 is out of range for a dimension of length 2"), "{error}");
    let error = message!(|x| x.clone().at(0).set(&x.sum(1)));
    assert!(error.contains("at(…).set: cannot fill [2] with [3]"), "{error}");
    let error = message!(|x| x.get((0, 0, 0)));
    assert!(error.contains("3 positions are not along axes of [3, 2]"), "{error}");
    let error = message!(|x| x.get(2..5));
    assert!(error.contains("at: [3, 2]: the range 2..5 of an axis of length 3"), "{error}");
    let error = message!(|x| x.clone().write_rows(Write::Add, 0, &NdInt::from(vec![0]), &x));
    assert!(error.contains("there are no 0 axes"), "{error}");
    assert!(matches!(grad(|x| x.get(9).sum(..), &x), Err(Error::Index { .. })));
    // Of several axes, integers that are not known while the model runs.
    let positions = |i: i64| (Array::zeros(&[2, 3, 2, 2]), NdInt::from(vec![1, i]));
    for (i, fits) in [(1, true), (2, false), (-1, false), (i64::MAX, false), (i64::MIN, false)] {
        for axis in 0..2 {
            let written = vmap(
                |(x, i): (Batch<Array>, <Batch<Array> as Real>::Int)| {
                    let value = Batch::constant(1.0);
                    if axis == 0 { x.at((1, &i, 0)).set(&value) } else { x.at((2, &i, &i)).set(&value) }
                },
                &positions(i),
            );
            match written {
                Ok(_) => assert!(fits, "{i}"),
                Err(error) => {
                    let error = error.to_string();
                    assert!(
                        !fits && error.contains("a position along one of several axes, which have"),
                        "{error}"
                    );
                }
            }
        }
    }
    assert_eq!(x.at(1).set(&row).get(1), row);
}
