//! How large a program's functions are to LLVM.
//!
//! LLVM generates code for one function at a time, in a time that grows with the square of its instructions. Many small
//! functions cost little each, if they are not thousands. So do operators on arrays, whose loops occur again and again and
//! become functions; what is costly is a loop over numbers that was unrolled.

use inkwell::module::Module;
use inkwell::values::FunctionValue;

use crate::error::{Error, Result};
use crate::ids::Func;
use crate::ir::{Program, Stmt};
use crate::lower::abi;

/// That no function of a program has more operators than `factor` times as many instructions as it may become: there is
/// hardly an operator without one.
///
/// # Errors
/// [`Error::TooLarge`].
pub fn check_operators(program: &Program, limit: usize, factor: usize) -> Result<()> {
    let (operators, func) = largest(program);
    if operators > limit.saturating_mul(factor) {
        return Err(too_large(program, func, operators, limit));
    }
    Ok(())
}

/// That no function of the module that a program became has more than `factor` times as many instructions as it may.
///
/// # Errors
/// [`Error::TooLarge`].
pub fn check_code(program: &Program, module: &Module<'_>, limit: usize, factor: usize) -> Result<()> {
    let sizes = module.get_functions().map(|function| (instructions(function), function));
    match sizes.max_by_key(|&(size, _)| size) {
        Some((size, function)) if size > limit.saturating_mul(factor) => {
            // A loop that became a function is part of one of the program's, most likely of the largest.
            let func = of(program, function).unwrap_or_else(|| largest(program).1);
            Err(too_large(program, func, size, limit))
        }
        _ => Ok(()),
    }
}

fn too_large(program: &Program, func: Func, instructions: usize, limit: usize) -> Error {
    let (function, operators) = (program.funcs[func].name.clone(), operators(program, func, &mut Vec::new()));
    Error::TooLarge { function, operators, instructions, limit }
}

fn instructions(function: FunctionValue<'_>) -> usize {
    function.get_basic_block_iter().map(|block| block.get_instructions().count()).sum()
}

/// The function of the program that became one of the module.
fn of(program: &Program, function: FunctionValue<'_>) -> Option<Func> {
    let name = function.get_name().to_string_lossy();
    let is = |&func: &Func| name == abi::name(program, func);
    all(program).map(|(_, func)| func).find(is)
}

/// The function with the most operators of its own.
fn largest(program: &Program) -> (usize, Func) {
    all(program).max_by_key(|&(operators, _)| operators).expect("a program is a function")
}

/// All functions, with the numbers of their operators.
fn all(program: &Program) -> impl Iterator<Item = (usize, Func)> {
    let mut pending = vec![program.entry];
    std::iter::from_fn(move || {
        let func = pending.pop()?;
        Some((operators(program, func, &mut pending), func))
    })
}

/// Number of operators of a function, without those of functions that are defined in it, which are added to `inner`.
fn operators(program: &Program, func: Func, inner: &mut Vec<Func>) -> usize {
    let mut count = 0;
    let mut blocks = vec![program.funcs[func].body];
    while let Some(block) = blocks.pop() {
        for stmt in &program.blocks[block].stmts {
            match stmt {
                Stmt::Define(func) => inner.push(*func),
                _ => blocks.extend(program.children(stmt)),
            }
            count += usize::from(is_operator(stmt));
        }
    }
    count
}

/// Whether a statement computes anything: all but literals and definitions do.
fn is_operator(stmt: &Stmt) -> bool {
    match stmt {
        Stmt::Let(_, expr) => !expr.operands().is_empty(),
        Stmt::Cell(_) | Stmt::Define(_) => false,
        _ => true,
    }
}
