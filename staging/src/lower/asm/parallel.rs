//! Work that several threads share: a *task*, a function of what it reads and of the number of a part, which the pool
//! of the process calls for each part ([`jit::symbols`](crate::jit::symbols)).
//!
//! How work is cut depends on nothing but its shape and the number of threads that code was made for, and how its parts
//! compute an element not even on that: so that results have the same bits with any number of threads.

use inkwell::module::Linkage;
use inkwell::values::{FunctionValue, IntValue, PointerValue};

use crate::lower::asm::{Asm, Reg, built};

/// What work has to take at least, in some four operations of a vector, that a part of it is worth giving away: about
/// ten microseconds, where giving it away takes two or three.
pub const PART: u64 = 1 << 16;

/// The function of the process that calls a task for each part.
pub const SYMBOL: &str = "antiphon_parallel";

impl<'c> Asm<'c> {
    /// In how many parts work of such a cost is done; one if it stays whole.
    pub fn parts_of(&self, cost: u64) -> u64 {
        self.parts.min(cost / PART).max(1)
    }

    /// Calls a task for each of so many parts, and goes on when all have been done. `task` emits it, from values like
    /// `args` and the number of the part; tasks of the same key are the same.
    pub fn parallel(
        &self,
        key: String,
        args: &[Reg<'c>],
        parts: u64,
        task: impl FnOnce(&[Reg<'c>], IntValue<'c>),
    ) {
        let known = self.nests.borrow().get(&key).copied();
        let function = known.unwrap_or_else(|| {
            let function = self.task(args, task);
            self.nests.borrow_mut().insert(key, function);
            function
        });
        let frame = self.frame(args);
        for (i, &arg) in args.iter().enumerate() {
            self.store_raw(arg, self.bytes(frame, 8 * i as i64));
        }
        let run = self.module.get_function(SYMBOL).unwrap_or_else(|| {
            let (ptr, int) = (self.ptr_ty(), self.context.i64_type());
            let ty = self.context.void_type().fn_type(&[ptr.into(), ptr.into(), int.into()], false);
            let run = self.module.add_function(SYMBOL, ty, None);
            self.mark(run, "nounwind");
            run
        });
        let task = function.as_global_value().as_pointer_value();
        self.call(run, &[task.into(), frame.into(), self.int(parts as i64).into()]);
    }

    /// A function of a frame with values like `args`, and of the number of a part.
    fn task(&self, args: &[Reg<'c>], task: impl FnOnce(&[Reg<'c>], IntValue<'c>)) -> FunctionValue<'c> {
        let (ptr, int) = (self.ptr_ty(), self.context.i64_type());
        let ty = self.context.void_type().fn_type(&[ptr.into(), int.into()], false);
        let function = self.module.add_function("task", ty, Some(Linkage::Private));
        self.attributes(function);
        let here = self.here();
        self.go_to(self.context.append_basic_block(function, "entry"));
        let params = function.get_params();
        let frame = params[0].into_pointer_value();
        let load =
            |(i, arg): (usize, &Reg<'c>)| self.load_raw(arg.get_type(), self.bytes(frame, 8 * i as i64));
        let args: Vec<Reg<'c>> = args.iter().enumerate().map(load).collect();
        task(&args, params[1].into_int_value());
        self.ret(None);
        self.go_to(here);
        function
    }

    /// Room on the stack for these, of eight bytes each, for as long as the function runs.
    fn frame(&self, args: &[Reg<'c>]) -> PointerValue<'c> {
        let here = self.here();
        let entry = self.function().get_first_basic_block().expect("a function that is being emitted");
        match entry.get_first_instruction() {
            Some(first) => self.builder.position_before(&first),
            None => self.go_to(entry),
        }
        let ty = self.context.i64_type().array_type(args.len() as u32);
        let frame = built(self.builder.build_alloca(ty, "frame"));
        self.go_to(here);
        frame
    }
}
