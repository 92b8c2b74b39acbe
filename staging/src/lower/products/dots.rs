//! Products of few rows with a matrix that is stored column by column: sums along both, of several columns at once.
//!
//! Every element of the matrix is read once, in the order in which it lies, and the row once for all columns of a
//! block; the lanes of a block's sums are added at its end, all sums in the same instructions.

use inkwell::values::{FunctionValue, IntValue, PointerValue};

use crate::ir::types::Scalar;
use crate::lower::asm::{Asm, Reg, element_bytes, lanes};
use crate::lower::products::contract::{FEW_ROWS, Kernel, Length, Sum};

/// Columns of a block: as many sums hide the time that one addition takes.
const COLUMNS: u64 = 8;

/// Whether a kernel is one of these: with too few columns the sums would wait for one another, and these kernels add in
/// another order than from the first term to the last.
pub fn serves(kernel: &Kernel, strict: bool) -> bool {
    let along = kernel.b.row == 1 && kernel.b.column != 1;
    let long = matches!(kernel.k, Length::Fixed(k) if k > 1);
    !strict && kernel.m <= FEW_ROWS && kernel.n >= COLUMNS / 2 && kernel.a.column == 1 && along && long
}

/// Emits a kernel as the body of a function, whose first block is begun.
pub fn emit<'c>(asm: &Asm<'c>, kernel: &Kernel, function: FunctionValue<'c>) {
    let Length::Fixed(k) = kernel.k else { unreachable!("as `serves` says") };
    let at = kernel.b;
    let params = function.get_params();
    let [a, b, c] = [0, 1, 2].map(|i: usize| params[i].into_pointer_value());
    let add = match kernel.sum {
        Sum::Stored => None,
        Sum::Added => Some(asm.bool(true).into()),
        Sum::Asked => Some(params[3]),
    };
    let most = u64::from(asm.target.vector_bits / 8 / element_bytes(kernel.dtype));
    let lanes = most.min(k.next_power_of_two()) as u32;
    let dots = Dots { asm, kernel, k, lanes, a, b, pitch: at.column, c, add };
    let whole = kernel.n / COLUMNS * COLUMNS;
    if whole > 0 {
        let of = asm.begin_loop(0, whole, COLUMNS, &[]);
        dots.block(of.counter, COLUMNS);
        asm.end_loop(of, vec![]);
    }
    if whole < kernel.n {
        dots.block(asm.int(whole as i64), kernel.n - whole);
    }
}

struct Dots<'a, 'c> {
    asm: &'a Asm<'c>,
    kernel: &'a Kernel,
    k: u64,
    lanes: u32,
    a: PointerValue<'c>,
    b: PointerValue<'c>,
    /// Distance between the columns of `b`.
    pitch: i64,
    c: PointerValue<'c>,
    add: Option<Reg<'c>>,
}

impl<'c> Dots<'_, 'c> {
    /// All rows of some columns of `c`.
    fn block(&self, column: IntValue<'c>, columns: u64) {
        let (asm, kernel, wide) = (self.asm, self.kernel, u64::from(self.lanes));
        let zero = asm.constant(Scalar::of(kernel.dtype, 0.0), self.lanes);
        let b = self.address(self.b, asm.index_mul(column, self.pitch));
        let mut sums = vec![zero; (kernel.m * columns) as usize];
        let whole = self.k / wide * wide;
        if whole > 0 {
            let of = asm.begin_loop(0, whole, wide, &sums);
            let next = self.terms(&of.carried, b, of.counter, None);
            sums = asm.end_loop(of, next);
        }
        if whole < self.k {
            sums = self.terms(&sums, b, asm.int(whole as i64), Some((self.k - whole) as u32));
        }
        for (i, sums) in sums.chunks(columns as usize).enumerate() {
            let row = self.address(self.c, asm.int(i as i64 * kernel.c));
            for (at, group) in (0..).step_by(wide as usize).zip(sums.chunks(wide as usize)) {
                let to = self.address(row, asm.index_add(column, asm.int(at)));
                let mut sum = self.added_lanes(group.to_vec());
                let used = group.len() as u32;
                let partial = (used < lanes(sum)).then_some(used);
                if let Some(add) = self.add {
                    let old = asm.load_first(kernel.dtype, lanes(sum), partial, to);
                    sum = asm.select(add, asm.add(old, sum), sum);
                }
                asm.store_first(kernel.dtype, sum, partial, to);
            }
        }
    }

    /// The sums with a vector's worth of terms more, or with the first few of its lanes.
    fn terms(
        &self,
        sums: &[Reg<'c>],
        b: PointerValue<'c>,
        at: IntValue<'c>,
        active: Option<u32>,
    ) -> Vec<Reg<'c>> {
        let (asm, m) = (self.asm, self.kernel.m as usize);
        let columns = sums.len() / m;
        let load = |start, offset: i64| {
            let from = self.address(self.address(start, at), asm.int(offset));
            asm.load_first(self.kernel.dtype, self.lanes, active, from)
        };
        let rows: Vec<_> = (0..m).map(|i| load(self.a, i as i64 * self.kernel.a.row)).collect();
        let mut sums = sums.to_vec();
        for j in 0..columns {
            let y = load(b, j as i64 * self.pitch);
            for (i, &x) in rows.iter().enumerate() {
                sums[i * columns + j] = asm.fma(x, y, sums[i * columns + j]);
            }
        }
        sums
    }

    /// The sum of each vector's lanes, side by side in one vector, of as many lanes as the next power of two.
    fn added_lanes(&self, mut vectors: Vec<Reg<'c>>) -> Reg<'c> {
        let (asm, lanes) = (self.asm, self.lanes);
        let zero = asm.constant(Scalar::of(self.kernel.dtype, 0.0), lanes);
        vectors.resize(vectors.len().next_power_of_two(), zero);
        let groups = vectors.len() as u32;
        let neighbours = |x, y, lanes: u32| {
            let [even, odd] = [0, 1].map(|first| asm.shuffle(x, y, (first..2 * lanes).step_by(2)));
            asm.add(even, odd)
        };
        while vectors.len() > 1 {
            vectors = vectors.chunks(2).map(|pair| neighbours(pair[0], pair[1], lanes)).collect();
        }
        let (mut sum, mut lanes) = (vectors[0], lanes);
        while lanes > groups {
            lanes /= 2;
            sum = match lanes {
                1 => asm.add(asm.lane(sum, 0), asm.lane(sum, 1)),
                _ => neighbours(sum, sum, lanes),
            };
        }
        sum
    }

    fn address(&self, start: PointerValue<'c>, offset: IntValue<'c>) -> PointerValue<'c> {
        self.asm.at(self.asm.memory_ty(self.kernel.dtype, 1), start, offset)
    }
}
