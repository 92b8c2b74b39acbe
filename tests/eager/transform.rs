//! The entry points: structures, nesting, Jacobians and Hessians against closed forms.

use antiphon::{
    Batch, Dual, NdArray, Params, Real, Tensor, Var, grad, hessian, hvp, jacobian, jvp, reset,
    value_and_grad, vjp,
};

type Array = NdArray<f64>;

fn array(shape: &[usize], elements: &[f64]) -> Array {
    Array::from_elements(shape, elements).unwrap()
}

#[derive(Params, Clone, Debug, PartialEq)]
struct Layer<T> {
    w: T,
    b: Option<T>,
}

#[derive(Params, Clone, Debug, PartialEq)]
struct Model<T> {
    layers: Vec<Layer<T>>,
    scale: (T, [T; 2]),
    depth: usize,
}

fn model() -> Model<f64> {
    let layers = vec![Layer { w: 2.0, b: Some(3.0) }, Layer { w: 5.0, b: None }];
    Model { layers, scale: (7.0, [11.0, 13.0]), depth: 4 }
}

fn run<T: Real>(m: &Model<T>) -> T {
    let mut y = m.scale.0.clone() * &m.scale.1[0];
    for layer in &m.layers {
        y *= &layer.w;
        if let Some(b) = &layer.b {
            y += b;
        }
    }
    y
}

#[test]
fn gradients_have_the_structure_of_the_parameters() {
    let (value, g) = value_and_grad(|m| run(&m), &model()).unwrap();
    // y = (s·t·w₀ + b)·w₁
    assert_eq!(value, (7.0 * 11.0 * 2.0 + 3.0) * 5.0);
    let layers = vec![Layer { w: 385.0, b: Some(5.0) }, Layer { w: 157.0, b: None }];
    assert_eq!(g, Model { layers, scale: (110.0, [70.0, 0.0]), depth: 4 });
    assert_eq!(g.names(), ["layers.0.w", "layers.0.b", "layers.1.w", "scale.0", "scale.1.0", "scale.1.1"]);
}

#[test]
fn hessian_vector_products_over_structures() {
    let mut v = model().map_leaves(|_| 0.0);
    v.layers[0].w = 1.0;
    let (g, product) = hvp(|m| run(&m), &model(), &v).unwrap();
    assert_eq!(g, grad(|m| run(&m), &model()).unwrap());
    // ∂/∂w₀ of the gradient above.
    let layers = vec![Layer { w: 0.0, b: Some(0.0) }, Layer { w: 77.0, b: None }];
    assert_eq!(product, Model { layers, scale: (55.0, [35.0, 0.0]), depth: 4 });
}

#[test]
fn vjp_and_jvp_are_transposes() {
    let f = array(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let x = array(&[3], &[0.1, 0.2, 0.3]);
    let v = array(&[3], &[1.0, -1.0, 2.0]);
    let w = array(&[2], &[3.0, -2.0]);
    let (y, dy) = jvp(|x| Dual::lift(&f).matmul(&x).sin(), &x, &v).unwrap();
    let (same_y, dx) = vjp(|x| Var::lift(&f).matmul(&x).sin(), &x, &w).unwrap();
    assert_eq!(y, same_y);
    let (left, right) = (w.matmul(&dy).item(), dx.matmul(&v).item());
    assert!((left - right).abs() < 1e-14, "{left} {right}");
}

#[test]
fn jacobians_and_hessians_in_closed_form() {
    let a = array(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let x = array(&[3], &[1.0, 2.0, 3.0]);
    // A·x² has the Jacobian 2·A·diag(x).
    let j = jacobian(|x| Var::lift(&Dual::lift(&Batch::lift(&a))).matmul(&x.square()), &x).unwrap();
    assert_eq!(j, array(&[2, 3], &[2.0, 8.0, 18.0, 8.0, 20.0, 36.0]));
    // x₀x₁x₂ has the Hessian with the third factor off the diagonal.
    let h = hessian(|x| x.index(0, 0) * x.index(0, 1) * x.index(0, 2), &x).unwrap();
    assert_eq!(h, array(&[3, 3], &[0.0, 3.0, 2.0, 3.0, 0.0, 1.0, 2.0, 1.0, 0.0]));
    // Shapes concatenate; scalars and empty arrays are no exceptions.
    assert_eq!(jacobian(|x| x.clone(), &array(&[2, 2], &[0.0; 4])).unwrap().shape().as_slice(), [2, 2, 2, 2]);
    assert_eq!(jacobian(|x| x.sum(..), &x).unwrap().shape().as_slice(), [3]);
    assert_eq!(jacobian(|x| x.clone(), &array(&[0], &[])).unwrap().shape().as_slice(), [0, 0]);
    assert_eq!(jacobian(|x| x.slice(0, 0..0), &x).unwrap().shape().as_slice(), [0, 3]);
    assert_eq!(hessian(|x| x.square().sum(..), &array(&[0], &[])).unwrap().shape().as_slice(), [0, 0]);
    assert_eq!(hessian(|x| x.powi(3), &Array::scalar(2.0)).unwrap().item(), 12.0);
    // Constant and unused.
    assert_eq!(grad(|_| Var::constant(3.0), &x).unwrap(), array(&[3], &[0.0; 3]));
    assert_eq!(hessian(|x| x.sum(..), &x).unwrap(), array(&[3, 3], &[0.0; 9]));
}

#[test]
fn f32_and_f64_alike() {
    assert_eq!(grad(|x| x.powi(3), &2.0f32).unwrap(), 12.0f32);
    let x = NdArray::<f32>::from_elements(&[2], &[1.0, 2.0]).unwrap();
    assert_eq!(grad(|x| x.powi(3).sum(..), &x).unwrap(), NdArray::from_elements(&[2], &[3.0, 12.0]).unwrap());
}

#[test]
fn derivatives_inside_of_derivatives() {
    // An inner gradient as part of an outer function, mixing both levels' variables.
    let outer = grad(
        |x| {
            let inner = grad(|y| y.powi(2) * Var::lift(&x.clone().powi(3)), &x).unwrap();
            inner * x
        },
        &2.0f64,
    );
    // inner = 2x·x³ = 2x⁴; outer = d/dx 2x⁵ = 10x⁴.
    assert_eq!(outer.unwrap(), 160.0);
    // Reverse inside of forward, forward inside of reverse.
    let (_, mixed) = jvp(|x| grad(|y| y.powi(3), &x).unwrap(), &2.0f64, &1.0).unwrap();
    assert_eq!(mixed, 12.0);
    let mixed = grad(|x| jvp(|y| y.powi(3), &x, &x.ones_like()).unwrap().1, &2.0f64).unwrap();
    assert_eq!(mixed, 12.0);
    let third = grad(|x| grad(|y| grad(|z| z.powi(4), &y).unwrap(), &x).unwrap(), &2.0f64).unwrap();
    assert_eq!(third, 48.0);
}

#[test]
fn the_perturbations_of_two_derivatives_are_not_confused() {
    let slope = grad(|x| x.clone() * grad(|y| Var::lift(&x) + y, &x).unwrap(), &1.0f64);
    assert_eq!(slope.unwrap(), 1.0);
    let (_, slope) =
        jvp(|x| x.clone() * jvp(|y| Dual::lift(&x) + y, &x, &x.ones_like()).unwrap().1, &1.0f64, &1.0)
            .unwrap();
    assert_eq!(slope, 1.0);
}

#[test]
fn variables_are_usable_in_other_threads_derivatives_only_as_values() {
    let results: Vec<f64> = std::thread::scope(|scope| {
        let handles: Vec<_> =
            (1..=4).map(|i| scope.spawn(move || grad(|x| x.powi(i), &2.0f64).unwrap())).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    assert_eq!(results, [1.0, 4.0, 12.0, 32.0]);
}

#[test]
fn a_derivative_inside_of_a_users_reset() {
    let total = reset(|_| grad(|x| x.square(), &3.0f64)).unwrap();
    assert_eq!(total, 6.0);
}

#[test]
fn structures_of_many_parameters_are_handed_over_whole() {
    // The structure itself is larger than what a coroutine starts with.
    let weights: [f64; 300] = std::array::from_fn(|i| i as f64);
    assert!(size_of_val(&weights) > 1024);
    fn cubes<T: Real>(weights: &[T]) -> T {
        weights.iter().fold(T::constant(0.0), |sum, w| sum + w.powi(3))
    }
    let (value, gradient) = value_and_grad(|w: [_; 300]| cubes(&w), &weights).unwrap();
    assert_eq!(value, weights.iter().map(|w| w.powi(3)).sum::<f64>());
    assert_eq!(gradient, weights.map(|w| 3.0 * w * w));
    let (_, product) = hvp(|w: [_; 300]| cubes(&w), &weights, &[1.0; 300]).unwrap();
    assert_eq!(product, weights.map(|w| 6.0 * w));
}
