//! Matrix products: register-blocked kernels specialised to static shapes.

use inkwell::values::{IntValue, PointerValue};

use crate::lower::asm::{Asm, Reg, element_bytes};
use crate::lower::math::Math;
use crate::types::{Dtype, Scalar};

/// A matrix in memory: its first element, and the distances between rows and columns.
#[derive(Clone, Copy)]
pub struct Matrix<'c> {
    pub start: PointerValue<'c>,
    pub row: i64,
    pub column: i64,
}

/// `c = a·b`, or `c += a·b`, for `a` of `[m, k]` and `b` of `[k, n]`, whose columns are neighbours.
pub struct Product<'c> {
    pub dtype: Dtype,
    pub m: u64,
    pub n: u64,
    pub k: u64,
    pub a: Matrix<'c>,
    pub b: Matrix<'c>,
    pub c: Matrix<'c>,
    /// Whether the product is added to what `c` holds; nothing if it never is.
    pub add: Option<Reg<'c>>,
}

/// Rows and vectors of columns of the block that is kept in registers.
#[derive(Clone, Copy)]
struct Block {
    rows: u64,
    vectors: u64,
    /// Lanes of the last vector that are in use.
    active: u32,
}

/// Emits a product here.
pub fn product<'c>(asm: &Asm<'c>, math: Math, p: &Product<'c>) {
    let most = asm.target.vector_bits / 8 / element_bytes(p.dtype);
    let lanes = most.min((p.n as u32).next_power_of_two().max(1));
    let wide = u64::from(lanes);
    let vectors = p.n.div_ceil(wide);
    // One register for an element of `a`, the others for `b` and the sums.
    let (most_rows, most_vectors) = if asm.target.vector_registers >= 32 { (6, 4) } else { (4, 2) };
    let most_vectors = if p.m <= 2 { 2 * most_vectors } else { most_vectors };
    let rows = p.m.div_ceil(p.m.div_ceil(most_rows));
    let across = vectors.div_ceil(vectors.div_ceil(most_vectors));
    let kernel = Kernel { asm, math, p, lanes };
    let step = across * wide;
    let whole = p.n / step * step;
    if whole > 0 {
        let of = asm.begin_loop(0, whole, step, &[]);
        kernel.rows(rows, of.counter, Block { rows: 0, vectors: across, active: lanes });
        asm.end_loop(of, vec![]);
    }
    if whole < p.n {
        let rest = p.n - whole;
        let active = (rest - (rest.div_ceil(wide) - 1) * wide) as u32;
        kernel.rows(rows, asm.int(whole as i64), Block { rows: 0, vectors: rest.div_ceil(wide), active });
    }
}

struct Kernel<'a, 'c> {
    asm: &'a Asm<'c>,
    math: Math,
    p: &'a Product<'c>,
    lanes: u32,
}

impl<'c> Kernel<'_, 'c> {
    fn rows(&self, rows: u64, column: IntValue<'c>, block: Block) {
        let whole = self.p.m / rows * rows;
        let of = self.asm.begin_loop(0, whole, rows, &[]);
        self.block(of.counter, column, Block { rows, ..block });
        self.asm.end_loop(of, vec![]);
        if whole < self.p.m {
            let row = self.asm.int(whole as i64);
            self.block(row, column, Block { rows: self.p.m - whole, ..block });
        }
    }

    fn block(&self, row: IntValue<'c>, column: IntValue<'c>, block: Block) {
        let (asm, p) = (self.asm, self.p);
        let zero = asm.constant(Scalar::of(p.dtype, 0.0), self.lanes);
        let sums = vec![zero; (block.rows * block.vectors) as usize];
        let a = self.address(p.a, asm.index_mul(row, p.a.row));
        let b = self.address(p.b, asm.index_mul(column, p.b.column));
        let of = asm.begin_loop(0, p.k, 1, &sums);
        let mut sums = of.carried.clone();
        let b = self.address(Matrix { start: b, ..p.b }, asm.index_mul(of.counter, p.b.row));
        let a = self.address(Matrix { start: a, ..p.a }, asm.index_mul(of.counter, p.a.column));
        let of_b: Vec<Reg<'c>> = (0..block.vectors).map(|j| self.load(b, j, block)).collect();
        for i in 0..block.rows {
            let address = self.address(Matrix { start: a, ..p.a }, asm.int(i as i64 * p.a.row));
            let x = asm.splat(asm.load(p.dtype, 1, address), self.lanes);
            for (j, &y) in of_b.iter().enumerate() {
                let sum = &mut sums[i as usize * of_b.len() + j];
                *sum = if self.math.strict { asm.add(*sum, asm.mul(x, y)) } else { asm.fma(x, y, *sum) };
            }
        }
        let sums = asm.end_loop(of, sums);
        let c = asm.index_add(asm.index_mul(row, p.c.row), column);
        let c = self.address(p.c, c);
        for i in 0..block.rows {
            let c = self.address(Matrix { start: c, ..p.c }, asm.int(i as i64 * p.c.row));
            for j in 0..block.vectors {
                let mut sum = sums[(i * block.vectors + j) as usize];
                if let Some(add) = p.add {
                    sum = asm.select(add, asm.add(self.load(c, j, block), sum), sum);
                }
                self.store(sum, c, j, block);
            }
        }
    }

    fn address(&self, of: Matrix<'c>, offset: IntValue<'c>) -> PointerValue<'c> {
        self.asm.at(self.asm.memory_ty(self.p.dtype, 1), of.start, offset)
    }

    /// The mask of a vector of which not all lanes are in use.
    fn mask(&self, j: u64, block: Block) -> Option<Reg<'c>> {
        let partial = j + 1 == block.vectors && block.active < self.lanes;
        partial.then(|| self.asm.first_lanes(block.active, self.lanes).into())
    }

    fn load(&self, row: PointerValue<'c>, j: u64, block: Block) -> Reg<'c> {
        let (asm, dtype) = (self.asm, self.p.dtype);
        let address = asm.bytes(row, (j * u64::from(self.lanes * element_bytes(dtype))) as i64);
        let Some(mask) = self.mask(j, block) else { return asm.load(dtype, self.lanes, address) };
        let ty = asm.ty(dtype, self.lanes);
        let align = asm.int32(element_bytes(dtype)).into();
        let zeros = ty.into_vector_type().const_zero().into();
        asm.intrinsic("llvm.masked.load", &[ty, asm.ptr_ty().into()], &[address.into(), align, mask, zeros])
    }

    fn store(&self, x: Reg<'c>, row: PointerValue<'c>, j: u64, block: Block) {
        let (asm, dtype) = (self.asm, self.p.dtype);
        let address = asm.bytes(row, (j * u64::from(self.lanes * element_bytes(dtype))) as i64);
        let Some(mask) = self.mask(j, block) else { return asm.store(dtype, x, address) };
        let types = [asm.ty(dtype, self.lanes), asm.ptr_ty().into()];
        let align = asm.int32(element_bytes(dtype)).into();
        asm.effect("llvm.masked.store", &types, &[x, address.into(), align, mask]);
    }
}
