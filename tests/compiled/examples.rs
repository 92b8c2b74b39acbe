//! The numbered examples' functions in five ways: eagerly, and recorded as a program that is interpreted and compiled,
//! as recorded and as optimised.

#[path = "../compiled_conformance/ways.rs"]
mod ways;

#[path = "../../examples/04_data_dependent_loop.rs"]
#[allow(dead_code, reason = "what it prints")]
mod data_dependent_loop;
#[path = "../../examples/02_explicit_closures.rs"]
#[allow(dead_code, reason = "what it prints")]
mod explicit_closures;
#[path = "../../examples/01_first_gradient.rs"]
#[allow(dead_code, reason = "what it prints")]
mod first_gradient;
#[path = "../../examples/06_hessian_vector_product.rs"]
#[allow(dead_code, reason = "what it prints")]
mod hessian_vector_product;
#[path = "../../examples/05_recursion_over_a_tree.rs"]
#[allow(dead_code, reason = "what it prints")]
mod recursion_over_a_tree;
#[path = "../../examples/03_shift_reset.rs"]
#[allow(dead_code, reason = "what it prints")]
mod shift_reset;

use antiphon::recording::{Recorded, record};
use antiphon::{NdArray, OrRaise, Real, Tensor, Var, grad, hvp, jvp, value_and_grad};
use antiphon_staging as staging;
use data_dependent_loop::root;
use explicit_closures::{direct, flat, nested};
use first_gradient::range;
use hessian_vector_product::rosenbrock;
use recursion_over_a_tree::{evaluate, tree};
use shift_reset::cube;
use ways::{Bound, Ways};

/// Eager elementary functions of arrays are other approximations than the C library's.
const EAGER: Bound = Bound { relative: 1e-13 };

/// A function of reals, in the interpretations that are compared.
trait Example {
    const NAME: &'static str;
    /// Some of its derivatives.
    fn run<T: Tensor>(x: &[T]) -> Vec<T>;
}

fn check<E: Example>(ways: &mut Ways, points: &[&[NdArray<f64>]]) {
    let program = record(E::NAME, |x: Vec<Recorded>| E::run(&x), &points[0].to_vec()).unwrap();
    let run = |x: &&[NdArray<f64>]| {
        let numbers = |y: &NdArray<f64>| y.view().iter().copied().collect::<Vec<f64>>();
        let input = |x: &NdArray<f64>| staging::ConcreteTensor::new(&x.shape(), numbers(x)).unwrap();
        (x.iter().map(input).collect(), E::run(x).iter().map(numbers).collect())
    };
    ways.check(E::NAME, &program, &points.iter().map(run).collect::<Vec<_>>(), EAGER);
}

macro_rules! examples {
    ($($Name:ident $name:literal |$x:ident| $body:expr;)*) => { $(
        struct $Name;
        impl Example for $Name {
            const NAME: &'static str = $name;
            fn run<T: Tensor>($x: &[T]) -> Vec<T> {
                $body
            }
        }
    )* };
}
examples! {
    Range "01_first_gradient" |x| {
        let (distance, (per_speed, per_angle)) =
            value_and_grad(|(v, angle)| range(&v, &angle), &(x[0].clone(), x[1].clone())).or_raise();
        vec![distance, per_speed, per_angle]
    };
    Closures "02_explicit_closures" |x| [nested(&x[0]), flat(&x[0]), direct(&x[0])].map(OrRaise::or_raise).into();
    Cube "03_shift_reset" |x| vec![grad(|x| cube(&x) * x.sin(), &x[0]).or_raise()];
    Root "04_data_dependent_loop" |x| {
        let (y, forward) = jvp(|a| root(&a), &x[0], &x[0].ones_like()).or_raise();
        vec![y, forward, grad(|a| root(&a), &x[0]).or_raise()]
    };
    Tree "05_recursion_over_a_tree" |x| {
        let (value, slope) = value_and_grad(|x| evaluate(&tree(), &x), &x[0]).or_raise();
        vec![value, slope]
    };
    Rosenbrock "06_hessian_vector_product" |x| {
        let (y, gradient) = value_and_grad(|x: Var<'_, T>| rosenbrock(&x), &x[0]).or_raise();
        vec![y, gradient, hvp(|x| rosenbrock(&x), &x[0], &x[1]).or_raise().1]
    };
}

#[test]
fn the_numbered_examples_in_five_ways() {
    let number = NdArray::scalar;
    let mut ways = Ways::default();
    check::<Range>(&mut ways, &[&[number(20.0), number(0.6)], &[number(3.0), number(1.2)]]);
    check::<Closures>(&mut ways, &[&[number(1.5)], &[number(-0.3)]]);
    check::<Cube>(&mut ways, &[&[number(2.0)], &[number(0.0)]]);
    check::<Root>(&mut ways, &[&[number(0.5)], &[number(10.0)], &[number(1000.0)]]);
    check::<Tree>(&mut ways, &[&[number(0.0)], &[number(1.0)], &[number(2.0)]]);
    let x = NdArray::from(vec![0.5, -0.2, 0.3, 1.1, 0.9]);
    let v = NdArray::from(vec![1.0, 2.0, 3.0, -1.0, 0.0]);
    check::<Rosenbrock>(&mut ways, &[&[x.clone(), v.clone()], &[v, x]]);
    ways.finish(6);
}
