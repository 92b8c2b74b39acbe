//! Running recorded programs in the reference interpreter.

use antiphon_staging::{self as staging, Program};

use super::plain::{Plain, from_tensor, to_tensor};
use super::recorder::from_staging;
use crate::continuation::unwinding::{catch, operator};
use crate::error::{At, Error, Result};
use crate::language::control::continuation_passing::leaves;
use crate::language::state::Leaf;
use crate::language::structure::Structure;

/// Runs a recorded program in the reference interpreter: slow and obvious. Returns its results in order.
///
/// # Errors
/// [`Error::Recording`] if `inputs` do not have the shapes that the program was recorded for, an index is out of
/// range, or a result is not real: [`interpret_components`] gives those of other kinds.
#[track_caller]
pub fn interpret<T: Plain>(program: &Program, inputs: &impl Structure<T>) -> Result<Vec<T>> {
    let at = At::caller();
    let real = |leaf| match leaf {
        Leaf::Real(x) => Ok(x),
        Leaf::Int(_) | Leaf::Bool(_) => {
            Err(Error::Recording { reason: "a result of the program is not real".into(), at })
        }
    };
    interpret_components(program, inputs)?.into_iter().map(real).collect()
}

/// [`interpret`] for results of any kind.
///
/// # Errors
/// [`Error::Recording`] if `inputs` do not have the shapes that the program was recorded for, or an index is out of
/// range.
#[track_caller]
pub fn interpret_components<T: Plain>(program: &Program, inputs: &impl Structure<T>) -> Result<Vec<Leaf<T>>> {
    let at = At::caller();
    catch(|| {
        operator(at, || {
            let inputs: Vec<staging::ConcreteTensor> =
                leaves(inputs).into_iter().map(|leaf| to_tensor(leaf)).collect();
            let outputs = staging::interpret(program, &inputs).map_err(|error| from_staging(error, at))?;
            outputs.iter().map(|tensor| from_tensor(tensor, at)).collect()
        })
    })
}
