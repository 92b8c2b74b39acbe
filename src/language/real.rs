//! [`Real`]: the scalar part of the calculus. Every interpretation of a model is a type that implements it.

use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use crate::continuation::unwinding::OrRaise;
use crate::error::{At, Result};
use crate::language::composed::elementwise;
use crate::language::custom::Hook;
use crate::language::node::NodeRef;
use crate::language::shape::Shape;
use crate::language::state::State;
use crate::language::{derivative_rules, gamma};
use crate::sealed::{INTERNAL, Internal};

/// Truth values of an interpretation: a `bool`, an array of them, or a recorded condition.
pub trait Mask: Clone + 'static {
    /// Elementwise conjunction (broadcasting).
    #[track_caller]
    fn and(&self, other: &Self) -> Self;
    /// Elementwise disjunction (broadcasting).
    #[track_caller]
    fn or(&self, other: &Self) -> Self;
    /// Elementwise negation.
    #[track_caller]
    fn not(&self) -> Self;
    /// The single truth value, where it is known while the model runs. `None` when it is only being
    /// recorded (then branch with [`Control::cond`](crate::Control::cond)), or when this is not a scalar.
    fn known(&self) -> Option<bool>;
    /// Whether any element is true, as a single truth value; under [`vmap`](crate::vmap), of any row.
    #[track_caller]
    fn any(&self) -> Self;
    /// Whether all elements are true, likewise; of none, they are.
    #[must_use]
    #[track_caller]
    fn all(&self) -> Self {
        self.not().any().not()
    }
    /// Whether all truth values hold, where they are known while the model runs.
    #[doc(hidden)]
    fn all_known(&self) -> Option<bool> {
        self.known()
    }
    /// Lengths of the axes, for errors.
    #[doc(hidden)]
    fn lengths(&self) -> Shape {
        Shape::new()
    }
    /// Whether [`is_batched`](Mask::is_batched) may hold: where it cannot, nothing of batches is compiled.
    #[doc(hidden)]
    const BATCHES: bool = false;
    /// Whether the rows of a batch have truth values of their own.
    #[doc(hidden)]
    fn is_batched(&self) -> bool {
        false
    }
    /// A single truth value of each row, of whatever rank, as one without axes.
    #[doc(hidden)]
    #[must_use]
    fn single(&self) -> Self {
        self.clone()
    }
}

/// Integers of an interpretation (token ids, labels, counters): an `i64`, an array of them, or a recorded one. Sums,
/// products and negatives of arrays and of recorded integers wrap around on overflow; those of an `i64` are Rust's own,
/// which panic in debug builds.
pub trait Int:
    Clone
    + Add<Output = Self>
    + for<'a> Add<&'a Self, Output = Self>
    + Sub<Output = Self>
    + for<'a> Sub<&'a Self, Output = Self>
    + Mul<Output = Self>
    + for<'a> Mul<&'a Self, Output = Self>
    + Add<i64, Output = Self>
    + Sub<i64, Output = Self>
    + Mul<i64, Output = Self>
    + Neg<Output = Self>
{
    /// The truth values that comparisons give.
    type Bool: Mask;
    /// A scalar integer.
    #[track_caller]
    fn constant(value: i64) -> Self;
    /// `self < other`, elementwise.
    #[track_caller]
    fn less(&self, other: &Self) -> Self::Bool;
    /// `self = other`, elementwise.
    #[track_caller]
    fn equal(&self, other: &Self) -> Self::Bool;
    /// `self ≤ other`, elementwise.
    #[track_caller]
    fn less_equal(&self, other: &Self) -> Self::Bool {
        other.less(self).not()
    }
    /// `self > other`, elementwise.
    #[track_caller]
    fn greater(&self, other: &Self) -> Self::Bool {
        other.less(self)
    }
    /// `self ≥ other`, elementwise.
    #[track_caller]
    fn greater_equal(&self, other: &Self) -> Self::Bool {
        self.less(other).not()
    }
    /// `self ≠ other`, elementwise.
    #[track_caller]
    fn not_equal(&self, other: &Self) -> Self::Bool {
        self.equal(other).not()
    }
    /// `self/divisor`, rounded down, elementwise (`np.floor_divide`, Python's `//`): 0 where the divisor is 0. The one
    /// quotient that overflows, `i64::MIN/−1`, wraps around.
    ///
    /// ```
    /// use antiphon::Int;
    /// assert_eq!((Int::floor_divide(&-7, &2), Int::remainder(&-7, &2)), (-4, 1));
    /// assert_eq!((Int::floor_divide(&7, &0), Int::remainder(&7, &0)), (0, 0));
    /// ```
    #[must_use]
    #[track_caller]
    fn floor_divide(&self, divisor: &Self) -> Self;
    /// What [`floor_divide`](Int::floor_divide) leaves, with the sign of the divisor, elementwise (`np.remainder`,
    /// Python's `%`): 0 where the divisor is 0.
    #[must_use]
    #[track_caller]
    fn remainder(&self, divisor: &Self) -> Self {
        let rest = self.clone() - self.floor_divide(divisor) * divisor;
        let zero = Self::constant(0);
        Self::select(&divisor.equal(&zero), &zero, &rest)
    }
    /// The larger of two, elementwise.
    #[must_use]
    #[track_caller]
    fn maximum(&self, other: &Self) -> Self {
        Self::select(&self.less(other), other, self)
    }
    /// The smaller of two, elementwise.
    #[must_use]
    #[track_caller]
    fn minimum(&self, other: &Self) -> Self {
        Self::select(&other.less(self), other, self)
    }
    /// The absolute value, elementwise; that of `i64::MIN` is itself.
    #[must_use]
    #[track_caller]
    fn abs(&self) -> Self {
        Self::select(&self.less(&Self::constant(0)), &-self.clone(), self)
    }
    /// `then` where the mask holds, `otherwise` elsewhere; the three broadcast.
    #[track_caller]
    fn select(mask: &Self::Bool, then: &Self, otherwise: &Self) -> Self;
    /// The single integer, where it is known while the model runs; see [`Mask::known`].
    fn known(&self) -> Option<i64>;
    /// The same as an index: 0 in rows of a batch of which nothing that is computed is of account.
    #[doc(hidden)]
    #[must_use]
    fn guarded(&self) -> Self {
        self.clone()
    }
    /// The same integer, with a name in the text of a recorded program; see [`Real::named`].
    #[must_use]
    fn named(self, _name: &str) -> Self {
        self
    }
    /// The same integer, which is printed whenever the model runs; see [`Real::printed`].
    #[must_use]
    #[track_caller]
    fn printed(self, name: &str) -> Self {
        self.print(name, At::caller());
        self
    }
    /// Prints the integer with a line of the user's.
    #[doc(hidden)]
    fn print(&self, _name: &str, _at: At) {}
}

/// Real numbers of an interpretation, or arrays of them: the language that scalar models are written in.
///
/// A model is a function over one type parameter `T: Real` (or [`Tensor`](crate::Tensor), for arrays). Running it
/// with `f64` evaluates it, with [`Var`](crate::Var) differentiates it in reverse, with [`Dual`](crate::Dual)
/// forward; the interpretations nest. Operators take the left operand by value and the right one by value or by
/// reference; on arrays all of them work elementwise and broadcast as NumPy does.
///
/// # Conventions at kinks
/// `abs′(0) = sign(0) = 0`; `relu′(0) = 0`; `maximum` and `minimum` of equal operands send half of the adjoint to
/// each; `floor`, `ceil`, `round` and `trunc` have derivative 0; those of `hypot` and `atan2` at the origin are 0;
/// `clamp` lets the adjoint pass on its closed interval; `∂/∂x xʸ = y·xʸ⁻¹` with `0⁰ = 1`;
/// `∂/∂y xʸ = xʸ·ln x`, and 0 where `x = 0 ≤ y`. `maximum` and `minimum` of NaN are NaN.
///
/// # Precision
/// Single numbers are the C library's and libm's. Elementary functions of arrays and of compiled code are vectorised,
/// with errors of at most 2.5 units in the last place; those of `tanh`, `sigmoid`, `softplus` and `log1p` are at most
/// 3.5, of `erfc` 4, of Bessel's functions 5. `tan`, `pow`, `fmod` and `lgamma` are a call for each element.
///
/// ```
/// use antiphon::{Real, grad};
/// fn norm<T: Real>(x: &T, y: &T) -> T {
///     (x.clone() * x + y.clone() * y).sqrt()
/// }
/// assert_eq!(norm(&3.0, &4.0), 5.0);
/// let (dx, dy) = grad(|(x, y)| norm(&x, &y), &(3.0, 4.0))?;
/// assert!((dx - 0.6f64).abs() < 1e-15 && (dy - 0.8f64).abs() < 1e-15);
/// # Ok::<(), antiphon::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a real number nor an array of them, nor a structure of parameters",
    label = "not real, and no parameters",
    note = "a number is written with a point, as `2.0`; a struct of numbers or arrays derives `Params`; what has no \
            gradient (integers, truth values, data) goes into the closure, beside the parameters"
)]
pub trait Real:
    Clone
    + Neg<Output = Self>
    + Add<Output = Self>
    + for<'a> Add<&'a Self, Output = Self>
    + Sub<Output = Self>
    + for<'a> Sub<&'a Self, Output = Self>
    + Mul<Output = Self>
    + for<'a> Mul<&'a Self, Output = Self>
    + Div<Output = Self>
    + for<'a> Div<&'a Self, Output = Self>
    + AddAssign
    + for<'a> AddAssign<&'a Self>
    + SubAssign
    + for<'a> SubAssign<&'a Self>
    + MulAssign
    + for<'a> MulAssign<&'a Self>
    + DivAssign
    + for<'a> DivAssign<&'a Self>
    + State<Self>
{
    /// Truth values: what comparisons give and [`select`](Real::select) takes.
    type Bool: Mask;
    /// Integers: token ids, labels, counters.
    type Int: Int<Bool = Self::Bool>;
    /// Where an adjoint is collected: eagerly an optional value (absent means zero, so that nothing is
    /// zero-filled), recorded a mutable accumulator.
    type Adjoint;
    /// How variables `V` over this interpretation reach their values and adjoints: [`StackNode<V>`] if running a model
    /// with it runs the model, [`SharedNode<V>`] if it writes the model down.
    ///
    /// [`StackNode<V>`]: crate::node::StackNode
    /// [`SharedNode<V>`]: crate::node::SharedNode
    type Node<V: Real>: NodeRef<V>;

    /// Which interpretations this one is made of, two bits for each, the outermost in the lowest: it tells derivatives
    /// of different kinds apart, where control flow asks for the innermost one of its own kind.
    #[doc(hidden)]
    const NESTING: u64 = 1;

    /// Whether operators need memory, which may not be there: then an error may come from any of those that a rule is
    /// made of, in the backward half as well, and is to name the user's line.
    #[doc(hidden)]
    const ALLOCATES: bool = true;

    /// A scalar constant. It broadcasts against arrays.
    #[track_caller]
    fn constant(value: f64) -> Self;
    /// The same value with no derivative: nothing flows back through it.
    #[track_caller]
    fn detach(&self) -> Self;

    /// An empty accumulator for adjoints of this value.
    fn adjoint(&self) -> Self::Adjoint;
    /// Adds `g`, of the value's own shape, to the accumulator.
    #[track_caller]
    fn accumulate(adjoint: &Self::Adjoint, g: Self);
    /// [`accumulate`](Real::accumulate) of what an operator has computed from [quiet](Real::quiet) numbers.
    #[doc(hidden)]
    #[inline]
    #[track_caller]
    fn accumulate_quiet(adjoint: &Self::Adjoint, g: Self) {
        Self::accumulate(adjoint, g);
    }
    /// The same number; of a signalling NaN, the quiet one. Adjoints of plain numbers have a use for signalling NaNs,
    /// so whatever comes into a derivative from outside is made quiet: then everything that is computed of it is.
    #[doc(hidden)]
    #[inline]
    #[must_use]
    fn quiet(self) -> Self {
        self
    }
    /// What was accumulated, if anything was. The accumulator is empty afterwards.
    #[track_caller]
    fn take_adjoint(adjoint: &Self::Adjoint) -> Option<Self>;
    /// Adds what another accumulator, of a value of the same shape, holds, if it holds anything.
    #[doc(hidden)]
    #[inline]
    #[track_caller]
    fn accumulate_all(adjoint: &Self::Adjoint, from: Self::Adjoint) {
        Self::with_adjoint(&from, |g| Self::accumulate(adjoint, g));
    }
    /// Calls `pull` with what was accumulated, if anything was: the backward half of an operator. (Whether anything
    /// was may be decided only when a recorded program runs; then the call is recorded as conditional.)
    #[inline]
    #[track_caller]
    fn with_adjoint(adjoint: &Self::Adjoint, pull: impl FnOnce(Self)) {
        if let Some(g) = Self::take_adjoint(adjoint) {
            pull(g);
        }
    }
    /// Where in a program recording is, also below variables.
    #[doc(hidden)]
    #[inline]
    fn home(_: Internal) -> usize {
        0
    }
    /// Runs `f`, which records at the beginning of that [home](Real::home), of nothing that is there.
    #[doc(hidden)]
    #[inline]
    fn at_home(_: Internal, _home: usize, f: &mut dyn FnMut()) {
        f();
    }
    /// Makes an accumulator, which is empty, one for values of another shape: with one more axis of this length.
    #[doc(hidden)]
    #[inline]
    fn widen_adjoint(_adjoint: &Self::Adjoint, _axis: usize, _length: usize) {}
    /// Where in a program recording is now: what [`leave_for`](Real::leave_for) takes.
    #[doc(hidden)]
    #[inline]
    fn place() -> usize {
        0
    }
    /// An accumulator that holds just this value and can be read at an earlier place, which encloses this one: a
    /// recorded value is known only where it was recorded.
    #[doc(hidden)]
    #[inline]
    #[track_caller]
    fn leave_for(self, _place: usize) -> Self::Adjoint {
        let held = self.adjoint();
        Self::accumulate(&held, self);
        held
    }
    /// Whether this is the interpretation that records programs, or made of it.
    #[doc(hidden)]
    #[inline]
    fn is_recorded(_: Internal) -> bool {
        false
    }
    /// Whether a piece of a program is being recorded that is to be one operator.
    #[doc(hidden)]
    #[inline]
    fn is_in_region(_: Internal) -> bool {
        false
    }
    /// What stands for this value inside of a region that is being recorded: another value of the same type, or of
    /// another shape, if one is given.
    #[doc(hidden)]
    fn placeholder(&self, _: Internal, _shape: Option<&[usize]>) -> Self {
        self.clone()
    }
    /// How far one unit in the last place of 1 is.
    #[doc(hidden)]
    #[inline]
    fn precision(_: Internal) -> f64 {
        f64::EPSILON
    }
    /// The least positive number that has all its digits.
    #[doc(hidden)]
    #[inline]
    fn least(_: Internal) -> f64 {
        f64::MIN_POSITIVE
    }
    /// Lengths of the axes; a number has none.
    #[doc(hidden)]
    #[inline]
    fn lengths(&self, _: Internal) -> Shape {
        Shape::new()
    }
    /// The same value, which is not known before another one is: what is computed of it is computed again, if it was
    /// computed before of the value itself. A variable has it from its value.
    #[doc(hidden)]
    #[inline]
    fn after(&self, _: Internal, _token: &Self) -> Self {
        self.clone()
    }
    /// The same value, whose adjoint is what `hook` makes of it, from here on back: scaled, clipped, reversed, or
    /// looked at. Values and tangents are as without it.
    ///
    /// ```
    /// use antiphon::custom::Scale;
    /// use antiphon::{Real, grad, hvp};
    /// // a³, of whose three factors one is pulled back by 0.9 only.
    /// fn f<T: Real>(a: &T) -> T {
    ///     a.square() * a.clone().hook(&Scale(0.9))
    /// }
    /// assert_eq!(grad(|a| f(&a), &2.0)?, 2.9 * 4.0);
    /// // The gradient's own derivative.
    /// assert_eq!(hvp(|a| f(&a), &2.0, &1.0)?.1, 5.8 * 2.0);
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    ///
    /// Of a derivative of a derivative, the inner gradient is the hooked one, which the outer derivative
    /// differentiates as the function that it is. For each row of a batch the hook is called with all rows.
    #[must_use]
    #[inline]
    #[track_caller]
    fn hook<H: Hook>(self, _hook: &H) -> Self {
        self
    }
    /// Checks that two operands of an elementwise operator broadcast. Scalars always do.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) with the operator's name.
    #[inline]
    #[track_caller]
    fn check_broadcast(_op: &'static str, _lhs: &Self, _rhs: &Self) -> Result<()> {
        Ok(())
    }
    /// Whether two values have the same shape. Scalars always do.
    #[inline]
    fn same_shape(_a: &Self, _b: &Self) -> bool {
        true
    }
    /// Checks that this is a single number, as a loss has to be.
    ///
    /// # Errors
    /// [`Error::Operand`](crate::Error::Operand) with the name of the entry point.
    #[inline]
    #[track_caller]
    fn check_scalar(&self, _op: &'static str) -> Result<()> {
        Ok(())
    }
    /// This value repeated to the shape of `like`, to which it broadcasts.
    #[inline]
    #[track_caller]
    fn broadcast_like(&self, _like: &Self) -> Self {
        self.clone()
    }
    /// The sum over what broadcasting repeated: an adjoint `self` in the shape of an operand `like`.
    #[inline]
    #[track_caller]
    fn unbroadcast(self, _like: &Self) -> Self {
        self
    }

    /// `1/x`.
    #[track_caller]
    fn recip(&self) -> Self;
    /// `|x|`.
    #[track_caller]
    fn abs(&self) -> Self;
    /// −1, 0 or 1; its derivative is zero everywhere.
    #[track_caller]
    fn sign(&self) -> Self;
    /// `eˣ`.
    #[track_caller]
    fn exp(&self) -> Self;
    /// `eˣ − 1`, exact near zero.
    #[track_caller]
    fn expm1(&self) -> Self;
    /// Natural logarithm.
    #[track_caller]
    fn log(&self) -> Self;
    /// `ln(1 + x)`, exact near zero.
    #[track_caller]
    fn log1p(&self) -> Self;
    /// Square root.
    #[track_caller]
    fn sqrt(&self) -> Self;
    /// Sine.
    #[track_caller]
    fn sin(&self) -> Self;
    /// Cosine.
    #[track_caller]
    fn cos(&self) -> Self;
    /// Tangent.
    #[track_caller]
    fn tan(&self) -> Self;
    /// Hyperbolic tangent.
    #[track_caller]
    fn tanh(&self) -> Self;
    /// `1/(1 + e⁻ˣ)`, without overflow.
    #[track_caller]
    fn sigmoid(&self) -> Self;
    /// `ln(1 + eˣ)`, without overflow.
    #[track_caller]
    fn softplus(&self) -> Self;
    /// `max(x, 0)`.
    #[track_caller]
    fn relu(&self) -> Self;
    /// Gauss error function `2/√π · ∫₀ˣ e^(−t²) dt`.
    #[track_caller]
    fn erf(&self) -> Self;
    /// `1 − erf x`, exact where that is small.
    #[track_caller]
    fn erfc(&self) -> Self;
    /// `2ˣ`.
    #[track_caller]
    fn exp2(&self) -> Self;
    /// Logarithm in base 2; of a power of two exactly its exponent.
    #[track_caller]
    fn log2(&self) -> Self;
    /// Logarithm in base 10; of a power of ten exactly its exponent.
    #[track_caller]
    fn log10(&self) -> Self;
    /// Cube root, of negative numbers too. Its derivative at 0 is infinite.
    #[track_caller]
    fn cbrt(&self) -> Self;
    /// Hyperbolic sine.
    #[track_caller]
    fn sinh(&self) -> Self;
    /// Hyperbolic cosine.
    #[track_caller]
    fn cosh(&self) -> Self;
    /// The inverse of `sin`, in `−π/2 ..= π/2`; NaN beyond ±1, where its derivative is infinite.
    #[track_caller]
    fn asin(&self) -> Self;
    /// The inverse of `cos`, in `0 ..= π`; NaN beyond ±1, where its derivative is infinite.
    #[track_caller]
    fn acos(&self) -> Self;
    /// The inverse of `tan`, in `−π/2 ..= π/2`.
    #[track_caller]
    fn atan(&self) -> Self;
    /// The inverse of `sinh`.
    #[track_caller]
    fn asinh(&self) -> Self;
    /// The inverse of `cosh` on `x ≥ 1`; NaN below 1, where its derivative is infinite.
    #[track_caller]
    fn acosh(&self) -> Self;
    /// The inverse of `tanh`: ±∞ at ±1, NaN beyond.
    #[track_caller]
    fn atanh(&self) -> Self;
    /// `ln |Γ(x)|`, infinite at 0, −1, −2, …; its derivative is [`digamma`](Real::digamma).
    #[track_caller]
    fn lgamma(&self) -> Self;
    /// Modified Bessel function of the first kind, of order 0 (`torch.special.i0`).
    #[track_caller]
    fn i0(&self) -> Self;
    /// Modified Bessel function of the first kind, of order 1 (`torch.special.i1`).
    #[track_caller]
    fn i1(&self) -> Self;
    /// The largest integer that is not greater; its derivative is zero everywhere.
    #[track_caller]
    fn floor(&self) -> Self;
    /// The smallest integer that is not less; its derivative is zero everywhere.
    #[track_caller]
    fn ceil(&self) -> Self;
    /// The nearest integer, and of two the even one, as NumPy has it; its derivative is zero everywhere. (Of an `f64`
    /// that is no parameter, `x.round()` is Rust's own method, which rounds halves away from zero.)
    #[track_caller]
    fn round(&self) -> Self;
    /// The integer towards zero; its derivative is zero everywhere.
    #[track_caller]
    fn trunc(&self) -> Self;
    /// `xⁿ` for a fixed integer.
    #[track_caller]
    fn powi(&self, n: i32) -> Self;
    /// `xʸ`.
    #[track_caller]
    fn pow(&self, exponent: &Self) -> Self;
    /// `x·y` with strong zeros: in its derivative, what is exactly zero stays zero where the other operand is infinite
    /// or not a number. Products with `*` make NaN of that, since they are most of what derivatives are made of, and
    /// this takes longer.
    ///
    /// ```
    /// use antiphon::{Real, grad};
    /// // The product is infinite where y is, and is not taken there.
    /// fn masked<T: Real>((x, y): (T, T), product: impl Fn(&T, &T) -> T) -> T {
    ///     let product = product(&x, &y);
    ///     T::select(&y.less(&T::constant(f64::INFINITY)), &product, &T::constant(0.0))
    /// }
    /// let x = (2.0, f64::INFINITY);
    /// assert_eq!(grad(|x| masked(x, |x, y| x.strong_mul(y)), &x)?, (0.0, 0.0));
    /// assert!(grad(|x| masked(x, |x, y| x.clone() * y), &x)?.0.is_nan());
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    #[must_use]
    #[inline]
    #[track_caller]
    fn strong_mul(&self, other: &Self) -> Self {
        Self::check_broadcast("strong_mul", self, other).or_raise();
        self.clone() * other
    }
    /// The angle of the point `(x, y)`, where this is `y`, in `−π ..= π`, with the signs of zeros as in C. Its
    /// derivative at the origin is 0.
    #[track_caller]
    fn atan2(&self, x: &Self) -> Self;
    /// `√(x² + y²)`, without overflow or underflow. Its derivative at the origin is 0.
    #[track_caller]
    fn hypot(&self, other: &Self) -> Self;
    /// The remainder of `x/y`, exactly, with the sign of `x` (`np.fmod`, C's `fmod`); NaN where `y = 0` or `x` is
    /// infinite. Its derivatives are `1` and `−trunc(x/y)`, also where it jumps.
    #[track_caller]
    fn fmod(&self, divisor: &Self) -> Self;
    /// The remainder of `x/y` with the sign of `y` (`np.remainder`, Python's `%`). Its derivatives are `1` and
    /// `−floor(x/y)`, also where it jumps. A zero may have either sign.
    ///
    /// ```
    /// use antiphon::Real;
    /// assert_eq!(((-7.0).fmod(&3.0), (-7.0).remainder(&3.0)), (-1.0, 2.0));
    /// ```
    #[must_use]
    #[track_caller]
    fn remainder(&self, divisor: &Self) -> Self {
        elementwise::remainder(self, divisor)
    }
    /// `ln(eˣ + eʸ)`, without overflow (`np.logaddexp`): −∞ where both are that, and then without derivative.
    #[must_use]
    #[track_caller]
    fn logaddexp(&self, other: &Self) -> Self {
        elementwise::logaddexp(self, other)
    }
    /// `x·ln y`, and 0 where `x = 0` (`scipy.special.xlogy`), unless `y` is NaN. At `x = 0` its derivative by `x` is
    /// `ln y`, but 0 where that is infinite or undefined.
    #[must_use]
    #[track_caller]
    fn xlogy(&self, y: &Self) -> Self {
        elementwise::xlogy(self, y)
    }
    /// `sin(πx)/(πx)`, and 1 at 0 (`np.sinc`).
    #[must_use]
    #[track_caller]
    fn sinc(&self) -> Self {
        elementwise::sinc(self)
    }
    /// `ψ(x) = d/dx ln Γ(x)` (`scipy.special.digamma`): infinite at 0, −1, −2, …. Its errors are a few units in the
    /// last place of the larger of `|ψ(x)|` and 1, so few of its digits are right near its zeros.
    ///
    /// ```
    /// use antiphon::{Real, grad};
    /// // ψ(1) = −γ; its derivative, the trigamma function, is π²/6 there.
    /// assert!((1.0.digamma() + 0.577_215_664_901_532_9).abs() < 1e-15);
    /// assert!((grad(|x| x.digamma(), &1.0)? - std::f64::consts::PI.powi(2) / 6.0).abs() < 1e-14);
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    #[must_use]
    #[track_caller]
    fn digamma(&self) -> Self {
        gamma::digamma(self)
    }
    /// The derivative of [`digamma`](Real::digamma) of an order (`scipy.special.polygamma`).
    ///
    /// # Errors
    /// Raises [`Error::Argument`](crate::Error::Argument) if the order is greater than 30.
    #[must_use]
    #[track_caller]
    fn polygamma(&self, order: u32) -> Self {
        gamma::polygamma(self, order)
    }
    /// `nan` in the place of NaN, and `positive` and `negative` in that of ±∞ (`np.nan_to_num`), each rounded to the
    /// precision of the reals; nothing flows back from there. In single precision the largest number is
    /// `f32::MAX.into()`.
    #[must_use]
    #[track_caller]
    fn nan_to_num(&self, nan: f64, positive: f64, negative: f64) -> Self {
        elementwise::nan_to_num(self, nan, positive, negative)
    }
    /// Whether this is not a number.
    #[track_caller]
    fn is_nan(&self) -> Self::Bool {
        self.not_equal(self)
    }
    /// Whether this is ∞ or −∞.
    #[track_caller]
    fn is_infinite(&self) -> Self::Bool {
        let [infinite, negative] = [f64::INFINITY, f64::NEG_INFINITY].map(Self::constant);
        self.equal(&infinite).or(&self.equal(&negative))
    }
    /// Whether this is neither infinite nor NaN.
    #[track_caller]
    fn is_finite(&self) -> Self::Bool {
        let [infinite, negative] = [f64::INFINITY, f64::NEG_INFINITY].map(Self::constant);
        self.less(&infinite).and(&self.greater(&negative))
    }
    /// The larger of two.
    #[track_caller]
    fn maximum(&self, other: &Self) -> Self;
    /// The smaller of two.
    #[track_caller]
    fn minimum(&self, other: &Self) -> Self;
    /// `x` limited to `low ..= high`.
    #[track_caller]
    fn clamp(&self, low: f64, high: f64) -> Self;

    /// `self < other`.
    #[track_caller]
    fn less(&self, other: &Self) -> Self::Bool;
    /// `self ≤ other`.
    #[track_caller]
    fn less_equal(&self, other: &Self) -> Self::Bool;
    /// `self = other`.
    #[track_caller]
    fn equal(&self, other: &Self) -> Self::Bool;
    /// `self > other`.
    #[track_caller]
    fn greater(&self, other: &Self) -> Self::Bool {
        other.less(self)
    }
    /// `self ≥ other`.
    #[track_caller]
    fn greater_equal(&self, other: &Self) -> Self::Bool {
        other.less_equal(self)
    }
    /// `self ≠ other` (true for NaN).
    #[track_caller]
    fn not_equal(&self, other: &Self) -> Self::Bool {
        self.equal(other).not()
    }
    /// `then` where the mask holds, `otherwise` elsewhere; the three broadcast.
    #[track_caller]
    fn select(mask: &Self::Bool, then: &Self, otherwise: &Self) -> Self;
    /// Whether the rows of a batch have values of their own.
    #[doc(hidden)]
    #[inline]
    fn is_of_rows(&self) -> bool {
        false
    }
    /// Whether no element is zero, or not a number, as far as is known yet.
    #[doc(hidden)]
    #[inline]
    fn none_zero(&self) -> bool {
        false
    }
    /// Whether all elements are finite, as far as is known yet.
    #[doc(hidden)]
    #[inline]
    fn all_finite(&self) -> bool {
        false
    }
    /// `self/divisor` with strong zeros, in derivatives.
    #[doc(hidden)]
    #[inline]
    #[must_use]
    #[track_caller]
    fn strong_quotient(self, divisor: &Self) -> Self {
        derivative_rules::quotient(self, divisor)
    }
    /// What this adjoint or tangent is multiplied by, with strong zeros.
    #[doc(hidden)]
    #[inline]
    #[must_use]
    #[track_caller]
    fn strong_factor(&self, slope: Self) -> Self {
        derivative_rules::factor(self, slope)
    }
    /// Integers as reals.
    #[track_caller]
    fn from_int(value: &Self::Int) -> Self;
    /// This as an integer: towards zero, the nearest there is where it is too large for one, and 0 for NaN. For other
    /// ways to round, [`floor`](Real::floor), [`ceil`](Real::ceil) or [`round`](Real::round) first.
    ///
    /// ```
    /// use antiphon::Real;
    /// assert_eq!([-1.5, 1e300, f64::NAN].map(|x| x.to_int()), [-1, i64::MAX, 0]);
    /// ```
    #[track_caller]
    fn to_int(&self) -> Self::Int;

    /// The same value, under a name: [`value_and_grad_named`](crate::value_and_grad_named) gives the adjoints of the
    /// names that it is asked for, and the text of a recorded program calls the value by it, and its adjoint
    /// `name_bar`. Where neither is the case it costs nothing.
    ///
    /// ```
    /// use antiphon::Real;
    /// fn step<T: Real>(h: &T, w: &T) -> T {
    ///     (h.clone() * w).tanh().named("h")
    /// }
    /// assert_eq!(step(&0.5, &2.0), 1f64.tanh());
    /// ```
    #[must_use]
    #[inline]
    #[track_caller]
    fn named(self, name: &str) -> Self {
        self.name_with(&|| name.into());
        self.perturbed(INTERNAL, name, At::caller())
    }
    /// The same value, whose adjoint is known to the derivatives that ask for it by this name.
    #[doc(hidden)]
    #[inline]
    fn perturbed(self, _: Internal, _name: &str, _at: At) -> Self {
        self
    }
    /// [`named`](Real::named), by a name that is made only where it is used.
    #[doc(hidden)]
    #[inline]
    fn name_with(&self, _name: &dyn Fn() -> String) {}

    /// The same value, which is printed whenever the model runs, eagerly and compiled: its elements, by this name and
    /// with the caller's line, on the standard error stream. Of a derivative it is the value, not the tangent or the
    /// adjoint. A recorded model prints when its program runs, as often as that comes by; of two arms it is the one
    /// that is taken.
    ///
    /// ```
    /// use antiphon::{Real, debug, grad};
    /// let (slope, lines) = debug::collect_printed(|| grad(|x| x.sin().printed("sine").exp(), &0.0));
    /// assert_eq!(slope?, 1.0);
    /// assert!(lines[0].ends_with("sine = 0.0"), "with the line: [src/model.rs:3:71] sine = 0.0");
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    #[must_use]
    #[track_caller]
    fn printed(self, name: &str) -> Self {
        self.print(name, At::caller());
        self
    }
    /// Prints the value with a line of the user's.
    #[doc(hidden)]
    fn print(&self, _name: &str, _at: At) {}

    /// `x²`.
    #[track_caller]
    fn square(&self) -> Self {
        self.clone() * self
    }
    /// Zeros of this value's shape, constant.
    #[track_caller]
    fn zeros_like(&self) -> Self {
        self.full_like(0.0)
    }
    /// Ones of this value's shape, constant.
    #[track_caller]
    fn ones_like(&self) -> Self {
        self.full_like(1.0)
    }
    /// `value` in this value's shape, constant.
    #[inline]
    #[track_caller]
    fn full_like(&self, value: f64) -> Self {
        Self::constant(value)
    }
    /// `x·c` for a fixed number. On arrays `x * c` is the same.
    #[inline]
    #[track_caller]
    fn scale(self, c: f64) -> Self {
        self * Self::constant(c)
    }
    /// `x + c` for a fixed number. On arrays `x + c` is the same.
    #[inline]
    #[track_caller]
    fn offset(self, c: f64) -> Self {
        self + Self::constant(c)
    }
}
