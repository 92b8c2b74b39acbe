//! Functions of the host: what a program computes by calling the process that it runs in.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::panic::Location;
use std::sync::Arc;

use crate::ir::error::{Error, Result};
use crate::ir::tensor::{ConcreteTensor, Elements, ElementsMut};
use crate::ir::types::Type;

/// What a function of the host computes: every element of the result, from operands of the types that it was recorded
/// with. An error is the reason why it cannot.
pub type HostCode = dyn Fn(&[Elements<'_>], ElementsMut<'_>) -> std::result::Result<(), String> + Send + Sync;

/// A function of the host that programs call: a pure function of its operands, or one that acts on something outside of
/// the program in the same way whenever it is called.
///
/// Two that have the same name, version and identity are the same: compiled code is kept under these, and finds the
/// function in the program that it is compiled from.
#[derive(Clone)]
pub struct HostFunction {
    /// What it is called in a program's text, and in errors.
    pub name: &'static str,
    /// Changes with what it computes.
    pub version: u32,
    /// What else tells it from others of its name: its parameters.
    pub identity: String,
    /// Whether it acts on something outside: a run that begins again with more room then takes over the results of its
    /// calls, and does not call it twice. Passes treat it like others: what nothing depends on is not called, and calls
    /// of the same operands may be one.
    pub acts: bool,
    /// The function.
    pub code: Arc<HostCode>,
}

impl fmt::Debug for HostFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version, identity, acts, .. } = self;
        f.debug_struct("HostFunction")
            .field("name", name)
            .field("version", version)
            .field("identity", identity)
            .field("acts", acts)
            .finish()
    }
}

impl PartialEq for HostFunction {
    fn eq(&self, other: &Self) -> bool {
        (self.name, self.version, &self.identity, self.acts)
            == (other.name, other.version, &other.identity, other.acts)
    }
}

impl Eq for HostFunction {}

impl Hash for HostFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.name, self.version, &self.identity, self.acts).hash(state);
    }
}

/// What is known of a call of a function of the host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostData {
    /// The function.
    pub function: HostFunction,
    /// Types of its operands.
    pub operands: Vec<Type>,
    /// Type of its result.
    pub result: Type,
    /// The line of the source that calls it.
    pub at: &'static Location<'static>,
}

impl HostData {
    /// Calls the function.
    ///
    /// # Errors
    /// [`Error::Host`] with the function's reason.
    pub(crate) fn call(&self, operands: &[Elements<'_>], result: ElementsMut<'_>) -> Result<()> {
        let HostFunction { name, code, .. } = &self.function;
        code(operands, result).map_err(|reason| Error::Host { op: name, reason, at: self.at })
    }

    /// The same of tensors.
    pub(crate) fn apply(&self, operands: &[&ConcreteTensor]) -> Result<ConcreteTensor> {
        let mut result = ConcreteTensor::zeros(&self.result);
        let operands: Vec<Elements<'_>> = operands.iter().map(|x| x.data().into()).collect();
        self.call(&operands, result.data_mut().into())?;
        Ok(result)
    }
}
