//! Nests that occur many times, once for each step of an unrolled loop, say, become one function. Compiling takes time
//! in proportion to the code, and what is called from many places stays in the instruction cache.
//!
//! Two nests are the same if they differ only in the addresses of their arrays and in what is in the registers that
//! they read. Where an array begins is not part of a nest: offsets count from the first access to it.

use std::collections::HashMap;
use std::fmt::Write;

use inkwell::module::Linkage;
use inkwell::types::{BasicMetadataTypeEnum, BasicTypeEnum};
use inkwell::values::PointerValue;

use crate::lower::asm::{Asm, FAST, Reg, element_bytes};
use crate::lower::loops::nest::{Affine, Nest, Op, Root};

/// Elements up to which the code of a nest is better where it is run: a call would cost more than it saves.
const SMALL: usize = 8;

/// Emits a nest by `emit`, in a function of its own or here; what its roots keep in registers, in their order.
pub fn outline<'c>(
    asm: &Asm<'c>,
    mut nest: Nest<'c>,
    emit: impl FnOnce(&Asm<'c>, Nest<'c>) -> Vec<Reg<'c>>,
) -> Vec<Reg<'c>> {
    if nest.shape.iter().product::<usize>() <= SMALL {
        return emit(asm, nest);
    }
    let mut free = Free { asm, bases: HashMap::new(), args: Vec::new(), key: String::new() };
    let results = free.take(&mut nest);
    let Free { args, key, .. } = free;
    let known = asm.nests.borrow().get(&key).copied();
    let function = known.unwrap_or_else(|| {
        let params: Vec<BasicMetadataTypeEnum<'c>> = args.iter().map(|arg| arg.get_type().into()).collect();
        let ty = match results[..] {
            [] => asm.context.void_type().fn_type(&params, false),
            _ => asm.context.struct_type(&results, false).fn_type(&params, false),
        };
        let function = asm.module.add_function("nest", ty, Some(Linkage::Private));
        function.set_call_conventions(FAST);
        asm.attributes(function);
        asm.nests.borrow_mut().insert(key, function);
        let params = function.get_params();
        nest.replace(&args, &params);
        let here = asm.here();
        asm.go_to(asm.context.append_basic_block(function, "entry"));
        let results = emit(asm, nest);
        asm.ret((!results.is_empty()).then(|| asm.aggregate(&results)));
        asm.go_to(here);
        function
    });
    let call = asm.call(function, &args);
    if results.is_empty() {
        return Vec::new();
    }
    let all = asm.result(call);
    (0..results.len()).map(|i| asm.field(all, i as u32)).collect()
}

/// The free variables of a nest, and everything else about it as text.
pub struct Free<'a, 'c> {
    asm: &'a Asm<'c>,
    /// Of each array: its parameter, and the position that counts as its start.
    bases: HashMap<PointerValue<'c>, (usize, i64)>,
    args: Vec<Reg<'c>>,
    key: String,
}

impl<'a, 'c> Free<'a, 'c> {
    /// The free variables of a nest without results, and the rest of it as text.
    pub fn of(asm: &'a Asm<'c>, nest: &mut Nest<'c>) -> (Vec<Reg<'c>>, String) {
        let mut free = Free { asm, bases: HashMap::new(), args: Vec::new(), key: String::new() };
        free.take(nest);
        (free.args, free.key)
    }

    /// Makes addresses begin where they are first accessed; the types of what is kept in registers.
    fn take(&mut self, nest: &mut Nest<'c>) -> Vec<BasicTypeEnum<'c>> {
        let _ = write!(self.key, "{:?}/{}", nest.shape, nest.reduced);
        for i in 0..nest.nodes.len() {
            let dtype = nest.nodes[i].dtype;
            let _ = write!(self.key, ";{dtype}");
            match &mut nest.nodes[i].op {
                Op::Load { from, at, mask, fresh } => {
                    let _ = write!(self.key, "load{mask:?}{fresh}");
                    // What a mask hides may be outside of the array, whose start is read in its place.
                    self.array(from, at, element_bytes(dtype), mask.is_none());
                }
                Op::Register(x) => self.register(x),
                Op::Constant(x) => drop(write!(self.key, "constant{:x}", x.bits())),
                Op::Position(at) => drop(write!(self.key, "position{at:?}")),
                Op::Unary(op, x) => drop(write!(self.key, "{op:?}{x}")),
                Op::Powi(x, n) => drop(write!(self.key, "powi{x},{n}")),
                Op::Clamp(x, low, high) => {
                    let _ = write!(self.key, "clamp{x},{:x},{:x}", low.bits(), high.bits());
                }
                Op::Binary(op, a, b) => drop(write!(self.key, "{op:?}{a},{b}")),
                Op::Compare(op, a, b) => drop(write!(self.key, "{op:?}{a},{b}")),
                Op::Select(a, b, c) => drop(write!(self.key, "select{a},{b},{c}")),
                Op::Convert(x) => drop(write!(self.key, "convert{x}")),
                Op::Uniform(a, b) => drop(write!(self.key, "uniform{a},{b}")),
                Op::Within(x, n) => drop(write!(self.key, "within{x},{n}")),
            }
        }
        let mut results = Vec::new();
        for i in 0..nest.roots.len() {
            let _ = write!(self.key, ";");
            match &mut nest.roots[i] {
                Root::Keep(node) => {
                    let _ = write!(self.key, "keep{node}");
                    results.push(self.asm.scalar_ty(nest.nodes[*node].dtype));
                }
                Root::Store { to, at, node, mask } => {
                    let _ = write!(self.key, "store{node},{mask:?}");
                    self.array(to, at, element_bytes(nest.nodes[*node].dtype), mask.is_none());
                }
                Root::Reduce { op, node, to } => {
                    let _ = write!(self.key, "reduce{op:?}{node}");
                    let dtype = nest.nodes[*node].dtype;
                    match to {
                        Some((to, at)) => self.array(to, at, element_bytes(dtype), true),
                        None => results.push(self.asm.scalar_ty(dtype)),
                    }
                }
            }
        }
        results
    }

    fn register(&mut self, x: &mut Reg<'c>) {
        let position = self.args.iter().position(|arg| arg == x).unwrap_or_else(|| {
            self.args.push(*x);
            self.args.len() - 1
        });
        let _ = write!(self.key, "r{position}{}", x.get_type());
    }

    fn array(&mut self, of: &mut PointerValue<'c>, at: &mut Affine, bytes: u32, moves: bool) {
        let (args, asm) = (&mut self.args, self.asm);
        let (parameter, start) = *self.bases.entry(*of).or_insert_with(|| {
            let start = if moves { at.offset } else { 0 };
            args.push(asm.bytes(*of, start * i64::from(bytes)).into());
            (args.len() - 1, start)
        });
        *of = self.args[parameter].into_pointer_value();
        at.offset -= start;
        let _ = write!(self.key, "p{parameter}{at:?}");
    }
}
