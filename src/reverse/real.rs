//! Direct style: under a derivative's `reset`, `a * b` *is* `shift(|k| cps::mul(a, b, k))`.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::{Var, checkpoint, common_level, cps, names};
use crate::continuation::unwinding::{OrRaise, blame, in_operator, raise, rule_at};
use crate::continuation::{Found, Level, find_prompt, in_destructor, outside_reset, shift_to};
use crate::error::{At, CpsResult, Result};
use crate::language::control::rows;
use crate::language::custom::Hook;
use crate::language::derivative_rules::{binary_names, for_each_binary, for_each_unary, unary_names};
use crate::language::real::Real;
use crate::language::shape::Shape;
use crate::scalar::Slot;
use crate::sealed::Internal;

/// An operator on operands that it owns.
trait Rule<T: Real> {
    /// Calls the continuation, once, with the result.
    fn apply(self, k: impl for<'k> FnOnce(&Var<'k, T>) -> CpsResult<()>) -> CpsResult<()>;
}

/// The rule of an operator as a closure.
struct Closure<F>(F);

impl<T: Real, F: FnOnce(cps::Return<'_, T>) -> CpsResult<()>> Rule<T> for Closure<F> {
    #[inline]
    fn apply(self, k: impl for<'k> FnOnce(&Var<'k, T>) -> CpsResult<()>) -> CpsResult<()> {
        let mut k = Some(k);
        self.0(&mut |y| k.take().expect("a rule calls its continuation once")(y))
    }
}

/// The rules of the elementwise operators. They are no closures, so that the whole of an operator can be made one
/// function: then it takes one frame, and half the time.
#[expect(non_camel_case_types, reason = "as the operators are called")]
mod rule {
    use super::{Real, Rule, Var, cps};
    use crate::error::CpsResult;
    use crate::language::derivative_rules::{for_each_binary, for_each_unary};

    macro_rules! unary {
        ($($(#[$doc:meta])* $name:ident($x:ident) -> $y:ident, $dy:ident: $rule:expr;)*) => { $(
            pub(super) struct $name<'r, T: Real>(pub(super) Var<'r, T>);
            impl<T: Real> Rule<T> for $name<'_, T> {
                #[inline(always)]
                fn apply(self, k: impl for<'k> FnOnce(&Var<'k, T>) -> CpsResult<()>) -> CpsResult<()> {
                    cps::$name(&self.0, k)
                }
            }
        )* };
    }
    macro_rules! binary {
        ($($(#[$doc:meta])* $name:ident($a:ident, $b:ident) -> $y:ident, $dy:ident: $da:expr, $db:expr;)*) => { $(
            pub(super) struct $name<'r, T: Real>(pub(super) Var<'r, T>, pub(super) Var<'r, T>);
            impl<T: Real> Rule<T> for $name<'_, T> {
                #[inline(always)]
                fn apply(self, k: impl for<'k> FnOnce(&Var<'k, T>) -> CpsResult<()>) -> CpsResult<()> {
                    cps::$name(&self.0, &self.1, k)
                }
            }
        )* };
    }
    for_each_unary!(unary);
    for_each_binary!(binary);
}

/// [`suspended`], for a closure.
#[inline]
pub(super) fn direct<'r, T: Real>(
    level: Option<Level>,
    at: At,
    rule: impl FnOnce(cps::Return<'_, T>) -> CpsResult<()>,
) -> Var<'r, T> {
    suspended(level, at, Closure(rule))
}

/// Suspends the body, runs `rule` on the driver's stack, and returns what the rule gave to its continuation.
/// Operators on constants do not suspend.
#[inline]
fn suspended<'r, T: Real>(level: Option<Level>, at: At, rule: impl Rule<T>) -> Var<'r, T> {
    // Of a rule that is made of several operators of an outer derivative, all are the user's one operator.
    let around = if T::ALLOCATES { rule_at() } else { None };
    let at = blame(at);
    let prompt = match level.map(find_prompt) {
        Some(Found::Running(prompt)) => prompt,
        None => return value_of(at, around, rule),
        // In a destructor of a body that is unwound. The result has its value, and no rest that it could be
        // differentiated through.
        Some(Found::Cut) => return in_destructor(|| value_of(at, around, rule)),
        Some(Found::Nowhere) => raise(outside_reset(at)),
    };
    // SAFETY: all rules of this crate own what they capture, and those of `Var::shift` are `'static`. For `rebrand`:
    // the frame of the rule, with the node of `y` in it, lies below this prompt's driver until the body has ended.
    // Where nodes are not shared, that is the body of the derivative of this level (only recorded control flow has
    // prompts of the same level inside of it), to which `'r` is confined: some operand has this level, and whoever made
    // it vouched for that.
    unsafe {
        shift_to::<Var<'r, T>>(prompt, at, move |k| {
            let mut k = Some(k);
            in_operator(Some(at));
            let outcome = rule.apply(|y| {
                in_operator(around);
                let k = k.take().expect("a rule calls its continuation once");
                k.resume(y.rebrand())
            });
            // An error from before the rest of the body ran is the operator's own: it names the user's line.
            match outcome {
                Err(error) if k.is_some() => Err(error.relocated(at)),
                outcome => outcome,
            }
        })
    }
}

/// What a rule computes, as a constant.
#[inline(never)] // so that operators' frames have no room for what they do not do
fn value_of<'r, T: Real>(at: At, around: Option<At>, rule: impl Rule<T>) -> Var<'r, T> {
    let mut y = None;
    in_operator(Some(at));
    let outcome = rule.apply(|value| {
        in_operator(around);
        y = Some(value.primal().clone());
        Ok(())
    });
    match outcome {
        Ok(()) => Var::from_value(y.expect("a rule calls its continuation")),
        Err(error) => raise(error.relocated(at)),
    }
}

impl<'r, T: Real> Var<'r, T> {
    /// An operator of your own in direct style, from its rule in continuation-passing style.
    ///
    /// The rule gets the operands and the continuation. It runs on the stack of the derivative's driver and outlives
    /// the caller's frame, so it borrows nothing else.
    /// ```
    /// use antiphon::{Real, Var, cps, grad};
    /// fn cube<'r, T: Real>(x: &Var<'r, T>) -> Var<'r, T> {
    ///     Var::shift([x], |[x], k| {
    ///         let v = x.value().clone();
    ///         cps::custom([x], v.powi(3), |_, y_bar| [(y_bar * v.square()).scale(3.0)], k)
    ///     })
    /// }
    /// assert_eq!(grad(|x| cube(&x) + &x, &2.0)?, 13.0);
    /// assert_eq!(grad(|x| grad(|y| cube(&y), &x).unwrap(), &2.0)?, 12.0);
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    ///
    /// # Errors
    /// Raises what the rule returns before it calls its continuation, and
    /// [`Error::OutsideReset`](crate::Error::OutsideReset) if the operands' derivative is not running here.
    ///
    /// # Panics
    /// If the rule returns without having called its continuation.
    #[track_caller]
    pub fn shift<const N: usize>(
        operands: [&Var<'r, T>; N],
        rule: impl for<'k> FnOnce([&'k Var<'k, T>; N], cps::Return<'k, T>) -> CpsResult<()> + 'static,
    ) -> Var<'r, T> {
        let mut level = None;
        for operand in operands {
            operand.assert_outside("Var::shift");
            level = common_level(level, operand.level()).or_raise();
        }
        let operands = operands.map(Clone::clone);
        direct(level, At::caller(), move |k| {
            let operands = operands.each_ref().map(Var::shorten);
            rule(operands.each_ref(), k)
        })
    }
}

impl<T: Real> Var<'_, T> {
    /// [`operand`](Var::operand) of an operator that is not linear: see [`rows::of_account`].
    #[inline]
    #[track_caller]
    pub(super) fn of_account(&self) -> Self {
        match rows::of_account(self) {
            Some(x) => x.into_operand(),
            None => self.operand(),
        }
    }

    /// [`of_account`](Var::of_account), of a variable that is owned.
    #[inline]
    #[track_caller]
    fn into_account(self) -> Self {
        match rows::of_account(&self) {
            Some(x) => x.into_operand(),
            None => self.into_operand(),
        }
    }
}

/// The level of two operands; raises if they belong to different derivatives.
#[inline]
#[track_caller]
pub(super) fn level2<T: Real>(a: &Var<'_, T>, b: &Var<'_, T>) -> Option<Level> {
    common_level(a.level(), b.level()).or_raise()
}

macro_rules! operator {
    ($Trait:ident $name:ident $operand:ident) => {
        impl<'r, T: Real> $Trait for Var<'r, T> {
            type Output = Self;
            #[inline]
            #[track_caller]
            fn $name(self, rhs: Self) -> Self {
                let (a, b) = (self.$operand(), rhs.$operand());
                suspended(level2(&a, &b), At::caller(), rule::$name(a, b))
            }
        }
        impl<'r, T: Real> $Trait<&Var<'r, T>> for Var<'r, T> {
            type Output = Self;
            #[inline]
            #[track_caller]
            fn $name(self, rhs: &Self) -> Self {
                $Trait::$name(self, rhs.clone())
            }
        }
        /// With a plain number.
        impl<'r, T: Real> $Trait<f64> for Var<'r, T> {
            type Output = Self;
            #[inline]
            #[track_caller]
            fn $name(self, rhs: f64) -> Self {
                $Trait::$name(self, Self::constant(rhs))
            }
        }
    };
}
operator!(Add add into_operand);
operator!(Sub sub into_operand);
operator!(Mul mul into_account);
operator!(Div div into_account);

impl<T: Real> Neg for Var<'_, T> {
    type Output = Self;
    #[inline]
    #[track_caller]
    fn neg(self) -> Self {
        let x = self.into_operand();
        suspended(x.level(), At::caller(), rule::neg(x))
    }
}

macro_rules! unary {
    ($name:ident) => {
        #[inline]
        #[track_caller]
        fn $name(&self) -> Self {
            let x = self.of_account();
            suspended(x.level(), At::caller(), rule::$name(x))
        }
    };
}

macro_rules! binary {
    ($name:ident) => {
        #[inline]
        #[track_caller]
        fn $name(&self, other: &Self) -> Self {
            let (a, b) = (self.of_account(), other.of_account());
            suspended(level2(&a, &b), At::caller(), rule::$name(a, b))
        }
    };
}

impl<T: Real> Real for Var<'_, T> {
    type Bool = T::Bool;
    type Int = T::Int;
    type Adjoint = Slot<Self>;
    type Node<V: Real> = T::Node<V>;
    const NESTING: u64 = T::NESTING << 2 | 3;
    const ALLOCATES: bool = T::ALLOCATES;

    for_each_unary!(unary_names);
    for_each_binary!(binary_names);

    #[inline]
    fn constant(value: f64) -> Self {
        Self::from_value(T::constant(value))
    }
    #[inline]
    #[track_caller]
    fn hook<H: Hook>(self, hook: &H) -> Self {
        let x = self.into_operand();
        let Some(level) = x.level() else {
            // What is constant here may be a variable of another derivative.
            return if checkpoint::is_of_values::<T>() {
                x
            } else {
                Self::from_value(x.primal().clone().hook(hook))
            };
        };
        let hook = hook.clone();
        direct(Some(level), At::caller(), move |k| cps::hook(&x, &hook, k))
    }
    fn perturbed(self, _: Internal, name: &str, at: At) -> Self {
        names::perturbed(self, name, at)
    }
    fn home(internal: Internal) -> usize {
        T::home(internal)
    }
    fn at_home(internal: Internal, home: usize, f: &mut dyn FnMut()) {
        T::at_home(internal, home, f);
    }
    #[track_caller]
    fn detach(&self) -> Self {
        // Also of the derivatives outside of this one, as `Dual::detach`.
        Self::from_value(self.operand().primal().detach())
    }
    #[inline]
    fn is_recorded(internal: Internal) -> bool {
        T::is_recorded(internal)
    }
    fn is_in_region(internal: Internal) -> bool {
        T::is_in_region(internal)
    }
    fn placeholder(&self, internal: Internal, shape: Option<&[usize]>) -> Self {
        Self::from_value(self.primal().placeholder(internal, shape))
    }
    #[inline]
    fn name_with(&self, name: &dyn Fn() -> String) {
        self.primal().name_with(name);
    }
    fn print(&self, name: &str, at: At) {
        self.primal().print(name, at);
    }
    #[inline]
    fn adjoint(&self) -> Slot<Self> {
        Slot::new()
    }
    #[inline]
    fn accumulate(adjoint: &Slot<Self>, g: Self) {
        adjoint.accumulate(g);
    }
    #[inline]
    fn take_adjoint(adjoint: &Slot<Self>) -> Option<Self> {
        adjoint.take()
    }
    #[inline]
    #[track_caller]
    fn check_broadcast(op: &'static str, lhs: &Self, rhs: &Self) -> Result<()> {
        T::check_broadcast(op, lhs.primal(), rhs.primal())
    }
    fn lengths(&self, internal: Internal) -> Shape {
        self.primal().lengths(internal)
    }
    #[inline]
    fn same_shape(a: &Self, b: &Self) -> bool {
        T::same_shape(a.primal(), b.primal())
    }
    #[inline]
    #[track_caller]
    fn check_scalar(&self, op: &'static str) -> Result<()> {
        self.primal().check_scalar(op)
    }
    #[inline]
    fn broadcast_like(&self, like: &Self) -> Self {
        if Self::same_shape(self, like) {
            return self.clone();
        }
        let (x, like) = (self.operand(), like.primal().clone());
        direct(x.level(), At::caller(), move |k| cps::broadcast_like(&x, &like, k))
    }
    #[inline]
    fn unbroadcast(self, like: &Self) -> Self {
        if Self::same_shape(&self, like) {
            return self;
        }
        let (x, like) = (self.into_operand(), like.primal().clone());
        direct(x.level(), At::caller(), move |k| cps::unbroadcast(&x, &like, k))
    }
    #[inline]
    fn full_like(&self, value: f64) -> Self {
        Self::from_value(self.primal().full_like(value))
    }
    #[inline]
    fn sign(&self) -> Self {
        Self::from_value(self.primal().sign())
    }
    #[inline]
    fn floor(&self) -> Self {
        Self::from_value(self.primal().floor())
    }
    #[inline]
    fn ceil(&self) -> Self {
        Self::from_value(self.primal().ceil())
    }
    #[inline]
    fn round(&self) -> Self {
        Self::from_value(self.primal().round())
    }
    #[inline]
    fn trunc(&self) -> Self {
        Self::from_value(self.primal().trunc())
    }
    #[inline]
    #[track_caller]
    fn powi(&self, n: i32) -> Self {
        let x = self.of_account();
        direct(x.level(), At::caller(), move |k| cps::powi(&x, n, k))
    }
    #[inline]
    #[track_caller]
    fn clamp(&self, low: f64, high: f64) -> Self {
        let x = self.operand();
        direct(x.level(), At::caller(), move |k| cps::clamp(&x, low, high, k))
    }
    #[inline]
    #[track_caller]
    fn less(&self, other: &Self) -> T::Bool {
        self.primal().less(other.primal())
    }
    #[inline]
    #[track_caller]
    fn less_equal(&self, other: &Self) -> T::Bool {
        self.primal().less_equal(other.primal())
    }
    #[inline]
    #[track_caller]
    fn equal(&self, other: &Self) -> T::Bool {
        self.primal().equal(other.primal())
    }
    #[inline]
    fn is_of_rows(&self) -> bool {
        self.primal().is_of_rows()
    }
    #[inline]
    fn none_zero(&self) -> bool {
        self.primal().none_zero()
    }
    #[inline]
    fn all_finite(&self) -> bool {
        self.primal().all_finite()
    }
    #[inline]
    #[track_caller]
    fn select(mask: &T::Bool, then: &Self, otherwise: &Self) -> Self {
        let (mask, a, b) = (mask.clone(), then.operand(), otherwise.operand());
        direct(level2(&a, &b), At::caller(), move |k| cps::select(&mask, &a, &b, k))
    }
    #[inline]
    fn from_int(value: &T::Int) -> Self {
        Self::from_value(T::from_int(value))
    }
    #[inline]
    fn to_int(&self) -> T::Int {
        self.primal().to_int()
    }
}
