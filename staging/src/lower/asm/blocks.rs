//! Basic blocks, loops and functions of a module under construction.

use inkwell::IntPredicate;
use inkwell::attributes::{Attribute, AttributeLoc};
use inkwell::basic_block::BasicBlock;
use inkwell::types::BasicTypeEnum;
use inkwell::values::{BasicValue, FunctionValue, IntValue, PhiValue};

use crate::lower::asm::{Asm, Reg, built};

/// A counted loop whose body is being emitted.
pub struct Loop<'c> {
    /// The counter.
    pub counter: IntValue<'c>,
    /// What is carried from one round to the next.
    pub carried: Vec<Reg<'c>>,
    phis: Vec<PhiValue<'c>>,
    counter_phi: Option<PhiValue<'c>>,
    head: BasicBlock<'c>,
    end: IntValue<'c>,
    step: u64,
    /// What goes on without a round, and from where, if there may be none.
    skipped: Option<(BasicBlock<'c>, BasicBlock<'c>, Vec<Reg<'c>>)>,
}

impl<'c> Asm<'c> {
    pub fn function(&self) -> FunctionValue<'c> {
        self.here().get_parent().expect("a block is part of a function")
    }
    pub fn here(&self) -> BasicBlock<'c> {
        self.builder.get_insert_block().expect("the builder is positioned")
    }
    pub fn block(&self, name: &str) -> BasicBlock<'c> {
        self.context.append_basic_block(self.function(), name)
    }
    pub fn go_to(&self, block: BasicBlock<'c>) {
        self.builder.position_at_end(block);
    }
    pub fn jump(&self, block: BasicBlock<'c>) {
        built(self.builder.build_unconditional_branch(block));
    }
    pub fn branch(&self, condition: Reg<'c>, then: BasicBlock<'c>, otherwise: BasicBlock<'c>) {
        built(self.builder.build_conditional_branch(condition.into_int_value(), then, otherwise));
    }
    pub fn phi(&self, ty: BasicTypeEnum<'c>, incoming: &[(Reg<'c>, BasicBlock<'c>)]) -> Reg<'c> {
        let phi = built(self.builder.build_phi(ty, ""));
        for (x, block) in incoming {
            phi.add_incoming(&[(x, *block)]);
        }
        phi.as_basic_value()
    }
    pub fn ret(&self, x: Option<Reg<'c>>) {
        built(self.builder.build_return(x.as_ref().map(|x| x as &dyn BasicValue<'c>)));
    }
    pub fn unreachable(&self) {
        built(self.builder.build_unreachable());
    }
    pub fn field(&self, aggregate: Reg<'c>, i: u32) -> Reg<'c> {
        built(self.builder.build_extract_value(aggregate.into_struct_value(), i, ""))
    }
    pub fn aggregate(&self, fields: &[Reg<'c>]) -> Reg<'c> {
        let types: Vec<BasicTypeEnum<'c>> = fields.iter().map(|x| x.get_type()).collect();
        let mut out = self.context.struct_type(&types, false).get_poison();
        for (i, &x) in fields.iter().enumerate() {
            out = built(self.builder.build_insert_value(out, x, i as u32, "")).into_struct_value();
        }
        out.into()
    }

    /// Begins a loop over `start, start + step, ..` below `end`, of which there must be one.
    pub fn begin_loop(&self, start: u64, end: u64, step: u64, carried: &[Reg<'c>]) -> Loop<'c> {
        let counter = self.int(start as i64);
        if start + step >= end {
            let (carried, end) = (carried.to_vec(), self.int(end as i64));
            let head = self.here();
            return Loop {
                counter,
                carried,
                phis: vec![],
                counter_phi: None,
                head,
                end,
                step,
                skipped: None,
            };
        }
        let head = self.here();
        let body = self.block("loop");
        self.jump(body);
        self.repeat_from(body, head, counter, self.int(end as i64), step, carried)
    }
    /// Begins a loop over `start, start + step, ..` below an `end` that is known at run time; there may be no round.
    pub fn begin_loop_to(
        &self,
        start: IntValue<'c>,
        end: IntValue<'c>,
        step: u64,
        carried: &[Reg<'c>],
    ) -> Loop<'c> {
        let (head, body, exit) = (self.here(), self.block("loop"), self.block("done"));
        let any = self.icmp(IntPredicate::SLT, start.into(), end.into());
        self.branch(any, body, exit);
        let of = self.repeat_from(body, head, start, end, step, carried);
        Loop { skipped: Some((head, exit, carried.to_vec())), ..of }
    }
    fn repeat_from(
        &self,
        body: BasicBlock<'c>,
        head: BasicBlock<'c>,
        start: IntValue<'c>,
        end: IntValue<'c>,
        step: u64,
        carried: &[Reg<'c>],
    ) -> Loop<'c> {
        self.go_to(body);
        let counter_phi = built(self.builder.build_phi(self.context.i64_type(), ""));
        counter_phi.add_incoming(&[(&start, head)]);
        let phis: Vec<PhiValue<'c>> = carried
            .iter()
            .map(|x| {
                let phi = built(self.builder.build_phi(x.get_type(), ""));
                phi.add_incoming(&[(x, head)]);
                phi
            })
            .collect();
        Loop {
            counter: counter_phi.as_basic_value().into_int_value(),
            carried: phis.iter().map(|phi| phi.as_basic_value()).collect(),
            phis,
            counter_phi: Some(counter_phi),
            head: body,
            end,
            step,
            skipped: None,
        }
    }
    /// Ends a loop: what is carried on, and out of its last round.
    pub fn end_loop(&self, of: Loop<'c>, carried: Vec<Reg<'c>>) -> Vec<Reg<'c>> {
        let Some(counter_phi) = of.counter_phi else { return carried };
        let next = self.index_add(of.counter, self.int(of.step as i64));
        let last = self.here();
        counter_phi.add_incoming(&[(&next, last)]);
        for (phi, x) in of.phis.iter().zip(&carried) {
            phi.add_incoming(&[(x, last)]);
        }
        let more = self.icmp(IntPredicate::SLT, next.into(), of.end.into());
        let Some((before, exit, initial)) = of.skipped else {
            let exit = self.block("done");
            self.branch(more, of.head, exit);
            self.go_to(exit);
            return carried;
        };
        self.branch(more, of.head, exit);
        self.go_to(exit);
        let joined = initial.into_iter().zip(carried);
        joined.map(|(a, b)| self.phi(b.get_type(), &[(a, before), (b, last)])).collect()
    }

    /// Sets the attributes without which code is generated for no particular processor.
    pub fn attributes(&self, function: FunctionValue<'c>) {
        let set = |key: &str, value: &str| {
            function.add_attribute(AttributeLoc::Function, self.context.create_string_attribute(key, value));
        };
        set("target-cpu", &self.target.cpu);
        set("target-features", &self.target.features);
        set("prefer-vector-width", &self.target.vector_bits.to_string());
        self.mark(function, "nounwind");
    }
    /// Has a function become part of its callers.
    pub fn always_inline(&self, function: FunctionValue<'c>) {
        self.mark(function, "alwaysinline");
    }
    /// Says that a function reads and writes nothing and returns.
    pub fn pure(&self, function: FunctionValue<'c>) {
        // No memory at all is zero.
        self.mark(function, "memory");
        self.mark(function, "willreturn");
    }
    pub(super) fn mark(&self, function: FunctionValue<'c>, attribute: &str) {
        let kind = Attribute::get_named_enum_kind_id(attribute);
        function.add_attribute(AttributeLoc::Function, self.context.create_enum_attribute(kind, 0));
    }
}
