//! Patterns of a random model's derivatives, found by sets of indices, against its derivatives.

use antiphon::{NdArray, Sparsity, Tensor, hessian_sparsity, hvp, jacobian_sparsity};

use crate::arrays::ArrayOp;
use crate::evaluate::{Noise, Run};
use crate::ways::Case;

/// That the patterns of gradient and Hessian, at the first point, have all entries that differ from zero; how many
/// those are, and how many the patterns have.
///
/// # Errors
/// Says which entry is missing.
pub fn check_patterns(case: &Case) -> Result<[usize; 2], String> {
    let x = case.arrays::<NdArray<f64>>(&case.points[0]);
    let (model, noise) = (&case.model, Noise::default());
    let mut found = 0;
    let mut covers = |what: &str, pattern: &Sparsity, row: usize, values: &[NdArray<f64>]| {
        let values = values.iter().flat_map(|leaf| leaf.view().iter().copied().collect::<Vec<_>>());
        for (j, value) in values.enumerate().filter(|(_, value)| value.is_finite() && *value != 0.0) {
            found += 1;
            if !pattern.entries().any(|entry| entry == (row, j)) {
                return Err(format!(
                    "the {what} has {value} at ({row}, {j}), and no entry there: {pattern:?}"
                ));
            }
        }
        Ok(())
    };
    let said = |error| format!("a pattern: {error}");
    let first =
        jacobian_sparsity(|reals| Run { model, arrays: ArrayOp::apply, noise }.call(x.with(reals)), &x.reals)
            .map_err(said)?;
    let second =
        hessian_sparsity(|reals| Run { model, arrays: ArrayOp::apply, noise }.call(x.with(reals)), &x.reals)
            .map_err(said)?;
    let sizes: Vec<usize> = x.reals.iter().map(Tensor::size).collect();
    for column in 0..sizes.iter().sum::<usize>() {
        let mut start = 0;
        let direction = x.reals.iter().zip(&sizes).map(|(leaf, size)| {
            let elements: Vec<f64> =
                (start..start + size).map(|i| if i == column { 1.0 } else { 0.0 }).collect();
            start += size;
            NdArray::from_elements(&leaf.shape(), &elements).expect("a number for each element")
        });
        let product = hvp(
            |reals| Run { model, arrays: ArrayOp::apply, noise }.call(x.with(reals)),
            &x.reals,
            &direction.collect::<Vec<_>>(),
        );
        let (gradient, product) = product.map_err(said)?;
        if column == 0 {
            covers("gradient", &first, 0, &gradient)?;
        }
        // The Hessian is symmetric, and so is its pattern.
        covers("Hessian", &second, column, &product)?;
    }
    Ok([found, first.nnz() + second.nnz()])
}
