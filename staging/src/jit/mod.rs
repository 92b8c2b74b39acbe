//! Compiled programs.
//!
//! [`compile`] lowers a program, has LLVM generate code for this machine, and links it into the process;
//! [`CompiledProgram`] runs it. The interpreter is the reference: with [`CompileOptions::strict`] results are its
//! results bit for bit, without sums and products may be computed in another order and elementary functions by other
//! approximations.

mod buffers;
pub mod cache;
mod denormals;
mod enter;
mod export;
mod interrupt;
mod options;
pub(crate) mod orc;
mod phases;
mod room;
mod run;
mod size;
pub mod symbols;

use std::sync::Arc;

use inkwell::context::Context;
use inkwell::module::Module;
use inkwell::passes::PassBuilderOptions;
use inkwell::targets::FileType;

use crate::ir::Program;
use crate::ir::error::{Error, Result};
use crate::ir::types::Type;
use crate::ir::verify::verify;
pub use crate::lower::asm::processor;
use crate::lower::{self, Math, abi};
use crate::optimise::optimise_while;
use cache::{Cache, Object};
use phases::timed;
use size::When;

pub use buffers::Buffers;
pub use export::{Exported, export};
pub use interrupt::{Interrupt, Stop};
pub use options::CompileOptions;
pub use phases::Phases;
pub use room::release;
pub use run::CompiledProgram;

/// Passes that clean up after the lowering, which emits vectors itself.
pub(crate) const PASSES: &str = "always-inline,\
    function(sroa,early-cse,instcombine<no-verify-fixpoint>,simplifycfg,loop-mssa(licm),early-cse)";

/// Compiles a program, or takes its code from the cache.
///
/// # Errors
/// Those of [`verify`]; [`Error::TooLarge`] and [`Error::ProgramTooLarge`] if a function or all of them are larger than
/// the options let them; [`Error::Llvm`] if LLVM refuses; [`Error::Target`] if this machine cannot run code for the
/// options' target; [`Error::Interrupted`]; [`Error::Reserve`] if there is no room for the arena.
pub fn compile(program: &Program, options: &CompileOptions) -> Result<CompiledProgram> {
    compile_until(program.clone().into(), options, &Stop::of(options))
}

/// The same for a compilation that has begun earlier, with recording the program.
///
/// # Errors
/// As [`compile`].
pub fn compile_until(
    program: Arc<Program>,
    options: &CompileOptions,
    stop: &Stop,
) -> Result<CompiledProgram> {
    stop.check()?;
    options.target.check_host()?;
    let cache = options.cache.as_deref().and_then(|directory| Cache::open(directory, options.cache_limits));
    let cached = match cache {
        Some(cache) => Some((cache, cache::key_while(&program, options, || stop.check())?)),
        None => None,
    };
    if let Some(object) = cached.as_ref().and_then(|(cache, key)| cache.read(key))
        // What is there was once verified, optimised and compiled. If it cannot be linked, it is compiled again.
        && let Ok(compiled) = CompiledProgram::new(&program, options, object, None, Phases::default())
    {
        return Ok(compiled);
    }
    let (optimised, object, phases) = stop.or(&program, options, make)?;
    if let Some((cache, key)) = cached {
        // A cache that cannot be written only costs time.
        let _ = cache.write(&key, &object);
    }
    CompiledProgram::new(&program, options, object, Some(optimised), phases)
}

/// Generates code, until it is stopped.
fn make(program: &Program, options: &CompileOptions, stop: &Stop) -> Result<(Program, Object, Phases)> {
    let mut phases = Phases::default();
    let optimised = timed(&mut phases.optimising, || prepare(program, options, stop))?;
    let object = generate(&optimised, options, &mut phases, stop)?;
    Ok((optimised, object, phases))
}

/// The program that code is generated from.
fn prepare(program: &Program, options: &CompileOptions, stop: &Stop) -> Result<Program> {
    verify(program)?;
    size::check_recorded(program, options)?;
    let mut program = program.clone();
    if let Some(passes) = &options.optimise {
        optimise_while(&mut program, passes, || stop.check())?;
    }
    size::check_lowered(&program, options)?;
    Ok(program)
}

/// Lowers a program and cleans it up.
fn with_module<R>(
    program: &Program,
    options: &CompileOptions,
    phases: &mut Phases,
    stop: &Stop,
    f: impl FnOnce(&Module<'_>, &inkwell::targets::TargetMachine, u64) -> Result<R>,
) -> Result<R> {
    let llvm = |e: inkwell::support::LLVMString| Error::Llvm(e.to_string());
    let context = Context::create();
    let machine = options.target.machine()?;
    let lower::Lowered { module, arena } = timed(&mut phases.lowering, || {
        let (target, math) = (options.target.clone(), options.math());
        lower::lower(&context, program, &options.updates, target, math, options.parts(), &|| stop.check())
    })?;
    module.set_triple(&machine.get_triple());
    module.set_data_layout(&machine.get_target_data().get_data_layout());
    module.verify().map_err(llvm)?;
    stop.check()?;
    size::check_code(program, &module, When::BeforePasses, options)?;
    timed(&mut phases.passes, || module.run_passes(PASSES, &machine, PassBuilderOptions::create()))
        .map_err(llvm)?;
    stop.check()?;
    size::check_code(program, &module, When::AfterPasses, options)?;
    timed(&mut phases.generation, || f(&module, &machine, arena))
}

fn generate(program: &Program, options: &CompileOptions, phases: &mut Phases, stop: &Stop) -> Result<Object> {
    with_module(program, options, phases, stop, |module, machine, arena| {
        let object = machine
            .write_to_memory_buffer(module, FileType::Object)
            .map_err(|e| Error::Llvm(e.to_string()))?;
        Ok(Object { code: object.as_slice().to_vec(), arena })
    })
}

/// The LLVM IR of a program, as the code is generated from it.
///
/// # Errors
/// As [`compile`].
pub fn llvm_ir(program: &Program, options: &CompileOptions) -> Result<String> {
    Stop::of(options).or(&program.clone().into(), options, |program, options, stop| {
        let program = prepare(program, options, stop)?;
        with_module(&program, options, &mut Phases::default(), stop, |module, _, _| {
            Ok(module.print_to_string().to_string())
        })
    })
}

/// The assembly of a program.
///
/// # Errors
/// As [`compile`].
pub fn assembly(program: &Program, options: &CompileOptions) -> Result<String> {
    Stop::of(options).or(&program.clone().into(), options, |program, options, stop| {
        let program = prepare(program, options, stop)?;
        with_module(&program, options, &mut Phases::default(), stop, |module, machine, _| {
            let text = machine
                .write_to_memory_buffer(module, FileType::Assembly)
                .map_err(|e| Error::Llvm(e.to_string()))?;
            Ok(String::from_utf8_lossy(text.as_slice()).trim_end_matches('\0').to_owned())
        })
    })
}

/// Types of a program's inputs and outputs.
fn signature(program: &Program) -> (Vec<Type>, Vec<Type>) {
    let entry = &program.funcs[program.entry];
    (program.types(&entry.params), entry.results.clone())
}

/// Name of the function that is run.
const ENTRY: &str = abi::ENTRY;

impl CompileOptions {
    fn math(&self) -> Math {
        Math { strict: self.strict }
    }
    /// In how many parts large operators are done: more than there are threads, so that one that is held up has fewer.
    fn parts(&self) -> u64 {
        if self.threads < 2 { 1 } else { 2 * self.threads as u64 }
    }
}
