//! Random well-typed programs, for tests that compare two ways of running one.
//!
//! A program is grown from a stream of choices, so that a failing one can be made smaller by making the stream smaller:
//! whatever [`shrink`] does to it, it remains a well-typed program. (The idea is that of MacIver & Donaldson,
//! *Test-Case Reduction via Test-Case Generation*, ECOOP 2020.)

mod control;
mod ops;

use crate::build::Builder;
use crate::error::Error;
use crate::ids::{Cell, Cont, Func, Value};
use crate::ir::Program;
use crate::tensor::Tensor;
use crate::types::{Dtype, Type};

/// Largest number of elements of a value that further operators are applied to.
const LARGEST: usize = 48;

/// Elements of inputs; few are special, or nearly all results would be NaN.
const INPUTS: [f64; 16] =
    [0.5, -1.25, 3.0, 0.0, 7.5, 1e-3, -0.1, 0.7, 1.1, -2.5, 0.3, 0.9, -0.6, 1.0, -0.0, f64::INFINITY];

/// A program and inputs for it.
#[derive(Clone, Debug)]
pub struct Case {
    /// A verified program. It always terminates, and its indices are in range.
    pub program: Program,
    /// What to run it on.
    pub inputs: Vec<Tensor>,
}

/// A stream of choices from a seed (xorshift64*; Vigna 2016).
pub fn choices(seed: u64, len: usize) -> Vec<u32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// Takes a choice of `0..n` from a stream; zero when it has run out.
pub fn below(choices: &mut &[u32], n: usize) -> usize {
    match choices.split_first() {
        Some((&first, rest)) => {
            *choices = rest;
            first as usize % n
        }
        None => 0,
    }
}

/// The case that a stream of choices stands for: operators on reals of both widths, integers and truth values,
/// branches, join points, recursion, closures, cells, shared and dead values. Any stream will do; zeros and short
/// streams give simple cases.
///
/// # Errors
/// None: a generated program that does not verify is a defect of the generator or the verifier.
pub fn generate(choices: &[u32]) -> Result<Case, Error> {
    let builder = Builder::new("case");
    let mut generator =
        Generator { builder: &builder, choices, visible: Visible::default(), depth: 0, scalars: false };
    let inputs = generator.inputs();
    generator.statements(12)?;
    let results = generator.results();
    let program = builder.finish(&results)?;
    Ok(Case { program, inputs })
}

/// The simplest stream that can be found on which `fails` still holds: shorter ones first, then smaller choices.
pub fn shrink(mut choices: Vec<u32>, fails: impl Fn(&[u32]) -> bool) -> Vec<u32> {
    loop {
        let before = choices.clone();
        let mut width = choices.len().div_ceil(2);
        while width > 0 {
            let mut start = 0;
            while start < choices.len() {
                let end = (start + width).min(choices.len());
                let shorter = [&choices[..start], &choices[end..]].concat();
                if fails(&shorter) {
                    choices = shorter;
                } else {
                    start += width;
                }
            }
            width /= 2;
        }
        let mut i = 0;
        while i < choices.len() {
            let old = choices[i];
            let alone = [0, 1, old % 64, old / 2].map(|smaller| (smaller, 0));
            // Fewer statements take fewer choices.
            let with_others = [1, 2, 4, 8].map(|gone| (old.saturating_sub(1), gone));
            for (smaller, gone) in alone.into_iter().chain(with_others) {
                if smaller < choices[i] {
                    let rest = (i + 1 + gone).min(choices.len());
                    let other = [&choices[..i], &[smaller], &choices[rest..]].concat();
                    if fails(&other) {
                        choices = other;
                    }
                }
            }
            i += 1;
        }
        if choices == before {
            return choices;
        }
    }
}

/// What may be used at a place.
#[derive(Clone, Default)]
struct Visible {
    values: Vec<Value>,
    cells: Vec<Cell>,
    /// Functions without continuations that may be called here, each of which terminates.
    funcs: Vec<(Func, Vec<Type>)>,
    conts: Vec<(Cont, Vec<Type>)>,
}

struct Generator<'a> {
    builder: &'a Builder,
    choices: &'a [u32],
    visible: Visible,
    depth: usize,
    /// Whether only scalars are computed.
    scalars: bool,
}

impl Generator<'_> {
    fn below(&mut self, n: usize) -> usize {
        below(&mut self.choices, n)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        if from.is_empty() { None } else { Some(from[self.below(from.len())]) }
    }

    /// A visible value of a type that fits, with a bias to recent ones.
    fn value(&mut self, fits: impl Fn(&Type) -> bool) -> Option<Value> {
        let builder = self.builder;
        let fitting: Vec<Value> =
            self.visible.values.iter().rev().copied().filter(|&v| fits(&builder.ty(v))).collect();
        let recent = if self.below(3) == 0 { fitting.len() } else { fitting.len().min(4) };
        self.pick(&fitting[..recent])
    }

    fn real(&mut self) -> Option<Value> {
        self.value(|ty| ty.dtype.is_float() && ty.size() <= LARGEST)
    }

    fn see(&mut self, values: impl IntoIterator<Item = Value>) {
        self.visible.values.extend(values);
    }

    fn inputs(&mut self) -> Vec<Tensor> {
        let f64s = |xs: &[f64], shape: &[usize]| Tensor::new(shape, xs.to_vec());
        let real = |generator: &mut Self| INPUTS[generator.below(INPUTS.len())];
        let tensors = [
            ("x", Some(Tensor::from(real(self)))),
            ("a", f64s(&[real(self), 1.5, -0.75, real(self), 2.0, -3.5], &[2, 3])),
            ("w", f64s(&[0.1, real(self), -2.5], &[3])),
            ("s", Some(Tensor::from(real(self) as f32))),
            ("b", Tensor::new(&[2, 3], vec![0.3f32, -0.7, real(self) as f32, 1.1, 1.3, -1.7])),
            ("n", Some(Tensor::from(self.below(4) as i64))),
            ("indices", Tensor::new(&[2], vec![self.below(2) as i64, 1])),
            ("flag", Some(Tensor::from(self.below(2) == 1))),
        ];
        let named =
            tensors.into_iter().map(|(name, tensor)| (name, tensor.expect("elements as the shape says")));
        let mut inputs = Vec::new();
        for (name, tensor) in named {
            let input = self.builder.input(name, tensor.ty());
            self.see([input]);
            inputs.push(tensor);
        }
        inputs
    }

    /// Up to `most` statements in the current block.
    fn statements(&mut self, most: usize) -> Result<(), Error> {
        for _ in 0..self.below(most + 1) {
            self.statement()?;
        }
        Ok(())
    }

    fn statement(&mut self) -> Result<(), Error> {
        match self.below(17) {
            0..=6 => self.operator(),
            7..=10 => self.on_cell(),
            11..=12 => self.branch()?,
            13 => self.join()?,
            14 => self.local_function()?,
            15 => self.recursion()?,
            _ => self.rounds()?,
        }
        Ok(())
    }

    /// Some of the values of the body, and what its cells hold.
    fn results(&mut self) -> Vec<Value> {
        let mut results = Vec::new();
        for _ in 0..1 + self.below(4) {
            results.extend(self.value(|_| true));
        }
        for cell in self.visible.cells.clone() {
            if self.below(4) > 0 {
                results.push(self.builder.take(cell));
            }
        }
        results
    }

    fn scalar_bool(&mut self) -> Option<Value> {
        self.value(|ty| *ty == Type::scalar(Dtype::Bool))
    }
}
