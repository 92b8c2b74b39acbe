//! Row-major positions.

use crate::ir::types::Shape;

/// Distances between neighbours along each axis.
pub fn strides(shape: &[usize]) -> Shape {
    let mut strides = Shape::from_elem(1, shape.len());
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i];
    }
    strides
}

/// Position of an index.
pub fn position(index: &[usize], strides: &[usize]) -> usize {
    index.iter().zip(strides).map(|(i, stride)| i * stride).sum()
}

/// Calls `f` with every index of a shape, in row-major order.
pub fn each_index(shape: &[usize], mut f: impl FnMut(&[usize])) {
    if shape.contains(&0) {
        return;
    }
    let mut index = Shape::from_elem(0, shape.len());
    loop {
        f(&index);
        let Some(axis) = (0..shape.len()).rev().find(|&axis| index[axis] + 1 < shape[axis]) else { return };
        index[axis] += 1;
        index[axis + 1..].fill(0);
    }
}

/// For every index of a shape that an operand broadcasts to: the position of the operand's element.
pub fn broadcast_positions(from: &[usize], to: &[usize]) -> Vec<usize> {
    let strides = strides(from);
    let lead = to.len() - from.len();
    let mut positions = Vec::with_capacity(crate::ir::types::size(to));
    each_index(to, |index| {
        let own = index[lead..].iter().zip(from).map(|(&i, &n)| if n == 1 { 0 } else { i });
        positions.push(own.zip(&strides).map(|(i, stride)| i * stride).sum());
    });
    positions
}
