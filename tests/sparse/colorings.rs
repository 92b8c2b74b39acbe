//! Matrices with entries anywhere come out of their colourings as they are.

use antiphon::{
    Batch, Dual, Real, Sparsity, Tensor, Traced, Var, hessian_sparsity, jacobian_sparsity, sparse_hessian,
    sparse_jacobian,
};

use crate::case::{Array, assert_near};

/// Irregular numbers below one.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
    /// A matrix with about this share of entries, and its pattern.
    fn matrix(&mut self, [m, n]: [usize; 2], share: f64, symmetric: bool) -> (Array, Sparsity) {
        let (mut elements, mut entries) = (vec![0.0; m * n], Vec::new());
        for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
            if self.next() < share && (!symmetric || i <= j) {
                let value = 0.5 + self.next();
                let both = [(i, j), (j, i)];
                for &(i, j) in if symmetric { &both[..] } else { &both[..1] } {
                    elements[i * n + j] = value;
                    entries.push((i, j));
                }
            }
        }
        let matrix = Array::from_elements(&[m, n], &elements).unwrap();
        (matrix, Sparsity::from_entries([m, n], entries).unwrap())
    }
}

const SHARES: [f64; 5] = [0.03, 0.1, 0.25, 0.5, 1.0];

#[test]
fn linear_functions_have_their_matrix() {
    let mut numbers = Numbers(1);
    for (round, share) in (0..12).flat_map(|round| SHARES.map(|share| (round, share))) {
        let shape = [1 + 5 * round % 17, 1 + 7 * round % 19];
        let (matrix, entries) = numbers.matrix(shape, share, false);
        let x = Array::ones(&[shape[1]]);
        let pattern = jacobian_sparsity(|x| Traced::lift(&matrix).matmul(&x), &x).unwrap();
        assert_eq!(pattern, entries);
        let lifted = Dual::lift(&Batch::lift(&matrix));
        let found = sparse_jacobian(|x| Var::lift(&lifted).matmul(&x), &x, &pattern).unwrap();
        assert_near("matrix", &found.to_dense().unwrap(), &matrix);

        assert!(pattern.jacobian_colors() <= shape[0].min(shape[1]));
    }
}

#[test]
fn quadratic_functions_have_their_matrix() {
    let mut numbers = Numbers(2);
    let mut saved = 0;
    for (round, share) in (0..16).flat_map(|round| SHARES.map(|share| (round, share))) {
        let n = 1 + 7 * round % 31;
        let (matrix, entries) = numbers.matrix([n, n], share, true);
        let x = Array::ones(&[n]);
        let pattern =
            hessian_sparsity(|x| x.matmul(&Var::lift(&Traced::lift(&matrix)).matmul(&x)).scale(0.5), &x)
                .unwrap();
        assert_eq!(pattern, entries);
        let lifted = Dual::lift(&Batch::lift(&matrix));
        let f = sparse_hessian(|x| x.matmul(&Var::lift(&lifted).matmul(&x)).scale(0.5), &x, &pattern);
        assert_near("matrix", &f.unwrap().to_dense().unwrap(), &matrix);
        let colors = pattern.hessian_colors().unwrap();
        assert!(colors <= n);
        saved += n - colors;
    }
    assert!(saved > 300, "{saved}");
}
