//! How large programs are to LLVM.
//!
//! LLVM generates code for one function at a time, in a time that grows with the square of its instructions; so that is
//! limited for each function, and for all of them together. Straight code is cut into functions of ordinary size
//! ([`lower`](crate::lower)), and what operators on arrays have in common are functions as well, so that a program
//! takes a time in proportion to its operators. What cannot be cut is one loop over arrays with thousands of operators.
//!
//! Programs are refused as early as it can be told: by their operators as they were recorded, before they are
//! optimised; by what their operators become at least, before they are lowered; by their instructions, before and after
//! LLVM's passes.

use inkwell::module::Module;
use inkwell::values::FunctionValue;

use crate::ir::error::{Error, Result};
use crate::ir::expr::{Class, Expr};
use crate::ir::ids::Func;
use crate::ir::{Program, Stmt, Target};
use crate::jit::options::CompileOptions;
use crate::lower::abi;
use crate::lower::asm::math::is_elementary;

/// How much larger than at last a program may be as it was recorded: of derivatives, less than half is left.
const RECORDED: usize = 4;
/// How much larger than at last a program may be before LLVM's passes.
const PASSED: usize = 4;
/// Instructions that an elementary function becomes at least; most become two or three times as many.
const ELEMENTARY: usize = 12;
/// Instructions that take LLVM as long as to begin and end a function.
const FUNCTION: usize = 32;
/// Operators inside of one more function that take the optimiser as long as one instruction takes LLVM.
const NESTED: usize = 3;
/// Functions of which each, where it becomes part of another, costs the optimiser as much as one more function around
/// everything.
const INLINED: usize = 64;

/// When code is counted: before or after LLVM's passes.
#[derive(Clone, Copy)]
pub enum When {
    BeforePasses,
    AfterPasses,
}

/// That a program as it was recorded can become one that is small enough. The optimiser looks at what is in a function
/// as often as there are functions around it: once more for each loop that comes before it, in a derivative.
///
/// # Errors
/// [`Error::TooLarge`]; [`Error::ProgramTooLarge`].
pub fn check_recorded(program: &Program, options: &CompileOptions) -> Result<()> {
    let functions = functions(program, options);
    let straight = functions.iter().filter(|function| !function.calls_itself).count();
    let operators = functions.iter().map(|function| function.operators).sum::<usize>();
    let nested = |function: &Function| function.operators * (function.depth - 1 + straight / INLINED);
    // A function that calls itself stays one.
    let loops = functions.len() - straight;
    let work =
        (operators + loops * FUNCTION) / RECORDED + functions.iter().map(nested).sum::<usize>() / NESTED;
    check_program(program, &functions, work, options.program_instructions, options)
}

/// That what is about to be lowered does not surely become too much.
///
/// # Errors
/// [`Error::TooLarge`]; [`Error::ProgramTooLarge`].
pub fn check_lowered(program: &Program, options: &CompileOptions) -> Result<()> {
    let functions = functions(program, options);
    let largest = largest(&functions, |function| function.largest_loop);
    if largest.largest_loop > options.instructions {
        return Err(too_large(program, largest, largest.largest_loop, options));
    }
    let sum = functions.iter().map(|function| function.straight).sum();
    check_program(program, &functions, sum, options.program_instructions, options)
}

/// That the module that a program became is small enough.
///
/// # Errors
/// [`Error::TooLarge`]; [`Error::ProgramTooLarge`].
pub fn check_code(
    program: &Program,
    module: &Module<'_>,
    when: When,
    options: &CompileOptions,
) -> Result<()> {
    let factor = if let When::BeforePasses = when { PASSED } else { 1 };
    let sizes: Vec<(usize, FunctionValue<'_>)> =
        module.get_functions().map(|function| (instructions(function), function)).collect();
    if let Some(&(size, function)) = sizes.iter().max_by_key(|(size, _)| size)
        && size > options.instructions.saturating_mul(factor)
    {
        let functions = functions(program, options);
        // A loop that became a function is part of one of the program's, most likely of the largest.
        let name = function.get_name().to_string_lossy();
        let named = functions.iter().find(|function| name == abi::name(program, function.func));
        let function = named.unwrap_or_else(|| largest(&functions, |function| function.operators));
        return Err(too_large(program, function, size, options));
    }
    let sum = sizes.iter().map(|(size, _)| if *size > 0 { size + FUNCTION } else { 0 }).sum();
    let limit = options.program_instructions.saturating_mul(factor);
    if sum > limit {
        return check_program(program, &functions(program, options), sum, limit, options);
    }
    Ok(())
}

fn instructions(function: FunctionValue<'_>) -> usize {
    function.get_basic_block_iter().map(|block| block.get_instructions().count()).sum()
}

fn too_large(program: &Program, function: &Function, instructions: usize, options: &CompileOptions) -> Error {
    Error::TooLarge {
        function: program.funcs[function.func].name.clone(),
        operators: function.operators,
        instructions,
        limit: options.instructions,
    }
}

fn check_program(
    program: &Program,
    functions: &[Function],
    instructions: usize,
    limit: usize,
    options: &CompileOptions,
) -> Result<()> {
    if instructions <= limit {
        return Ok(());
    }
    Err(Error::ProgramTooLarge {
        program: program.funcs[program.entry].name.clone(),
        operators: functions.iter().map(|function| function.operators).sum(),
        functions: functions.len(),
        instructions,
        limit: options.program_instructions,
    })
}

/// A function of the program, without those that are defined in it.
struct Function {
    func: Func,
    /// Number of functions around it, and one.
    depth: usize,
    operators: usize,
    /// Instructions of its own and its parts at least, if all of its loops over arrays become functions of their own.
    straight: usize,
    /// Instructions at least of the largest loop over arrays.
    largest_loop: usize,
    calls_itself: bool,
}

fn largest(functions: &[Function], size: impl Fn(&Function) -> usize) -> &Function {
    functions.iter().max_by_key(|function| size(function)).expect("a program is a function")
}

/// All functions of a program, the entry first.
fn functions(program: &Program, options: &CompileOptions) -> Vec<Function> {
    let mut functions = Vec::new();
    let mut pending = vec![(program.entry, 1)];
    while let Some((func, depth)) = pending.pop() {
        let mut function =
            Function { func, depth, operators: 0, straight: 0, largest_loop: 0, calls_itself: false };
        let mut blocks = vec![program.funcs[func].body];
        while let Some(block) = blocks.pop() {
            // Consecutive elementwise operators on arrays of one shape become one loop.
            let mut run = (None, 0);
            for stmt in &program.blocks[block].stmts {
                match stmt {
                    Stmt::Define(inner) => pending.push((*inner, depth + 1)),
                    stmt => blocks.extend(program.children(stmt)),
                }
                if let Stmt::Call { target: Target::Func(called), .. } = stmt {
                    function.calls_itself |= *called == func;
                }
                let Some(size) = operator(stmt, options) else { continue };
                function.operators += 1;
                function.straight += match stmt {
                    Stmt::Let(v, expr) => {
                        let shape = &program.ty(*v).shape;
                        if shape.is_empty() {
                            // Elementary functions of numbers are calls, if there are many.
                            1
                        } else {
                            let fuses = expr.class() == Class::Elementwise;
                            let so_far = if run.0 == Some(shape) && fuses { run.1 } else { 0 };
                            run = (Some(shape), if fuses { so_far + size } else { 0 });
                            function.largest_loop = function.largest_loop.max(run.1);
                            1
                        }
                    }
                    Stmt::Cell(_)
                    | Stmt::Accumulate(..)
                    | Stmt::Take(..)
                    | Stmt::Present(..)
                    | Stmt::Row(..)
                    | Stmt::If { .. }
                    | Stmt::Define(_)
                    | Stmt::Call { .. }
                    | Stmt::Probe(..) => {
                        run = (None, 0);
                        size
                    }
                };
            }
        }
        functions.push(function);
    }
    functions
}

/// Instructions that a statement becomes at least; `None` if it computes nothing, like literals and definitions.
fn operator(stmt: &Stmt, options: &CompileOptions) -> Option<usize> {
    match stmt {
        Stmt::Cell(_) | Stmt::Define(_) => None,
        Stmt::Let(_, expr) if expr.operands().is_empty() => None,
        // In strict code they are calls.
        Stmt::Let(_, Expr::Unary(op, _)) if is_elementary(*op) && !options.strict => Some(ELEMENTARY),
        Stmt::Let(..)
        | Stmt::Accumulate(..)
        | Stmt::Take(..)
        | Stmt::Present(..)
        | Stmt::Row(..)
        | Stmt::If { .. }
        | Stmt::Call { .. }
        | Stmt::Probe(..) => Some(1),
    }
}
