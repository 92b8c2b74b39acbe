//! `insert_grad_of`: code in the backward pass.

use antiphon::custom::Scale;
use antiphon::{NdArray, Result, Tensor, grad};

use crate::function::SCALARS;

/// `b = a·a`, and `c = b·a`, whose adjoint of `a` is 0.9 of what it is, as is all that flows on from there.
fn inlining_contextmanager<T: Tensor>(a: T) -> T {
    let b = a.clone() * &a;
    b * a.hook(&Scale(0.9))
}

/// `dc/da = 2a·a + 0.9·a²`.
#[test]
fn an_adjoint_is_scaled_where_the_program_says() -> Result<()> {
    for x in SCALARS {
        let slope = grad(|a| inlining_contextmanager(a), &NdArray::scalar(x))?.item();
        assert!((slope - 2.9 * x * x).abs() < 1e-14 * x * x, "{slope} at {x}");
    }
    Ok(())
}
