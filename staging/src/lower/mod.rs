//! From programs to LLVM modules.
//!
//! Every function of a program becomes one of the module. Scalars are values in registers; arrays are row-major
//! buffers. A local function reaches what it captures through the *frame* of the function that defines it, a struct on
//! the stack that holds just what is captured and a link to the frame around it (Dijkstra's static chain), so that a
//! continuation is a pair `{code, frame}` and costs nothing to make. Results that are arrays are written where the
//! caller says. Buffers are planned into one region per function: at a fixed place for functions that are never active
//! twice, else on a second stack.
//!
//! | folder or file | |
//! |---|---|
//! | [`abi`] | what compiled code and its caller agree on |
//! | [`asm`] | a layer over inkwell's builder, operators on vectors of elements, and what code is generated for |
//! | [`loops`] | nests of fused elementwise operators and reductions |
//! | [`products`] | kernels of matrix products and convolutions |
//! | [`function`] | functions, their statements and values |
//!
//! Each folder uses those above it in this table.

pub(crate) mod abi;
pub(crate) mod asm;
pub(crate) mod function;
mod loops;
mod products;

use inkwell::context::Context;

use crate::ir::Program;
use crate::ir::error::Result;
pub use crate::lower::asm::math::Math;
use crate::lower::asm::processor::Processor;
pub use crate::lower::function::module::Lowered;
use crate::lower::function::module::Lowerer;

/// Lowers a verified program, of which some outputs are written over inputs: `(output, input)`. What is large enough
/// for several threads is cut into so many parts. It ends with an error
/// of `go_on`, which is called before each function.
pub fn lower<'c>(
    context: &'c Context,
    program: &Program,
    updates: &[(usize, usize)],
    target: Processor,
    math: Math,
    parts: u64,
    go_on: &dyn Fn() -> Result<()>,
) -> Result<Lowered<'c>> {
    Lowerer::new(context, program, updates, target, math, parts).run(go_on)
}
