//! Functions that are chosen by data: [`choose`] and [`Closure`].

use std::fmt;

use crate::language::control::Control;
use crate::language::real::Real;
use crate::language::state::{Leaf, State};

/// What can be called with an `A` and gives a `B`: Rust's closures, [`Closure`] and [`Chosen`].
pub trait Callable<A, B> {
    /// The result for `x`.
    #[track_caller]
    fn call(&self, x: A) -> B;
}

impl<A, B, F: Fn(A) -> B> Callable<A, B> for F {
    fn call(&self, x: A) -> B {
        self(x)
    }
}

/// One of two functions, as a truth value says that may only be known when the model runs.
///
/// It is a value: it can be kept, returned, put into a structure, and called any number of times. Each call is a
/// [`cond`](Control::cond) on the truth value, so it works in every interpretation, and recorded both functions are
/// part of the program at each call. Where both are [`State`]s ([`Closure`]s, or chosen themselves) it is one as well,
/// and flows through loops and branches.
///
/// ```
/// use antiphon::control::{Callable, choose};
/// use antiphon::{Control, Real, grad};
/// // A function of x that is called twice.
/// fn twice<T: Control>(x: T) -> T {
///     let small = x.less(&T::constant(1.0));
///     let f = choose::<T, _, _>(&small, |y: T| y.square(), |y: T| y.exp());
///     f.call(f.call(x))
/// }
/// assert_eq!(twice(0.5), 0.0625);
/// assert_eq!(grad(|x| twice(x), &0.5)?, 0.5);
/// # Ok::<(), antiphon::Error>(())
/// ```
pub fn choose<T: Real, F, G>(condition: &T::Bool, then: F, otherwise: G) -> Chosen<T, F, G> {
    Chosen { condition: condition.clone(), then, otherwise }
}

/// What [`choose`] gives.
pub struct Chosen<T: Real, F, G> {
    condition: T::Bool,
    then: F,
    otherwise: G,
}

impl<T: Real, F: Clone, G: Clone> Clone for Chosen<T, F, G> {
    fn clone(&self) -> Self {
        choose(&self.condition, self.then.clone(), self.otherwise.clone())
    }
}

impl<T: Real, F, G> fmt::Debug for Chosen<T, F, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chosen").finish_non_exhaustive()
    }
}

impl<T, A, B, F, G> Callable<A, B> for Chosen<T, F, G>
where
    T: Control,
    A: Clone,
    B: State<T>,
    F: Callable<A, B>,
    G: Callable<A, B>,
{
    #[track_caller]
    fn call(&self, x: A) -> B {
        T::cond(&self.condition, || self.then.call(x.clone()), || self.otherwise.call(x.clone()))
    }
}

impl<T: Real, F: State<T>, G: State<T>> State<T> for Chosen<T, F, G> {
    fn flatten(&self, leaves: &mut Vec<Leaf<T>>) {
        leaves.push(Leaf::Bool(self.condition.clone()));
        self.then.flatten(leaves);
        self.otherwise.flatten(leaves);
    }
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Leaf<T>>) -> Self {
        Chosen {
            condition: Leaf::next(leaves).bool(),
            then: self.then.rebuild(leaves),
            otherwise: self.otherwise.rebuild(leaves),
        }
    }
    fn outline(&self, lengths: &mut Vec<usize>) {
        self.then.outline(lengths);
        self.otherwise.outline(lengths);
    }
}

/// A function with the values that it has captured, by which it can leave the loop or branch that made it: they flow,
/// as the components of a [`State`], where Rust's closures keep theirs to themselves.
///
/// ```
/// use antiphon::control::{Callable, Closure};
/// use antiphon::{Control, Real, grad};
/// // A loop makes a function; what it has captured is of the last round.
/// fn last<T: Control>(x: T) -> T {
///     let start = Closure::new(x.clone(), |scale: &T, y: T| y * scale);
///     let grown = T::while_loop(
///         start,
///         |f| f.call(T::constant(1.0)).less(&T::constant(10.0)),
///         |f| Closure { captured: f.captured.square(), code: f.code },
///     );
///     grown.call(x)
/// }
/// // 2 → 4 → 16, times 2.
/// assert_eq!(last(2.0), 32.0);
/// assert_eq!(grad(|x| last(x), &2.0f64)?, 5.0 * 16.0);
/// # Ok::<(), antiphon::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Closure<S, F> {
    /// What the function has captured.
    pub captured: S,
    /// The function of that and its argument.
    pub code: F,
}

impl<S, F> fmt::Debug for Closure<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closure").finish_non_exhaustive()
    }
}

impl<S, F> Closure<S, F> {
    /// A function of what it has captured and its argument.
    pub fn new<A, B>(captured: S, code: F) -> Closure<S, F>
    where
        F: Fn(&S, A) -> B,
    {
        Closure { captured, code }
    }
}

impl<S, A, B, F: Fn(&S, A) -> B> Callable<A, B> for Closure<S, F> {
    fn call(&self, x: A) -> B {
        (self.code)(&self.captured, x)
    }
}

impl<T: Real, S: State<T>, F: Clone> State<T> for Closure<S, F> {
    fn flatten(&self, leaves: &mut Vec<Leaf<T>>) {
        self.captured.flatten(leaves);
    }
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Leaf<T>>) -> Self {
        Closure { captured: self.captured.rebuild(leaves), code: self.code.clone() }
    }
    fn outline(&self, lengths: &mut Vec<usize>) {
        self.captured.outline(lengths);
    }
}
