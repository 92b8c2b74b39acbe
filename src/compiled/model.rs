//! [`compile`] and [`compile_with`]: a model as compiled code.

use antiphon_staging::jit::{CompileOptions, CompiledProgram, Stop, compile_until};
use antiphon_staging::{OptimiseOptions, Program};
use antiphon_system::file::{Access, replace};
use std::fmt;

use crate::compiled::components::{ComponentTypes, check_component_types, placeholder, take_components};
use crate::continuation::stack;
use crate::continuation::unwinding::{catch, operator};
use crate::error::{At, Error, Result};
use crate::language::params::Path;
use crate::language::state::{Leaf, State};
use crate::language::structure::{MapComponent, Structure};
use crate::recording::{Located, Plain, Recorded, Traced, from_staging, trace, zeros};

/// A model of inputs `P` and results `R` over `T`, recorded, optimised and compiled for the shapes of an example.
///
/// It can be moved to another thread; each thread that runs it has an instance of its own.
pub struct CompiledFunction<T: Plain, P, R> {
    compiled: CompiledProgram,
    /// Names and types of the example's components.
    example: ComponentTypes,
    /// Those of the last call, and the components.
    component_types: ComponentTypes,
    inputs: Vec<Leaf<T>>,
    /// What results are written to, and handed out; another one takes its place where it is still held by then.
    outputs: Vec<Leaf<T>>,
    /// Of what structure the result is.
    result: R,
    takes: std::marker::PhantomData<fn(P)>,
}

impl<T: Plain, P, R> fmt::Debug for CompiledFunction<T, P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompiledFunction").field("compiled", &self.compiled).finish_non_exhaustive()
    }
}

/// Records `f` for inputs with the shapes of `example`, optimises the program and compiles it with LLVM.
///
/// Inputs and results are any [`Structure`]: models, batches, tuples of arrays and indices. All else that `f` captures
/// or reads is a constant of the compiled code: what changes, a learning rate for example, is an input. `f` is recorded
/// twice, so that one that does not record the same each time is found out.
///
/// ```
/// use antiphon::{NdArray, NdInt, Real, Tensor, compile, value_and_grad};
/// fn rows<T: Tensor>(table: &T, indices: &T::Int) -> (T, T) {
///     value_and_grad(|table| table.gather_rows(indices).powi(3).sum(..), table).unwrap()
/// }
/// let table = NdArray::from(vec![1.0f64, 2.0, 3.0]);
/// let example = (table.clone(), NdInt::from(vec![0, 0]));
/// let mut rows = compile("rows", |(table, indices)| rows(&table, &indices), &example)?;
/// let (sum, gradient) = rows.call(&(table, NdInt::from(vec![2, 1])))?;
/// assert_eq!(sum.item(), 35.0);
/// assert_eq!(gradient, NdArray::from(vec![0.0, 12.0, 27.0]));
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// What `f` raises while it is recorded; [`Error::Recording`](crate::Error::Recording) if the program cannot be
/// compiled, and, with the line of the operator that differs, if `f` records something else when it runs again: random
/// numbers that Rust draws, for example.
#[track_caller]
pub fn compile<T, P, Q>(
    name: &str,
    f: impl FnMut(P::With<Recorded>) -> Q,
    example: &P,
) -> Result<CompiledFunction<T, P, Q::With<T>>>
where
    T: Plain,
    P: Structure<T>,
    Q: Structure<Recorded>,
    Q::With<T>: State<T>,
{
    let options = CompileOptions { optimise: Some(OptimiseOptions::default()), ..CompileOptions::default() };
    compile_with(name, f, example, &options)
}

/// [`compile`] with options: what compiled code may assume and take, where it is kept, and how long recording and
/// compiling it may take. [`compile`] itself has the default ones, and optimises.
///
/// ```
/// use antiphon::recording::{CompileOptions, Recorded, OptimiseOptions};
/// use antiphon::{Real, compile_with};
/// let optimise = Some(OptimiseOptions { reassociate: true });
/// let options = CompileOptions { optimise, flush_denormals: true, ..CompileOptions::default() };
/// let mut squares = compile_with("square", |x: Recorded| x * x, &0.0f64, &options)?;
/// assert_eq!(squares.call(&1e-160)?, 0.0);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// As [`compile`]; [`Error::Interrupted`](crate::Error::Interrupted);
/// [`Error::Recording`](crate::Error::Recording) if [`updates`](CompileOptions::updates) are wanted, which are for
/// [`TrainingStep`](crate::TrainingStep).
#[track_caller]
pub fn compile_with<T, P, Q>(
    name: &str,
    mut f: impl FnMut(P::With<Recorded>) -> Q,
    example: &P,
    options: &CompileOptions,
) -> Result<CompiledFunction<T, P, Q::With<T>>>
where
    T: Plain,
    P: Structure<T>,
    Q: Structure<Recorded>,
    Q::With<T>: State<T>,
{
    let at = At::caller();
    no_updates(options, at)?;
    let stop = Stop::of(options);
    let mut f =
        |input: MapComponent<'_, T, Recorded>| Ok(f(example.map_components(&mut Path::default(), input)));
    let traced = trace(name, options, &stop, &mut f)?;
    traced.transcript().check(&format!("`{name}`"), &trace(name, options, &stop, &mut f)?, at)?;
    let Traced { program, result, .. } = traced;
    let (mut component_types, mut inputs) = (Vec::new(), Vec::new());
    take_components(example, &mut component_types, &mut inputs);
    CompiledFunction::of(program, &result, component_types, options, &stop, at)
}

/// That no inputs are to be written over, which is for [`TrainingStep`](crate::TrainingStep).
pub(super) fn no_updates(options: &CompileOptions, at: At) -> Result<()> {
    if options.updates.is_empty() {
        return Ok(());
    }
    let reason = "`CompileOptions::updates`: the inputs of a compiled function are not written over".into();
    Err(Error::Recording { reason, at })
}

impl<T: Plain, P, R> CompiledFunction<T, P, R> {
    /// Compiles a program of inputs with these names and types, whose first results are those of the structure
    /// `result`.
    pub(super) fn of<Q: Structure<Recorded, With<T> = R>>(
        program: Program,
        result: &Q,
        example: ComponentTypes,
        options: &CompileOptions,
        stop: &Stop,
        at: At,
    ) -> Result<Self> {
        let compiled =
            compile_until(program.into(), options, stop).map_err(|error| from_staging(error, at))?;
        let outputs: Vec<Leaf<T>> =
            compiled.outputs().iter().map(|ty| zeros(ty, at)).collect::<Result<_>>()?;
        let result = result.map_components::<T>(&mut Path::default(), &mut |_, leaf| placeholder(&leaf));
        Ok(CompiledFunction {
            compiled,
            component_types: example.clone(),
            example,
            inputs: Vec::new(),
            outputs,
            result,
            takes: std::marker::PhantomData,
        })
    }
}

impl<T: Plain, P: Structure<T>, R: State<T>> CompiledFunction<T, P, R> {
    /// Runs the model. Fields that are not of the interpretation, as numbers of Rust's, were configuration when it was
    /// recorded: what they are in the example is part of the code, and those of `inputs` are not looked at.
    ///
    /// # Errors
    /// [`Error::Recording`](crate::Error::Recording) if the inputs' structure or shapes are not the example's;
    /// [`Error::Index`](crate::Error::Index) if one is out of range;
    /// [`Error::StackExhausted`](crate::Error::StackExhausted) if recursion went deeper than [`stack::configure`]
    /// allows. The next call works.
    #[track_caller]
    pub fn call(&mut self, inputs: &P) -> Result<R> {
        Ok(self.call_with(inputs, &[], |_, _| ())?.0)
    }

    /// [`call`](CompiledFunction::call) with further inputs, and what `keep` takes of all inputs and outputs.
    #[track_caller]
    pub(super) fn call_with<K>(
        &mut self,
        inputs: &P,
        further: &[Leaf<T>],
        keep: impl FnOnce(&[Leaf<T>], &[Leaf<T>]) -> K,
    ) -> Result<(R, K)> {
        let at = At::caller();
        // Inputs of another order are copied, and outputs that somebody holds are made anew: for that there may be no
        // memory.
        let run = catch(|| operator(at, || self.run(inputs, further, at)));
        let kept = run.map(|()| keep(&self.inputs, &self.outputs));
        self.inputs.clear();
        let kept = kept?;
        Ok((self.result.rebuild(&mut self.outputs.iter().cloned()), kept))
    }
}

impl<T: Plain, P: Structure<T>, R> CompiledFunction<T, P, R> {
    fn run(&mut self, inputs: &P, further: &[Leaf<T>], at: At) -> Result<()> {
        take_components(inputs, &mut self.component_types, &mut self.inputs);
        check_component_types("the example", &self.example, &self.component_types, at)?;
        self.compiled.limit(stack::configured());
        let run = self.compiled.run_into(
            self.inputs.iter().chain(further).map(|leaf| Some(T::elements(leaf))),
            self.outputs.iter_mut().map(T::elements_mut),
        );
        run.map_err(|error| from_staging(error, at))
    }
}

impl<T: Plain, P, R> CompiledFunction<T, P, R> {
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
        self.compiled.llvm_ir().located()
    }

    /// Writes the program as code for C: an object file, `<path>.o`, and a header, `<path>.h`, each as a whole.
    /// The last part of the path is what the names in C begin with: `<name>_run` takes the addresses of the inputs and
    /// of the results, components of the example and of the result in their order. The code is for the processor that
    /// the program was compiled for, and needs `-lm`; if it was compiled for several [threads](crate::threads), it uses
    /// those of OpenMP where `-fopenmp` is given.
    ///
    /// ```
    /// use antiphon::{NdArray, Real, compile};
    /// let directory = tempfile::tempdir()?;
    /// let squares = compile("squares", |x| x.square(), &NdArray::from(vec![1.0f64, 2.0]))?;
    /// squares.export(directory.path().join("squares"))?;
    /// let header = std::fs::read_to_string(directory.path().join("squares.h"))?;
    /// assert!(header.contains("int squares_run("));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Recording`](crate::Error::Recording) if the name is none in C, and if the program has no counterpart in
    /// C: functions of the host, what it prints, checks that numbers are finite, Bessel functions in strict code;
    /// [`Error::Io`](crate::Error::Io) if a file cannot be written.
    #[track_caller]
    pub fn export(&self, path: impl AsRef<std::path::Path>) -> Result<()> {
        let path = path.as_ref();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let inputs: Vec<String> = self.example.iter().map(|(path, _)| path.to_string()).collect();
        let exported = self.compiled.export(&name, &inputs).located()?;
        let [object, header] = ["o", "h"].map(|end| path.with_file_name(format!("{name}.{end}")));
        let write = |path: &std::path::Path, bytes: &[u8]| {
            replace(path, bytes, Access::Umask).map_err(|source| Error::Io { path: path.into(), source })
        };
        write(&object, &exported.object)?;
        write(&header, exported.header.as_bytes()).inspect_err(|_| {
            let _ = std::fs::remove_file(&object);
        })
    }

    /// The program as this machine's assembly.
    ///
    /// # Errors
    /// [`Error::Recording`](crate::Error::Recording) if LLVM refuses.
    #[track_caller]
    pub fn assembly(&self) -> Result<String> {
        self.compiled.assembly().located()
    }
}
