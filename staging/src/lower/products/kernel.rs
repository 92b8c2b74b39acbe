//! The code of one product kernel: blocks of sums in registers, over panels of columns and parts of the contraction.

use inkwell::IntPredicate;
use inkwell::values::{FunctionValue, InstructionOpcode, IntValue, PointerValue};

use crate::ir::types::Scalar;
use crate::lower::asm::blocks::Loop;
use crate::lower::asm::{Asm, Reg, element_bytes};
use crate::lower::products::contract::{Columns, Kernel, Length, Plan, Strides, Sum};
use crate::lower::products::{dots, pack};

/// Emits a kernel as the body of a function.
pub fn emit<'c>(asm: &Asm<'c>, kernel: &Kernel, strict: bool, function: FunctionValue<'c>) {
    asm.go_to(asm.context.append_basic_block(function, "entry"));
    if dots::serves(kernel, strict) {
        dots::emit(asm, kernel, function);
        return asm.ret(None);
    }
    let plan = Plan::of(asm, kernel, strict);
    let mut params = function.get_params().into_iter();
    let mut next = || params.next().expect("as many as were declared");
    let [a, b, c] = [next(), next(), next()].map(Reg::into_pointer_value);
    let (size_a, size_b) = (plan.packed_a(kernel), plan.packed_b(kernel));
    let scratch = (size_a + size_b > 0).then(|| next().into_pointer_value());
    let k = if kernel.k == Length::Given { Some(next().into_int_value()) } else { None };
    let add = match kernel.sum {
        Sum::Stored => None,
        Sum::Added => Some(asm.bool(true).into()),
        Sum::Asked => Some(next()),
    };
    let emitter = Emitter {
        asm,
        kernel,
        strict,
        plan,
        a,
        b,
        c,
        packed_a: scratch.filter(|_| size_a > 0),
        packed_b: scratch.filter(|_| size_b > 0).map(|scratch| asm.bytes(scratch, size_a as i64)),
    };
    emitter.parts(k, add);
    asm.ret(None);
}

/// The number of terms of a part of the contraction.
#[derive(Clone, Copy)]
pub enum Count<'c> {
    Fixed(u64),
    Given(IntValue<'c>),
}

impl<'c> Count<'c> {
    /// Begins a loop over the terms.
    pub fn begin(self, asm: &Asm<'c>, carried: &[Reg<'c>]) -> Loop<'c> {
        match self {
            Count::Fixed(n) => asm.begin_loop(0, n, 1, carried),
            Count::Given(n) => asm.begin_loop_to(asm.int(0), n, 1, carried),
        }
    }
}

/// A part of the contraction.
#[derive(Clone, Copy)]
struct Part<'c> {
    start: IntValue<'c>,
    count: Count<'c>,
    /// Whether it is added to what `c` holds; nothing if it never is.
    add: Option<Reg<'c>>,
}

/// Rows and columns of `c` whose sums are kept in registers.
#[derive(Clone, Copy)]
struct Block<'c, 'b> {
    row: IntValue<'c>,
    column: IntValue<'c>,
    rows: u64,
    columns: Columns,
    /// Where the first row of each vector of the second factor is, and the distance to the next row.
    b: &'b [PointerValue<'c>],
    pitch: i64,
    /// Whether the second factor's columns are padded, so that no load needs a mask.
    padded: bool,
}

struct Emitter<'a, 'c> {
    asm: &'a Asm<'c>,
    kernel: &'a Kernel,
    /// Whether products are rounded before they are added.
    strict: bool,
    plan: Plan,
    a: PointerValue<'c>,
    b: PointerValue<'c>,
    c: PointerValue<'c>,
    packed_a: Option<PointerValue<'c>>,
    packed_b: Option<PointerValue<'c>>,
}

impl<'c> Emitter<'_, 'c> {
    /// All parts of the contraction, one after another.
    fn parts(&self, k: Option<IntValue<'c>>, add: Option<Reg<'c>>) {
        let asm = self.asm;
        let Some(depth) = self.plan.depth else {
            let count = match (self.kernel.k, k) {
                (Length::Fixed(k), _) => Count::Fixed(k),
                (Length::Given, k) => Count::Given(k.expect("the length is an argument")),
            };
            return self.part(Part { start: asm.int(0), count, add });
        };
        let (end, of) = match self.kernel.k {
            Length::Fixed(k) => (asm.int(k as i64), asm.begin_loop(0, k, depth, &[])),
            Length::Given => {
                let k = k.expect("the length is an argument");
                self.clear_unless_any(k, add);
                (k, asm.begin_loop_to(asm.int(0), k, depth, &[]))
            }
        };
        let start = of.counter;
        let left = asm.index_sub(end, start);
        let long = asm.icmp(IntPredicate::SGT, left.into(), asm.int(depth as i64).into());
        let count = asm.select(long, asm.int(depth as i64).into(), left.into()).into_int_value();
        let later = asm.icmp(IntPredicate::SGT, start.into(), asm.int(0).into());
        let add = add.map_or(later, |add| asm.op(InstructionOpcode::Or, add, later));
        self.part(Part { start, count: Count::Given(count), add: Some(add) });
        asm.end_loop(of, vec![]);
    }

    /// A sum of nothing is zero, where it is not added.
    fn clear_unless_any(&self, k: IntValue<'c>, add: Option<Reg<'c>>) {
        let (asm, kernel) = (self.asm, self.kernel);
        let none = asm.icmp(IntPredicate::SLE, k.into(), asm.int(0).into());
        let stored = add.map(|add| asm.op(InstructionOpcode::Xor, add, asm.bool(true).into()));
        let clear = stored.map_or(none, |stored| asm.op(InstructionOpcode::And, none, stored));
        let (nothing, go_on) = (asm.block("nothing"), asm.block("any"));
        asm.branch(clear, nothing, go_on);
        asm.go_to(nothing);
        let of = asm.begin_loop(0, kernel.m, 1, &[]);
        let row = self.address(self.c, asm.index_mul(of.counter, kernel.c));
        asm.zero(row, kernel.n * u64::from(element_bytes(kernel.dtype)));
        asm.end_loop(of, vec![]);
        asm.jump(go_on);
        asm.go_to(go_on);
    }

    fn part(&self, part: Part<'c>) {
        let (asm, kernel, plan) = (self.asm, self.kernel, &self.plan);
        if let Some(to) = self.packed_a {
            let from = self.address(self.a, asm.index_mul(part.start, kernel.a.column));
            let (pitch, depth) = (kernel.a.column, plan.deepest(kernel).expect("what is packed has a depth"));
            let packing = pack::Blocks { dtype: kernel.dtype, rows: plan.rows, depth, pitch };
            pack::rows(asm, &packing, from, to, part.count);
        }
        let at = kernel.b;
        plan.panels.for_each(asm, |column, columns| {
            let from = asm.index_add(asm.index_mul(part.start, at.row), asm.index_mul(column, at.column));
            let from = self.address(self.b, from);
            let Some(to) = self.packed_b else {
                return self.column(part, column, columns, &self.vectors(from, columns), at.row, false);
            };
            let packing = pack::Panel { dtype: kernel.dtype, lanes: plan.panels.lanes, columns, from: at };
            pack::panel(asm, &packing, from, to, part.count);
            let width = columns.vectors * u64::from(plan.panels.lanes);
            self.column(part, column, columns, &self.vectors(to, columns), width as i64, true);
        });
    }

    /// Where vectors are that lie side by side.
    fn vectors(&self, start: PointerValue<'c>, columns: Columns) -> Vec<PointerValue<'c>> {
        let bytes = i64::from(self.plan.panels.lanes * element_bytes(self.kernel.dtype));
        (0..columns.vectors as i64).map(|j| self.asm.bytes(start, j * bytes)).collect()
    }

    /// All blocks of rows for some columns.
    fn column(
        &self,
        part: Part<'c>,
        column: IntValue<'c>,
        columns: Columns,
        b: &[PointerValue<'c>],
        pitch: i64,
        padded: bool,
    ) {
        self.plan.rows.for_each(self.asm, |row, rows| {
            self.block(part, Block { row, column, rows, columns, b, pitch, padded });
        });
    }

    fn block(&self, part: Part<'c>, block: Block<'c, '_>) {
        let (asm, kernel, lanes) = (self.asm, self.kernel, self.plan.panels.lanes);
        let vectors = block.columns.vectors;
        let zero = asm.constant(Scalar::of(kernel.dtype, 0.0), lanes);
        let sums = vec![zero; (block.rows * vectors) as usize];
        let (a, at) = match self.packed_a {
            Some(packed) => {
                let depth = self.plan.deepest(kernel).expect("what is packed has a depth") as i64;
                let column = block.rows as i64;
                (self.address(packed, asm.index_mul(block.row, depth)), Strides { row: 1, column })
            }
            None => {
                let start = asm.index_mul(part.start, kernel.a.column);
                let start = asm.index_add(asm.index_mul(block.row, kernel.a.row), start);
                (self.address(self.a, start), kernel.a)
            }
        };
        let of = part.count.begin(asm, &sums);
        let mut sums = of.carried.clone();
        let below = asm.index_mul(of.counter, block.pitch);
        let of_b: Vec<Reg<'c>> = (0..vectors)
            .map(|j| {
                let partial = block.columns.partial(j, lanes).filter(|_| !block.padded);
                asm.load_first(kernel.dtype, lanes, partial, self.address(block.b[j as usize], below))
            })
            .collect();
        let a = self.address(a, asm.index_mul(of.counter, at.column));
        for i in 0..block.rows {
            let address = self.address(a, asm.int(i as i64 * at.row));
            let x = asm.splat(asm.load(kernel.dtype, 1, address), lanes);
            for (j, &y) in of_b.iter().enumerate() {
                let sum = &mut sums[i as usize * of_b.len() + j];
                *sum = if self.strict { asm.add(*sum, asm.mul(x, y)) } else { asm.fma(x, y, *sum) };
            }
        }
        let sums = asm.end_loop(of, sums);
        let c = asm.index_add(asm.index_mul(block.row, kernel.c), block.column);
        let c = self.address(self.c, c);
        for i in 0..block.rows {
            let row = self.vectors(self.address(c, asm.int(i as i64 * kernel.c)), block.columns);
            for (j, &to) in row.iter().enumerate() {
                let mut sum = sums[i as usize * row.len() + j];
                let partial = block.columns.partial(j as u64, lanes);
                if let Some(add) = part.add {
                    let old = asm.load_first(kernel.dtype, lanes, partial, to);
                    sum = asm.select(add, asm.add(old, sum), sum);
                }
                asm.store_first(kernel.dtype, sum, partial, to);
            }
        }
    }

    fn address(&self, start: PointerValue<'c>, offset: IntValue<'c>) -> PointerValue<'c> {
        self.asm.at(self.asm.memory_ty(self.kernel.dtype, 1), start, offset)
    }
}
