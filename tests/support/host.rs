//! Operators of the host that tests share.

use antiphon::Tensor;
use antiphon::host::{ArrayViewD, ArrayViewMutD, HostElement, HostOperator};

/// The solution `x` of `L·x = b`, or of `Lᵀ·x = b`, for a lower triangular matrix of which nothing above the diagonal
/// is read.
#[derive(Clone, Debug)]
pub struct SolveLower {
    pub transposed: bool,
}

impl SolveLower {
    fn other(&self) -> SolveLower {
        SolveLower { transposed: !self.transposed }
    }

    /// The product of a column and a row, of which the matrix has what is not above the diagonal.
    fn outer<T: Tensor>(&self, column: &T, row: &T) -> T {
        let outer = column.unsqueeze(-1) * row.unsqueeze(-2);
        let outer = if self.transposed { outer.transpose() } else { outer };
        let n = *column.shape().last().unwrap();
        let ones = (0..n * n).map(|i| if i % n <= i / n { 1.0 } else { 0.0 });
        outer * T::from_elements(&[n, n], &ones.collect::<Vec<_>>()).unwrap()
    }
}

impl HostOperator for SolveLower {
    const NAME: &'static str = "solve_lower";
    const RANKS: &'static [usize] = &[2, 1];

    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        match operands {
            [[m, n], [k]] if m == n && n == k => Ok(vec![*n]),
            _ => Err("it takes a square matrix and a vector of its size".into()),
        }
    }

    fn value<E: HostElement>(
        &self,
        x: &[ArrayViewD<'_, E>],
        mut y: ArrayViewMutD<'_, E>,
    ) -> Result<(), String> {
        let (matrix, b) = (&x[0], &x[1]);
        let n = b.len();
        let entry = |i, j| if self.transposed { matrix[[j, i]] } else { matrix[[i, j]] };
        for step in 0..n {
            let i = if self.transposed { n - 1 - step } else { step };
            let known: Vec<usize> = if self.transposed { (i + 1..n).collect() } else { (0..i).collect() };
            let rest = known.into_iter().fold(b[[i]], |rest, j| rest - entry(i, j) * y[[j]]);
            if entry(i, i) == E::zero() {
                return Err(format!("element {i} of the diagonal is 0"));
            }
            y[[i]] = rest / entry(i, i);
        }
        Ok(())
    }

    fn harmless(&self, operand: usize, shape: &[usize]) -> Vec<f64> {
        let n = shape[0];
        match operand {
            0 => (0..n * n).map(|i| if i % (n + 1) == 0 { 1.0 } else { 0.0 }).collect(),
            _ => vec![1.0; n],
        }
    }

    fn pull<T: Tensor>(&self, x: &[T], y: &T, y_bar: &T, wanted: &[bool]) -> Vec<Option<T>> {
        let b_bar = T::host(&self.other(), &[&x[0], y_bar]);
        let matrix_bar = wanted[0].then(|| -self.outer(&b_bar, y));
        vec![matrix_bar, Some(b_bar)]
    }

    fn push<T: Tensor>(&self, x: &[T], y: &T, tangents: &[Option<T>]) -> Option<T> {
        // dx = L⁻¹(db − dL·x), of dL only what is not above the diagonal.
        let n = *y.shape().last().unwrap();
        let ones = (0..n * n).map(|i| if i % n <= i / n { 1.0 } else { 0.0 });
        let lower = T::from_elements(&[n, n], &ones.collect::<Vec<_>>()).unwrap();
        let moved = tangents[0].as_ref().map(|dl| {
            let dl = dl.clone() * &lower;
            let dl = if self.transposed { dl.transpose() } else { dl };
            -dl.matmul(&y.unsqueeze(-1)).sum(-1)
        });
        let right = match (moved, tangents[1].clone()) {
            (Some(a), Some(b)) => a + b,
            (Some(a), None) | (None, Some(a)) => a,
            (None, None) => return None,
        };
        Some(T::host(self, &[&x[0], &right]))
    }
}

/// `L⁻¹·b`.
#[track_caller]
pub fn solve_lower<T: Tensor>(matrix: &T, b: &T) -> T {
    T::host(&SolveLower { transposed: false }, &[matrix, b])
}
