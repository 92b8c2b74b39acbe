//! [`Graph`]: the nodes of a network, in the order in which they are evaluated, read from a file's messages.

use std::collections::{BTreeMap, BTreeSet};

use super::call::Operand;
use super::evaluate::{self, Settings};
use super::known::{self, Kind, Known, Outcome};
use super::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, attribute_type};
use super::table::{OPSETS, Op};
use crate::array::NdArray;
use crate::error::At;

/// A node of the network.
#[derive(Clone, Debug)]
pub struct Node {
    pub op: Op,
    /// Its name in the file, or its number there.
    pub name: String,
    /// Where its operands are; those that are left out have no place.
    pub inputs: Vec<Option<usize>>,
    /// Where its results go.
    pub outputs: Vec<Option<usize>>,
    pub attributes: BTreeMap<String, Attribute>,
    /// What no later node asks for.
    pub last_uses: Vec<usize>,
}

/// A setting of a node.
#[derive(Clone, Debug)]
pub enum Attribute {
    Int(i64),
    Float(f64),
    String(String),
    Ints(Vec<i64>),
    Floats(Vec<f64>),
    Strings(Vec<String>),
    Tensor(Known),
}

/// An input or an output of the network.
#[derive(Clone, Debug)]
pub struct Port {
    pub name: String,
    pub place: usize,
    pub kind: Option<Kind>,
    /// Its axes, if the file says how many there are.
    pub rank: Option<usize>,
}

/// A network without its parameters.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The version of the operators.
    pub opset: i64,
    /// How many values there are.
    pub places: usize,
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
    /// Parameters, and where they go.
    pub weights: Vec<(String, usize)>,
    /// What is known beforehand.
    pub known: Vec<(usize, Known)>,
    pub nodes: Vec<Node>,
    /// The file, of which the elements of the parameters are left out.
    pub source: ModelProto,
}

/// Values that nodes without data give, together: what is more is computed when the network is.
const FOLDED: usize = 1 << 20;

/// A network being read.
#[derive(Default)]
struct Reader {
    opset: i64,
    /// Where values are, by name.
    places: BTreeMap<String, usize>,
    known: BTreeMap<usize, Known>,
    folded: usize,
}

impl Graph {
    /// Reads a network; gives its parameters' tensors as well, by name.
    pub fn of(mut source: ModelProto) -> Outcome<(Graph, Vec<TensorProto>)> {
        let opset = opset(&source)?;
        let mut graph = source.graph.take().ok_or("it has no graph")?;
        if !graph.sparse_initializer.is_empty() {
            return Err("sparse tensors are not read".into());
        }
        let mut reader = Reader { opset, ..Reader::default() };
        let weights = split_initializers(&graph)?;
        let inputs = reader.inputs(&graph)?;
        let mut parameters = Vec::new();
        for (tensor, is_weight) in graph.initializer.iter().zip(&weights) {
            let place = reader.define(&tensor.name)?;
            if *is_weight {
                parameters.push((tensor.name.clone(), place));
            } else {
                let array = known::known(tensor).map_err(|reason| of_tensor(&tensor.name, &reason))?;
                reader.known.insert(place, array);
            }
        }
        let mut nodes = Vec::new();
        for (number, node) in graph.node.iter().enumerate() {
            let node = reader.node(number, node)?;
            if !reader.fold(&node)? {
                nodes.push(node);
            }
        }
        let outputs = reader.outputs(&graph)?;
        note_last_uses(&mut nodes, &outputs);
        let mut tensors = Vec::new();
        for (tensor, is_weight) in graph.initializer.iter_mut().zip(&weights) {
            if *is_weight {
                tensors.push(tensor.clone());
                let TensorProto { dims, data_type, name, .. } = std::mem::take(tensor);
                *tensor = TensorProto { dims, data_type, name, ..TensorProto::default() };
            }
        }
        source.graph = Some(graph);
        let places = reader.places.len();
        let known = reader.known.into_iter().collect();
        let graph = Graph { opset, places, inputs, outputs, weights: parameters, known, nodes, source };
        Ok((graph, tensors))
    }
}

/// What is wrong with a tensor of the file.
fn of_tensor(name: &str, reason: &str) -> String {
    format!("tensor {name:?}: {reason}")
}

/// The version of ONNX's own operators.
fn opset(source: &ModelProto) -> Outcome<i64> {
    let own = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    let mut versions = source.opset_import.iter().filter(|id| own(&id.domain)).map(|id| id.version);
    let version = versions.next().ok_or("it does not say which version of the operators it uses")?;
    if versions.any(|other| other != version) {
        return Err("it uses two versions of the same operators".into());
    }
    if !OPSETS.contains(&version) {
        let (oldest, newest) = (OPSETS.start(), OPSETS.end());
        return Err(format!("opset {version}, and those from {oldest} to {newest} are read"));
    }
    Ok(version)
}

/// Which initializers are parameters: reals are, but for those that are only ever operands as bounds, scales or rates.
fn split_initializers(graph: &GraphProto) -> Outcome<Vec<bool>> {
    let (mut trained, mut used): (BTreeSet<&str>, BTreeSet<&str>) = Default::default();
    for node in &graph.node {
        let constants = Op::of(&node.op_type).map_or(&[][..], |op| op.signature().constants);
        for (i, name) in node.input.iter().enumerate() {
            used.insert(name);
            if !constants.contains(&i) {
                trained.insert(name);
            }
        }
    }
    let mut weights = Vec::new();
    for tensor in &graph.initializer {
        let name = tensor.name.as_str();
        let kind = known::kind(tensor.data_type).map_err(|reason| of_tensor(name, &reason))?;
        weights.push(kind == Kind::Real && (trained.contains(name) || !used.contains(name)));
    }
    Ok(weights)
}

/// Notes at each node what it is the last to use.
fn note_last_uses(nodes: &mut [Node], outputs: &[Port]) {
    let mut wanted: BTreeSet<usize> = outputs.iter().map(|port| port.place).collect();
    for node in nodes.iter_mut().rev() {
        let places: BTreeSet<usize> = node.inputs.iter().chain(&node.outputs).flatten().copied().collect();
        node.last_uses = places.into_iter().filter(|&place| wanted.insert(place)).collect();
    }
}

impl Reader {
    /// A place for a value that has none yet.
    fn define(&mut self, name: &str) -> Outcome<usize> {
        let place = self.places.len();
        match self.places.insert(name.into(), place) {
            _ if name.is_empty() => Err("a value has no name".into()),
            None => Ok(place),
            Some(_) => Err(format!("two values are named {name:?}")),
        }
    }

    /// The inputs, of which those that have elements in the file are parameters.
    fn inputs(&mut self, graph: &GraphProto) -> Outcome<Vec<Port>> {
        let given: BTreeSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
        let mut inputs = Vec::new();
        for info in &graph.input {
            if given.contains(info.name.as_str()) {
                continue;
            }
            let of_input = |reason: String| format!("input {:?}: {reason}", info.name);
            let tensor = info.r#type.as_ref().and_then(|ty| ty.tensor_type.as_ref());
            let tensor = tensor.ok_or_else(|| of_input("it is no tensor".into()))?;
            let kind = Some(known::kind(tensor.elem_type).map_err(of_input)?);
            let rank = tensor.shape.as_ref().map(|shape| shape.dim.len());
            inputs.push(Port { name: info.name.clone(), place: self.define(&info.name)?, kind, rank });
        }
        Ok(inputs)
    }

    fn outputs(&self, graph: &GraphProto) -> Outcome<Vec<Port>> {
        let port = |name: &String| match self.places.get(name) {
            Some(&place) => Ok(Port { name: name.clone(), place, kind: None, rank: None }),
            None => Err(format!("output {name:?} is computed nowhere")),
        };
        graph.output.iter().map(|info| port(&info.name)).collect()
    }

    fn node(&mut self, number: usize, node: &NodeProto) -> Outcome<Node> {
        let name = if node.name.is_empty() { format!("#{number}") } else { node.name.clone() };
        let opset = self.opset;
        let of_node = |reason: String| described(&node.op_type, &name, opset, &reason);
        if !(node.domain.is_empty() || node.domain == "ai.onnx") {
            let reason = format!("operators of the domain {:?} are not supported", node.domain);
            return Err(of_node(reason));
        }
        let Some(op) = Op::of(&node.op_type) else { return Err(of_node("is not supported".into())) };
        let signature = op.signature();
        let (least, most) = signature.inputs;
        // Operands at the end may be left out by an empty name.
        let count = node.input.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
        if count < least || count > most {
            return Err(of_node(format!("{count} operands")));
        }
        let mut inputs = Vec::new();
        for input in &node.input[..count] {
            inputs.push(match (input.as_str(), self.places.get(input)) {
                ("", _) => None,
                (_, Some(&place)) => Some(place),
                (_, None) => {
                    let reason = "is computed nowhere before it, as an input, a parameter or a result";
                    return Err(of_node(format!("its operand {input:?} {reason}")));
                }
            });
        }
        if let Some(missing) = inputs[..least].iter().position(Option::is_none) {
            return Err(of_node(format!("operand {missing} is missing")));
        }
        let wanted = node.output.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
        if wanted > signature.outputs || wanted == 0 {
            let most = signature.outputs;
            return Err(of_node(format!("{wanted} results, of which 1 to {most} are supported")));
        }
        let mut outputs = Vec::new();
        for output in &node.output[..wanted] {
            outputs.push(match output.as_str() {
                "" => None,
                name => Some(self.define(name).map_err(of_node)?),
            });
        }
        let mut attributes = BTreeMap::new();
        for attribute in &node.attribute {
            let of_attribute = |reason: String| of_node(format!("attribute {:?}: {reason}", attribute.name));
            if !signature.attributes.contains(&attribute.name.as_str()) {
                return Err(of_attribute("is not supported".into()));
            }
            let value = value(attribute).map_err(of_attribute)?;
            if attributes.insert(attribute.name.clone(), value).is_some() {
                return Err(of_attribute("is there twice".into()));
            }
        }
        Ok(Node { op, name, inputs, outputs, attributes, last_uses: Vec::new() })
    }

    /// Evaluates a node whose operands are known, if its results are small.
    fn fold(&mut self, node: &Node) -> Outcome<bool> {
        let places: Option<Vec<_>> = node
            .inputs
            .iter()
            .map(|place| place.map_or(Some(None), |place| self.known.get(&place).map(Some)))
            .collect();
        let Some(operands) = places else { return Ok(false) };
        // Randomness is no constant, and neither is what a parameter's shape alone would say.
        let room = FOLDED.saturating_sub(self.folded);
        let size: usize = operands.iter().flatten().map(|known| known.len()).sum();
        if node.op == Op::Dropout || size > room {
            return Ok(false);
        }
        let operands = operands.into_iter().map(|known| known.cloned().map(Operand::Known)).collect();
        let settings = Settings { opset: self.opset, limit: room.min(1 << 16), training: None };
        let results = match evaluate::node::<NdArray<f64>>(node, operands, &settings, At::caller()) {
            Ok(results) => results,
            // What is too large is computed with the network, under the limit there; what is wrong is wrong there too.
            Err(_) => return Ok(false),
        };
        for (place, result) in node.outputs.iter().zip(results) {
            let Some(place) = place else { continue };
            let known = result
                .known()
                .map_err(|reason| described(node.op.name(), &node.name, self.opset, &reason))?;
            self.folded += known.len();
            self.known.insert(*place, known);
        }
        Ok(true)
    }
}

/// A message about a node.
pub fn described(op: &str, name: &str, opset: i64, reason: &str) -> String {
    format!("{op} (node {name:?}, opset {opset}): {reason}")
}

/// An attribute's value.
fn value(attribute: &AttributeProto) -> Outcome<Attribute> {
    use attribute_type::*;
    let text = |bytes: &[u8]| {
        std::str::from_utf8(bytes).map(str::to_string).map_err(|_| "a text that is not UTF-8".to_string())
    };
    if !attribute.ref_attr_name.is_empty() {
        return Err("it refers to an attribute of a function".into());
    }
    let missing = || "its value is missing".to_string();
    let kind = match attribute.r#type {
        // Old files do not say which.
        UNDEFINED if attribute.f.is_some() => FLOAT,
        UNDEFINED if attribute.i.is_some() => INT,
        UNDEFINED if attribute.s.is_some() => STRING,
        UNDEFINED if attribute.t.is_some() => TENSOR,
        UNDEFINED if !attribute.floats.is_empty() => FLOATS,
        UNDEFINED if !attribute.ints.is_empty() => INTS,
        UNDEFINED if !attribute.strings.is_empty() => STRINGS,
        kind => kind,
    };
    Ok(match kind {
        FLOAT => Attribute::Float(attribute.f.unwrap_or(0.0).into()),
        INT => Attribute::Int(attribute.i.unwrap_or(0)),
        STRING => Attribute::String(text(attribute.s.as_deref().unwrap_or_default())?),
        TENSOR => Attribute::Tensor(known::known(attribute.t.as_ref().ok_or_else(missing)?)?),
        FLOATS => Attribute::Floats(attribute.floats.iter().map(|&x| x.into()).collect()),
        INTS => Attribute::Ints(attribute.ints.clone()),
        STRINGS => {
            Attribute::Strings(attribute.strings.iter().map(|bytes| text(bytes)).collect::<Outcome<_>>()?)
        }
        GRAPH | GRAPHS => return Err("graphs within graphs are not read".into()),
        other => return Err(format!("values of type {other} are not read")),
    })
}
