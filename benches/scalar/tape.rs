//! What the library is compared with: a flat tape (Wengert list) of binary operators, as good as it gets. Nodes lie in
//! one vector that is reused, partial derivatives are stored as numbers, and operands are indices.

/// A number on the tape.
#[derive(Clone, Copy)]
pub struct Entry {
    index: u32,
    pub value: f64,
}

/// Operands, and the derivatives by them. A unary operator has itself as the second operand, with derivative 0.
struct Node {
    operands: [u32; 2],
    slopes: [f64; 2],
}

/// The tape, and the adjoints of its last backward pass.
#[derive(Default)]
pub struct Tape {
    nodes: Vec<Node>,
    adjoints: Vec<f64>,
}

impl Tape {
    /// Forgets everything but the memory, and begins with one input.
    pub fn restart(&mut self, x: f64) -> Entry {
        self.nodes.clear();
        self.push(x, [0, 0], [0.0, 0.0])
    }

    /// How many operators are on it.
    pub fn operators(&self) -> usize {
        self.nodes.len() - 1
    }

    #[inline]
    fn push(&mut self, value: f64, operands: [u32; 2], slopes: [f64; 2]) -> Entry {
        let index = self.nodes.len() as u32;
        self.nodes.push(Node { operands, slopes });
        Entry { index, value }
    }

    #[inline]
    pub fn add(&mut self, a: Entry, b: Entry) -> Entry {
        self.push(a.value + b.value, [a.index, b.index], [1.0, 1.0])
    }

    #[inline]
    pub fn sub(&mut self, a: Entry, b: Entry) -> Entry {
        self.push(a.value - b.value, [a.index, b.index], [1.0, -1.0])
    }

    #[inline]
    pub fn mul(&mut self, a: Entry, b: Entry) -> Entry {
        self.push(a.value * b.value, [a.index, b.index], [b.value, a.value])
    }

    #[inline]
    pub fn sin(&mut self, x: Entry) -> Entry {
        self.push(x.value.sin(), [x.index, x.index], [x.value.cos(), 0.0])
    }

    /// The derivative of `y` by the input.
    pub fn gradient(&mut self, y: Entry) -> f64 {
        self.adjoints.clear();
        self.adjoints.resize(self.nodes.len(), 0.0);
        self.adjoints[y.index as usize] = 1.0;
        for (i, node) in self.nodes.iter().enumerate().skip(1).rev() {
            let y_bar = self.adjoints[i];
            for (&operand, slope) in node.operands.iter().zip(node.slopes) {
                self.adjoints[operand as usize] += slope * y_bar;
            }
        }
        self.adjoints[0]
    }
}
