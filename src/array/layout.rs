//! How elementwise kernels walk over operands of different strides.

use smallvec::SmallVec;

/// The loops over an output of some shape and `N` operands that broadcast to it: axes that all of them walk
/// through in one stride are merged. What remains is mostly a single loop over contiguous memory, or a matrix whose
/// rows are contiguous (a slice of the last axis) or repeated (a row vector, a column vector).
pub(super) struct Loops<const N: usize> {
    /// Length and strides of the axes outside of the innermost two.
    outer: SmallVec<[(usize, [usize; N]); 4]>,
    /// Length and strides of the last axis but one.
    pub rows: (usize, [usize; N]),
    /// Length and strides of the last axis.
    pub columns: (usize, [usize; N]),
}

impl<const N: usize> Loops<N> {
    /// For a shape that is not empty, and operands as (shape, strides).
    #[inline]
    pub fn new(shape: &[usize], operands: [(&[usize], &[isize]); N]) -> Loops<N> {
        let mut axes: SmallVec<[(usize, [usize; N]); 4]> = SmallVec::new();
        for (i, &n) in shape.iter().enumerate() {
            if n == 1 {
                continue;
            }
            let strides = operands.map(|(own, strides)| match (i + own.len()).checked_sub(shape.len()) {
                Some(j) if own[j] != 1 => strides[j] as usize,
                _ => 0,
            });
            match axes.last_mut() {
                Some((m, outer)) if (0..N).all(|k| outer[k] == n * strides[k]) => {
                    *m *= n;
                    *outer = strides;
                }
                _ => axes.push((n, strides)),
            }
        }
        let columns = axes.pop().unwrap_or((1, [1; N]));
        let rows = axes.pop().unwrap_or((1, [0; N]));
        Loops { outer: axes, rows, columns }
    }

    /// Calls `f` with the operands' offsets, for each matrix in row-major order of the output.
    #[inline]
    pub fn for_each(&self, mut f: impl FnMut([usize; N])) {
        let mut position: SmallVec<[usize; 4]> = SmallVec::from_elem(0, self.outer.len());
        let mut offsets = [0; N];
        loop {
            f(offsets);
            let mut axis = self.outer.len();
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                let (n, strides) = &self.outer[axis];
                position[axis] += 1;
                for (offset, stride) in offsets.iter_mut().zip(strides) {
                    *offset += stride;
                }
                if position[axis] < *n {
                    break;
                }
                position[axis] = 0;
                for (offset, stride) in offsets.iter_mut().zip(strides) {
                    *offset -= n * stride;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Loops;

    #[test]
    fn contiguous_axes_merge_and_repeated_ones_stay() {
        let plain = Loops::new(&[2, 3, 4], [(&[2, 3, 4], &[12, 4, 1]), (&[2, 3, 4], &[12, 4, 1])]);
        assert_eq!((plain.outer.len(), plain.rows.0, plain.columns), (0, 1, (24, [1, 1])));
        let bias = Loops::new(&[2, 3, 4], [(&[2, 3, 4], &[12, 4, 1]), (&[4], &[1])]);
        assert_eq!((bias.rows, bias.columns), ((6, [4, 0]), (4, [1, 1])));
        let column = Loops::new(&[3, 4], [(&[3, 4], &[4, 1]), (&[3, 1], &[1, 1])]);
        assert_eq!((column.rows, column.columns), ((3, [4, 1]), (4, [1, 0])));
    }

    #[test]
    fn offsets_follow_row_major_order() {
        // [2, 3, 2, 2] with gaps everywhere, so that nothing merges.
        let loops = Loops::new(&[2, 3, 2, 2], [(&[2, 3, 2, 2], &[100, 20, 5, 2])]);
        let mut seen = vec![];
        loops.for_each(|[offset]| seen.push(offset));
        assert_eq!(seen, [0, 20, 40, 100, 120, 140]);
    }
}
