//! Copies of the factors of a product in the order in which its kernel reads them.

use inkwell::values::PointerValue;

use crate::ir::types::Dtype;
use crate::lower::asm::{Asm, element_bytes};
use crate::lower::loops::transpose::{self, Transposition};
use crate::lower::products::contract::{Columns, Rows, Strides};
use crate::lower::products::kernel::Count;

/// The first factor, of which every row of memory is a column: for each block of `n` rows from `r` on,
/// `to[depth·r + n·l + i] = from[l·pitch + r + i]`.
pub struct Blocks {
    pub dtype: Dtype,
    pub rows: Rows,
    /// Columns that a block has room for.
    pub depth: u64,
    pub pitch: i64,
}

/// Packs the first factor of a product.
pub fn rows<'c>(asm: &Asm<'c>, p: &Blocks, from: PointerValue<'c>, to: PointerValue<'c>, count: Count<'c>) {
    let element = asm.memory_ty(p.dtype, 1);
    p.rows.for_each(asm, |row, rows| {
        let (from, to) =
            (asm.at(element, from, row), asm.at(element, to, asm.index_mul(row, p.depth as i64)));
        let lanes = (rows as u32).next_power_of_two();
        let active = (u64::from(lanes) > rows).then_some(rows as u32);
        let of = count.begin(asm, &[]);
        let source = asm.at(element, from, asm.index_mul(of.counter, p.pitch));
        let target = asm.at(element, to, asm.index_mul(of.counter, rows as i64));
        asm.store_first(p.dtype, asm.load_first(p.dtype, lanes, active, source), active, target);
        asm.end_loop(of, vec![]);
    });
}

/// One panel of the second factor.
pub struct Panel {
    pub dtype: Dtype,
    pub lanes: u32,
    pub columns: Columns,
    pub from: Strides,
}

/// Packs a panel of the second factor of a product.
pub fn panel<'c>(asm: &Asm<'c>, p: &Panel, from: PointerValue<'c>, to: PointerValue<'c>, count: Count<'c>) {
    let element = asm.memory_ty(p.dtype, 1);
    let width = p.columns.vectors * u64::from(p.lanes);
    if p.from.column == 1 {
        let of = count.begin(asm, &[]);
        let source = asm.at(element, from, asm.index_mul(of.counter, p.from.row));
        let target = asm.at(element, to, asm.index_mul(of.counter, width as i64));
        for j in 0..p.columns.vectors {
            let at = (j * u64::from(p.lanes * element_bytes(p.dtype))) as i64;
            let x = asm.load_first(p.dtype, p.lanes, p.columns.partial(j, p.lanes), asm.bytes(source, at));
            asm.store(p.dtype, x, asm.bytes(target, at));
        }
        asm.end_loop(of, vec![]);
        return;
    }
    let Count::Fixed(k) = count else { unreachable!("a factor of unknown length is not turned") };
    let used = width - u64::from(p.lanes - p.columns.active);
    // More may be missing than a block has.
    let padded = width.min(used.next_multiple_of(transpose::block_size(asm, p.dtype) as u64));
    if padded < width {
        asm.zero(to, width * k * u64::from(element_bytes(p.dtype)));
    }
    let turned = Transposition {
        from,
        to,
        rows: k as usize,
        columns: used as usize,
        padded: padded as usize,
        from_pitch: p.from.column,
        to_pitch: width as i64,
        dtype: p.dtype,
    };
    transpose::emit(asm, &turned);
}
