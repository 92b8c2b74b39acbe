//! Matrix products. Each distinct [`Kernel`] is emitted once, as a private function of the module that is specialised
//! to its static shapes, and called wherever it is needed.
//!
//! A block of sums stays in registers while the contraction runs. Long contractions are cut into parts, and factors
//! that would be read again and again in an order in which the cache does not hold them are copied into *panels* first
//! ([`pack`](super::pack)), as in Goto & van de Geijn, *Anatomy of High-Performance Matrix Multiplication* (2008).
//! [`Plan`] decides; [`kernel`] emits.
//!
//! The length of a contraction may be known only at run time ([`Length::Given`]): `c += xᵀ·y` for the rows of `x` and
//! `y` that have been written so far, say.

use std::cell::RefCell;
use std::collections::HashMap;

use inkwell::IntPredicate;
use inkwell::module::Linkage;
use inkwell::types::BasicMetadataTypeEnum;
use inkwell::values::{FunctionValue, IntValue, PointerValue};

use crate::ir::types::Dtype;
use crate::lower::asm::{Asm, FAST, Reg, element_bytes};
use crate::lower::products::{dots, kernel};
pub(crate) use crate::optimise::hoist::FEW_ROWS;

/// Distances between the rows and between the columns of a matrix, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Strides {
    pub row: i64,
    pub column: i64,
}

/// How long a contraction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Length {
    Fixed(u64),
    /// An argument, zero or more.
    Given,
}

/// Whether a product is added to what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sum {
    Stored,
    Added,
    /// An argument says.
    Asked,
}

/// `c = a·b`, or `c += a·b`, for `a` of `[m, k]` and `b` of `[k, n]`; the columns of `c` are neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    pub dtype: Dtype,
    pub m: u64,
    pub n: u64,
    pub k: Length,
    pub a: Strides,
    /// Row by row, or column by column: one of them is one.
    pub b: Strides,
    /// Distance between the rows of `c`.
    pub c: i64,
    pub sum: Sum,
}

impl Kernel {
    /// What it takes, in operations of elements that are as many as those of a vector are.
    pub fn cost(&self) -> u64 {
        let Length::Fixed(k) = self.k else { return 0 };
        (self.m * self.n).saturating_mul(k) / 8
    }
}

/// A product that is done in parts: so many rows or columns each, and fewer in the last one.
pub struct Cut {
    whole: Kernel,
    parts: u64,
    by_rows: bool,
    /// Of each part but the last.
    size: u64,
}

impl Cut {
    /// The kernels of a part, and of the last one if it is another.
    fn kernels(&self) -> [Kernel; 2] {
        let of = |size| match self.by_rows {
            true => Kernel { m: size, ..self.whole },
            false => Kernel { n: size, ..self.whole },
        };
        let length = if self.by_rows { self.whole.m } else { self.whole.n };
        [of(self.size), of(length - (self.parts - 1) * self.size)]
    }
    fn scratch_of_part<'c>(&self, products: &Products<'c>, asm: &Asm<'c>) -> u64 {
        let bytes = self.kernels().map(|kernel| products.scratch_bytes(asm, &kernel).next_multiple_of(64));
        bytes[0].max(bytes[1])
    }
    /// Bytes of scratch memory that all parts want together.
    pub fn scratch_bytes<'c>(&self, products: &Products<'c>, asm: &Asm<'c>) -> u64 {
        self.parts * self.scratch_of_part(products, asm)
    }
}

/// What a kernel is applied to.
#[derive(Clone, Copy)]
pub struct Operands<'c> {
    pub a: PointerValue<'c>,
    pub b: PointerValue<'c>,
    pub c: PointerValue<'c>,
    /// [`scratch_bytes`](Products::scratch_bytes) bytes that the kernel may overwrite, if it wants any.
    pub scratch: Option<PointerValue<'c>>,
    /// For [`Length::Given`].
    pub k: Option<IntValue<'c>>,
    /// For [`Sum::Asked`].
    pub add: Option<Reg<'c>>,
}

/// How the columns of a second factor are grouped: `[k, width]` for each panel, one after another; the columns that
/// the last one lacks are zeros.
#[derive(Clone, Copy, Debug)]
pub struct Panels {
    /// Lanes of a vector.
    pub lanes: u32,
    /// Vectors of all panels but the last.
    pub vectors: u64,
    /// Vectors that a panel may have.
    most: u64,
    /// Columns in all.
    pub n: u64,
}

impl Panels {
    /// The grouping of `n` columns.
    pub fn of(asm: &Asm<'_>, dtype: Dtype, n: u64) -> Panels {
        let most = asm.target.vector_bits / 8 / element_bytes(dtype);
        let lanes = most.min((n as u32).next_power_of_two().max(1));
        let most = if asm.target.vector_registers >= 32 { 4 } else { 2 };
        let vectors = n.div_ceil(u64::from(lanes));
        Panels { lanes, most, vectors: vectors.div_ceil(vectors.div_ceil(most)), n }
    }
    /// Columns of a panel but the last.
    pub fn width(&self) -> u64 {
        self.vectors * u64::from(self.lanes)
    }
    /// The block of columns that is left.
    fn rest(&self) -> Option<Columns> {
        let (rest, wide) = (self.n % self.width(), u64::from(self.lanes));
        let vectors = rest.div_ceil(wide);
        (rest > 0).then(|| Columns { vectors, active: (rest - (vectors - 1) * wide) as u32 })
    }
    /// Calls `f` with the first column of each panel, and its columns.
    pub fn for_each<'c>(&self, asm: &Asm<'c>, mut f: impl FnMut(IntValue<'c>, Columns)) {
        let whole = self.n / self.width() * self.width();
        if whole > 0 {
            let of = asm.begin_loop(0, whole, self.width(), &[]);
            f(of.counter, Columns { vectors: self.vectors, active: self.lanes });
            asm.end_loop(of, vec![]);
        }
        if let Some(rest) = self.rest() {
            f(asm.int(whole as i64), rest);
        }
    }
}

/// Some neighbouring columns, as vectors.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    pub vectors: u64,
    /// Lanes of the last vector that are in use.
    pub active: u32,
}

impl Columns {
    /// The number of lanes in use of a vector, if it is not all of them.
    pub fn partial(&self, vector: u64, lanes: u32) -> Option<u32> {
        (vector + 1 == self.vectors && self.active < lanes).then_some(self.active)
    }
}

/// How rows are grouped: in blocks of two sizes that differ by one at most, so that no block is so small that reading
/// the second factor takes longer than the arithmetic.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// Rows in all.
    m: u64,
    /// Blocks.
    count: u64,
}

impl Rows {
    /// The grouping of `m` rows in blocks of so many at most.
    pub fn of(m: u64, most: u64) -> Rows {
        Rows { m, count: m.div_ceil(most).max(1) }
    }
    /// Calls `f` with the first row of each block, and with their number.
    pub fn for_each<'c>(&self, asm: &Asm<'c>, mut f: impl FnMut(IntValue<'c>, u64)) {
        let rows = self.m / self.count;
        let larger = self.m % self.count * (rows + 1);
        for (start, end, rows) in [(0, larger, rows + 1), (larger, self.m, rows)] {
            if start < end {
                let of = asm.begin_loop(start, end, rows, &[]);
                f(of.counter, rows);
                asm.end_loop(of, vec![]);
            }
        }
    }
}

/// Rows of a block whose sums, with a row of a panel, fill the registers.
fn most_rows(panels: &Panels) -> u64 {
    match (panels.most, panels.vectors) {
        (_, 1) | (4, 2) => 12,
        (4, 3) => 8,
        _ => 6,
    }
}

/// Decisions about a kernel.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub panels: Panels,
    pub rows: Rows,
    /// Length of the parts that the contraction is cut into, if it is.
    pub depth: Option<u64>,
    pack_a: bool,
    pack_b: bool,
}

/// Length of the blocks of a contraction: their rows of a panel of the second factor stay in the second-level cache
/// beside what streams by, and the block's sums are loaded and stored only so often.
const DEPTH: u64 = 256;

impl Plan {
    pub fn of(asm: &Asm<'_>, kernel: &Kernel, strict: bool) -> Plan {
        let mut panels = Panels::of(asm, kernel.dtype, kernel.n);
        if kernel.m <= FEW_ROWS {
            // Nearly all registers hold sums, so that long pieces of each row are read at once.
            let vectors = kernel.n.div_ceil(u64::from(panels.lanes));
            panels.vectors = vectors.div_ceil(vectors.div_ceil(6 * panels.most / kernel.m));
        }
        let rows = Rows::of(kernel.m, most_rows(&panels));
        let blocks = rows.count;
        let (k, at_most) = match kernel.k {
            Length::Fixed(k) => (k, k),
            Length::Given => (u64::MAX, DEPTH),
        };
        // A strict sum starts from zero and is added at its end.
        let whole = strict && kernel.sum != Sum::Stored;
        let bytes = u64::from(element_bytes(kernel.dtype));
        let turned = kernel.b.column != 1;
        let distant = || at_most * panels.width() * bytes > 16 << 10 && kernel.b.row * bytes as i64 >= 512;
        // Turned once instead of gathered for each block of rows.
        let pack_b = turned || blocks >= 4 && distant();
        let pack_a =
            kernel.a.row == 1 && kernel.a.column != 1 && at_most >= 64 && kernel.n >= 64 && kernel.m > 2;
        let cut = k > DEPTH + DEPTH / 2 && !whole && !turned;
        let depth = cut.then(|| match kernel.k {
            Length::Fixed(k) => k.div_ceil(k.div_ceil(DEPTH)),
            Length::Given => DEPTH,
        });
        // What is packed must fit into scratch memory of a fixed size.
        let packs = depth.is_some() || kernel.k != Length::Given;
        Plan { panels, rows, depth, pack_a: pack_a && packs, pack_b: pack_b && packs }
    }
    /// Bytes that the packed first factor takes, if it is packed.
    pub fn packed_a(&self, kernel: &Kernel) -> u64 {
        let Some(depth) = self.deepest(kernel).filter(|_| self.pack_a) else { return 0 };
        (kernel.m * depth * u64::from(element_bytes(kernel.dtype))).next_multiple_of(64)
    }
    /// Bytes that a packed panel of the second factor takes, if it is packed.
    pub fn packed_b(&self, kernel: &Kernel) -> u64 {
        let Some(depth) = self.deepest(kernel).filter(|_| self.pack_b) else { return 0 };
        self.panels.width() * depth * u64::from(element_bytes(kernel.dtype))
    }
    /// Terms that a part has at most, if that is known.
    pub fn deepest(&self, kernel: &Kernel) -> Option<u64> {
        match kernel.k {
            Length::Fixed(k) => Some(self.depth.unwrap_or(k)),
            Length::Given => self.depth,
        }
    }
}

/// The kernels of a module, each of which is emitted when it is first called.
pub struct Products<'c> {
    /// Whether every bit counts: sums run from the first term to the last, and nothing is contracted.
    strict: bool,
    functions: RefCell<HashMap<Kernel, FunctionValue<'c>>>,
}

impl<'c> Products<'c> {
    /// Of a module that has none yet.
    pub fn new(strict: bool) -> Products<'c> {
        Products { strict, functions: RefCell::default() }
    }
    /// Whether a kernel adds [along both factors](dots).
    pub fn are_dots(&self, kernel: &Kernel) -> bool {
        dots::serves(kernel, self.strict)
    }
    /// Bytes of scratch memory, aligned to a cache line, that a kernel wants.
    pub fn scratch_bytes(&self, asm: &Asm<'c>, kernel: &Kernel) -> u64 {
        if self.are_dots(kernel) {
            return 0;
        }
        let plan = Plan::of(asm, kernel, self.strict);
        plan.packed_a(kernel) + plan.packed_b(kernel)
    }
    /// How a product is cut into about so many parts, if its elements are the same sums then: each part is of the kind
    /// that the whole is, and its contraction is cut in the same way.
    pub fn cut(&self, asm: &Asm<'c>, kernel: &Kernel, parts: u64) -> Option<Cut> {
        let Length::Fixed(_) = kernel.k else { return None };
        let width = u64::from(asm.target.vector_bits / 8 / element_bytes(kernel.dtype));
        let whole = Plan::of(asm, kernel, self.strict);
        // Along the longer side, in whole vectors or in blocks of rows.
        let cut = |by_rows: bool| {
            let (length, unit) = if by_rows { (kernel.m, 2 * FEW_ROWS) } else { (kernel.n, width.max(8)) };
            let size = length.div_ceil(parts).next_multiple_of(unit);
            let parts = length.div_ceil(size);
            let cut = Cut { whole: *kernel, parts, by_rows, size };
            let is_same = |part: Kernel| {
                part.m > 0
                    && part.n > 0
                    && self.are_dots(&part) == self.are_dots(kernel)
                    && (part.m <= FEW_ROWS) == (kernel.m <= FEW_ROWS)
                    && Plan::of(asm, &part, self.strict).depth == whole.depth
            };
            (parts > 1 && cut.kernels().into_iter().all(is_same)).then_some(cut)
        };
        let rows_first = kernel.m >= kernel.n;
        cut(rows_first).or_else(|| cut(!rows_first))
    }
    /// Calls the kernels of a product's parts on several threads.
    pub fn call_in_parts(&self, asm: &Asm<'c>, cut: &Cut, x: Operands<'c>) {
        let mut args: Vec<Reg<'c>> = vec![x.a.into(), x.b.into(), x.c.into()];
        args.extend(x.scratch.map(Reg::from));
        args.extend(x.add);
        let key = format!("product {:?} {} {} {}", cut.whole, cut.parts, cut.by_rows, cut.size);
        let scratch_of_part = cut.scratch_of_part(self, asm);
        asm.parallel(key, &args, cut.parts, |args, part| {
            let mut rest = args[3..].iter().copied();
            let element = asm.memory_ty(cut.whole.dtype, 1);
            let moved = |at: usize, by: i64| {
                let distance = asm.index_mul(part, by * cut.size as i64);
                asm.at(element, args[at].into_pointer_value(), distance)
            };
            let Kernel { a, b, c, .. } = cut.whole;
            let steps = if cut.by_rows { [a.row, 0, c] } else { [0, b.column, 1] };
            let [a, b, c] = [0, 1, 2].map(|i| moved(i, steps[i]));
            let scratch = x.scratch.and_then(|_| rest.next()).map(|room| {
                let byte = asm.context.i8_type().into();
                asm.at(byte, room.into_pointer_value(), asm.index_mul(part, scratch_of_part as i64))
            });
            let operands = Operands { a, b, c, scratch, k: None, add: x.add.and_then(|_| rest.next()) };
            let call = |kernel: Kernel| {
                let wants = self.scratch_bytes(asm, &kernel) > 0;
                self.call(asm, kernel, Operands { scratch: operands.scratch.filter(|_| wants), ..operands });
            };
            let [kernel, last] = cut.kernels();
            if kernel == last {
                return call(kernel);
            }
            let (of_last, of_others, after) = (asm.block("last"), asm.block("others"), asm.block("after"));
            let end = asm.int(cut.parts as i64 - 1).into();
            asm.branch(asm.icmp(IntPredicate::EQ, part.into(), end), of_last, of_others);
            for (block, kernel) in [(of_last, last), (of_others, kernel)] {
                asm.go_to(block);
                call(kernel);
                asm.jump(after);
            }
            asm.go_to(after);
        });
    }
    /// Calls a kernel, which is emitted if it was not yet.
    pub fn call(&self, asm: &Asm<'c>, kernel: Kernel, x: Operands<'c>) {
        let known = self.functions.borrow().get(&kernel).copied();
        let function = known.unwrap_or_else(|| {
            let function = declare(asm, &kernel, self.scratch_bytes(asm, &kernel) > 0);
            let here = asm.here();
            kernel::emit(asm, &kernel, self.strict, function);
            asm.go_to(here);
            self.functions.borrow_mut().insert(kernel, function);
            function
        });
        let mut args: Vec<Reg<'c>> = vec![x.a.into(), x.b.into(), x.c.into()];
        args.extend(x.scratch.map(Reg::from));
        if kernel.k == Length::Given {
            args.push(x.k.expect("the length of the contraction").into());
        }
        if kernel.sum == Sum::Asked {
            args.push(x.add.expect("whether to add"));
        }
        asm.call(function, &args);
    }
}

fn declare<'c>(asm: &Asm<'c>, kernel: &Kernel, has_scratch: bool) -> FunctionValue<'c> {
    let ptr: BasicMetadataTypeEnum<'c> = asm.ptr_ty().into();
    let mut types = vec![ptr; 3];
    if has_scratch {
        types.push(ptr);
    }
    if kernel.k == Length::Given {
        types.push(asm.context.i64_type().into());
    }
    if kernel.sum == Sum::Asked {
        types.push(asm.context.bool_type().into());
    }
    let ty = asm.context.void_type().fn_type(&types, false);
    let k = match kernel.k {
        Length::Fixed(k) => k.to_string(),
        Length::Given => "k".into(),
    };
    let name = format!("product.{}x{}x{k}", kernel.m, kernel.n);
    let function = asm.module.add_function(&name, ty, Some(Linkage::Private));
    function.set_call_conventions(FAST);
    asm.attributes(function);
    function
}
