//! A graph that is being written: nodes, and the arrays that they take.

use bytes::Bytes;

use super::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, attribute_type, data_type,
};

/// The version of the operators that are written.
pub const OPSET: i64 = 17;

/// The version of the format that has them.
const IR_VERSION: i64 = 8;

/// An attribute of a node that is written.
pub enum Setting {
    Int(i64),
    Ints(Vec<i64>),
}

/// A graph that is being written.
#[derive(Default)]
pub struct Writer {
    pub graph: GraphProto,
    named: usize,
}

impl Writer {
    /// A name that no other value has.
    fn fresh(&mut self) -> String {
        self.named += 1;
        format!("v{}", self.named)
    }

    /// An array of the file, under a name of its own or a new one.
    pub fn array(&mut self, name: Option<&str>, data_type: i32, shape: &[usize], bytes: Vec<u8>) -> String {
        let name = name.map_or_else(|| self.fresh(), str::to_string);
        let dims = shape.iter().map(|&n| n as i64).collect();
        let raw_data = Some(Bytes::from(bytes));
        let tensor = TensorProto { dims, data_type, name: name.clone(), raw_data, ..TensorProto::default() };
        self.graph.initializer.push(tensor);
        name
    }

    /// A vector of integers: a shape, axes.
    pub fn ints(&mut self, elements: impl IntoIterator<Item = i64>) -> String {
        let elements: Vec<i64> = elements.into_iter().collect();
        let bytes = elements.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.array(None, data_type::INT64, &[elements.len()], bytes)
    }

    /// A node of one result, whose name is given back.
    pub fn node(&mut self, op: &str, inputs: &[&str], settings: Vec<(&str, Setting)>) -> String {
        let result = self.fresh();
        self.node_to(op, inputs, &result, settings);
        result
    }

    /// A node whose result has a name.
    pub fn node_to(&mut self, op: &str, inputs: &[&str], result: &str, settings: Vec<(&str, Setting)>) {
        let attribute = |(name, setting): (&str, Setting)| {
            let mut attribute = AttributeProto { name: name.into(), ..AttributeProto::default() };
            match setting {
                Setting::Int(x) => {
                    (attribute.r#type, attribute.i) = (attribute_type::INT, Some(x));
                }
                Setting::Ints(x) => (attribute.r#type, attribute.ints) = (attribute_type::INTS, x),
            }
            attribute
        };
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|&name| name.into()).collect(),
            output: vec![result.into()],
            name: result.into(),
            op_type: op.into(),
            attribute: settings.into_iter().map(attribute).collect(),
            ..NodeProto::default()
        });
    }

    /// The whole model.
    pub fn finish(mut self, name: &str) -> ModelProto {
        self.graph.name = name.into();
        ModelProto {
            ir_version: Some(IR_VERSION),
            producer_name: "antiphon".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(self.graph),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
            ..ModelProto::default()
        }
    }
}

/// An input or output of a type and a shape.
pub fn port(name: &str, elem_type: i32, shape: &[usize]) -> ValueInfoProto {
    let dim = shape
        .iter()
        .map(|&n| DimensionProto { dim_value: Some(n as i64), ..DimensionProto::default() })
        .collect();
    let tensor = TensorTypeProto { elem_type, shape: Some(TensorShapeProto { dim }) };
    let r#type = Some(TypeProto { tensor_type: Some(tensor) });
    ValueInfoProto { name: name.into(), r#type, ..ValueInfoProto::default() }
}
