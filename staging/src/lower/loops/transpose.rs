//! Transposition of matrices in square blocks that are turned in registers, by exchanging ever larger halves.

use inkwell::IntPredicate;
use inkwell::values::{IntValue, PointerValue};

use crate::ir::types::{Dtype, Scalar};
use crate::lower::asm::math::Math;
use crate::lower::asm::{Asm, Reg, element_bytes};
use crate::lower::loops::emit;
use crate::lower::loops::nest::{Nest, Op, Root};
use crate::lower::loops::outline::outline;

/// `to[i·to_pitch + j] = from[j·from_pitch + i]`, for `rows` values of `i` and `columns` of `j`.
pub struct Transposition<'c> {
    pub from: PointerValue<'c>,
    pub to: PointerValue<'c>,
    pub rows: usize,
    pub columns: usize,
    /// Columns that are written: those that `from` does not have are zeros. Not more than fill the last block.
    pub padded: usize,
    pub from_pitch: i64,
    pub to_pitch: i64,
    pub dtype: Dtype,
}

/// Emits a nest, which just stores what it loads, as a transposition if it is one.
pub fn emit_movement<'c>(asm: &Asm<'c>, math: Math, mut nest: Nest<'c>) {
    nest.collapse();
    outline(asm, nest, |asm, nest| {
        match recognise(asm, &nest) {
            Some(t) => emit(asm, &t),
            None => drop(emit::emit_here(asm, math, nest)),
        }
        Vec::new()
    });
}

/// Rows and columns of a block.
pub fn block_size(asm: &Asm<'_>, dtype: Dtype) -> usize {
    (asm.target.vector_bits.min(256) / 8 / element_bytes(dtype)) as usize
}

/// Emits a transposition.
pub fn emit<'c>(asm: &Asm<'c>, t: &Transposition<'c>) {
    let block = block_size(asm, t.dtype);
    steps(asm, t.columns, block, |j, columns| {
        let written = if columns < block { columns + t.padded - t.columns } else { block };
        steps(asm, t.rows, block, |i, rows| turn(asm, t, [i, j], [rows, columns, written]));
    });
}

/// Emits a transposition that several threads share, if it takes so much: along its longer side, in whole blocks.
pub fn emit_shared<'c>(asm: &Asm<'c>, t: &Transposition<'c>) {
    let by_rows = t.rows >= t.columns;
    let length = if by_rows { t.rows } else { t.columns };
    let parts = asm.parts_of((t.rows * t.columns) as u64) as usize;
    let size = length.div_ceil(parts).next_multiple_of(4 * block_size(asm, t.dtype));
    let count = length.div_ceil(size);
    if parts == 1 || count < 2 {
        return emit(asm, t);
    }
    let Transposition { rows, columns, padded, from_pitch, to_pitch, dtype, .. } = *t;
    let key = format!("transposition {rows} {columns} {padded} {from_pitch} {to_pitch} {dtype} {size}");
    asm.parallel(key, &[t.from.into(), t.to.into()], count as u64, |args, part| {
        let memory = asm.memory_ty(dtype, 1);
        let [down, across] = if by_rows { [1, to_pitch] } else { [from_pitch, 1] };
        let [from, to] = [(0, down), (1, across)].map(|(i, step): (usize, i64)| {
            asm.at(memory, args[i].into_pointer_value(), asm.index_mul(part, step * size as i64))
        });
        let before = (count - 1) * size;
        let some = |is_last: bool| match (by_rows, is_last) {
            (true, false) => Transposition { from, to, rows: size, ..*t },
            (true, true) => Transposition { from, to, rows: rows - before, ..*t },
            (false, false) => Transposition { from, to, columns: size, padded: size, ..*t },
            (false, true) => {
                Transposition { from, to, columns: columns - before, padded: padded - before, ..*t }
            }
        };
        let (of_last, of_others, after) = (asm.block("last"), asm.block("others"), asm.block("after"));
        let end = asm.int(count as i64 - 1).into();
        asm.branch(asm.icmp(IntPredicate::EQ, part.into(), end), of_last, of_others);
        for (block, is_last) in [(of_last, true), (of_others, false)] {
            asm.go_to(block);
            emit(asm, &some(is_last));
            asm.jump(after);
        }
        asm.go_to(after);
    });
}

/// Calls `f` for each step of a range, and for what is left.
fn steps<'c>(asm: &Asm<'c>, n: usize, step: usize, mut f: impl FnMut(IntValue<'c>, usize)) {
    let whole = n / step * step;
    if whole > 0 {
        let of = asm.begin_loop(0, whole as u64, step as u64, &[]);
        f(of.counter, step);
        asm.end_loop(of, vec![]);
    }
    if whole < n {
        f(asm.int(whole as i64), n - whole);
    }
}

fn recognise<'c>(asm: &Asm<'c>, nest: &Nest<'c>) -> Option<Transposition<'c>> {
    let ([rows, columns], [Root::Store { to, at, node, mask: None }]) = (&nest.shape[..], &nest.roots[..])
    else {
        return None;
    };
    let (node, wide) = (&nest.nodes[*node], *columns as i64);
    let Op::Load { from, at: source, mask: None, .. } = &node.op else { return None };
    let turned = at.factors[..] == [wide, 1] && at.offset == 0 && source.factors[0] == 1;
    (turned && node.dtype.is_float() && source.factors[1] > 1).then(|| Transposition {
        from: asm.bytes(*from, source.offset * i64::from(element_bytes(node.dtype))),
        to: *to,
        rows: *rows,
        columns: *columns,
        padded: *columns,
        from_pitch: source.factors[1],
        to_pitch: wide,
        dtype: node.dtype,
    })
}

/// One block: so many rows and columns of it that there are, and columns that are written.
fn turn<'c>(
    asm: &Asm<'c>,
    t: &Transposition<'c>,
    [i, j]: [IntValue<'c>; 2],
    [rows, columns, written]: [usize; 3],
) {
    let (block, memory) = (block_size(asm, t.dtype), asm.memory_ty(t.dtype, 1));
    let lanes = block as u32;
    let partial = |n: usize| (n < block).then_some(n as u32);
    let source = asm.at(memory, t.from, asm.index_add(asm.index_mul(j, t.from_pitch), i));
    let mut turned: Vec<Reg<'c>> = (0..block)
        .map(|q| {
            let row = asm.at(memory, source, asm.int(q as i64 * t.from_pitch));
            match q < columns {
                true => asm.load_first(t.dtype, lanes, partial(rows), row),
                false => asm.constant(Scalar::of(t.dtype, 0.0), lanes),
            }
        })
        .collect();
    let mut half = 1;
    while half < block {
        let high = |lane: u32| lane & half as u32 != 0;
        for a in (0..block).filter(|a| a & half == 0) {
            let (x, y) = (turned[a], turned[a + half]);
            let shift = half as u32;
            let first = (0..lanes).map(|l| if high(l) { lanes + l - shift } else { l });
            let second = (0..lanes).map(|l| if high(l) { lanes + l } else { l + shift });
            turned[a] = asm.shuffle(x, y, first);
            turned[a + half] = asm.shuffle(x, y, second);
        }
        half *= 2;
    }
    let target = asm.at(memory, t.to, asm.index_add(asm.index_mul(i, t.to_pitch), j));
    for (p, x) in turned.into_iter().enumerate().take(rows) {
        asm.store_first(t.dtype, x, partial(written), asm.at(memory, target, asm.int(p as i64 * t.to_pitch)));
    }
}
