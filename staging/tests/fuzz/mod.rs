//! Random well-typed programs, for tests that compare two ways of running one.
//!
//! A program is grown from a stream of choices, so that a failing one can be made smaller by making the stream smaller:
//! whatever [`shrink`] does to it, it remains a well-typed program.

mod choices;
mod control;
mod ops;

pub use antiphon_system::print::collected;
pub use choices::{below, choices, shrink};

use antiphon_staging::ir::Program;
use antiphon_staging::ir::build::Builder;
use antiphon_staging::ir::error::Error;
use antiphon_staging::ir::ids::{Cell, Cont, Func, Value};
use antiphon_staging::ir::probe::ProbeKind;
use antiphon_staging::ir::tensor::ConcreteTensor;
use antiphon_staging::ir::types::{Dtype, Type};

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
    pub inputs: Vec<ConcreteTensor>,
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

    fn inputs(&mut self) -> Vec<ConcreteTensor> {
        let f64s = |xs: &[f64], shape: &[usize]| ConcreteTensor::new(shape, xs.to_vec());
        let real = |generator: &mut Self| INPUTS[generator.below(INPUTS.len())];
        let tensors = [
            ("x", Some(ConcreteTensor::from(real(self)))),
            ("a", f64s(&[real(self), 1.5, -0.75, real(self), 2.0, -3.5], &[2, 3])),
            ("w", f64s(&[0.1, real(self), -2.5], &[3])),
            ("s", Some(ConcreteTensor::from(real(self) as f32))),
            ("b", ConcreteTensor::new(&[2, 3], vec![0.3f32, -0.7, real(self) as f32, 1.1, 1.3, -1.7])),
            ("n", Some(ConcreteTensor::from(self.below(4) as i64))),
            ("indices", ConcreteTensor::new(&[2], vec![self.below(2) as i64, 1])),
            ("flag", Some(ConcreteTensor::from(self.below(2) == 1))),
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
        match self.below(19) {
            0..=6 => self.operator(),
            7..=10 => self.on_cell(),
            11..=12 => self.branch()?,
            13 => self.join()?,
            14 => self.local_function()?,
            15 => self.recursion()?,
            16 => self.print()?,
            17 => self.loop_of_any()?,
            _ => self.rounds()?,
        }
        Ok(())
    }

    /// Prints a value: no pass may move or drop that.
    fn print(&mut self) -> Result<(), Error> {
        let Some(value) = self.value(|_| true) else { return Ok(()) };
        let name = format!("print {}", self.builder.count());
        self.builder.probe(ProbeKind::Print(name), value, std::panic::Location::caller())
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
