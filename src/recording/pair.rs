//! A function and its derivative as two programs: the second one is recorded with values of the first, which become
//! its inputs.

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use antiphon_staging::jit::Stop;
use antiphon_staging::{Expr, Stmt, Type, Value};

use super::recorder::{Recorder, Recording, Traced, finish};
use super::{CompileOptions, Located, Plain, Recorded};
use crate::continuation::stack;
use crate::continuation::unwinding::{OrRaise, catch};
use crate::error::{At, Result};
use crate::finite::Looking;
use crate::language::control::continuation_passing::leaves;
use crate::language::linear::LinearFunction;
use crate::language::params::Path;
use crate::language::state::{Leaf, State};
use crate::language::structure::{MapComponent, Structure};
use crate::sealed::INTERNAL;

/// A recording whose values another one takes: constants as they are, all else as further inputs.
pub(super) struct Earlier {
    pub(super) recorder: Rc<Recorder>,
    constants: HashMap<Value, Expr>,
    /// Values of it that are inputs of the other one, in order, and which inputs.
    saved: RefCell<Vec<Value>>,
    inputs: RefCell<HashMap<Value, Value>>,
}

impl Earlier {
    fn of(recorder: &Rc<Recorder>) -> Earlier {
        let body = recorder.builder.open()[0];
        let constant = |stmt| match stmt {
            Stmt::Let(value, expr @ (Expr::Fill { .. } | Expr::Array(_))) => Some((value, expr)),
            _ => None,
        };
        let constants = recorder.builder.block(body).stmts.into_iter().filter_map(constant).collect();
        let (saved, inputs) = Default::default();
        Earlier { recorder: Rc::clone(recorder), constants, saved, inputs }
    }

    /// A value of it, in the recording that goes on with it.
    #[track_caller]
    pub(super) fn value_in(&self, recorder: &Recorder, value: Value) -> Value {
        if let Some(constant) = self.constants.get(&value) {
            return recorder.builder.emit(constant.clone()).located().or_raise();
        }
        let (mut saved, mut inputs) = (self.saved.borrow_mut(), self.inputs.borrow_mut());
        *inputs.entry(value).or_insert_with(|| {
            let builder = &self.recorder.builder;
            let name = builder.name_of(value).unwrap_or_else(|| format!("saved{}", saved.len()));
            saved.push(value);
            recorder.builder.input(&name, builder.ty(value))
        })
    }
}

/// A function and its derivative, recorded as two programs.
pub(crate) struct TracedPair<Q, D: LinearFunction> {
    /// From the inputs to the value, and what is [saved](TracedPair::saved) of it besides.
    pub(crate) value: Traced<Q>,
    /// From an argument of the derivative, and what was saved, to its result.
    pub(crate) derivative: Traced<D::Result>,
    /// The names and types of the argument's components.
    pub(crate) argument_types: Vec<(Path, Type)>,
    pub(crate) saved: Vec<Saved>,
}

/// What the derivative takes of the program before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Saved {
    /// An input of this number.
    Input(usize),
    /// A result of this number.
    Output(usize),
}

/// [`trace`] for a function that also gives its derivative.
#[track_caller]
pub(crate) fn trace_pair<T, Q, D>(
    name: &str,
    options: &CompileOptions,
    stop: &Stop,
    f: impl FnOnce(MapComponent<'_, T, Recorded>) -> Result<(Q, D)>,
) -> Result<TracedPair<Q, D>>
where
    T: Plain,
    Q: State<Recorded>,
    D: LinearFunction<Leaf = Recorded>,
{
    let at = At::caller();
    let mut second = None;
    let first = Recorder::new::<T>(name, options, stop, None);
    let recorded = catch(|| -> Result<_> {
        let _looking = Looking::begin(options.check_finite);
        let _recording = Recording::begin(Rc::clone(&first));
        stack::on_reserved(|| {
            let mut input = |path: &Path, leaf: Leaf<T>| first.input(path, T::ty(&leaf));
            let (value, derivative) = match catch_unwind(AssertUnwindSafe(|| f(&mut input))) {
                Ok(result) => result?,
                Err(payload) => first.panicked(payload),
            };
            let outputs = first.values(&leaves(&value));
            first.check(at);
            let name = format!("{name}_derivative");
            let recorder = second.insert(Recorder::new::<T>(&name, options, stop, Some(Earlier::of(&first))));
            let _recording = Recording::begin(Rc::clone(recorder));
            let mut argument_types = Vec::new();
            let mut inputs = Vec::new();
            let mut input = |path: &Path, leaf: Leaf<Recorded>| {
                let ty = first.builder.ty(first.values(std::slice::from_ref(&leaf))[0]);
                inputs.push(recorder.input(path, ty.clone()));
                argument_types.push((path.clone(), ty));
                leaf
            };
            derivative.argument(INTERNAL).map_components(&mut Path::default(), &mut input);
            let argument = derivative.argument(INTERNAL).rebuild(&mut inputs.into_iter());
            let result = derivative.apply_to(INTERNAL, &argument)?;
            let results = recorder.values(&leaves(&result));
            recorder.check(at);
            Ok((value, outputs, argument_types, result, results))
        })
    });
    let (result, mut outputs, argument_types, derived, results) = recorded?;
    let mut second = second.expect("it was just recorded");
    let earlier = Rc::get_mut(&mut second).and_then(|second| second.earlier.take());
    let earlier = earlier.expect("no recorded value holds on to its recorder");
    let derivative = Traced { program: finish(second, &results, at)?, result: derived };
    let inputs = first.builder.inputs();
    let places: HashMap<Value, usize> = inputs.into_iter().zip(0..).collect();
    let mut save = |value| match places.get(&value) {
        Some(&place) => Saved::Input(place),
        None => {
            outputs.push(value);
            Saved::Output(outputs.len() - 1)
        }
    };
    let saved = earlier.saved.into_inner().into_iter().map(&mut save).collect();
    drop(earlier.recorder);
    let value = Traced { program: finish(first, &outputs, at)?, result };
    Ok(TracedPair { value, derivative, argument_types, saved })
}
