//! Second derivatives by nesting the first ones: a Hessian-vector product is forward mode over reverse mode, and
//! costs a few evaluations, however many variables there are.

use antiphon::{NdArray, Result, Tensor, grad, hessian, hvp};
use ndarray::Array1;

/// Rosenbrock's function in n variables, `Σ 100·(xᵢ₊₁ − xᵢ²)² + (1 − xᵢ)²`; its minimum lies at (1, …, 1).
pub(crate) fn rosenbrock<T: Tensor>(x: &T) -> T {
    let n = x.size();
    let (head, tail) = (x.slice(0, 0..n - 1), x.slice(0, 1..n));
    (tail - head.square()).square().sum(..) * 100.0 + (head - 1.0).square().sum(..)
}

fn main() -> Result<()> {
    // In three variables the Hessian is small enough to look at, and to check the product with.
    let (x, v) =
        (NdArray::from(Array1::from(vec![0.5, -0.2, 0.3])), NdArray::from(Array1::from(vec![1.0, 2.0, 3.0])));
    let matrix = hessian(|x| rosenbrock(&x), &x)?;
    let (_, product) = hvp(|x| rosenbrock(&x), &x, &v)?;
    println!("H·v = {product}, and with the whole matrix {}", matrix.matmul(&v));

    // In ten thousand variables the matrix would have 10⁸ entries. Newton's method by conjugate gradients needs only
    // products: minimise v ↦ ½ vᵀHv + gᵀv near the minimum.
    let n = 10_000;
    let mut x = NdArray::from(Array1::from_elem(n, 1.02));
    for iteration in 0..6 {
        println!("iteration {iteration}: f = {:.3e}", rosenbrock(&x).item());
        let g = grad(|x| rosenbrock(&x), &x)?;
        let mut step = x.clone() * 0.0;
        let mut residual = -g;
        let mut direction = residual.clone();
        for _ in 0..100 {
            let (_, h) = hvp(|x| rosenbrock(&x), &x, &direction)?;
            let old = residual.matmul(&residual);
            let alpha = old.clone() / direction.matmul(&h);
            step += direction.clone() * &alpha;
            residual -= h * &alpha;
            if residual.matmul(&residual).item() < 1e-24 * n as f64 {
                break;
            }
            direction = residual.clone() + direction * (residual.matmul(&residual) / old);
        }
        x += step;
    }
    println!("the minimum: f = {:.1e}, x[0] = {:.6}", rosenbrock(&x).item(), x.view()[0]);
    Ok(())
}
