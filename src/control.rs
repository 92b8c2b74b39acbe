//! [`Control`]: branches, loops and recursion that depend on data.
//!
//! There are two primitives, [`cond`](Control::cond) and [`fix`](Control::fix); loops, scans and folds are defined
//! from them. In eager interpretations they are Rust's own `if` and recursion, which models may use as well.

use crate::error::{At, Error, raise};
use crate::real::{Mask, Real};
use crate::stack;
use crate::state::State;

/// Data-dependent control flow of an interpretation.
pub trait Control: Real {
    /// `then()` where the condition holds, else `otherwise()`.
    #[track_caller]
    fn cond<S: State<Self>>(
        condition: &Self::Bool,
        then: impl FnOnce() -> S,
        otherwise: impl FnOnce() -> S,
    ) -> S {
        if known(condition) { then() } else { otherwise() }
    }

    /// The recursive function `f = body(f, ·)`, applied to `x`.
    ///
    /// ```
    /// use antiphon::{Control, Real, grad};
    /// // x^(2^n), by recursion on the value: square until it exceeds 100.
    /// fn grow<T: Control>(x: T) -> T {
    ///     T::fix(x, |grow, x: T| {
    ///         let small = x.less(&T::constant(100.0));
    ///         T::cond(&small, || grow(x.square()), || x.clone())
    ///     })
    /// }
    /// assert_eq!(grow(2.0), 256.0);
    /// assert_eq!(grad(|x| grow(x), &2.0)?, 8.0 * 128.0);
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    #[track_caller]
    fn fix<A: State<Self>, B: State<Self>>(x: A, body: impl Fn(&dyn Fn(A) -> B, A) -> B) -> B {
        fn call<A, B>(body: &impl Fn(&dyn Fn(A) -> B, A) -> B, x: A) -> B {
            stack::guard(|| body(&|x| call(body, x), x))
        }
        stack::on_reserved(|| call(&body, x))
    }

    /// Repeats `body` while `condition` holds of the state.
    #[track_caller]
    fn while_loop<S: State<Self>>(init: S, condition: impl Fn(&S) -> Self::Bool, body: impl Fn(S) -> S) -> S {
        let mut state = init;
        while known(&condition(&state)) {
            state = body(state);
        }
        state
    }
}

/// The truth of a condition that has to be known now.
#[track_caller]
fn known(condition: &impl Mask) -> bool {
    condition.known().unwrap_or_else(|| {
        raise(Error::Operand {
            op: "cond",
            shape: Default::default(),
            reason: "the condition is not a single truth value".into(),
            at: At::caller(),
        })
    })
}
