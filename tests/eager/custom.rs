//! Hooks on adjoints, and operators with rules of their own.

use antiphon::custom::{Clip, CustomOperator, Inspect, Reverse, Scale};
use antiphon::{
    Batch, Control, Dual, NdArray, OrRaise, Real, Tensor, Var, debug, grad, hvp, jacobian_sparsity, jvp,
    linearize, pullback, value_and_grad, vmap,
};

use crate::custom_operators::{ClipNorm, Fixed, squares};

type Array = NdArray<f64>;

/// `a³`, of whose three factors one is hooked.
fn cube<T: Real>(a: &T) -> T {
    a.square() * a.clone().hook(&Scale(0.9))
}

#[test]
fn a_scaled_factor_at_every_nesting() {
    let a = 1.5;
    assert_eq!(cube(&a), a * a * a);
    let slope = 2.9 * a * a;
    let near = |x: f64, y: f64| assert!((x - y).abs() < 1e-13, "{x} {y}");
    near(grad(|a| cube(&a), &a).unwrap(), slope);
    // Tangents are as without it.
    near(jvp(|a| cube(&a), &a, &1.0).unwrap().1, 3.0 * a * a);
    // The gradient, differentiated as the function that it is: forward, and in reverse.
    near(hvp(|a| cube(&a), &a, &1.0).unwrap().1, 5.8 * a);
    near(grad(|a| grad(|a| cube(&a), &a).or_raise(), &a).unwrap(), 5.8 * a);
    near(grad(|a| grad(|a| grad(|a| cube(&a), &a).or_raise(), &a).or_raise(), &a).unwrap(), 5.8);
    // Reverse over forward: by the point, and by the direction.
    let (by_point, by_direction) = grad(|(a, v)| jvp(|a| cube(&a), &a, &v).or_raise().1, &(a, 1.0)).unwrap();
    near(by_point, 5.8 * a);
    near(by_direction, slope);
    // A variable of an outer derivative that is constant in the inner one.
    near(grad(|a| grad(|b| cube(&Var::lift(&a)) * b, &2.0f64.into_var()).or_raise(), &a).unwrap(), slope);
    let rows = Array::from(vec![1.0, 2.0]);
    let slopes = vmap(|a: Batch<Array>| grad(|a| cube(&a), &a).or_raise(), &rows).unwrap();
    assert_eq!(slopes, rows.square() * 2.9);
    let sum = grad(|a| vmap(|a| cube(&a), &a).or_raise().sum(..), &rows).unwrap();
    assert_eq!(sum, rows.square() * 2.9);
    let a = Array::scalar(a);
    let (_, back) = pullback::<_, Array>(|a| cube(&a), &a).unwrap();
    near(back.apply(&Array::scalar(1.0)).unwrap().item(), slope);
    let (_, forward) = linearize(|a| cube(&a), &a).unwrap();
    near(forward.apply(&Array::scalar(1.0)).unwrap().item(), 3.0 * a.item() * a.item());
}

trait IntoVar {
    fn into_var<'r, T: Real>(self) -> Var<'r, T>;
}
impl IntoVar for f64 {
    fn into_var<'r, T: Real>(self) -> Var<'r, T> {
        Var::lift(&T::constant(self))
    }
}

#[test]
fn reversed_clipped_and_looked_at() {
    let x = Array::from(vec![1.0, -4.0]);
    let slope = grad(|x| (x.square().hook(&Reverse(0.5)) * 3.0).sum(..), &x).unwrap();
    assert_eq!(slope, Array::from(vec![-3.0, 12.0]));
    let slope = grad(|x| (x.hook(&Clip(1.0)).square()).sum(..), &x).unwrap();
    assert_eq!(slope, Array::from(vec![1.0, -1.0]));
    let (slope, lines) =
        debug::collect_printed(|| grad(|x| (x.hook(&Inspect("adjoint".into())) * 2.0).sum(..), &x).unwrap());
    assert_eq!(slope, Array::from(vec![2.0, 2.0]));
    assert!(lines.len() == 1 && lines[0].contains("adjoint = [2.0, 2.0]"), "{lines:?}");
}

/// In a loop each round's adjoint is clipped on its way.
#[test]
fn in_loops_and_checkpoints() {
    fn rounds<T: Control>(x: T, again: bool) -> T {
        let step = |x: T| (x.square() * &x).hook(&Clip(0.5));
        let step = move |x: T| if again { T::checkpoint(x, step) } else { step(x) };
        (0..3).fold(x, |x, _| step(x))
    }
    let x: f64 = 0.9;
    // Backwards: 1 is clipped to ½, times 3x₂², clipped, times 3x₁², clipped, times 3x².
    let states = [x, x.powi(3), x.powi(9)];
    let expected = states.iter().rev().fold(1.0f64, |g, x| g.clamp(-0.5, 0.5) * 3.0 * x * x);
    for again in [false, true] {
        let slope = grad(|x| rounds(x, again), &x).unwrap();
        assert!((slope - expected).abs() < 1e-15, "{slope} {expected}");
    }
}

#[test]
fn operators_with_rules_of_their_own() {
    let w = Array::from_elements(&[2, 2], &[1.0, 2.0, 3.0, 4.0]).unwrap();
    let x = Array::from(vec![1.0, -1.0]);
    let y = w.matmul(&x);
    let (value, (by_w, by_x)) = value_and_grad(|(w, x)| squares(&w, &x), &(w.clone(), x.clone())).unwrap();
    assert_eq!(value, y.square().sum(..));
    assert_eq!(by_w, Array::zeros(&[2, 2]));
    assert_eq!(by_x, w.transpose().matmul(&y) * 4.0);
    // Forward mode by the transposed rule.
    let point = (w.clone(), x.clone());
    let tangent = jvp(|(w, x)| Dual::custom(&Fixed, &[&w, &x]), &point, &(w.clone(), x.clone())).unwrap().1;
    assert_eq!(tangent, w.matmul(&x) * 2.0);
    // The rule, differentiated: 4·Wᵀ·W·x has the derivative 4·Wᵀ·2·W·v.
    let (_, product) = hvp(|x| squares(&Var::lift(&Dual::lift(&w)), &x), &x, &x).unwrap();
    assert_eq!(product, w.transpose().matmul(&w.matmul(&x)) * 8.0);
    // All elements may depend on all, whatever the rule says.
    let pattern = jacobian_sparsity(|x| Tensor::custom(&ClipNorm, &[&x]), &x).unwrap();
    assert_eq!(pattern.nnz(), 4);
}

/// Of a batch, one operand is the same for all rows: its adjoint is the sum of theirs.
#[test]
fn on_batches() {
    let rows = Array::from_elements(&[3, 2], &[1.0, 2.0, -3.0, 0.5, 0.25, 4.0]).unwrap();
    let w = Array::from_elements(&[2, 2], &[1.0, 2.0, 3.0, 4.0]).unwrap();
    let each: Vec<Array> =
        (0..3).map(|i| grad(|x| squares(&Var::lift(&w), &x), &rows.index(0, i)).unwrap()).collect();
    let expected = Array::stack(&each, 0);
    let of_rows =
        vmap(|x: Batch<Array>| grad(|x| squares(&Var::lift(&Batch::lift(&w)), &x), &x).or_raise(), &rows);
    assert_eq!(of_rows.unwrap(), expected);
    let of_sum = grad(|x| vmap(|x| squares(&Batch::lift(&Var::lift(&w)), &x), &x).or_raise().sum(..), &rows);
    assert_eq!(of_sum.unwrap(), expected);
    // The norm is each row's own.
    let clipped = grad(|x| (vmap(|x| Tensor::custom(&ClipNorm, &[&x]), &x).or_raise() * 3.0).sum(..), &rows);
    let root = 0.5f64.sqrt();
    let apart = clipped.unwrap() - Array::full(&[3, 2], root);
    assert!(apart.view().iter().all(|x| x.abs() < 1e-15), "{apart}");
    // By what is the same for all rows.
    let shared = grad(
        |x| {
            let x = Batch::lift(&x);
            vmap(
                |w: Batch<Var<'_, Array>>| squares(&w, &x),
                &Var::lift(&Array::stack(&[w.clone(), w.clone()], 0)),
            )
            .or_raise()
            .sum(..)
        },
        &rows.index(0, 0),
    );
    assert_eq!(shared.unwrap(), each[0].clone() * 2.0);
}

/// Gives, of the product of two arrays, what it is told to.
#[derive(Clone, Debug)]
struct Rule {
    adjoints: usize,
    shape: Vec<usize>,
}

impl CustomOperator for Rule {
    const NAME: &'static str = "ruled";

    fn value<T: Tensor>(&self, x: &[T]) -> T {
        x[0].clone() * &x[1]
    }
    fn pull<T: Tensor>(&self, _x: &[T], _y: &T, _y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        vec![Some(T::ones(&self.shape)); self.adjoints]
    }
    fn push<T: Tensor>(&self, _x: &[T], _y: &T, _tangents: &[Option<T>]) -> Option<T> {
        Some(T::ones(&self.shape))
    }
}

#[test]
fn what_a_rule_gives_fits_the_operands() {
    let x = Array::from(vec![1.0, 2.0, 3.0]);
    let point = (x.clone(), x.clone());
    let rule = |adjoints: usize, shape: &[usize]| Rule { adjoints, shape: shape.into() };
    let backward = |rule: Rule| grad(|(a, b)| Tensor::custom(&rule, &[&a, &b]).sum(..), &point);
    let forward = |rule: Rule| jvp(|(a, b)| Tensor::custom(&rule, &[&a, &b]).sum(..), &point, &point);
    let of_rows = |rule: Rule| {
        let rows = (Array::ones(&[4, 3]), Array::ones(&[4, 3]));
        vmap(
            |p: (Batch<Array>, Batch<Array>)| {
                grad(|(a, b)| Tensor::custom(&rule, &[&a, &b]).sum(..), &p).or_raise()
            },
            &rows,
        )
    };
    for adjoints in [0, 1, 3] {
        let said = format!("ruled: its rule gives {adjoints} adjoints for 2 operands");
        let error = backward(rule(adjoints, &[3])).unwrap_err().to_string();
        assert!(error.contains(&said) && error.contains("custom.rs"), "{error}");
        let error = of_rows(rule(adjoints, &[3])).unwrap_err().to_string();
        assert!(error.contains(&said), "{error}");
        let transposed = || {
            let _ = antiphon::custom::transposed(
                &rule(adjoints, &[3]),
                &[x.clone(), x.clone()],
                &x,
                &[Some(x.clone()), None],
            );
        };
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(transposed)).is_err());
    }
    let error = backward(rule(2, &[7])).unwrap_err().to_string();
    assert!(
        error.contains("ruled: its rule gives [7] as the adjoint of operand 0, which has the shape [3]"),
        "{error}"
    );
    let error = forward(rule(2, &[7])).unwrap_err().to_string();
    assert!(
        error.contains("ruled: its rule gives [7] as the tangent of the result, which has the shape [3]"),
        "{error}"
    );
    // One that is broadcast, and one that has been.
    let ones = Array::ones(&[3]);
    for shape in [&[][..], &[1], &[3]] {
        assert_eq!(backward(rule(2, shape)).unwrap(), (ones.clone(), ones.clone()));
        assert_eq!(forward(rule(2, shape)).unwrap().1, Array::scalar(3.0));
    }
    assert_eq!(backward(rule(2, &[5, 3])).unwrap().0, Array::full(&[3], 5.0));
    assert!(forward(rule(2, &[5, 3])).is_err());
}
