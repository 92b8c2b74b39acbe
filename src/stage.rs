//! [`stage`]: a model as compiled code.

use std::marker::PhantomData;

use antiphon_staging::jit::{CompileOptions, Compiled, compile};
use antiphon_staging::{Options, Program, Tensor, optimise};

use crate::array::{Float, NdArray};
use crate::error::Result;
use crate::params::Params;
use crate::staged::{Expr, from_tensor, record, recording_error, to_tensor};

/// A model that was recorded, optimised and compiled for the shapes of an example.
///
/// It can be moved to another thread; each thread that runs it has an instance of its own.
pub struct Staged<E> {
    program: Program,
    compiled: Compiled,
    precision: PhantomData<fn() -> E>,
}

/// Records `f` for inputs with the shapes of `example`, optimises the program and compiles it with LLVM.
///
/// ```
/// use antiphon::{NdArray, Real, Tensor, grad, stage};
/// let x = NdArray::from(vec![1.0f64, 2.0, 3.0]);
/// let mut slope = stage("slope", |x| grad(|y| y.powi(3).sum(..), &x).unwrap(), &x)?;
/// assert_eq!(slope.call(&x)?, [NdArray::from(vec![3.0, 12.0, 27.0])]);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// What `f` raises while it is recorded; [`Error::Recording`](crate::Error::Recording) if the program cannot be
/// compiled.
#[track_caller]
pub fn stage<P, E, Q>(name: &str, f: impl FnOnce(P::With<Expr>) -> Q, example: &P) -> Result<Staged<E>>
where
    E: Float,
    P: Params<Leaf = NdArray<E>>,
    Q: Params<Leaf = Expr>,
{
    let mut program = record(name, f, example)?;
    optimise(&mut program, &Options::default());
    let compiled = compile(&program, &CompileOptions::default()).map_err(recording_error)?;
    Ok(Staged { program, compiled, precision: PhantomData })
}

impl<E: Float> Staged<E> {
    /// Runs the model; returns the leaves of its result in order.
    ///
    /// # Errors
    /// [`Error::Recording`](crate::Error::Recording) if the inputs' shapes are not the example's, an index is out of
    /// range or the stack is exhausted. The next call works.
    #[track_caller]
    pub fn call(&mut self, inputs: &impl Params<Leaf = NdArray<E>>) -> Result<Vec<NdArray<E>>> {
        let inputs: Vec<Tensor> = inputs.leaves().iter().map(to_tensor).collect();
        let outputs = self.compiled.run(&inputs).map_err(recording_error)?;
        outputs.iter().map(from_tensor).collect()
    }

    /// The optimised program, which a person can read.
    pub fn program(&self) -> &Program {
        &self.program
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
