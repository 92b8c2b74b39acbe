//! How many threads large operators use: the same pool for arrays and for compiled code.
//!
//! One by default. [`set`] asks for more, as does the variable `ANTIPHON_THREADS` of the environment, a number or
//! `all`. Results are the same bits whatever the number is: how an element is computed does not depend on which part of
//! an operator it belongs to. Code is [compiled](crate::compiled) for as many threads as there are then, or as
//! `CompileOptions::threads` says; code that was compiled for one stays on one.
//!
//! Shared are products of matrices, convolutions and large elementwise operators, and in compiled code reductions that
//! leave an axis (linear algebra, pooling and batches of small products of arrays are not); what is smaller than
//! some tens of microseconds is not worth it. Work that is asked for from within shared work, or while another thread's
//! work is shared, is done by the thread that asks.

use crate::error::{At, Error, Result};

pub use antiphon_system::threads::{VARIABLE, count, processors};

/// Sets how many threads large operators use from now on. Those that are too many have ended when this returns.
///
/// ```
/// use antiphon::{NdArray, Tensor, threads};
/// let x = NdArray::<f64>::ones(&[300, 300]);
/// let once = x.matmul(&x);
/// threads::set(2)?;
/// assert_eq!(x.matmul(&x).view(), once.view());
/// threads::set(1)?;
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] for zero threads, and for more than 256.
#[track_caller]
pub fn set(threads: usize) -> Result<()> {
    let at = At::caller();
    antiphon_system::threads::set(threads).map_err(|threads| {
        let reason = format!("{threads} threads: from 1 to {}", antiphon_system::threads::MOST);
        Error::Argument { op: "threads::set", reason, at }
    })
}
