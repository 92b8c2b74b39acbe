//! Networks trained, eagerly and compiled.

use std::collections::BTreeMap;

use antiphon::nn::ctc::Ctc;
use antiphon::nn::loss::Reduction;
use antiphon::onnx::{Averages, Model, Value};
use antiphon::optim::{Adam, OptState, Optimizer, Sgd};
use antiphon::params::matches;
use antiphon::recording::Recorded;
use antiphon::{
    Float, IntTensor, NdArray, NdInt, OrRaise, Params, Real, Result, Structure, Tensor, TrainingStep, Var,
    compile, value_and_grad, value_and_grad_aux,
};
use serde_json::Value as Json;

use super::messages::{float, graph, model, node, port};
use super::{Array, network, pattern};

type Network = Model<NdArray<f64>>;

/// Images or tokens, and what they are.
#[derive(Clone, Structure)]
struct Data<T: Real> {
    images: T,
    labels: T::Int,
}

fn images() -> Data<NdArray<f64>> {
    let images = network("small_squeezenet").reals().remove(0);
    Data { images, labels: NdInt::from(vec![0, 1, 2, 3]) }
}

/// A step of gradient descent on the mean cross-entropy.
fn descend<T: Tensor>(model: &mut Model<T>, data: &Data<T>) -> Result<T> {
    let (loss, slopes) = value_and_grad(
        |model: Model<_>| {
            let scores = model.predict(&[Var::lift(&data.images)]).or_raise();
            scores.cross_entropy(&data.labels).mean(..)
        },
        model,
    )?;
    *model = model.zip_leaves(&slopes, |x, slope| x.clone() - slope.clone() * 1.0)?;
    Ok(loss)
}

/// Losses and parameters of a network's training, eagerly and compiled, against PyTorch's; and at least how far it falls.
fn assert_trains_as_in_pytorch<D>(
    name: &str,
    steps: [TrainingStep<'static, Network, D, NdArray<f64>>; 2],
    data: &D,
    falls: f64,
) {
    let text = include_str!("../reference/onnx_values.json");
    let expected = &serde_json::from_str::<Json>(text).unwrap()[name];
    let list =
        |value: &Json| value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect::<Vec<_>>();
    let losses = list(&expected["losses"]);
    assert!(losses.len() >= 10 && losses[losses.len() - 1] < losses[0] - falls, "it learns: {losses:?}");
    for (mode, mut step) in ["eager", "compiled"].into_iter().zip(steps) {
        for (i, expected) in losses.iter().enumerate() {
            let loss = step.call(data).unwrap().item();
            assert!(
                (loss - expected).abs() < 1e-10 * (1.0 + expected),
                "{mode}, step {i}: {loss}, not {expected}"
            );
        }
        let trained = step.state();
        for (name, elements) in expected["parameters"].as_object().unwrap() {
            let found = trained.parameter(name).unwrap();
            for (found, expected) in found.view().iter().zip(list(elements)) {
                let off = (found - expected).abs();
                assert!(off < 1e-10, "{mode}, {name}: {found}, not {expected}");
            }
        }
        // What PyTorch has not are running averages.
        let others = trained.names().into_iter().filter(|name| !matches("*.running_*", name));
        assert_eq!(others.count(), expected["parameters"].as_object().unwrap().len());
    }
}

#[test]
fn a_squeezenet_trains_as_in_pytorch_in_both_modes() {
    let start: Network = network("small_squeezenet").model();
    let steps = [TrainingStep::eager(start.clone(), descend), TrainingStep::compiled(start, descend)];
    assert_trains_as_in_pytorch("squeezenet", steps, &images(), 0.1);
}

/// Spectrograms, how long they are, and what is said.
#[derive(Clone, Structure)]
struct Speech<T: Real> {
    spectrograms: T,
    lengths: T::Int,
    targets: T::Int,
    of_targets: T::Int,
}

fn speech<E: Float>(name: &str, targets: &[&[i64]], of_targets: &[i64]) -> Speech<NdArray<E>> {
    let case = network(name);
    let spectrograms: Vec<f64> = case.reals().remove(0).view().iter().copied().collect();
    let shape = case.reals().remove(0).shape();
    let spectrograms = NdArray::from_elements(&shape, &spectrograms).unwrap();
    let lengths = case.inputs[1].int().clone().into();
    let shape = [targets.len(), targets[0].len()];
    let targets = NdInt::from_elements(&shape, &targets.concat()).unwrap();
    Speech { spectrograms, lengths, targets, of_targets: of_targets.to_vec().into() }
}

/// A step of gradient descent on the mean CTC loss, at a rate.
fn listen<T: Tensor>(model: &mut Model<T>, data: &Speech<T>, rate: f64) -> Result<T> {
    let (loss, slopes) = value_and_grad(
        |model: Model<_>| {
            let inputs = [Value::Real(Var::lift(&data.spectrograms)), Value::Int(data.lengths.clone())];
            let mut outputs = model.apply(&inputs).or_raise().into_iter();
            let log_probabilities = outputs.next().and_then(Value::real).unwrap();
            let Some(Value::Int(steps)) = outputs.next() else { panic!("lengths") };
            let ctc = Ctc::default();
            ctc.of(&log_probabilities, &data.targets, &steps, &data.of_targets, Reduction::Mean)
        },
        model,
    )?;
    *model = model.zip_leaves(&slopes, |x, slope| x.clone() - slope.clone() * rate)?;
    Ok(loss)
}

#[test]
fn deep_speech_trains_as_in_pytorch_in_both_modes() {
    fn step<T: Tensor>(model: &mut Model<T>, data: &Speech<T>) -> Result<T> {
        listen(model, data, 0.1)
    }
    let start: Network = network("small_deepspeech").model();
    let data = speech("small_deepspeech", &[&[1, 2, 2, 4], &[3, 1, 0, 0], &[4, 4, 1, 0]], &[4, 2, 3]);
    let steps = [TrainingStep::eager(start.clone(), step), TrainingStep::compiled(start, step)];
    assert_trains_as_in_pytorch("deepspeech", steps, &data, 2.0);
}

/// Deep Speech 2 of five bidirectional layers of 800, in single precision.
#[test]
fn deep_speech_of_its_real_size_trains_in_both_modes() {
    fn step<T: Tensor>(model: &mut Model<T>, data: &Speech<T>) -> Result<T> {
        listen(model, data, 1e-4)
    }
    let start: Model<NdArray<f32>> = network("deepspeech").model();
    let data = speech("deepspeech", &[&[8, 5, 12, 12, 15], &[7, 15, 0, 0, 0]], &[5, 2]);
    let mut eager = TrainingStep::eager(start.clone(), step);
    let mut compiled = TrainingStep::compiled(start, step);
    let [a, b] = [eager.call(&data).unwrap().item(), compiled.call(&data).unwrap().item()];
    println!("compiled in {:.1} s", compiled.compile_time().as_secs_f64());
    assert!((a - b).abs() < 1e-4 * (1.0 + a.abs()), "{a} eagerly, {b} compiled");
    let moved = eager.state().zip_leaves(&compiled.state(), |a, b| (a.clone() - b).abs().max(..)).unwrap();
    for (name, off) in moved.names().into_iter().zip(moved.leaves()) {
        assert!(off.item() < 1e-4, "{name}: {}", off.item());
    }
}

/// SqueezeNet 1.1 on an image of 224 × 224, in single precision.
#[test]
fn a_squeezenet_of_its_real_size_trains_in_both_modes() {
    let case = network("squeezenet");
    let start: Model<NdArray<f32>> = case.model();
    let images = case.inputs().remove(0).real().unwrap();
    let data = Data { images, labels: NdInt::from(vec![7]) };
    let mut eager = TrainingStep::eager(start.clone(), descend);
    let mut compiled = TrainingStep::compiled(start, descend);
    for _ in 0..2 {
        let [a, b] = [eager.call(&data).unwrap().item(), compiled.call(&data).unwrap().item()];
        assert!((a - b).abs() < 1e-4 * (1.0 + a.abs()), "{a} eagerly, {b} compiled");
    }
    println!("compiled in {:.1} s", compiled.compile_time().as_secs_f64());
    let off = eager.state().zip_leaves(&compiled.state(), |a, b| (a.clone() - b).abs().max(..)).unwrap();
    for (name, off) in off.names().into_iter().zip(off.leaves()) {
        assert!(off.item() < 1e-3, "{name}: {}", off.item());
    }
}

type Fit<T> = (Model<T>, OptState<Model<T>>);

/// A step that normalises by the batch, and keeps running averages.
fn fit<T: Tensor>((model, adam): &mut Fit<T>, data: &Data<T>) -> Result<T> {
    let seed = antiphon::Int::constant(3);
    let (loss, averages, slopes): (T, Averages<T>, _) = value_and_grad_aux(
        |model: Model<_>| {
            let (mut outputs, averages) =
                model.train(&[Value::Real(Var::lift(&data.images))], &seed).or_raise();
            let scores = outputs.remove(0).real().unwrap();
            (scores.cross_entropy(&data.labels).mean(..), averages)
        },
        model,
    )?;
    Adam::default().update(adam, model, &slopes, &T::constant(0.01))?;
    // Averages are no parameters that descend.
    model.set(&averages)?;
    Ok(loss)
}

#[test]
fn a_resnet_trains_with_running_averages_in_both_modes() {
    let start: Network = network("small_resnet").model();
    let begin = (start.clone(), Adam::default().init(&start));
    let mut eager = TrainingStep::eager(begin.clone(), fit);
    let mut compiled = TrainingStep::compiled(begin, fit);
    let elements = pattern(0.5, &[4, 3, 32, 32]);
    let data = Data {
        images: NdArray::from_elements(&[4, 3, 32, 32], &elements).unwrap(),
        labels: NdInt::from(vec![0, 1, 2, 3]),
    };
    let mut losses = Vec::new();
    for _ in 0..8 {
        let [a, b] = [eager.call(&data).unwrap().item(), compiled.call(&data).unwrap().item()];
        assert!((a - b).abs() < 1e-8 * (1.0 + a.abs()), "{a} eagerly, {b} compiled");
        losses.push(a);
    }
    assert!(losses[7] < 0.7 * losses[0], "{losses:?}");
    let (before, after) = (&start, &eager.state().0);
    let averages: Vec<String> =
        before.names().into_iter().filter(|name| matches("*.running_*", name)).collect();
    assert!(averages.len() >= 10);
    for name in averages {
        let moved =
            (before.parameter(&name).unwrap().clone() - after.parameter(&name).unwrap()).abs().max(..);
        assert!(moved.item() > 0.0, "{name} stays");
    }
    // Outside of training they are what is normalised by, so the outputs are others.
    let [in_training, out] = [
        after
            .train(&[Value::Real(data.images.clone())], &NdInt::scalar(3))
            .unwrap()
            .0
            .remove(0)
            .real()
            .unwrap(),
        after.predict(std::slice::from_ref(&data.images)).unwrap(),
    ];
    assert!((in_training - out).abs().max(..).item() > 1e-3);
}

/// ResNet-50 on two images of 224 × 224, in single precision, with running averages.
#[test]
fn a_resnet_of_its_real_size_trains_in_both_modes() {
    fn step<T: Tensor>(model: &mut Model<T>, data: &Data<T>) -> Result<T> {
        let seed = antiphon::Int::constant(3);
        let (loss, averages, slopes): (T, Averages<T>, _) = value_and_grad_aux(
            |model: Model<_>| {
                let (mut outputs, averages) =
                    model.train(&[Value::Real(Var::lift(&data.images))], &seed).or_raise();
                let scores = outputs.remove(0).real().unwrap();
                (scores.cross_entropy(&data.labels).mean(..), averages)
            },
            model,
        )?;
        *model = model.zip_leaves(&slopes, |x, slope| x.clone() - slope.clone() * 1e-3)?;
        model.set(&averages)?;
        Ok(loss)
    }
    let start: Model<NdArray<f32>> = network("resnet50").model();
    let images = network("resnet50_training").inputs().remove(0).real().unwrap();
    let data = Data { images, labels: NdInt::from(vec![7, 3]) };
    let mut eager = TrainingStep::eager(start.clone(), step);
    let mut compiled = TrainingStep::compiled(start, step);
    let [a, b] = [eager.call(&data).unwrap().item(), compiled.call(&data).unwrap().item()];
    println!("compiled in {:.1} s", compiled.compile_time().as_secs_f64());
    assert!((a - b).abs() < 1e-3 * (1.0 + a.abs()), "{a} eagerly, {b} compiled");
    let averages = |model: &Model<NdArray<f32>>| model.parameter("stem.norm.running_var").unwrap().clone();
    let off = (averages(&eager.state()) - averages(&compiled.state())).abs().max(..).item();
    assert!(off < 1e-4, "{off}");
}

/// What is dropped is a function of the seed, eagerly and compiled; the rest is scaled.
#[test]
fn elements_are_dropped_in_training_only() {
    let nodes = [node("Dropout", &["x"], &["y"], &[float("ratio", 0.25)])];
    let bytes = model(11, graph(&nodes, &[], &[port("x", 1, &[1000])], &["y"]));
    let network = Network::read(bytes).unwrap();
    let x = NdArray::full(&[1000], 3.0);
    assert_eq!(network.predict(std::slice::from_ref(&x)).unwrap(), x);
    let dropped = |seed: i64| {
        let outputs = network.train(&[Value::Real(x.clone())], &NdInt::scalar(seed)).unwrap().0;
        outputs.into_iter().next().and_then(Value::real).unwrap()
    };
    let y = dropped(1);
    assert_eq!(y, dropped(1));
    assert_ne!(y, dropped(2));
    let zeros = y.view().iter().filter(|&&y| y == 0.0).count();
    assert!((200..300).contains(&zeros) && y.view().iter().all(|&y| y == 0.0 || (y - 4.0).abs() < 1e-12));
    let data = Data { images: x.clone(), labels: NdInt::scalar(1) };
    let none: Model<Recorded> = network.with_leaves(vec![]).unwrap();
    let mut compiled = compile(
        "dropped",
        |data: Data<Recorded>| {
            none.train(&[Value::Real(data.images)], &data.labels).or_raise().0.remove(0).real().unwrap()
        },
        &data,
    )
    .unwrap();
    assert_eq!(compiled.call(&data).unwrap(), y);
}

/// What is frozen is no leaf, and stays.
#[test]
fn what_is_frozen_stays() {
    let model: Network = network("small_resnet").model();
    let frozen = model.clone().freeze("*.running_*").freeze("stem.weight");
    let is_free = |name: &String| !matches("*.running_*", name) && name != "stem.weight";
    assert_eq!(frozen.names(), model.names().into_iter().filter(is_free).collect::<Vec<_>>());
    let x = network("small_resnet").reals();
    assert_eq!(frozen.predict(&x).unwrap(), model.predict(&x).unwrap());
    let again = Network::read(frozen.to_bytes()).unwrap();
    assert_eq!(again.predict(&x).unwrap(), model.predict(&x).unwrap());
}

/// A step of the transformer's training to say the next token.
fn next_token<T: Tensor>(model: &mut Model<T>, data: &Data<T>) -> Result<T> {
    let (loss, slopes) = value_and_grad(
        |model: Model<_>| {
            let logits = model.apply(&[Value::Int(data.labels.clone())]).or_raise().remove(0).real().unwrap();
            let n = logits.shape()[1];
            let targets = data.labels.slice(1, 1..n);
            logits.slice(1, 0..n - 1).cross_entropy(&targets).mean(..)
        },
        model,
    )?;
    let mut state = Sgd::default().init(model);
    Sgd::default().update(&mut state, model, &slopes, &T::constant(0.1))?;
    Ok(loss)
}

#[test]
fn a_transformer_trains_in_both_modes() {
    let case = network("transformer");
    let start: Network = case.model();
    let Array::Int(tokens) = &case.inputs[0] else { panic!("tokens") };
    let data = Data { images: NdArray::scalar(0.0), labels: NdInt::from(tokens.clone()) };
    let mut eager = TrainingStep::eager(start.clone(), next_token);
    let mut compiled = TrainingStep::compiled(start, next_token);
    let mut losses = Vec::new();
    for _ in 0..10 {
        let [a, b] = [eager.call(&data).unwrap().item(), compiled.call(&data).unwrap().item()];
        assert!((a - b).abs() < 1e-9 * (1.0 + a.abs()), "{a} eagerly, {b} compiled");
        losses.push(a);
    }
    assert!(losses[9] < 0.8 * losses[0], "{losses:?}");
    // Another batch and length: shapes follow from the input's.
    let other = Data { images: NdArray::scalar(0.0), labels: data.labels.slice(1, 0..7).slice(0, 0..2) };
    let [a, b] = [eager.call(&other).unwrap().item(), compiled.call(&other).unwrap().item()];
    assert!((a - b).abs() < 1e-9 * (1.0 + a.abs()), "{a} eagerly, {b} compiled");
}

/// Parameters are leaves like any other: they are saved, and loaded.
#[test]
fn parameters_are_saved_and_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("weights.safetensors");
    let model: Network = network("small_squeezenet").model();
    let doubled = model.map_leaves(|x| x.clone() * 2.0);
    antiphon::io::save_safetensors(&path, &doubled).unwrap();
    let mut loaded = model.clone();
    antiphon::io::load_safetensors(&path, &mut loaded).unwrap();
    assert_eq!(loaded.leaves(), doubled.leaves());
    let names: BTreeMap<_, _> = model.names().into_iter().zip(model.shapes()).collect();
    assert_eq!(names["fire0.squeeze.weight"].as_slice(), [4, 8, 1, 1]);
}
