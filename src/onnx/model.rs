//! [`Model`]: a network with its parameters.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;

use super::call::{Operand, Type};
use super::evaluate::{self, Settings, Training};
use super::graph::Graph;
use super::known::{self, Elements, Kind, Known, Outcome};
use super::proto::ModelProto;
use super::table::Op;
use crate::Params;
use crate::array::{Float, NdArray};
use crate::continuation::unwinding::catch;
use crate::error::{At, Error, Result};
use crate::language::params::matches;
use crate::language::real::Real;
use crate::language::tensor::Tensor;

/// A network that was read from a file, with its parameters: those are its leaves, by their names in the file.
#[derive(Clone, Params)]
pub struct Model<T> {
    #[params(flatten)]
    weights: BTreeMap<String, T>,
    /// What is no parameter any more.
    frozen: Arc<BTreeMap<String, Known>>,
    graph: Arc<Graph>,
    limit: usize,
}

impl<T> fmt::Debug for Model<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("inputs", &self.inputs())
            .field("outputs", &self.outputs())
            .field("nodes", &self.graph.nodes.len())
            .field("parameters", &self.weights.len())
            .finish_non_exhaustive()
    }
}

/// An input or an output of a network.
#[derive(Clone)]
pub enum Value<T: Real> {
    /// Real numbers.
    Real(T),
    /// Integers, token ids say.
    Int(T::Int),
    /// Truth values.
    Bool(T::Bool),
}

impl<T: Real> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Value::Real(_) => "Real(..)",
            Value::Int(_) => "Int(..)",
            Value::Bool(_) => "Bool(..)",
        })
    }
}

impl<T: Real> From<T> for Value<T> {
    fn from(x: T) -> Value<T> {
        Value::Real(x)
    }
}

impl<T: Real> Value<T> {
    /// The reals, if they are that.
    pub fn real(self) -> Option<T> {
        if let Value::Real(x) = self { Some(x) } else { None }
    }
    /// The integers, if they are that.
    pub fn int(self) -> Option<T::Int> {
        if let Value::Int(x) = self { Some(x) } else { None }
    }
    /// The truth values, if they are that.
    pub fn bool(self) -> Option<T::Bool> {
        if let Value::Bool(x) = self { Some(x) } else { None }
    }
}

/// Running averages of normalisations by name, as they are after a step of training: [`Model::set`] takes them.
pub type Averages<T> = BTreeMap<String, T>;

/// The most elements that a value of a network may have, if nothing else is said.
const LIMIT: usize = 1 << 30;

/// The most bytes of a file: more cannot be a message.
const LARGEST_FILE: u64 = (1 << 31) - 1;

impl<E: Float> Model<NdArray<E>> {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::Format`], naming operator, node and opset where there is one, if it
    /// is no ONNX model, or has what is not supported.
    pub fn open(path: impl AsRef<Path>) -> Result<Model<NdArray<E>>> {
        let path = path.as_ref();
        let mut file = crate::io::open(path)?;
        let mut bytes = Vec::new();
        let io = |source| Error::Io { path: path.into(), source };
        file.by_ref().take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(io)?;
        let long = bytes.len() as u64 > LARGEST_FILE;
        let read = if long { Err("it has more than 2 GiB".into()) } else { Self::of(bytes.into()) };
        read.map_err(|reason| Error::Format { path: path.into(), reason: shortened(reason) })
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// [`Error::Format`], as [`open`](Model::open).
    pub fn read(bytes: impl Into<Vec<u8>>) -> Result<Model<NdArray<E>>> {
        let path = "onnx".into();
        Self::of(Bytes::from(bytes.into()))
            .map_err(|reason| Error::Format { path, reason: shortened(reason) })
    }

    fn of(bytes: Bytes) -> Outcome<Model<NdArray<E>>> {
        let proto = ModelProto::decode(bytes).map_err(|error| format!("no ONNX model: {error}"))?;
        let (graph, tensors) = Graph::of(proto)?;
        let mut weights = BTreeMap::new();
        for tensor in tensors {
            let of_tensor = |reason: String| format!("tensor {:?}: {reason}", tensor.name);
            let (shape, elements) = known::reals(&tensor, E::from_f64).map_err(of_tensor)?;
            let array = ndarray::ArrayD::from_shape_vec(&shape[..], elements);
            let array = array.map_err(|error| of_tensor(error.to_string()))?;
            weights.insert(tensor.name.clone(), NdArray::from(array));
        }
        Ok(Model { weights, frozen: Arc::default(), graph: Arc::new(graph), limit: LIMIT })
    }

    /// The same network, in which the parameters of a pattern are constants: no leaves, and without gradient. In a
    /// pattern `*` is anything, as in [`params::matches`](crate::params::matches).
    #[must_use]
    pub fn freeze(mut self, pattern: &str) -> Model<NdArray<E>> {
        let (gone, kept): (BTreeMap<_, _>, _) =
            self.weights.into_iter().partition(|(name, _)| matches(pattern, name));
        self.weights = kept;
        let frozen = Arc::make_mut(&mut self.frozen);
        for (name, x) in gone {
            let elements = Elements::Reals(x.view().iter().map(|&x| x.to_f64()).collect());
            frozen.insert(name, Known { shape: x.shape(), elements });
        }
        self
    }

    /// Writes the network, with its parameters as they are now.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written; [`Error::Format`] if the network would have more than 2 GiB.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let bytes = self.to_bytes();
        if bytes.len() as u64 > LARGEST_FILE {
            let reason = "a network of more than 2 GiB cannot be one file".into();
            return Err(Error::Format { path: path.into(), reason });
        }
        crate::io::write_atomically(path, &bytes)
    }

    /// The network as the bytes of a file, with its parameters as they are now, in the types that they had there.
    pub fn to_bytes(&self) -> Vec<u8> {
        let weights = self.weights.iter().map(|(name, x)| (name.as_str(), x));
        super::export::rewritten(&self.graph.source, weights, &self.frozen).encode_to_vec()
    }
}

/// A message of a length that somebody reads, on one line.
fn shortened(reason: String) -> String {
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let line: String = reason.chars().take(1000).map(clean).collect();
    if line.len() < reason.len() && reason.chars().nth(1000).is_some() { line + " …" } else { line }
}

impl<T> Model<T> {
    /// The names of the inputs, in the order in which they are given.
    pub fn inputs(&self) -> Vec<&str> {
        self.graph.inputs.iter().map(|port| port.name.as_str()).collect()
    }
    /// The names of the outputs, in the order in which they come.
    pub fn outputs(&self) -> Vec<&str> {
        self.graph.outputs.iter().map(|port| port.name.as_str()).collect()
    }
    /// The version of the operators that the file uses.
    pub fn opset(&self) -> i64 {
        self.graph.opset
    }
    /// The names of the operators that the network evaluates, each once, in the order of the alphabet. Nodes that have
    /// constant operands only are evaluated when the network is read, and not among them.
    pub fn operators(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.graph.nodes.iter().map(|node| node.op.name()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
    /// The names of all operators that are supported.
    pub fn supported() -> Vec<&'static str> {
        Op::ALL.iter().map(|op| op.name()).collect()
    }
    /// The same network, no value of which may have more elements than this: 2³⁰ if nothing is said.
    #[must_use]
    pub fn with_limit(mut self, elements: usize) -> Model<T> {
        self.limit = elements;
        self
    }
    /// A parameter by name.
    pub fn parameter(&self, name: &str) -> Option<&T> {
        self.weights.get(name)
    }
}

impl<T: Tensor> Model<T> {
    /// Puts other values in the place of parameters, by name: the averages of [`train`](Model::train), say.
    ///
    /// # Errors
    /// [`Error::Structure`] if there is no such parameter, or it has another shape.
    pub fn set(&mut self, values: &Averages<T>) -> Result<()> {
        for (name, x) in values {
            match self.weights.get_mut(name) {
                Some(place) if place.shape() == x.shape() => *place = x.clone(),
                Some(place) => {
                    let (have, given) = (place.shape(), x.shape());
                    return Err(Error::Structure(format!(
                        "{name} has the shape {have:?}, and not {given:?}"
                    )));
                }
                None => return Err(Error::Structure(format!("no parameter {name}"))),
            }
        }
        Ok(())
    }

    /// The network's outputs for its inputs, in the order of the file. Axes may have other lengths than the file says,
    /// if the network's nodes take them.
    ///
    /// # Errors
    /// [`Error::Argument`] if the inputs are not as many or of the kinds that it takes, or an operator does not accept
    /// its operands; then it names operator, node and opset. Within a derivative, an operator on variables raises its
    /// error instead.
    #[track_caller]
    pub fn apply(&self, inputs: &[Value<T>]) -> Result<Vec<Value<T>>> {
        self.run(inputs, None)
    }

    /// [`apply`](Model::apply) of a network whose inputs are reals, and its first output, which is as well.
    ///
    /// # Errors
    /// As [`apply`](Model::apply), and [`Error::Argument`] if the output is something else.
    #[track_caller]
    pub fn predict(&self, inputs: &[T]) -> Result<T> {
        let inputs: Vec<_> = inputs.iter().cloned().map(Value::Real).collect();
        first(self.run(&inputs, None)?, At::caller())
    }

    /// [`apply`](Model::apply) as in training, whatever the file says: batches are normalised by their own means and
    /// variances, and elements are dropped, which ones is a function of `seed`. Gives the running averages as they are
    /// after this step as well, `momentum·old + (1 − momentum)·new` with the variance divided by the number of
    /// elements, as ONNX has it; those of parameters, for [`set`](Model::set).
    ///
    /// # Errors
    /// As [`apply`](Model::apply).
    #[track_caller]
    pub fn train(&self, inputs: &[Value<T>], seed: &T::Int) -> Result<(Vec<Value<T>>, Averages<T>)> {
        let training = Training { seed: seed.clone(), averages: RefCell::default() };
        let outputs = self.run(inputs, Some(&training))?;
        let names: BTreeMap<usize, &String> =
            self.graph.weights.iter().map(|(name, place)| (*place, name)).collect();
        let named = |(place, x): (usize, T)| {
            names
                .get(&place)
                .filter(|name| self.weights.contains_key(**name))
                .map(|name| ((*name).clone(), x))
        };
        Ok((outputs, training.averages.into_inner().into_iter().filter_map(named).collect()))
    }

    #[track_caller]
    fn run(&self, inputs: &[Value<T>], training: Option<&Training<T>>) -> Result<Vec<Value<T>>> {
        let at = At::caller();
        let refused = |reason: String| Error::Argument { op: "onnx", reason, at };
        let mut places: Vec<Option<Operand<T>>> = vec![None; self.graph.places];
        self.enter(inputs, &mut places).map_err(refused)?;
        let settings = Settings { opset: self.graph.opset, limit: self.limit, training };
        for node in &self.graph.nodes {
            let operands =
                node.inputs.iter().map(|place| place.and_then(|place| places[place].clone())).collect();
            for &place in &node.last_uses {
                places[place] = None;
            }
            let results = evaluate::node(node, operands, &settings, at).map_err(|error| match error {
                Error::Argument { op: "onnx", reason, .. } => refused(reason),
                error => error.relocate(at),
            })?;
            if results.len() < node.outputs.len() {
                return Err(refused(format!(
                    "{} (node {:?}) has too few results",
                    node.op.name(),
                    node.name
                )));
            }
            for (place, result) in node.outputs.iter().zip(results) {
                if let Some(place) = place.filter(|place| !node.last_uses.contains(place)) {
                    places[place] = Some(result);
                }
            }
        }
        let output = |place: usize| {
            let operand = places[place].clone().ok_or("an output was not computed")?;
            catch(|| {
                Ok(match operand.ty() {
                    Type::Real => operand.real().map(Value::Real),
                    Type::Int => operand.int().map(Value::Int),
                    Type::Bool => operand.mask().map(Value::Bool),
                })
            })
            .unwrap_or_else(|error: Error| Err(error.to_string()))
        };
        self.graph.outputs.iter().map(|port| output(port.place).map_err(refused)).collect()
    }

    /// Puts what the network has and what it is given where its nodes find it.
    fn enter(&self, inputs: &[Value<T>], places: &mut [Option<Operand<T>>]) -> Outcome<()> {
        let (have, wanted) = (inputs.len(), self.graph.inputs.len());
        if have != wanted {
            return Err(format!("{have} inputs for a network of {wanted}: {:?}", self.inputs()));
        }
        for (port, input) in self.graph.inputs.iter().zip(inputs) {
            let (operand, kind) = match input {
                Value::Real(x) => (Operand::Real(x.clone()), Kind::Real),
                Value::Int(x) => (Operand::Int(x.clone()), Kind::Int),
                Value::Bool(x) => (Operand::Bool(x.clone()), Kind::Bool),
            };
            if port.kind.is_some_and(|wanted| wanted != kind) {
                return Err(format!("input {:?} is {kind:?}, and {:?} is wanted", port.name, port.kind));
            }
            let rank = operand.shape().len();
            if let Some(wanted) = port.rank.filter(|&wanted| wanted != rank) {
                return Err(format!("input {:?} has {rank} axes, and {wanted} are wanted", port.name));
            }
            places[port.place] = Some(operand);
        }
        for (place, known) in &self.graph.known {
            places[*place] = Some(Operand::Known(known.clone()));
        }
        for (name, place) in &self.graph.weights {
            places[*place] = match (self.weights.get(name), self.frozen.get(name)) {
                (Some(x), _) => Some(Operand::Real(x.clone())),
                (None, Some(known)) => Some(Operand::Known(known.clone())),
                (None, None) => return Err(format!("parameter {name:?} is missing")),
            };
        }
        Ok(())
    }
}

/// The first of the outputs, which has to be of reals.
fn first<T: Real>(outputs: Vec<Value<T>>, at: At) -> Result<T> {
    let refused = || Error::Argument { op: "onnx", reason: "the first output is not of reals".into(), at };
    outputs.into_iter().next().and_then(Value::real).ok_or_else(refused)
}
