//! What compiled code and its caller agree on.

use crate::ir::Program;
use crate::ir::ids::{Func, Value};

/// State of one run, passed to every function. All fields are 64 bits wide.
#[repr(C)]
#[derive(Debug)]
pub struct Context {
    /// Frames of functions that are active at most once.
    pub arena: *mut u8,
    /// Where the next frame of a recursive function begins.
    pub top: *mut u8,
    /// Where no frame may reach.
    pub limit: *mut u8,
    /// Address below which the stack may not grow.
    pub stack: *mut u8,
    /// Addresses of the inputs.
    pub inputs: *const *const u8,
    /// Addresses of the outputs.
    pub outputs: *const *mut u8,
    /// Ends the run with a [`Failure`]: its number, the operator's, the index, and the dimension's length.
    pub fail: unsafe extern "C" fn(*mut Context, i64, i64, i64, i64) -> !,
    /// Looks at a value for a probe: its number, and the value's address. It may end the run.
    pub probe: unsafe extern "C" fn(*mut Context, i64, *const u8),
    /// Has a function of the host compute: the number of the call, and the addresses of the operands and then of the
    /// result. It may end the run.
    pub host: unsafe extern "C" fn(*mut Context, i64, *const *mut u8),
    /// What `fail` leaves behind: its arguments.
    pub failure: [i64; 4],
    /// For the caller's own use.
    pub own: *const u8,
}

/// Byte offsets of the fields of [`Context`].
pub mod offset {
    pub const ARENA: i64 = 0;
    pub const TOP: i64 = 8;
    pub const LIMIT: i64 = 16;
    pub const STACK: i64 = 24;
    pub const INPUTS: i64 = 32;
    pub const OUTPUTS: i64 = 40;
    pub const FAIL: i64 = 48;
    pub const PROBE: i64 = 56;
    pub const HOST: i64 = 64;
}

/// Why a run ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// An index is out of range.
    Index = 1,
    /// The stack is used up.
    Stack = 2,
    /// The arena of recursive functions is used up.
    Arena = 3,
    /// A probe saw what must not be.
    Probe = 4,
}

/// The operators that check indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indexed {
    GatherRows,
    ScatterRows,
    SetRows,
    AddRows,
    GatherLast,
    ScatterLast,
}

impl Indexed {
    const BITS: u32 = 8;

    /// One number for the operator and, if there is one, the value that it is for.
    pub fn with(self, of: Option<Value>) -> i64 {
        (self as i64) | of.map_or(0, |v| (i64::from(v.as_u32()) + 1) << Self::BITS)
    }
    /// The value of such a number.
    pub fn value_of(number: i64) -> Option<Value> {
        u32::try_from((number >> Self::BITS) - 1).ok().map(Value::from_u32)
    }
    /// The operator's name, by such a number.
    pub fn name_of(number: i64) -> Option<&'static str> {
        use Indexed::*;
        let all = [GatherRows, ScatterRows, SetRows, AddRows, GatherLast, ScatterLast];
        let op = number & ((1 << Self::BITS) - 1);
        all.into_iter().find(|other| *other as i64 == op).map(|op| match op {
            GatherRows => "gather_rows",
            ScatterRows => "scatter_rows",
            SetRows => "set_rows",
            AddRows => "add_rows",
            GatherLast => "gather_last",
            ScatterLast => "scatter_last",
        })
    }
}

/// Name of the entry in the object.
pub const ENTRY: &str = "antiphon_entry";

/// Name of the function of the module that a function of the program becomes.
pub fn name(program: &Program, func: Func) -> String {
    if func == program.entry { ENTRY.into() } else { format!("{}.{func:?}", program.funcs[func].name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn offsets_are_those_of_the_fields() {
        let found = [
            offset_of!(Context, arena),
            offset_of!(Context, top),
            offset_of!(Context, limit),
            offset_of!(Context, stack),
            offset_of!(Context, inputs),
            offset_of!(Context, outputs),
            offset_of!(Context, fail),
            offset_of!(Context, probe),
            offset_of!(Context, host),
        ];
        let named = [
            offset::ARENA,
            offset::TOP,
            offset::LIMIT,
            offset::STACK,
            offset::INPUTS,
            offset::OUTPUTS,
            offset::FAIL,
            offset::PROBE,
            offset::HOST,
        ];
        assert_eq!(found.map(|offset| offset as i64), named);
    }
}
