//! [`stage`]: a model as compiled code.

use antiphon_staging::jit::{CompileOptions, Compiled, compile};
use antiphon_staging::{Options, Program, Type};

use crate::error::Result;
use crate::params::Path;
use crate::real::Real;
use crate::staged::{Expr, Plain, leaf_names, recording_error, same_types, trace, zeros};
use crate::state::{Leaf, State};
use crate::structure::Structure;

/// A model of inputs `P` and results `R` over `T`, recorded, optimised and compiled for the shapes of an example.
///
/// It can be moved to another thread; each thread that runs it has an instance of its own.
pub struct Staged<T: Plain, P, R> {
    compiled: Compiled,
    names: Vec<String>,
    inputs: Vec<Leaf<T>>,
    /// What results are written to, and handed out; another one takes its place where it is still held by then.
    outputs: Vec<Leaf<T>>,
    /// Of what structure the result is.
    result: R,
    example: std::marker::PhantomData<fn(P)>,
}

/// Records `f` for inputs with the shapes of `example`, optimises the program and compiles it with LLVM.
///
/// Inputs and results are any [`Structure`]: models, batches, tuples of arrays and indices.
///
/// ```
/// use antiphon::{NdArray, NdInt, Real, Tensor, stage, value_and_grad};
/// fn rows<T: Tensor>(table: &T, indices: &T::Int) -> (T, T) {
///     value_and_grad(|table| table.gather_rows(indices).powi(3).sum(..), table).unwrap()
/// }
/// let table = NdArray::from(vec![1.0f64, 2.0, 3.0]);
/// let example = (table.clone(), NdInt::from(vec![0, 0]));
/// let mut rows = stage("rows", |(table, indices)| rows(&table, &indices), &example)?;
/// let (sum, gradient) = rows.call(&(table, NdInt::from(vec![2, 1])))?;
/// assert_eq!(sum.item(), 35.0);
/// assert_eq!(gradient, NdArray::from(vec![0.0, 12.0, 27.0]));
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// What `f` raises while it is recorded; [`Error::Recording`](crate::Error::Recording) if the program cannot be
/// compiled.
#[track_caller]
pub fn stage<T, P, Q>(
    name: &str,
    f: impl FnOnce(P::With<Expr>) -> Q,
    example: &P,
) -> Result<Staged<T, P, Q::With<T>>>
where
    T: Plain,
    P: Structure<T>,
    Q: Structure<Expr>,
    Q::With<T>: State<T>,
{
    let (program, result) = trace(name, |input| Ok(f(example.map_components(&mut Path::default(), input))))?;
    let options = CompileOptions { optimise: Some(Options::default()), ..CompileOptions::default() };
    let compiled = compile(&program, &options).map_err(recording_error)?;
    let outputs: Vec<Leaf<T>> = compiled.outputs().iter().map(zeros).collect::<Result<_>>()?;
    let result = result.map_components(&mut Path::default(), &mut |_, leaf| placeholder(&leaf));
    let (names, inputs) = (leaf_names(example), Vec::new());
    Ok(Staged { compiled, names, inputs, outputs, result, example: std::marker::PhantomData })
}

/// Something of a component's kind.
pub(crate) fn placeholder<T: Plain, U: Real>(leaf: &Leaf<U>) -> Leaf<T> {
    use antiphon_staging::Dtype;
    let dtype = match leaf {
        Leaf::Real(_) => T::DTYPE,
        Leaf::Int(_) => Dtype::I64,
        Leaf::Bool(_) => Dtype::Bool,
    };
    T::zeros(&Type::scalar(dtype)).expect("every interpretation has scalars")
}

impl<T: Plain, P: Structure<T>, R: State<T>> Staged<T, P, R> {
    /// Runs the model.
    ///
    /// # Errors
    /// [`Error::Recording`](crate::Error::Recording) if the inputs' shapes are not the example's, an index is out of
    /// range or the stack is exhausted. The next call works.
    #[track_caller]
    pub fn call(&mut self, inputs: &P) -> Result<R> {
        self.inputs.clear();
        inputs.flatten(&mut self.inputs);
        self.inputs.iter_mut().for_each(row_major);
        same_types(&self.names, self.compiled.inputs(), &self.inputs)?;
        let run = self.compiled.run_into(
            self.inputs.iter().map(|leaf| Some(T::elements(leaf))),
            self.outputs.iter_mut().map(T::elements_mut),
        );
        self.inputs.clear();
        run.map_err(recording_error)?;
        Ok(self.result.rebuild(&mut self.outputs.iter().cloned()))
    }
}

/// Puts the elements of a component in row-major order.
fn row_major<T: Plain>(leaf: &mut Leaf<T>) {
    *leaf = T::row_major(leaf.clone());
}

impl<T: Plain, P, R> Staged<T, P, R> {
    /// The optimised program, which a person can read.
    pub fn program(&self) -> &Program {
        self.compiled.program()
    }

    /// The program as LLVM's intermediate language.
    ///
    /// # Errors
    /// [`Error::Recording`](crate::Error::Recording) if LLVM refuses.
    #[track_caller]
    pub fn llvm_ir(&self) -> Result<String> {
        self.compiled.llvm_ir().map_err(recording_error)
    }

    /// The program as this machine's assembly.
    ///
    /// # Errors
    /// [`Error::Recording`](crate::Error::Recording) if LLVM refuses.
    #[track_caller]
    pub fn assembly(&self) -> Result<String> {
        self.compiled.assembly().map_err(recording_error)
    }
}
