use antiphon::{NdArray, Result, Tensor, grad};

fn slope(w: &NdArray<f64>, x: &NdArray<f64>) -> Result<NdArray<f64>> {
    grad(|w| w.matmul(x).sum(..), w)
}

fn main() {}
