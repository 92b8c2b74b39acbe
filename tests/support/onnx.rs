//! ONNX's messages, written byte by byte: what no script would write, and what needs no Python.

/// A message being written: numbers of fields are those of `onnx.proto`.
#[derive(Clone, Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    fn varint(mut self, mut x: u64) -> Message {
        while x >= 0x80 {
            self.0.push(x as u8 | 0x80);
            x >>= 7;
        }
        self.0.push(x as u8);
        self
    }
    /// An integer.
    pub fn int(self, field: u64, x: i64) -> Message {
        self.varint(field << 3).varint(x as u64)
    }
    /// A number of single precision.
    pub fn float(self, field: u64, x: f32) -> Message {
        let mut message = self.varint(field << 3 | 5);
        message.0.extend(x.to_le_bytes());
        message
    }
    /// Bytes, a text or a message.
    pub fn bytes(self, field: u64, bytes: impl AsRef<[u8]>) -> Message {
        let bytes = bytes.as_ref();
        let mut message = self.varint(field << 3 | 2).varint(bytes.len() as u64);
        message.0.extend(bytes);
        message
    }
    /// A message inside.
    pub fn message(self, field: u64, inner: Message) -> Message {
        self.bytes(field, inner.0)
    }
}

/// An attribute.
pub fn ints(name: &str, list: &[i64]) -> Message {
    let start = Message::default().bytes(1, name).int(20, 7);
    list.iter().fold(start, |message, &x| message.int(8, x))
}
/// An attribute.
pub fn int(name: &str, x: i64) -> Message {
    Message::default().bytes(1, name).int(20, 2).int(3, x)
}
/// An attribute.
pub fn float(name: &str, x: f32) -> Message {
    Message::default().bytes(1, name).int(20, 1).float(2, x)
}
/// An attribute.
pub fn text(name: &str, x: &str) -> Message {
    Message::default().bytes(1, name).int(20, 3).bytes(4, x)
}

/// A node.
pub fn node(op: &str, inputs: &[&str], outputs: &[&str], attributes: &[Message]) -> Message {
    let message = Message::default().bytes(4, op).bytes(3, format!("the {op}"));
    let message = inputs.iter().fold(message, |message, name| message.bytes(1, name));
    let message = outputs.iter().fold(message, |message, name| message.bytes(2, name));
    attributes.iter().cloned().fold(message, |message, attribute| message.message(5, attribute))
}

fn dims(dims: &[i64]) -> Message {
    dims.iter().fold(Message::default(), |message, &n| message.int(1, n))
}

/// A tensor of singles, `sin` of their numbers.
pub fn reals(name: &str, shape: &[i64]) -> Message {
    let count: i64 = shape.iter().product();
    let bytes: Vec<u8> = (0..count).flat_map(|i| (i as f32 + 1.0).sin().to_le_bytes()).collect();
    dims(shape).int(2, 1).bytes(8, name).bytes(9, bytes)
}
/// A tensor of integers.
pub fn integers(name: &str, shape: &[i64], elements: &[i64]) -> Message {
    let bytes: Vec<u8> = elements.iter().flat_map(|x| x.to_le_bytes()).collect();
    dims(shape).int(2, 7).bytes(8, name).bytes(9, bytes)
}

/// An input or output.
pub fn port(name: &str, element_type: i64, shape: &[i64]) -> Message {
    let dims =
        shape.iter().fold(Message::default(), |message, &n| message.message(1, Message::default().int(1, n)));
    let tensor = Message::default().int(1, element_type).message(2, dims);
    Message::default().bytes(1, name).message(2, Message::default().message(1, tensor))
}

/// A graph.
pub fn graph(nodes: &[Message], tensors: &[Message], inputs: &[Message], outputs: &[&str]) -> Message {
    let add = |message, field, parts: &[Message]| {
        parts.iter().cloned().fold(message, |message: Message, part| message.message(field, part))
    };
    let message = add(Message::default().bytes(2, "graph"), 1, nodes);
    let message = add(add(message, 5, tensors), 11, inputs);
    outputs.iter().fold(message, |message, name| message.message(12, Message::default().bytes(1, name)))
}

/// A model of a graph, of a version of the operators.
pub fn model(opset: i64, graph: Message) -> Vec<u8> {
    let id = Message::default().bytes(1, "").int(2, opset);
    Message::default().int(1, 8).message(8, id).message(7, graph).0
}
