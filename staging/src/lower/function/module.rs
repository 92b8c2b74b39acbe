//! A program that is being lowered: what its functions have in common.

use std::cell::Cell as Counter;
use std::collections::{HashMap, HashSet};

use inkwell::context::Context;
use inkwell::module::{Linkage, Module};
use inkwell::types::{BasicMetadataTypeEnum, BasicType, BasicTypeEnum, FunctionType};
use inkwell::values::{FunctionValue, GlobalValue};

use crate::analysis::captures::Analysis;
use crate::analysis::effects::Effects;
use crate::ir::Program;
use crate::ir::error::Result;
use crate::ir::ids::{Cont, Func};
use crate::ir::types::Type;
use crate::lower::abi;
use crate::lower::asm::math::{self, Math};
use crate::lower::asm::processor::Processor;
use crate::lower::asm::{Asm, FAST, is_scalar};
use crate::lower::function::Body;
use crate::lower::function::collect::Collecting;
use crate::lower::function::weights::Weights;
use crate::lower::products::contract::Products;

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

/// A program that is being lowered.
pub struct Lowerer<'p, 'c> {
    pub asm: Asm<'c>,
    pub program: &'p Program,
    /// Outputs that are written over inputs.
    pub updates: &'p [(usize, usize)],
    pub analysis: Analysis,
    pub math: Math,
    pub functions: HashMap<Func, FunctionValue<'c>>,
    pub products: Products<'c>,
    pub effects: Effects,
    pub collecting: Collecting,
    pub weights: Weights,
    /// Bytes of arena that are planned.
    pub arena: Counter<u64>,
}

impl<'p, 'c> Lowerer<'p, 'c> {
    pub fn new(
        context: &'c Context,
        program: &'p Program,
        updates: &'p [(usize, usize)],
        target: Processor,
        math: Math,
        parts: u64,
    ) -> Lowerer<'p, 'c> {
        let analysis = Analysis::of(program);
        let collecting = if math.strict { Collecting::default() } else { Collecting::of(program, &analysis) };
        let mut asm = Asm::new(context, &program.funcs[program.entry].name, target, parts);
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
            products: Products::new(math.strict),
            arena: Counter::new(0),
        }
    }
    /// Emits every function, and calls `go_on` before each.
    pub fn run(mut self, go_on: &dyn Fn() -> Result<()>) -> Result<Lowered<'c>> {
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
                let facts = &self.analysis.funcs[func];
                let is_loop_of_numbers = facts.only_scalars && !facts.sites.is_empty();
                if is_loop_of_numbers && !facts.recursive && facts.mentions == 1 {
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
            Body::emit(&self, func);
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
    pub fn cont_ty(&self, cont: Cont) -> FunctionType<'c> {
        let data = &self.program.conts[cont];
        self.function_ty(&data.params, 0, &data.results)
    }
    fn register_ty(&self, ty: &Type) -> BasicTypeEnum<'c> {
        if is_scalar(ty) { self.asm.scalar_ty(ty.dtype) } else { self.asm.ptr_ty().into() }
    }

    /// A constant whose value is known only later.
    pub fn late_constant(&self, name: &str) -> GlobalValue<'c> {
        let global = self.asm.module.add_global(self.asm.context.i64_type(), None, name);
        global.set_constant(true);
        global.set_linkage(Linkage::Private);
        global
    }
}
