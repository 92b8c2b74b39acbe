//! [`Control`]: branches, loops and recursion that depend on data.
//!
//! There are two primitives, [`cond`](Control::cond) and [`fix`](Control::fix); loops, scans and folds are defined
//! from them. In eager interpretations they are Rust's own `if` and recursion, which models may use as well.

pub(crate) mod checkpoint;
mod checkpointed_scan;
mod choose;
pub(crate) mod continuation_passing;
pub(crate) mod rows;
mod scan;
mod tree;

pub use checkpoint::Checkpoints;
pub(crate) use checkpointed_scan::checkpointed_scan;
pub use choose::{Callable, Chosen, Closure, choose};
pub use scan::scan;
pub(crate) use scan::{Order, rows_in_order};
pub(crate) use tree::fold_arrays;
pub use tree::{NumberedTree, Tree, TreeArrays, fold};

use crate::continuation::unwinding::raise;
use crate::continuation::{is_trial, stack};
use crate::error::{At, CpsResult, Error};
use crate::language::control::continuation_passing::{
    Arm, BodyTo, Captured, Function, Leaves, Region, Site, To,
};
use crate::language::real::{Mask, Real};
use crate::language::state::{Confined, Leaf, State};
use crate::sealed::{INTERNAL, Internal};

/// Data-dependent control flow of an interpretation.
///
/// Recorded, a value flows through branches and functions together with its tangents, and what has none gets zeros.
/// They stay zero where a derivative is infinite, but not in a product with an infinite operand: there a forward
/// derivative is NaN, while eagerly an absent tangent stays absent. Adjoints that are absent eagerly are absent from
/// the recorded program's runs as well, but for those of derivatives of derivatives, both in reverse: they take a
/// forward derivative of the control flow.
pub trait Control: Real {
    /// `then()` where the condition holds, else `otherwise()`.
    #[track_caller]
    fn cond<S: State<Self>>(
        condition: &Self::Bool,
        then: impl FnOnce() -> S,
        otherwise: impl FnOnce() -> S,
    ) -> S {
        cond_at(Site::caller("cond"), condition, then, otherwise)
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
    /// assert_eq!(grad(|x| grow(x), &2.0f64)?, 8.0 * 128.0);
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    #[track_caller]
    fn fix<A: State<Self>, B: State<Self>>(x: A, body: impl Fn(&dyn Fn(A) -> B, A) -> B) -> B {
        fix_at(Site::caller("fix"), x, body)
    }

    /// Repeats `body` while `condition` holds of the state.
    ///
    /// A condition that stays true is a loop without an end in every interpretation. In reverse mode it keeps something
    /// of each round for the way back, until that is [`Error::StackExhausted`].
    #[track_caller]
    fn while_loop<S: State<Self>>(init: S, condition: impl Fn(&S) -> Self::Bool, body: impl Fn(S) -> S) -> S {
        while_loop_at::<Self, S>(At::caller(), init, condition, body)
    }

    /// `f(x)`, of which reverse mode keeps `x` only: what `f` computes on the way is computed again on the way back,
    /// where it is needed, so that it takes time twice and memory once.
    ///
    /// What `f` takes and gives are values, tuples, lists, maps by name and derived structures of them. What it uses
    /// of a derivative's variables comes in as a part of `x`; it owns what else it uses. It is a closure, also where
    /// it is one function: `|x| layer(x)`, since the name of a generic function is not `'static`.
    ///
    /// ```
    /// use antiphon::{Control, Real, grad};
    /// fn layer<T: Real + Control>(x: T, w: T) -> T {
    ///     T::checkpoint((x, w), |(x, w)| (x * w).sin().exp().sin())
    /// }
    /// let (x, w) = (0.3, 1.7);
    /// let kept = grad(|(x, w)| (x * w).sin().exp().sin(), &(x, w))?;
    /// assert_eq!(grad(|(x, w)| layer(x, w), &(x, w))?, kept);
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    ///
    /// It nests, with itself and with derivatives: of a derivative of a derivative, what the inner one computes again
    /// is not kept for the outer one either. In compiled code it is computed again, too; there, rules that are explicit
    /// (`cps`, `Var::shift`) are errors in it. [`linearize`](crate::linearize) keeps everything.
    #[track_caller]
    fn checkpoint<A: Confined<Self>, B: Confined<Self>>(x: A, f: impl Fn(A) -> B + 'static) -> B {
        checkpoint::checkpoint(Site::caller("checkpoint"), x, f)
    }

    /// `state = step(i, shared, state)` for `i` from 0 below `steps`, of which reverse mode keeps a limited number of
    /// states: the others are computed again from these. What the steps use of a derivative's variables other than the
    /// state is `shared`, which is not counted.
    ///
    /// Eagerly, states are placed by the binomial schedule (Griewank & Walther 2000, "Revolve"): with `c` states, of
    /// `(c + t choose c)` steps none is computed more than `t` times before it is differentiated. Recorded, they are
    /// the starts of rounds of loops in whose rounds there are other loops, as of [`Checkpoints::SquareRoot`] in
    /// both.
    ///
    /// ```
    /// use antiphon::control::Checkpoints;
    /// use antiphon::{Control, NdArray, Real, grad};
    /// // x ← x − w·x², a thousand times.
    /// fn decay<T: Real + Control>((x, w): (T, T), checkpoints: Checkpoints) -> T {
    ///     T::checkpointed_loop(1000, &w, x, checkpoints, |_, w, x: T| x.clone() - x.square() * w)
    /// }
    /// let x = (0.5, 0.01);
    /// let kept = grad(|(x, w)| (0..1000).fold(x, |x, _| x.clone() - x.square() * &w), &x)?;
    /// assert_eq!(grad(|x| decay(x, Checkpoints::Count(10)), &x)?.0, kept.0);
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    ///
    /// # Errors
    /// Raises [`Error::Argument`] if no state is to be kept.
    #[track_caller]
    fn checkpointed_loop<C: Confined<Self>, S: Confined<Self>>(
        steps: usize,
        shared: &C,
        init: S,
        checkpoints: Checkpoints,
        step: impl Fn(&Self::Int, &C, S) -> S + 'static,
    ) -> S {
        checkpoint::in_steps::<Self, C, S, _>(
            Site::caller("checkpointed_loop"),
            steps,
            shared,
            init,
            checkpoints,
            step,
        )
    }

    /// [`while_loop`](Control::while_loop), of which reverse mode keeps a limited number of states, however many rounds
    /// there turn out to be, and computes the others again: with [`Checkpoints::SquareRoot`] about `2·√(2n)` of `n`
    /// rounds, those before round 1, 2, 4, 7, 11, …, each round being run twice. With a number of states, `c`, or of
    /// bytes, rounds are taken `c/2` at a time, and each is run three times: it keeps to `c` states up to `c³/64`
    /// rounds (250,000 for 256 states), and takes `√(16n/c) + c/2` of more. What condition and body use of a
    /// derivative's variables other than the state is `shared`.
    ///
    /// # Errors
    /// Raises [`Error::Argument`] if no state is to be kept.
    #[track_caller]
    fn checkpointed_while<C: Confined<Self>, S: Confined<Self>>(
        shared: &C,
        init: S,
        checkpoints: Checkpoints,
        condition: impl Fn(&C, &S) -> Self::Bool + 'static,
        body: impl Fn(&C, S) -> S + 'static,
    ) -> S {
        let site = Site::caller("checkpointed_while");
        checkpoint::in_parts::<Self, C, S>(site, shared, init, checkpoints, condition, body)
    }
    /// [`checkpoint`](Control::checkpoint) of components.
    ///
    /// # Safety
    /// The function owns what it uses: it is called on the way back, when frames of the body have gone.
    #[doc(hidden)]
    unsafe fn checkpoint_at<'f>(
        _: Internal,
        _at: Site,
        x: Leaves<Self>,
        f: checkpoint::Body<'f, Self>,
    ) -> Leaves<Self>
    where
        Self: 'f,
    {
        f(x)
    }

    /// That a condition holds, of an array all of its elements: else the model ends with this message, as with
    /// [`raise`](crate::raise), whether it is run or compiled. Of two arms only the one that is taken ensures anything.
    ///
    /// ```
    /// use antiphon::{Control, Error, Real, grad};
    /// fn root<T: Control>(x: T) -> T {
    ///     T::ensure(&x.greater_equal(&T::constant(0.0)), "a root of a negative number");
    ///     x.sqrt()
    /// }
    /// assert_eq!(grad(|x| root(x), &4.0)?, 0.25);
    /// let error = grad(|x| root(x), &-4.0).unwrap_err();
    /// assert!(matches!(error, Error::Ensure { .. }));
    /// assert!(error.to_string().starts_with("a root of a negative number ("), "and the line");
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    ///
    /// # Errors
    /// Raises [`Error::Ensure`] with the message and the caller's line. A compiled model returns it.
    #[track_caller]
    fn ensure(condition: &Self::Bool, message: &str) {
        Self::ensure_at(INTERNAL, At::caller(), condition, message);
    }
    /// [`ensure`](Control::ensure) at a line of the user's.
    #[doc(hidden)]
    fn ensure_at(_: Internal, at: At, condition: &Self::Bool, message: &str) {
        // What is only tried is run on values that are nobody's.
        if is_trial() {
            return;
        }
        match condition.all_known() {
            Some(true) => {}
            Some(false) => raise(Error::Ensure { message: message.into(), at }),
            None => raise(not_single(Site { op: "ensure", at }, &condition.lengths())),
        }
    }

    /// Whether conditions are recorded: not known while the model runs. Then the methods below take the place of Rust's
    /// own control flow; see [`continuation_passing`](crate::language::control::continuation_passing) for what each of
    /// them is.
    #[doc(hidden)]
    const RECORDS: bool = false;

    /// The component as one that differs from row to row, if this is an interpretation of batches; of a variable, only
    /// its value.
    #[doc(hidden)]
    fn each_row(_: Internal, _at: At, leaf: Leaf<Self>) -> Leaf<Self> {
        leaf
    }
    /// A value of no account like this component, which it does not use.
    #[doc(hidden)]
    fn filler(_: Internal, _at: Site, leaf: &Leaf<Self>) -> Leaf<Self> {
        leaf.clone()
    }
    /// Runs `f`, of which nothing is recorded in the end.
    #[doc(hidden)]
    fn scratch(_: Internal, f: &mut dyn FnMut()) {
        f();
    }
    /// A recorded `if`.
    #[doc(hidden)]
    fn record_cond(
        _: Internal,
        at: Site,
        _condition: &Self::Bool,
        _then: &mut dyn FnMut() -> Leaves<Self>,
        _otherwise: &mut dyn FnMut() -> Leaves<Self>,
    ) -> Leaves<Self> {
        raise(continuation_passing::unsupported(at))
    }
    /// A recorded recursive function, applied to `x`; `results` are like its results.
    #[doc(hidden)]
    fn record_fix(
        _: Internal,
        at: Site,
        _x: Leaves<Self>,
        _results: &[Leaf<Self>],
        _body: Function<'_, Self>,
    ) -> Leaves<Self> {
        raise(continuation_passing::unsupported(at))
    }
    /// A recorded `if` in continuation-passing style, with a join point that both arms call.
    #[doc(hidden)]
    fn branch_to(
        _: Internal,
        at: Site,
        _condition: &Self::Bool,
        _then: Arm<'_, Self>,
        _otherwise: Arm<'_, Self>,
        _join: To<'_, Self>,
    ) -> CpsResult<()> {
        Err(continuation_passing::unsupported(at).into())
    }
    /// A recorded recursive function in continuation-passing style, applied to `x` and `k`.
    #[doc(hidden)]
    fn fix_to(
        _: Internal,
        at: Site,
        _x: Leaves<Self>,
        _results: &[Leaf<Self>],
        _body: BodyTo<'_, Self>,
        _k: To<'_, Self>,
    ) -> CpsResult<Vec<Self::Adjoint>> {
        Err(continuation_passing::unsupported(at).into())
    }

    /// Whether `branch_to` and `fix_to` are there, for variables over this interpretation. Where they are not, since
    /// this one has variables itself, control flow of the outer variables is recorded as a [`Region`] without
    /// derivatives, which is then one operator, with the methods below.
    #[doc(hidden)]
    const CONTINUES: bool = false;

    /// Records `body` as a region: its operators on variables that are running outside of it take what stands for them
    /// inside, and give values without derivatives.
    #[doc(hidden)]
    fn with_region(
        _: Internal,
        at: Site,
        _body: &mut dyn FnMut() -> Leaves<Self>,
    ) -> (Region, Captured<Self>) {
        raise(continuation_passing::unsupported(at))
    }
    /// Says what the region's inputs are, as they are inside.
    #[doc(hidden)]
    fn close_region(_: Internal, at: Site, _region: &Region, _inside: Leaves<Self>) {
        raise(continuation_passing::unsupported(at))
    }
    /// The results of a region of these inputs.
    #[doc(hidden)]
    fn apply_region(_: Internal, at: Site, _region: &Region, _inputs: Leaves<Self>) -> Leaves<Self> {
        raise(continuation_passing::unsupported(at))
    }
    /// The region's derivative in reverse.
    #[doc(hidden)]
    fn pull_region(_: Internal, at: Site, _region: &Region, _wanted: Wanted<Self>) -> Pulled<Self> {
        raise(continuation_passing::unsupported(at))
    }
    /// The region's derivative in one direction: a region whose further inputs are tangents of the inputs that are
    /// `wanted`, and whose further results are the tangents of its real results.
    #[doc(hidden)]
    fn forward_region(
        _: Internal,
        at: Site,
        _region: &Region,
        _inputs: Leaves<Self>,
        _wanted: &[bool],
    ) -> Region {
        raise(continuation_passing::unsupported(at))
    }
}

/// What [`Control::pull_region`] is to give, and what of.
#[doc(hidden)]
#[derive(Debug)]
pub struct Wanted<T: Real> {
    pub(crate) inputs: Leaves<T>,
    /// Which of the inputs' adjoints are wanted; all are of reals.
    pub(crate) adjoints: Vec<bool>,
    /// Adjoints of the real results, absent ones being zero.
    pub(crate) seeds: Vec<Option<T>>,
    /// Whether the real results are wanted as well.
    pub(crate) values: bool,
}

/// What [`Control::pull_region`] gives.
#[doc(hidden)]
#[derive(Debug)]
pub struct Pulled<T> {
    /// The real results, if they were asked for.
    pub(crate) values: Vec<T>,
    /// The adjoints of the inputs that are wanted.
    pub(crate) adjoints: Vec<T>,
}

/// [`Control::cond`] at a line of the user's.
fn cond_at<T: Control, S: State<T>>(
    site: Site,
    condition: &T::Bool,
    then: impl FnOnce() -> S,
    otherwise: impl FnOnce() -> S,
) -> S {
    if T::Bool::BATCHES && condition.is_batched() {
        return rows::cond::<T, S>(site, condition, then, otherwise);
    }
    if T::RECORDS {
        return continuation_passing::cond(site, condition, then, otherwise);
    }
    if known(site, condition) { then() } else { otherwise() }
}

/// [`Control::while_loop`] at a line of the user's.
pub(crate) fn while_loop_at<T: Control, S: State<T>>(
    at: At,
    init: S,
    condition: impl Fn(&S) -> T::Bool,
    body: impl Fn(S) -> S,
) -> S {
    let site = Site { op: "while_loop", at };
    if T::RECORDS && rows::are_computed::<T>() {
        return rows::record_while_loop::<T, S>(site, init, condition, body);
    }
    if T::RECORDS {
        return continuation_passing::while_loop(site, init, condition, body);
    }
    rows::while_loop::<T, S>(site, init, condition, body)
}

/// [`Control::fix`] at a line of the user's.
fn fix_at<T: Control, A: State<T>, B: State<T>>(
    site: Site,
    x: A,
    body: impl Fn(&dyn Fn(A) -> B, A) -> B,
) -> B {
    fn call<A, B>(body: &impl Fn(&dyn Fn(A) -> B, A) -> B, x: A) -> B {
        stack::guard(|| body(&|x| call(body, x), x))
    }
    if T::RECORDS && rows::are_computed::<T>() {
        return rows::record_fix::<T, A, B>(site, x, &body);
    }
    if T::RECORDS {
        return continuation_passing::fix(site, x, None, &body);
    }
    if rows::are_computed::<T>() {
        return stack::on_reserved(|| rows::fix::<T, A, B>(site, x, &body));
    }
    stack::on_reserved(|| call(&body, x))
}

/// The truth of a condition that has to be known now.
#[inline]
fn known(site: Site, condition: &impl Mask) -> bool {
    match condition.known() {
        Some(known) => known,
        None => raise(not_single(site, &condition.lengths())),
    }
}

/// A condition that is an array.
pub(crate) fn not_single(Site { op, at }: Site, shape: &[usize]) -> Error {
    Error::Operand { op, shape: shape.into(), reason: "the condition is not a single truth value".into(), at }
}
