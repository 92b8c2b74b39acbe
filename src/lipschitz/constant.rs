//! What is known of a Lipschitz constant.

use std::fmt;

/// What a number says of a Lipschitz constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The constant is at most that; rounding is counted in.
    UpperBound,
    /// It is at least that, up to rounding.
    LowerBound,
    /// It may be more or less.
    Estimate,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::UpperBound => "upper bound",
            Kind::LowerBound => "lower bound",
            Kind::Estimate => "estimate",
        })
    }
}

/// A number, and what it says of the Lipschitz constant `sup ‖f(x) − f(y)‖/‖x − y‖` of a function in Euclidean norms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LipschitzConstant {
    /// The number; infinite if a method finds no bound.
    pub value: f64,
    /// What it says.
    pub kind: Kind,
    /// By which method it was found.
    pub method: &'static str,
}

impl LipschitzConstant {
    pub(super) fn upper(method: &'static str, value: f64) -> LipschitzConstant {
        // What is not a number bounds nothing.
        let value = if value.is_nan() { f64::INFINITY } else { value };
        LipschitzConstant { value, kind: Kind::UpperBound, method }
    }
    pub(super) fn lower(method: &'static str, value: f64) -> LipschitzConstant {
        LipschitzConstant { value, kind: Kind::LowerBound, method }
    }
    pub(super) fn estimate(method: &'static str, value: f64) -> LipschitzConstant {
        LipschitzConstant { value, kind: Kind::Estimate, method }
    }
}

impl fmt::Display for LipschitzConstant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, by {})", self.value, self.kind, self.method)
    }
}
