//! Steps that are recorded and compiled, and own the state that they change.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use antiphon_staging::OptimiseOptions;
use antiphon_staging::jit::{Buffers, CompileOptions, CompiledProgram, Stop, cache, compile_until};

use super::{Mode, TrainingStep};
use crate::compiled::components::{
    ComponentTypes, check_component_types, each_component, placeholder, take_components,
};
use crate::continuation::stack;
use crate::continuation::unwinding::{OrRaise, catch, operator};
use crate::error::{At, Result};
use crate::language::params::Path;
use crate::language::state::{Leaf, State};
use crate::language::structure::Structure;
use crate::recording::{Located, Plain, Recorded, Traced, Transcript, from_staging, trace, zeros};

/// How many shapes of data code is kept for by default.
const VARIANTS: usize = 256;

/// What a state is compared with, in words.
const STATE: &str = "the step's state";

/// A step that is compiled for data of each structure and shapes.
struct Compiled<T: Plain, S, D, Q, R, F> {
    step: F,
    options: CompileOptions,
    /// Of what structure the state is.
    structure: S,
    /// Names and types of the state's components.
    example: ComponentTypes,
    /// The components of the state.
    state: Buffers,
    variants: HashMap<ComponentTypes, Variant<T, R>>,
    /// How many of them are kept.
    most: usize,
    /// Calls so far: the time by which it is told which variant was used last.
    calls: u64,
    compilations: usize,
    evictions: usize,
    /// Names and types of the components of the last call's data, and the components.
    component_types: ComponentTypes,
    inputs: Vec<Leaf<T>>,
    compile_time: Duration,
    recorded: PhantomData<fn(D) -> Q>,
}

/// Checks take one part of so many of a step's time, but for the first one.
const CHECKS: f64 = 100.0;

/// Code for data of one structure and its shapes.
struct Variant<T: Plain, R> {
    /// The call that used it last.
    used: u64,
    /// How often it was called.
    calls: u64,
    /// At which call the step is recorded again and compared with this, which is what was compiled.
    next_check: u64,
    transcript: Transcript,
    compiled: CompiledProgram,
    /// What results are written to, and handed out; another one takes its place where it is still held by then.
    outputs: Vec<Leaf<T>>,
    /// Of what structure the result is.
    result: R,
}

impl<T: Plain, R> Variant<T, R> {
    /// Plans the next check after one, as it took so long beside the step itself: each time after twice as many calls.
    fn plan_check(&mut self, checking: Duration, running: Duration) {
        let least = CHECKS * checking.as_secs_f64() / running.as_secs_f64();
        self.next_check = self.calls.saturating_add(self.calls.max(least as u64));
    }
}

impl<'f, S, D, R> TrainingStep<'f, S, D, R> {
    /// A step that is compiled when it is first called, and again when data comes in other shapes; from `state` on.
    ///
    /// The step owns its state and changes it in place, in memory that is aligned to 64 bytes.
    ///
    /// What the closure captures or reads from elsewhere, and fields of the data that are no components, such as a
    /// number of classes, are constants of the compiled code: what changes, a learning rate or a seed for example, is a
    /// part of the data. A step that would record something else is found out when it is recorded again: at the second
    /// call with data of some shapes, and then each time after twice as many calls, or after so many that recording
    /// takes a hundredth of their time. That call is an error, and so are the next ones, until the step is what was
    /// compiled or [`configure`](TrainingStep::configure) drops the code.
    ///
    /// Denormal numbers count as zeros while the step runs, and code is kept in the user's cache directory, see
    /// [`cache::directory`](antiphon_staging::jit::cache::directory). [`configure`](TrainingStep::configure) changes
    /// both.
    #[track_caller]
    pub fn compiled<T, Q>(
        state: S,
        step: impl FnMut(&mut S::With<Recorded>, &D::With<Recorded>) -> Result<Q> + Send + 'f,
    ) -> TrainingStep<'f, S, D, R>
    where
        T: Plain + 'f,
        S: Structure<T> + Send + 'f,
        S::With<Recorded>: Structure<Recorded>,
        D: Structure<T> + 'f,
        Q: Structure<Recorded, With<T> = R> + 'f,
        R: State<T> + Send + 'f,
    {
        let (mut example, mut components) = (Vec::new(), Vec::new());
        take_components(&state, &mut example, &mut components);
        let mut compiled = Compiled {
            step,
            options: CompileOptions {
                optimise: Some(OptimiseOptions { reassociate: true }),
                flush_denormals: true,
                cache: cache::directory(),
                cache_limits: cache::Limits::from_environment(),
                updates: (0..components.len()).map(|i| (i, i)).collect(),
                ..CompileOptions::default()
            },
            structure: state.rebuild(&mut components.iter().map(placeholder)),
            state: Buffers::zeros(components.iter().map(T::ty)).located().or_raise(),
            example,
            variants: HashMap::new(),
            most: VARIANTS,
            calls: 0,
            compilations: 0,
            evictions: 0,
            component_types: Vec::new(),
            inputs: Vec::new(),
            compile_time: Duration::ZERO,
            recorded: PhantomData::<fn(D) -> Q>,
        };
        compiled.write(components);
        TrainingStep::of(Box::new(compiled))
    }

    /// Changes how the step is compiled, and drops what is compiled already; does nothing to an eager one. What it
    /// [updates](CompileOptions::updates) is its state, whatever is said here.
    ///
    /// ```
    /// # use antiphon::{Real, Result, TrainingStep};
    /// let halve = TrainingStep::compiled(1.0f64, |x, half: &antiphon::recording::Recorded| {
    ///     *x = *x * half;
    ///     Ok(*x)
    /// });
    /// let mut halve = halve.configure(|options| options.cache = None);
    /// assert_eq!(halve.call(&0.5)?, 0.5);
    /// assert_eq!(halve.call(&0.5)?, 0.25);
    /// assert_eq!(halve.state(), 0.25);
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    pub fn configure(mut self, change: impl FnOnce(&mut CompileOptions)) -> Self {
        if let Some(options) = self.mode.options() {
            let updates = options.updates.clone();
            change(options);
            options.updates = updates;
        }
        self
    }

    /// Keeps the code of so many combinations of shapes at a time, and of one at least: 256 by default. When data comes
    /// in one more, the code that was used the longest ago is dropped, and [counted](TrainingStep::evictions). Data of
    /// its shapes is compiled again, or its code taken from the cache. Does nothing to an eager step.
    pub fn keep_variants(mut self, most: usize) -> Self {
        self.mode.keep_variants(most);
        self
    }

    /// The code that the last call ran, if it was compiled: its program, LLVM's IR, and assembly.
    pub fn program(&self) -> Option<&CompiledProgram> {
        self.mode.program()
    }
}

impl<T, S, D, Q, R, F> Compiled<T, S, D, Q, R, F>
where
    T: Plain,
    S: Structure<T>,
    S::With<Recorded>: Structure<Recorded>,
    D: Structure<T>,
    Q: Structure<Recorded, With<T> = R>,
    F: FnMut(&mut S::With<Recorded>, &D::With<Recorded>) -> Result<Q>,
{
    /// The state as the user's structure.
    #[track_caller]
    fn read(&self) -> S {
        let at = At::caller();
        let component = |(elements, ty)| {
            let mut leaf = zeros(ty, at).or_raise();
            T::elements_mut(&mut leaf).copy_from(elements).expect("components of the same types");
            leaf
        };
        self.structure.rebuild(&mut self.state.elements().zip(self.state.types()).map(component))
    }

    /// Takes over components of the state's types, in row-major order.
    fn write(&mut self, components: Vec<Leaf<T>>) {
        for (mut to, from) in self.state.elements_mut().zip(components) {
            to.copy_from(T::elements(&from)).expect("components of the same types");
        }
    }

    /// Runs the code for data with these components, compiled first if there is none yet.
    fn run(&mut self, data: &D, at: At) -> Result<()> {
        take_components(data, &mut self.component_types, &mut self.inputs);
        self.calls += 1;
        if !self.variants.contains_key(&self.component_types[..]) {
            let variant = self.compile(data, at)?;
            self.evict(self.most - 1);
            self.variants.insert(self.component_types.clone(), variant);
        }
        let variant = self.variants.get_mut(&self.component_types[..]).expect("it is there now");
        variant.used = self.calls;
        variant.calls += 1;
        let checked = if variant.calls >= variant.next_check { Some(self.check(data, at)?) } else { None };
        let variant = self.variants.get_mut(&self.component_types[..]).expect("it was there before");
        let start = checked.map(|_| Instant::now());
        let kept = std::iter::repeat_n(None, self.state.len());
        variant.compiled.limit(stack::configured());
        let run = variant.compiled.run_into(
            kept.chain(self.inputs.iter().map(|leaf| Some(T::elements(leaf)))),
            self.state.elements_mut().chain(variant.outputs.iter_mut().map(T::elements_mut)),
        );
        if let (Some(checking), Some(start)) = (checked, start) {
            variant.plan_check(checking, start.elapsed());
        }
        run.map_err(|error| from_staging(error, at))
    }

    /// Records the step for data with the present components: the state as it is afterwards, and the result.
    #[track_caller]
    fn record(&mut self, data: &D, stop: &Stop) -> Result<Traced<(S::With<Recorded>, Q)>> {
        let at = At::caller();
        // Of the state's components only the types are of account.
        let zeros = self.example.iter().map(|(_, ty)| zeros(ty, at)).collect::<Result<Vec<Leaf<T>>>>()?;
        let example = self.structure.rebuild(&mut zeros.into_iter());
        trace("step", &self.options, stop, |input| {
            let mut state = example.map_components(&mut Path::default(), input);
            let result = (self.step)(&mut state, &data.map_components(&mut Path::default(), input))?;
            Ok((state, result))
        })
    }

    /// That the step still records what was compiled for data with the present components, and how long that took.
    fn check(&mut self, data: &D, at: At) -> Result<Duration> {
        let start = Instant::now();
        let traced = self.record(data, &Stop::of(&self.options))?;
        let variant = self.variants.get_mut(&self.component_types[..]).expect("it is compiled");
        variant.transcript.check("the step", &traced, at)?;
        Ok(start.elapsed())
    }

    /// Code for data with the present components.
    fn compile(&mut self, data: &D, at: At) -> Result<Variant<T, R>> {
        let (start, stop) = (Instant::now(), Stop::of(&self.options));
        let traced = self.record(data, &stop)?;
        let transcript = traced.transcript();
        let Traced { program, result: (changed, result), .. } = traced;
        let mut types = program.funcs[program.entry].results.iter().cloned();
        let mut component_types = Vec::new();
        each_component(&changed, &mut |path, _| {
            component_types.extend(types.next().map(|ty| (path.clone(), ty)))
        });
        check_component_types(STATE, &self.example, &component_types, at)?;
        let compiled =
            compile_until(program.into(), &self.options, &stop).map_err(|error| from_staging(error, at))?;
        let outputs =
            compiled.outputs()[self.state.len()..].iter().map(|ty| zeros(ty, at)).collect::<Result<_>>()?;
        let result = result.map_components::<T>(&mut Path::default(), &mut |_, leaf| placeholder(&leaf));
        self.compile_time += start.elapsed();
        self.compilations += 1;
        let used = self.calls;
        Ok(Variant { used, calls: 0, next_check: 2, transcript, compiled, outputs, result })
    }

    /// Drops the variants that were used the longest ago until there are so many.
    fn evict(&mut self, most: usize) {
        while self.variants.len() > most {
            let oldest = self.variants.iter().min_by_key(|(_, variant)| variant.used);
            let oldest = oldest.map(|(types, _)| types.clone()).expect("there are more than `most`");
            self.variants.remove(&oldest);
            self.evictions += 1;
        }
    }
}

impl<T, S, D, Q, R, F> Mode<S, D, R> for Compiled<T, S, D, Q, R, F>
where
    T: Plain,
    S: Structure<T>,
    S::With<Recorded>: Structure<Recorded>,
    D: Structure<T>,
    Q: Structure<Recorded, With<T> = R>,
    R: State<T>,
    F: FnMut(&mut S::With<Recorded>, &D::With<Recorded>) -> Result<Q>,
{
    fn call(&mut self, data: &D, at: At) -> Result<R> {
        let run = catch(|| operator(at, || self.run(data, at)));
        self.inputs.clear();
        run?;
        let variant = self.variants.get(&self.component_types[..]).expect("it was run");
        Ok(variant.result.rebuild(&mut variant.outputs.iter().cloned()))
    }

    fn state(&self) -> S {
        self.read()
    }

    fn set_state(&mut self, state: &S, at: At) -> Result<()> {
        let (mut component_types, mut components) = (Vec::new(), Vec::new());
        take_components(state, &mut component_types, &mut components);
        check_component_types(STATE, &self.example, &component_types, at)?;
        self.write(components);
        Ok(())
    }

    fn compilations(&self) -> usize {
        self.compilations
    }
    fn evictions(&self) -> usize {
        self.evictions
    }
    fn keep_variants(&mut self, most: usize) {
        self.most = most.max(1);
        self.evict(self.most);
    }
    fn compile_time(&self) -> Duration {
        self.compile_time
    }
    fn options(&mut self) -> Option<&mut CompileOptions> {
        self.variants.clear();
        Some(&mut self.options)
    }
    fn program(&self) -> Option<&CompiledProgram> {
        Some(&self.variants.get(&self.component_types[..])?.compiled)
    }
}
