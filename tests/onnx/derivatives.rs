//! Models of one operator in the other interpretations: derivatives in both directions, compiled code, batches.

use std::collections::BTreeSet;

use antiphon::onnx::{Model, Value};
use antiphon::recording::Recorded;
use antiphon::{NdArray, OrRaise, Params, Real, Tensor, compile, grad, hvp, jvp, vmap};

use super::operators::operator;
use super::{Array, Case, difference, network, operator_cases, pattern};

/// The real outputs of a model, of these parameters and real inputs.
fn outputs<T: Tensor>(case: &Case, model: &Model<T>, reals: &[T]) -> Vec<T> {
    model.apply(&case.values(reals)).or_raise().into_iter().filter_map(Value::real).collect()
}

/// A number that depends on each element of all real outputs.
fn functional<T: Tensor>(case: &Case, model: &Model<T>, reals: &[T]) -> T {
    let mut sum = T::constant(0.0);
    for (i, y) in outputs(case, model, reals).into_iter().enumerate() {
        let shape = y.shape();
        let weights = T::from_elements(&shape, &pattern(i as f64, &shape)).or_raise();
        sum += (y * weights).sum(..);
    }
    sum
}

type Point = (Model<NdArray<f64>>, Vec<NdArray<f64>>);

/// Each leaf moved along a fixed direction.
fn moved(point: &Point, direction: &Point, by: f64) -> Point {
    point.zip_leaves(direction, |x, v| x.clone() + v.clone() * by).unwrap()
}

fn direction(point: &Point) -> Point {
    let mut seed = 3.0;
    point.map_leaves(|x| {
        seed += 1.0;
        NdArray::from_elements(&x.shape(), &pattern(seed, &x.shape())).unwrap()
    })
}

fn product(a: &Point, b: &Point) -> f64 {
    a.leaves().into_iter().zip(b.leaves()).map(|(a, b)| (a * b).sum(..).item()).sum()
}

/// Reverse mode, forward mode and differences agree, for every operator that has a derivative.
#[test]
fn derivatives_agree_in_both_directions_and_with_differences() {
    // What jumps at the point itself; and running averages, which have no derivative by the batch.
    let at_a_jump = [
        "Round_17",
        "IsNaN_17",
        "IsInf_17",
        "Mod_17_fmod",
        "BatchNormalization_17_training_mode_momentum_epsilon",
    ];
    let (mut checked, mut operators, mut wrong) = (0, BTreeSet::new(), Vec::new());
    for case in operator_cases().iter().filter(|case| !at_a_jump.contains(&case.name.as_str())) {
        let point: Point = (case.model(), case.reals());
        if outputs(case, &point.0, &point.1).is_empty() || point.leaves().is_empty() {
            continue;
        }
        let v = direction(&point);
        let slopes = match grad(|(model, reals): (Model<_>, Vec<_>)| functional(case, &model, &reals), &point)
        {
            Ok(slopes) => slopes,
            Err(error) => {
                wrong.push(format!("{}: {error}", case.name));
                continue;
            }
        };
        let reverse = product(&slopes, &v);
        let (_, forward) = jvp(|(model, reals)| functional(case, &model, &reals), &point, &v).unwrap();
        let forward: NdArray<f64> = forward;
        let at = |by: f64| {
            let (model, reals) = moved(&point, &v, by);
            functional(case, &model, &reals).item()
        };
        let h = 1e-6;
        let numeric = (at(h) - at(-h)) / (2.0 * h);
        let size = 1.0 + numeric.abs();
        let errors = [(reverse - forward.item()).abs() / size, (reverse - numeric).abs() / size];
        if errors[0].is_nan() || errors[0] > 1e-10 || errors[1] > 1e-6 {
            wrong.push(format!(
                "{}: {reverse} by reverse, {forward} by forward, {numeric} by differences",
                case.name
            ));
        }
        checked += 1;
        operators.insert(operator(case));
    }
    println!("{checked} cases of {} operators", operators.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked >= 220 && operators.len() >= 90, "{checked} cases of {} operators", operators.len());
}

/// Compiled code gives what evaluation does: a case of every operator.
#[test]
fn compiled_code_gives_the_same() {
    let (mut operators, mut wrong) = (BTreeSet::new(), Vec::new());
    for case in &operator_cases() {
        let point: Point = (case.model(), case.reals());
        let expected = outputs(case, &point.0, &point.1);
        if expected.is_empty() || !operators.insert(operator(case)) {
            continue;
        }
        let f = |(model, reals): (Model<Recorded>, Vec<Recorded>)| outputs(case, &model, &reals);
        let found = compile(&case.name, f, &point).and_then(|mut compiled| compiled.call(&point));
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                wrong.push(format!("{}: {error}", case.name));
                continue;
            }
        };
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.shape(), expected.shape(), "{}", case.name);
            let finite = |x: f64| if x.is_finite() { x } else { 0.0 };
            let pairs = found.view().iter().copied().zip(expected.view().iter().copied()).collect::<Vec<_>>();
            let off = pairs.iter().map(|&(a, b)| finite(a - b).abs() / (1.0 + finite(b).abs()));
            let off = off.fold(0.0, f64::max);
            if off > 1e-12 {
                wrong.push(format!("{}: {off:e}", case.name));
            }
        }
    }
    println!("{} operators", operators.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(operators.len() >= 100, "{} operators", operators.len());
}

/// The rows of a batch of a network, each as it is alone, and the network's own batch.
#[test]
fn a_network_is_of_each_row_of_a_batch() {
    let case = network("small_squeezenet");
    let model: Model<NdArray<f64>> = case.model();
    let images = case.reals().remove(0);
    let whole = model.predict(std::slice::from_ref(&images)).unwrap();
    let rows = vmap(
        |image| {
            let lift = |x: &NdArray<f64>| antiphon::Batch::lift(x);
            model.map_leaves(lift).predict(&[image.unsqueeze(0)]).or_raise().index(0, 0)
        },
        &images,
    );
    let rows: NdArray<f64> = rows.unwrap();
    assert!((rows - whole).abs().max(..).item() < 1e-12);
}

/// Every operator on the rows of a batch, each with its own inputs, as on each row alone.
#[test]
fn operators_are_of_each_row_of_a_batch() {
    let (mut operators, mut wrong) = (BTreeSet::new(), Vec::new());
    for case in &operator_cases() {
        let (model, reals): Point = (case.model(), case.reals());
        if reals.is_empty() || outputs(case, &model, &reals).is_empty() {
            continue;
        }
        // The second row is another one, of numbers that are in the domain of every operator as well.
        let other: Vec<_> = reals.iter().map(|x| x.clone() * 0.9 + x.square() * 0.05).collect();
        let rows: Vec<_> =
            reals.iter().zip(&other).map(|(x, y)| NdArray::stack(&[x.clone(), y.clone()], 0)).collect();
        let lifted = || model.map_leaves(|x: &NdArray<f64>| antiphon::Batch::lift(x));
        let found = vmap(|rows: Vec<antiphon::Batch<_>>| outputs(case, &lifted(), &rows), &rows);
        let found: Vec<NdArray<f64>> = match found {
            Ok(found) => found,
            Err(error) => {
                wrong.push(format!("{}: {error}", case.name));
                continue;
            }
        };
        let alone = [outputs(case, &model, &reals), outputs(case, &model, &other)];
        for (i, found) in found.iter().enumerate() {
            let expected = NdArray::stack(&[alone[0][i].clone(), alone[1][i].clone()], 0);
            let [found, expected] = [found, &expected].map(|x| x.view().to_owned());
            if difference(&found, &expected, &case.name) > 1e-12 {
                wrong.push(format!("{}: {found:?} and not {expected:?}", case.name));
            }
        }
        operators.insert(operator(case));
    }
    println!("{} operators", operators.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(operators.len() >= 100, "{} operators", operators.len());
}

/// Products with the second derivative of a transformer, against differences of gradients.
#[test]
fn second_derivatives_of_a_network() {
    let case = network("transformer");
    let tokens = Array::Int(case.inputs[0].int().slice(ndarray::s![..1, ..5]).to_owned().into_dyn());
    let case = Case { inputs: vec![tokens], ..case };
    let point: Point = (case.model(), vec![]);
    let v = direction(&point);
    let (_, second) =
        hvp(|(model, reals): (Model<_>, Vec<_>)| functional(&case, &model, &reals), &point, &v).unwrap();
    let slopes = |by: f64| {
        let point = moved(&point, &v, by);
        grad(|(model, reals): (Model<_>, Vec<_>)| functional(&case, &model, &reals), &point).unwrap()
    };
    let h = 1e-5;
    let numeric = slopes(h).zip_leaves(&slopes(-h), |a, b| (a.clone() - b) * (0.5 / h)).unwrap();
    let off = second.zip_leaves(&numeric, |a, b| (a.clone() - b).abs()).unwrap();
    let largest =
        |point: &Point| point.leaves().into_iter().map(|x| x.abs().max(..).item()).fold(0.0, f64::max);
    assert!(largest(&off) < 1e-6 * largest(&numeric), "{} of {}", largest(&off), largest(&numeric));
}
