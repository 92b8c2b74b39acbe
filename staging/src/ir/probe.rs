//! Probes: looks at values while a program runs, which print them or end the run.

use std::panic::Location;

use antiphon_system::print::print;

use crate::ir::error::{Error, Result};
use crate::ir::tensor::Elements;
use crate::ir::types::{Dtype, Type};

/// What a value is looked at for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// Truth values that have to hold, or the run ends with this message.
    Ensure(String),
    /// The result of an operator, whose elements have to be finite.
    Finite {
        /// The operator.
        op: &'static str,
        /// Whether it is part of the backward pass.
        backward: bool,
    },
    /// It is printed, by this name.
    Print(String),
}

/// What is known of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeData {
    /// What the value is looked at for.
    pub kind: ProbeKind,
    /// Type of the value.
    pub ty: Type,
    /// The line of the source that asks for it.
    pub at: &'static Location<'static>,
}

/// That a probe can look at values of a type.
pub(crate) fn check_probe(kind: &ProbeKind, ty: &Type) -> Result<()> {
    let (op, fits, reason) = match kind {
        ProbeKind::Ensure(_) => ("ensure", ty.dtype == Dtype::Bool, "truth values are required"),
        ProbeKind::Finite { .. } => ("check_finite", ty.dtype.is_float(), "reals are required"),
        ProbeKind::Print(_) => ("print", true, ""),
    };
    if fits {
        return Ok(());
    }
    Err(Error::Operands { op, operands: vec![ty.clone()], reason: reason.into() })
}

impl ProbeData {
    /// Looks at a value of the probe's type.
    ///
    /// # Errors
    /// [`Error::Ensure`] and [`Error::NotFinite`] if it is not what it has to be.
    pub(crate) fn look(&self, value: Elements<'_>) -> Result<()> {
        let at = self.at;
        match &self.kind {
            ProbeKind::Ensure(message) => match value {
                Elements::Bool(holds) if holds.contains(&false) => {
                    Err(Error::Ensure { message: message.clone(), at })
                }
                _ => Ok(()),
            },
            &ProbeKind::Finite { op, backward } => {
                let found = match value {
                    Elements::F32(xs) => xs.iter().find(|x| !x.is_finite()).map(|&x| f64::from(x)),
                    Elements::F64(xs) => xs.iter().find(|x| !x.is_finite()).copied(),
                    Elements::I64(_) | Elements::Bool(_) => None,
                };
                found.map_or(Ok(()), |value| Err(Error::NotFinite { op, backward, value, at }))
            }
            ProbeKind::Print(name) => {
                let shape = &self.ty.shape;
                match value {
                    Elements::F32(xs) => print(name, at, shape, xs),
                    Elements::F64(xs) => print(name, at, shape, xs),
                    Elements::I64(xs) => print(name, at, shape, xs),
                    Elements::Bool(xs) => print(name, at, shape, xs),
                }
                Ok(())
            }
        }
    }
}
