//! Transposition of matrices in square blocks that are turned in registers, by exchanging ever larger halves.

use inkwell::values::PointerValue;

use crate::lower::asm::{Asm, Reg, element_bytes};
use crate::lower::emit;
use crate::lower::math::Math;
use crate::lower::nest::{Affine, Nest, Op, Root};
use crate::types::Dtype;

/// `to[i·to_pitch + j] = from[j·from_pitch + i]`, for `rows` values of `i` and `columns` of `j`.
pub struct Transposition<'c> {
    pub from: PointerValue<'c>,
    pub to: PointerValue<'c>,
    pub rows: usize,
    pub columns: usize,
    pub from_pitch: i64,
    pub to_pitch: i64,
    pub dtype: Dtype,
}

/// Emits a nest, which just stores what it loads, as a transposition if it is one.
pub fn emit_movement<'c>(asm: &Asm<'c>, math: Math, mut nest: Nest<'c>) {
    nest.collapse();
    match recognise(asm, &nest) {
        Some(t) => emit(asm, math, &t),
        None => drop(emit::emit(asm, math, nest)),
    }
}

/// Emits a transposition.
pub fn emit<'c>(asm: &Asm<'c>, math: Math, t: &Transposition<'c>) {
    let block = (asm.target.vector_bits.min(256) / 8 / element_bytes(t.dtype)) as usize;
    let whole = [t.rows / block * block, t.columns / block * block];
    if whole.contains(&0) {
        return rest(asm, math, t, [0, 0], [t.rows, t.columns]);
    }
    blocks(asm, t, block, whole);
    rest(asm, math, t, [whole[0], 0], [t.rows - whole[0], t.columns]);
    rest(asm, math, t, [0, whole[1]], [whole[0], t.columns - whole[1]]);
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
        from_pitch: source.factors[1],
        to_pitch: wide,
        dtype: node.dtype,
    })
}

fn blocks<'c>(asm: &Asm<'c>, t: &Transposition<'c>, block: usize, whole: [usize; 2]) {
    let (lanes, memory) = (block as u32, asm.memory_ty(t.dtype, 1));
    let rows = asm.begin_loop(0, whole[0] as u64, block as u64, &[]);
    let columns = asm.begin_loop(0, whole[1] as u64, block as u64, &[]);
    let (i, j) = (rows.counter, columns.counter);
    let source = asm.at(memory, t.from, asm.index_add(asm.index_mul(j, t.from_pitch), i));
    let mut turned: Vec<Reg<'c>> = (0..block as i64)
        .map(|q| asm.load(t.dtype, lanes, asm.at(memory, source, asm.int(q * t.from_pitch))))
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
    for (p, x) in turned.into_iter().enumerate() {
        asm.store(t.dtype, x, asm.at(memory, target, asm.int(p as i64 * t.to_pitch)));
    }
    asm.end_loop(columns, vec![]);
    asm.end_loop(rows, vec![]);
}

/// The part that starts at an index and has a shape, element by element.
fn rest<'c>(asm: &Asm<'c>, math: Math, t: &Transposition<'c>, start: [usize; 2], shape: [usize; 2]) {
    let mut nest = Nest::new(&shape);
    let index = [0, 1].map(|i| Affine::counter(2, i).times(1, start[i] as i64));
    let source = index[1].clone().times(t.from_pitch, 0).plus(&index[0], 1);
    let node = nest.load(t.from, source, t.dtype);
    let at = index[0].clone().times(t.to_pitch, 0).plus(&index[1], 1);
    nest.roots.push(Root::Store { to: t.to, at, node, mask: None });
    emit::emit(asm, math, nest);
}
