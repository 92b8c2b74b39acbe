//! What looks whether an iteration has converged, and says what has not.

use std::fmt;
use std::marker::PhantomData;

use ndarray::{ArrayViewD, ArrayViewMutD};

use crate::language::host::{HostElement, HostOperator};
use crate::language::tensor::Tensor;

/// Who is looked after: a name for errors.
pub(super) trait Named: 'static {
    /// "newton", say.
    const NAME: &'static str;
}

/// Gives its operand, a vector whose last three elements are the number of steps, the residual and the largest one that
/// will do, unless that is exceeded. A host's operator, so that compiled code too says what the residual was.
pub(super) struct Converged<N> {
    /// Whether the number of steps is fixed, and only what is not finite is an error.
    pub(super) fixed: bool,
    pub(super) of: PhantomData<fn() -> N>,
}

impl<N> Clone for Converged<N> {
    fn clone(&self) -> Self {
        Converged { ..*self }
    }
}

impl<N: Named> fmt::Debug for Converged<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Converged").field("fixed", &self.fixed).field("of", &N::NAME).finish()
    }
}

impl<N: Named> HostOperator for Converged<N> {
    const NAME: &'static str = N::NAME;
    const RANKS: &'static [usize] = &[1];

    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        Ok(operands[0].to_vec())
    }
    fn value<E: HostElement>(
        &self,
        operands: &[ArrayViewD<'_, E>],
        mut result: ArrayViewMutD<'_, E>,
    ) -> Result<(), String> {
        let x = &operands[0];
        let n = x.len();
        let (steps, residual, enough) = (x[n - 3], x[n - 2], x[n - 1]);
        if self.fixed && !residual.is_finite() {
            return Err(format!("the residual is {residual:e} after {steps} steps"));
        }
        // A NaN is not small enough either.
        let small = residual <= enough;
        if !self.fixed && !small {
            let steps = if steps == E::one() { "1 step".into() } else { format!("{steps} steps") };
            return Err(format!(
                "no convergence: the residual is {residual:e} after {steps}, and has to be at most {enough:e}"
            ));
        }
        result.assign(x);
        Ok(())
    }
    fn pull<T: Tensor>(&self, _x: &[T], _y: &T, y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        vec![Some(y_bar.clone())]
    }
    fn push<T: Tensor>(&self, _x: &[T], _y: &T, tangents: &[Option<T>]) -> Option<T> {
        tangents[0].clone()
    }
}
