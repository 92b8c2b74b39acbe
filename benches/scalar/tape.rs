//! What the library is compared with: a flat tape (Wengert list) that programs can be written against as they are
//! against the library's variables. A number is its value, its place on a tape and a reference to that tape, and
//! operators append to it; so the tape grows behind a `RefCell`, and that two operands are on the same tape is checked.
//! Nodes lie in one vector whose memory is reused, partial derivatives are stored as numbers, and operands are 32-bit
//! places.

use std::cell::RefCell;
use std::ops::{Add, Mul, Sub};
use std::ptr;

/// A number on a tape.
#[derive(Clone, Copy)]
pub struct Entry<'t> {
    tape: &'t Tape,
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
    nodes: RefCell<Vec<Node>>,
    adjoints: RefCell<Vec<f64>>,
}

impl Tape {
    /// Forgets everything but the memory, and begins with one input. No number can be on the tape any more.
    pub fn restart(&mut self, x: f64) -> Entry<'_> {
        self.nodes.get_mut().clear();
        self.push(x, [0, 0], [0.0, 0.0])
    }

    /// How many operators are on it.
    pub fn operators(&self) -> usize {
        self.nodes.borrow().len() - 1
    }

    #[inline]
    fn push(&self, value: f64, operands: [u32; 2], slopes: [f64; 2]) -> Entry<'_> {
        let mut nodes = self.nodes.borrow_mut();
        let index = nodes.len() as u32;
        nodes.push(Node { operands, slopes });
        Entry { tape: self, index, value }
    }
}

impl Entry<'_> {
    /// A value of two operands, and its derivatives by them.
    #[inline]
    pub fn with(self, other: Self, value: f64, slopes: [f64; 2]) -> Self {
        assert!(ptr::eq(self.tape, other.tape), "numbers on two tapes");
        self.tape.push(value, [self.index, other.index], slopes)
    }

    #[inline]
    pub fn sin(self) -> Self {
        self.with(self, self.value.sin(), [self.value.cos(), 0.0])
    }

    /// The derivative of this number by the input.
    pub fn gradient(self) -> f64 {
        let nodes = self.tape.nodes.borrow();
        let mut adjoints = self.tape.adjoints.borrow_mut();
        adjoints.clear();
        adjoints.resize(nodes.len(), 0.0);
        adjoints[self.index as usize] = 1.0;
        for (i, node) in nodes.iter().enumerate().skip(1).rev() {
            let y_bar = adjoints[i];
            for (&operand, slope) in node.operands.iter().zip(node.slopes) {
                adjoints[operand as usize] += slope * y_bar;
            }
        }
        adjoints[0]
    }
}

macro_rules! operator {
    ($Trait:ident $name:ident, $a:ident $b:ident, $slopes:expr) => {
        impl $Trait for Entry<'_> {
            type Output = Self;
            #[inline]
            fn $name(self, other: Self) -> Self {
                let ($a, $b) = (self.value, other.value);
                self.with(other, $a.$name($b), $slopes)
            }
        }
    };
}
operator!(Add add, a b, [1.0, 1.0]);
operator!(Sub sub, a b, [1.0, -1.0]);
operator!(Mul mul, a b, [b, a]);
