//! From programs to LLVM modules.
//!
//! Every function of a program becomes one of the module. Scalars are values in registers; arrays are row-major
//! buffers. A local function reaches what it captures through the *frame* of the function that defines it, a struct on
//! the stack that holds just what is captured and a link to the frame around it (Dijkstra's static chain), so that a
//! continuation is a pair `{code, frame}` and costs nothing to make. Results that are arrays are written where the
//! caller says. Buffers are planned into one region per function ([`memory`]): at a fixed place for functions that are
//! never active twice, else on a second stack.
//!
//! | module | |
//! |---|---|
//! | [`align`] | copies of matrices that are read again and again |
//! | [`analysis`] | who owns and captures what; recursion |
//! | [`entry`], [`body`], [`control`] | the program itself, functions, branches, calls |
//! | [`recursion`], [`liveness`] | functions that call themselves, as loops |
//! | [`values`], [`nodes`] | where values are; which are computed only where they are needed |
//! | [`expression`], [`index`], [`conv`] | what each operator becomes |
//! | [`direct`] | convolution with the batch innermost |
//! | [`cells`] | accumulators |
//! | [`collect`] | those that collect the rows of products |
//! | [`joined`] | concatenations whose parts are computed in place |
//! | [`nest`], [`emit`] | loop nests of fused elementwise operators and reductions |
//! | [`outline`] | nests that occur again and again as functions |
//! | [`parts`] | long straight code as several functions |
//! | [`elementwise`], [`math`] | operators on vectors of elements |
//! | [`product`] | which kernel a product calls |
//! | [`contract`], [`kernel`], [`dots`], [`pack`], [`transpose`] | kernels, and factors as they read them |
//! | [`asm`], [`blocks`], [`abi`] | a layer over inkwell's builder; what compiled code and its caller agree on |

pub(crate) mod abi;
mod align;
mod analysis;
mod asm;
mod blocks;
mod body;
mod cells;
mod collect;
mod contract;
mod control;
mod conv;
mod direct;
mod dots;
mod elementwise;
mod emit;
mod entry;
mod expression;
mod index;
mod joined;
mod kernel;
#[cfg(test)]
mod kernel_tests;
mod liveness;
mod math;
mod memory;
mod nest;
mod nodes;
mod outline;
mod pack;
mod parts;
mod product;
mod recursion;
mod transpose;
mod values;

use std::cell::{Cell as Counter, RefCell};
use std::collections::{HashMap, HashSet};

use inkwell::context::Context;
use inkwell::module::{Linkage, Module};
use inkwell::types::{BasicMetadataTypeEnum, BasicType, BasicTypeEnum, FunctionType};
use inkwell::values::{FunctionValue, GlobalValue};

use crate::error::Result;
use crate::ids::{Cont, Func};
use crate::ir::Program;
use crate::jit::target::Target;
use crate::lower::analysis::Analysis;
use crate::lower::asm::Asm;
use crate::lower::body::Body;
use crate::lower::collect::Collecting;
use crate::lower::contract::Kernel;
pub use crate::lower::math::Math;
pub(crate) use crate::lower::math::is_elementary;
use crate::lower::parts::Weights;
pub(crate) use crate::lower::values::computes;
use crate::optimise::effects::Effects;
use crate::types::Type;

/// LLVM's number of the calling convention of functions that nobody else calls.
const FAST: u32 = 8;

/// Loops that become part of the function in which they are defined, at most. LLVM takes a time that grows with the
/// square of the loops of a function.
const LOOPS: usize = 1024;

/// What was made of a program.
pub struct Lowered<'c> {
    /// The module; its entry is [`abi::ENTRY`].
    pub module: Module<'c>,
    /// Bytes of arena that functions which are active at most once take together.
    pub arena: u64,
}

/// Lowers a verified program, of which some outputs are written over inputs: `(output, input)`. It ends with an error
/// of `go_on`, which is called before each function.
pub fn lower<'c>(
    context: &'c Context,
    program: &Program,
    updates: &[(usize, usize)],
    target: Target,
    math: Math,
    go_on: &dyn Fn() -> Result<()>,
) -> Result<Lowered<'c>> {
    let program = align::run(program);
    Lowerer::new(context, &program, updates, target, math).run(go_on)
}

/// A program that is being lowered.
pub(crate) struct Lowerer<'p, 'c> {
    asm: Asm<'c>,
    program: &'p Program,
    /// Outputs that are written over inputs.
    updates: &'p [(usize, usize)],
    analysis: Analysis,
    math: Math,
    functions: HashMap<Func, FunctionValue<'c>>,
    /// Kernels that the module has.
    kernels: RefCell<HashMap<Kernel, FunctionValue<'c>>>,
    effects: Effects,
    collecting: Collecting,
    weights: Weights,
    /// Bytes of arena that are planned.
    arena: Counter<u64>,
}

impl<'p, 'c> Lowerer<'p, 'c> {
    fn new(
        context: &'c Context,
        program: &'p Program,
        updates: &'p [(usize, usize)],
        target: Target,
        math: Math,
    ) -> Lowerer<'p, 'c> {
        let analysis = Analysis::of(program);
        let collecting = if math.strict { Collecting::default() } else { Collecting::of(program, &analysis) };
        let mut asm = Asm::new(context, &program.funcs[program.entry].name, target);
        math::emit_functions(&mut asm, math, math::frequent(program, math));
        Lowerer {
            asm,
            program,
            updates,
            analysis,
            collecting,
            effects: Effects::of(program),
            weights: Weights::default(),
            math,
            functions: HashMap::new(),
            kernels: RefCell::default(),
            arena: Counter::new(0),
        }
    }
    fn run(mut self, go_on: &dyn Fn() -> Result<()>) -> Result<Lowered<'c>> {
        let context = self.asm.context;
        let mut loops: HashMap<Option<Func>, usize> = HashMap::new();
        let mut inlined = HashSet::new();
        for func in self.analysis.all.clone() {
            let function = if func == self.program.entry {
                let ty = context.void_type().fn_type(&[self.asm.ptr_ty().into()], false);
                self.asm.module.add_function(abi::ENTRY, ty, None)
            } else {
                let data = &self.program.funcs[func];
                let params = self.program.types(&data.params);
                let ty = self.function_ty(&params, data.continuations.len(), &data.results);
                let name = abi::name(self.program, func);
                let function = self.asm.module.add_function(&name, ty, Some(Linkage::Private));
                function.set_call_conventions(FAST);
                let facts = &self.analysis.funcs[&func];
                if !facts.sites.is_empty() && !facts.recursive && facts.mentions == 1 {
                    let others = loops.entry(facts.parent).or_default();
                    *others += 1;
                    if *others <= LOOPS {
                        // A loop in its place: what it captures and accumulates is in registers then.
                        self.asm.always_inline(function);
                        inlined.insert(func);
                    }
                }
                function
            };
            self.asm.attributes(function);
            self.functions.insert(func, function);
        }
        self.weights = Weights::of(&self, |func| inlined.contains(&func));
        for &func in &self.analysis.all {
            go_on()?;
            Body::emit(&self, func)?;
        }
        Ok(Lowered { module: self.asm.module, arena: self.arena.get() })
    }

    /// Context, frame around it, parameters, continuations as pairs, and the addresses of results that are arrays.
    fn function_ty(&self, params: &[Type], continuations: usize, results: &[Type]) -> FunctionType<'c> {
        let ptr: BasicMetadataTypeEnum<'c> = self.asm.ptr_ty().into();
        let mut types = vec![ptr, ptr];
        types.extend(params.iter().map(|ty| BasicMetadataTypeEnum::from(self.register_ty(ty))));
        types.extend(std::iter::repeat_n(ptr, 2 * continuations));
        let scalars: Vec<BasicTypeEnum<'c>> =
            results.iter().filter(|ty| is_scalar(ty)).map(|ty| self.register_ty(ty)).collect();
        types.extend(std::iter::repeat_n(ptr, results.len() - scalars.len()));
        match scalars[..] {
            [] => self.asm.context.void_type().fn_type(&types, false),
            [one] => one.fn_type(&types, false),
            _ => self.asm.context.struct_type(&scalars, false).fn_type(&types, false),
        }
    }
    fn cont_ty(&self, cont: Cont) -> FunctionType<'c> {
        let data = &self.program.conts[cont];
        self.function_ty(&data.params, 0, &data.results)
    }
    fn register_ty(&self, ty: &Type) -> BasicTypeEnum<'c> {
        if is_scalar(ty) { self.asm.scalar_ty(ty.dtype) } else { self.asm.ptr_ty().into() }
    }

    /// A constant whose value is known only later.
    fn late_constant(&self, name: &str) -> GlobalValue<'c> {
        let global = self.asm.module.add_global(self.asm.context.i64_type(), None, name);
        global.set_constant(true);
        global.set_linkage(Linkage::Private);
        global
    }
}

/// Whether values of a type are kept in registers.
fn is_scalar(ty: &Type) -> bool {
    ty.shape.is_empty()
}

/// Bytes of a value in memory.
pub(crate) fn bytes(ty: &Type) -> u64 {
    ty.size() as u64 * u64::from(asm::element_bytes(ty.dtype))
}
