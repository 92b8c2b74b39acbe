//! Scalar operators: ranges, and bounds of derivatives over them.

use std::f64::consts::{FRAC_2_SQRT_PI, FRAC_PI_2, LN_2, LOG2_E, LOG10_E, PI};
use std::ops::{Add, Div, Mul, Neg, Sub};
use std::rc::Rc;

use super::elementwise::{self, Expression, Operation};
use super::range::{Range, largest, not_below_least, up};
use super::{Bound, BoundAdjoint, BoundBool, BoundInt, Call, Content, Factor, Joint};
use crate::continuation::unwinding::{OrRaise, operator};
use crate::error::{At, Result};
use crate::language::node::StackNode;
use crate::language::real::{Mask, Real};
use crate::language::shape::{self, Shape};
use crate::language::tensor::{MaskTensor, Tensor};
use crate::scalar::Slot;
use crate::sealed::{INTERNAL, Internal};

/// How an operator's values and derivatives lie over ranges of its operand.
struct Unary<T> {
    f: fn(&T) -> T,
    /// The ends of the result's range, and how many units in the last place these may be wrong.
    range: fn(&Range<T>) -> (T, T),
    units: f64,
    /// The largest absolute value of the derivative over each range.
    slope: fn(&Range<T>) -> T,
    /// Where values lie, and the largest derivative, of all numbers.
    everywhere: ([f64; 2], f64),
    why: &'static str,
}

impl<T: Tensor> Bound<T> {
    #[track_caller]
    fn unary(&self, op: &'static str, table: &Unary<T>) -> Bound<T> {
        let at = At::caller();
        operator(at, || match &self.0 {
            Content::Constant(x) => Bound::lift(&(table.f)(x)),
            Content::Varying(x) => {
                let ([low, high], slope) = table.everywhere;
                let (range, factor) = match &x.range {
                    Some(range) => {
                        let (least, most) = (table.range)(range);
                        let bounded = range.bounded || (low.is_finite() && high.is_finite());
                        let slope = (table.slope)(range);
                        // A derivative at an end where it is infinite, or beyond, may be no number.
                        let slope = slope.nan_to_num(f64::INFINITY, f64::INFINITY, f64::INFINITY);
                        let slope = largest(&slope);
                        // Of a function with no steps it is never zero for certain.
                        let slope = if table.units > 0.0 { not_below_least(slope) } else { slope };
                        let factor = if range.bounded || !slope_is_known(slope_of(table)) {
                            Factor::Value(slope)
                        } else {
                            Factor::Value(slope.minimum(&T::constant(slope_of(table))))
                        };
                        (Some(Range::rounded(least, most, bounded, table.units)), factor)
                    }
                    None if low == f64::NEG_INFINITY && high == f64::INFINITY => {
                        (None, Factor::Number(slope))
                    }
                    None => (Some(Range::all(&x.shape, low, high)), Factor::Number(slope)),
                };
                let call = Call { op, at, why: table.why };
                let result =
                    Bound::result(call, x.shape.clone(), range, Joint::Sum, &[(factor.clone(), self)]);
                let result = if table.why == JUMPS { result.also_number(x.is_number) } else { result };
                let expression = |x| match op {
                    "neg" => Expression::Negative(x),
                    _ => Expression::Unary(table.f, x),
                };
                elementwise::unary(self, &factor, result, expression, op == "neg")
            }
        })
    }

    /// An operator of two operands, elementwise: the range of the result, and factors of the operands' changes.
    #[track_caller]
    fn binary(
        &self,
        other: &Bound<T>,
        call: Call,
        f: fn(&T, &T) -> T,
        joint: Joint,
        rules: impl FnOnce(&Bound<T>, &Bound<T>, &Shape) -> (Option<Range<T>>, [Factor<T>; 2]),
    ) -> Bound<T> {
        if let (Content::Constant(a), Content::Constant(b)) = (&self.0, &other.0) {
            return operator(call.at, || Bound::lift(&f(a, b)));
        }
        let shape = shape::broadcast(call.op, &self.extent(), &other.extent()).or_raise();
        operator(call.at, || {
            let (range, [left, right]) = rules(self, other, &shape);
            let joint = match joint {
                Joint::Apart if shape::size(&shape) == 1 => Joint::Largest,
                joint => joint,
            };
            let slope = {
                let [a, b] = [(&left, self), (&right, other)]
                    .map(|(factor, x)| factor.value() * elementwise::of(x).slope());
                match joint {
                    Joint::Sum => a + b,
                    Joint::Root => a.hypot(&b),
                    Joint::Apart | Joint::Largest => a.maximum(&b),
                }
            };
            let operands = [(left, self), (right, other)];
            let result = Bound::result(call, shape, range, joint, &operands);
            let affine = |left: bool, right: bool| match call.op {
                "add" | "sub" => true,
                "mul" => !(left && right),
                "div" => !right,
                _ => false,
            };
            let operation = Operation { name: call.op, f };
            let joined = elementwise::binary([self, other], up(slope, 68.0), result, operation, affine);
            // Of functions of one value, what changes apart changes at most as the faster one.
            match (&joined.0, joint) {
                (Content::Varying(x), Joint::Apart) if x.of.is_some() => {
                    let function = x.of.clone().expect("it was just looked at");
                    let lip = function.base_lip().clone() * function.slope();
                    joined.with_lip(lip)
                }
                _ => joined,
            }
        })
    }

    /// The same with another, smaller constant.
    pub(super) fn with_lip(self, lip: T) -> Bound<T> {
        match self.0 {
            Content::Varying(x) => {
                let lip = x.lip.minimum(&up(lip, 8.0));
                Bound(Content::Varying(Rc::new(super::Varying { lip, ..x.copy() })))
            }
            constant @ Content::Constant(_) => Bound(constant),
        }
    }

    /// Whether its range says how comparisons with it turn out: of what may be NaN it does not, of a constant it does.
    fn may_be_compared(&self) -> bool {
        self.varying().is_none_or(|x| x.is_number)
    }

    /// By how much repeating an operand to a shape multiplies its norm.
    fn repeats(&self, shape: &[usize]) -> Factor<T> {
        let (from, to) = (shape::size(&self.extent()), shape::size(shape));
        if from == to || from == 0 { Factor::ONE } else { Factor::Number(((to / from) as f64).sqrt()) }
    }

    /// The norm of the product with numbers of at most these absolute values, as a function of an operand of another
    /// shape that is repeated: the largest root of a sum of squares of what an element is multiplied by.
    pub(super) fn scaled_by(operand: &Bound<T>, size: &T, shape: &[usize]) -> Factor<T> {
        let like = operand.extent();
        if like.as_slice() == shape {
            return Factor::Value(largest(size));
        }
        let axes = shape::repeated_axes(shape, &like);
        // Divided by the largest one, so that squares are numbers.
        let most = largest(size).maximum(&T::constant(T::least(INTERNAL))).detach();
        let whole = (size.clone() / &most).broadcast_to(shape);
        let root = largest(&whole.square().sum(axes.as_slice()).sqrt()) * most;
        let terms: usize = axes.iter().map(|&axis| shape[axis]).product();
        Factor::Value(up(root, terms as f64))
    }

    /// A result that may be anything, where an operator is not defined for all that its operands may be.
    fn compare(
        &self,
        op: &'static str,
        other: &Bound<T>,
        known: fn(&T, &T) -> T::Bool,
        rules: impl FnOnce(&Range<T>, &Range<T>) -> [T::Bool; 2],
    ) -> BoundBool<T::Bool> {
        if let (Content::Constant(a), Content::Constant(b)) = (&self.0, &other.0) {
            return BoundBool::lift(&known(a, b));
        }
        let shape = shape::broadcast(op, &self.extent(), &other.extent()).or_raise();
        let ranges = self.known_range().zip(other.known_range());
        let [surely, possibly] = match ranges.filter(|_| self.may_be_compared() && other.may_be_compared()) {
            Some((a, b)) => rules(&a, &b),
            _ => {
                let zeros = T::zeros(&shape);
                [zeros.less(&zeros), zeros.equal(&zeros)]
            }
        };
        if surely.or(&possibly.not()).all_known() == Some(true) {
            return BoundBool::lift(&surely);
        }
        let sides = [self, other].map(|x| Some(elementwise::of(x)));
        let steps = self.varying().or(other.varying()).map(|x| x.steps.clone());
        let key = steps.map_or_else(super::steps::fresh, |steps| steps.compare(sides));
        BoundBool::open(surely, possibly, key)
    }
}

fn slope_of<T>(table: &Unary<T>) -> f64 {
    table.everywhere.1
}
fn slope_is_known(slope: f64) -> bool {
    slope.is_finite()
}

const ALL: [f64; 2] = [f64::NEG_INFINITY, f64::INFINITY];
const INFINITE: f64 = f64::INFINITY;

fn increasing<T: Tensor>(f: fn(&T) -> T, range: &Range<T>) -> (T, T) {
    (f(&range.low), f(&range.high))
}
fn decreasing<T: Tensor>(f: fn(&T) -> T, range: &Range<T>) -> (T, T) {
    (f(&range.high), f(&range.low))
}
/// Of a function that is even, and increases from zero on.
fn even<T: Tensor>(f: fn(&T) -> T, range: &Range<T>) -> (T, T) {
    (f(&range.nearest_to_zero()), f(&range.magnitude()))
}
/// The slope where it is infinite outside of a domain.
fn inside<T: Tensor>(inside: &T::Bool, slope: &T) -> T {
    T::select(inside, slope, &T::constant(f64::INFINITY))
}
/// What is zero where a function with steps has the same value at both ends, and infinite elsewhere.
fn flat<T: Tensor>(f: fn(&T) -> T, range: &Range<T>) -> T {
    let same = f(&range.low).equal(&f(&range.high));
    T::select(&same, &T::constant(0.0), &T::constant(f64::INFINITY))
}
/// Whether an integer lies between both ends.
fn has_integer<T: Tensor>(low: &T, high: &T) -> T::Bool {
    low.ceil().less_equal(&high.floor())
}
/// What a computed number may be wrong by, relative to what it was computed from.
fn slack<T: Tensor>() -> f64 {
    64.0 * T::precision(INTERNAL)
}
/// The range of `sin(x + shift)`.
fn sine<T: Tensor>(range: &Range<T>, shift: f64) -> (T, T) {
    // In quarter turns from the sine's largest value; its least value is half a turn on.
    let [low, high] =
        [&range.low, &range.high].map(|x| (x.clone() * (0.5 / PI)) + (shift / (2.0 * PI) - 0.25));
    // What is computed of a turn may be wrong at its ends, so that these count as a little further apart.
    let slack = slack::<T>();
    let [low, high] = [low.clone() - low.abs() * slack - slack, high.clone() + high.abs() * slack + slack];
    let [a, b] = [&range.low, &range.high].map(|x| if shift == 0.0 { x.sin() } else { x.cos() });
    let top = T::select(&has_integer(&low, &high), &T::constant(1.0), &a.maximum(&b));
    let bottom = has_integer(&(low - 0.5), &(high - 0.5));
    let bottom = T::select(&bottom, &T::constant(-1.0), &a.minimum(&b));
    (bottom, top)
}
/// The largest absolute value of both ends of a range.
fn largest_of<T: Tensor>((low, high): (T, T)) -> T {
    low.abs().maximum(&high.abs())
}

macro_rules! unary {
    ($($name:ident: $range:expr, $units:expr, $slope:expr, $ends:expr, $all:expr, $why:expr;)*) => { $(
        #[track_caller]
        fn $name(&self) -> Self {
            let table = Unary {
                f: |x: &T| x.$name(),
                range: $range,
                units: $units,
                slope: $slope,
                everywhere: ($ends, $all),
                why: $why,
            };
            self.unary(stringify!($name), &table)
        }
    )* };
}

const GROWS: &str = "its derivative is not bounded where its operand is not";
const JUMPS: &str = "it jumps within the range of its operand";
const DOMAIN: &str = "its derivative is not bounded on the range of its operand";

macro_rules! operators {
    ($($Trait:ident $name:ident $rules:ident;)*) => { $(
        impl<T: Tensor> $Trait<&Bound<T>> for Bound<T> {
            type Output = Self;
            #[track_caller]
            fn $name(self, rhs: &Self) -> Self {
                let call = Call { op: stringify!($name), at: At::caller(), why: $rules::WHY };
                self.binary(rhs, call, |a, b| $Trait::$name(a.clone(), b), Joint::Sum, $rules::rules)
            }
        }
        impl<T: Tensor> $Trait for Bound<T> {
            type Output = Self;
            #[track_caller]
            fn $name(self, rhs: Self) -> Self {
                $Trait::$name(self, &rhs)
            }
        }
        /// With a plain number.
        impl<T: Tensor> $Trait<f64> for Bound<T> {
            type Output = Self;
            #[track_caller]
            fn $name(self, rhs: f64) -> Self {
                $Trait::$name(self, &Self::constant(rhs))
            }
        }
    )* };
}
operators! { Add add sums; Sub sub differences; Mul mul products; Div div quotients; }

mod sums {
    use super::*;
    pub(super) const WHY: &str = "an operand's is";
    pub(super) fn rules<T: Tensor>(
        a: &Bound<T>,
        b: &Bound<T>,
        shape: &Shape,
    ) -> (Option<Range<T>>, [Factor<T>; 2]) {
        let range = a
            .known_range()
            .zip(b.known_range())
            .map(|(a, b)| Range::rounded(a.low + b.low, a.high + b.high, a.bounded && b.bounded, 2.0));
        (range, [a.repeats(shape), b.repeats(shape)])
    }
}

mod differences {
    use super::*;
    pub(super) const WHY: &str = "an operand's is";
    pub(super) fn rules<T: Tensor>(
        a: &Bound<T>,
        b: &Bound<T>,
        shape: &Shape,
    ) -> (Option<Range<T>>, [Factor<T>; 2]) {
        let range = a
            .known_range()
            .zip(b.known_range())
            .map(|(a, b)| Range::rounded(a.low - b.high, a.high - b.low, a.bounded && b.bounded, 2.0));
        (range, [a.repeats(shape), b.repeats(shape)])
    }
}

mod products {
    use super::*;
    pub(super) const WHY: &str = "the range of the other operand is not bounded";

    /// The range of products.
    pub(super) fn range<T: Tensor>(a: &Range<T>, b: &Range<T>) -> Range<T> {
        let zero = T::constant(0.0);
        let times = |x: &T, y: &T| match a.bounded && b.bounded {
            true => x.clone() * y,
            // An end that is infinite is that of numbers, of which each has the product zero with zero.
            false => T::select(&x.equal(&zero).or(&y.equal(&zero)), &zero, &(x.clone() * y)),
        };
        let [p, q] = [times(&a.low, &b.low), times(&a.low, &b.high)];
        let [r, s] = [times(&a.high, &b.low), times(&a.high, &b.high)];
        let low = p.minimum(&q).minimum(&r.minimum(&s));
        let high = p.maximum(&q).maximum(&r.maximum(&s));
        Range::rounded(low, high, a.bounded && b.bounded, 2.0)
    }

    /// By how much the product with an operand multiplies a change of the other one.
    pub(super) fn factor<T: Tensor>(of: &Bound<T>, by: &Bound<T>, shape: &Shape) -> Factor<T> {
        match by.known_range() {
            _ if of.varying().is_none() => Factor::Number(0.0),
            None => Factor::Number(f64::INFINITY),
            Some(range) => Bound::scaled_by(of, &range.magnitude(), shape),
        }
    }

    pub(super) fn rules<T: Tensor>(
        a: &Bound<T>,
        b: &Bound<T>,
        shape: &Shape,
    ) -> (Option<Range<T>>, [Factor<T>; 2]) {
        let range = a.known_range().zip(b.known_range()).map(|(a, b)| range(&a, &b));
        (range, [factor(a, b, shape), factor(b, a, shape)])
    }
}

mod quotients {
    use super::*;
    pub(super) const WHY: &str =
        "the range of the divisor includes zero, or that of the dividend is not bounded";

    /// The range of reciprocals, unless zero is in it; and whether it is not, of each element.
    pub(super) fn recip<T: Tensor>(x: &Range<T>) -> (Range<T>, T::Bool) {
        let zero = T::constant(0.0);
        let apart = x.low.greater(&zero).or(&x.high.less(&zero));
        let [low, high] = [(&x.high, f64::NEG_INFINITY), (&x.low, f64::INFINITY)]
            .map(|(end, else_)| T::select(&apart, &end.recip(), &T::constant(else_)));
        (Range::rounded(low, high, x.bounded, 2.0), apart)
    }

    pub(super) fn rules<T: Tensor>(
        a: &Bound<T>,
        b: &Bound<T>,
        shape: &Shape,
    ) -> (Option<Range<T>>, [Factor<T>; 2]) {
        let Content::Varying(_) = &b.0 else {
            // By a constant: what it divides is multiplied.
            let Content::Constant(divisor) = &b.0 else { unreachable!("it is constant") };
            let range = a.known_range().map(|a| {
                let [p, q] = [a.low.clone() / divisor, a.high.clone() / divisor];
                Range::rounded(p.minimum(&q), p.maximum(&q), a.bounded, 2.0)
            });
            let size = divisor.abs().recip();
            return (range, [Bound::scaled_by(a, &size, shape), Factor::Number(0.0)]);
        };
        let Some(divisor) = b.known_range() else {
            return (None, [Factor::Number(f64::INFINITY), Factor::Number(f64::INFINITY)]);
        };
        let (recip, _) = recip(&divisor);
        let size = recip.magnitude();
        let range = a.known_range().map(|a| products::range(&a, &recip));
        let left = match a.varying() {
            Some(_) => Bound::scaled_by(a, &size, shape),
            None => Factor::Number(0.0),
        };
        let right = match a.known_range() {
            Some(range) => {
                let zero = T::constant(0.0);
                let magnitude = range.magnitude();
                let product = not_below_least(magnitude.clone() * &size * &size);
                let slope = T::select(&magnitude.equal(&zero).and(&size.equal(&zero).not()), &zero, &product);
                Bound::scaled_by(b, &slope, shape)
            }
            None => Factor::Number(f64::INFINITY),
        };
        (range, [left, right])
    }
}

impl<T: Tensor> Neg for Bound<T> {
    type Output = Self;
    #[track_caller]
    fn neg(self) -> Self {
        let table = Unary {
            f: |x: &T| -x.clone(),
            range: |x| (-x.high.clone(), -x.low.clone()),
            units: 0.0,
            slope: |x| x.low.ones_like(),
            everywhere: (ALL, 1.0),
            why: "its operand's is",
        };
        self.unary("neg", &table)
    }
}

/// `max`, `min` and the like, of which an element changes no more than one of the operands' does.
macro_rules! apart {
    ($($name:ident $joint:ident $why:expr, |$a:ident, $b:ident| $range:expr;)*) => { $(
        #[track_caller]
        fn $name(&self, other: &Self) -> Self {
            let call = Call { op: stringify!($name), at: At::caller(), why: $why };
            self.binary(other, call, |a, b| a.$name(b), Joint::$joint, |a, b, shape| {
                let range = a.known_range().zip(b.known_range()).map(|($a, $b)| {
                    let (low, high) = $range;
                    Range::rounded(low, high, $a.bounded && $b.bounded, 8.0)
                });
                (range, [a.repeats(shape), b.repeats(shape)])
            })
        }
    )* };
}

impl<T: Tensor> Real for Bound<T> {
    type Bool = BoundBool<T::Bool>;
    type Int = BoundInt<T::Int>;
    type Adjoint = BoundAdjoint<T>;
    type Node<V: Real> = StackNode<V>;
    const NESTING: u64 = T::NESTING << 2;

    unary! {
        abs: |x| even(|x| x.abs(), x), 0.0, |x| x.low.ones_like(), [0.0, INFINITE], 1.0, GROWS;
        exp: |x| increasing(|x| x.exp(), x), 8.0, |x| x.high.exp(), [0.0, INFINITE], INFINITE, GROWS;
        expm1: |x| increasing(|x| x.expm1(), x), 8.0, |x| x.high.exp(), [-1.0, INFINITE], INFINITE, GROWS;
        exp2: |x| increasing(|x| x.exp2(), x), 8.0, |x| x.high.exp2() * LN_2, [0.0, INFINITE], INFINITE, GROWS;
        log: |x| increasing(|x| x.log(), x), 8.0,
            |x| inside(&x.low.greater(&T::constant(0.0)), &x.low.recip()), ALL, INFINITE, DOMAIN;
        log2: |x| increasing(|x| x.log2(), x), 8.0,
            |x| inside(&x.low.greater(&T::constant(0.0)), &(x.low.recip() * LOG2_E)), ALL, INFINITE, DOMAIN;
        log10: |x| increasing(|x| x.log10(), x), 8.0,
            |x| inside(&x.low.greater(&T::constant(0.0)), &(x.low.recip() * LOG10_E)), ALL, INFINITE, DOMAIN;
        log1p: |x| increasing(|x| x.log1p(), x), 8.0,
            |x| inside(&x.low.greater(&T::constant(-1.0)), &(x.low.clone() + 1.0).recip()), ALL, INFINITE, DOMAIN;
        sqrt: |x| increasing(|x| x.sqrt(), x), 2.0,
            |x| inside(&x.low.greater(&T::constant(0.0)), &(x.low.sqrt().recip() * 0.5)), [0.0, INFINITE], INFINITE,
            DOMAIN;
        cbrt: |x| increasing(|x| x.cbrt(), x), 8.0,
            |x| (x.nearest_to_zero().cbrt().square().recip()) * (1.0 / 3.0), ALL, INFINITE, DOMAIN;
        sin: |x| sine(x, 0.0), 8.0, |x| largest_of(sine(x, FRAC_PI_2)), [-1.0, 1.0], 1.0, GROWS;
        cos: |x| sine(x, FRAC_PI_2), 8.0, |x| largest_of(sine(x, 0.0)), [-1.0, 1.0], 1.0, GROWS;
        tan: |x| tangent(x), 8.0, |x| largest_of(tangent(x)).square() + 1.0, ALL, INFINITE, DOMAIN;
        tanh: |x| increasing(|x| x.tanh(), x), 8.0,
            |x| x.nearest_to_zero().cosh().recip().square(), [-1.0, 1.0], 1.0, GROWS;
        sigmoid: |x| increasing(|x| x.sigmoid(), x), 8.0,
            |x| (x.nearest_to_zero() * 0.5).cosh().recip().square() * 0.25, [0.0, 1.0], 0.25, GROWS;
        softplus: |x| increasing(|x| x.softplus(), x), 8.0, |x| x.high.sigmoid(), [0.0, INFINITE], 1.0, GROWS;
        relu: |x| increasing(|x| x.relu(), x), 0.0,
            |x| T::from_mask(&x.high.greater(&T::constant(0.0))), [0.0, INFINITE], 1.0, GROWS;
        erf: |x| increasing(|x| x.erf(), x), 8.0,
            |x| (-x.nearest_to_zero().square()).exp() * FRAC_2_SQRT_PI, [-1.0, 1.0], FRAC_2_SQRT_PI, GROWS;
        erfc: |x| decreasing(|x| x.erfc(), x), 16.0,
            |x| (-x.nearest_to_zero().square()).exp() * FRAC_2_SQRT_PI, [0.0, 2.0], FRAC_2_SQRT_PI, GROWS;
        sinh: |x| increasing(|x| x.sinh(), x), 8.0, |x| x.magnitude().cosh(), ALL, INFINITE, GROWS;
        cosh: |x| even(|x| x.cosh(), x), 8.0, |x| x.magnitude().sinh(), [1.0, INFINITE], INFINITE, GROWS;
        asin: |x| increasing(|x| x.asin(), x), 8.0, |x| arc(x), [-FRAC_PI_2, FRAC_PI_2], INFINITE, DOMAIN;
        acos: |x| decreasing(|x| x.acos(), x), 8.0, |x| arc(x), [0.0, PI], INFINITE, DOMAIN;
        atan: |x| increasing(|x| x.atan(), x), 8.0,
            |x| (x.nearest_to_zero().square() + 1.0).recip(), [-FRAC_PI_2, FRAC_PI_2], 1.0, GROWS;
        asinh: |x| increasing(|x| x.asinh(), x), 8.0,
            |x| x.nearest_to_zero().hypot(&T::constant(1.0)).recip(), ALL, 1.0, GROWS;
        acosh: |x| increasing(|x| x.acosh(), x), 8.0,
            |x| inside(
                &x.low.greater(&T::constant(1.0)),
                &((x.low.clone() - 1.0).sqrt().recip() * (x.low.clone() + 1.0).sqrt().recip()),
            ),
            [0.0, INFINITE], INFINITE, DOMAIN;
        atanh: |x| increasing(|x| x.atanh(), x), 8.0,
            |x| inside(&x.magnitude().less(&T::constant(1.0)), &one_minus_square(&x.magnitude()).recip()),
            ALL, INFINITE, DOMAIN;
        recip: |x| { let (range, _) = quotients::recip(x); (range.low, range.high) }, 2.0,
            |x| { let (range, _) = quotients::recip(x); range.magnitude().square() }, ALL, INFINITE, DOMAIN;
        lgamma: |x| gamma::lgamma(x), 64.0, |x| gamma::slope(x), ALL, INFINITE, DOMAIN;
        i0: |x| even(|x| x.i0(), x), 16.0, |x| x.magnitude().i1(), [1.0, INFINITE], INFINITE, GROWS;
        i1: |x| increasing(|x| x.i1(), x), 16.0, |x| x.magnitude().i0(), ALL, INFINITE, GROWS;
        digamma: |x| gamma::digamma(x), 64.0, |x| gamma::digamma_slope(x), ALL, INFINITE, DOMAIN;
        sign: |x| increasing(|x| x.sign(), x), 0.0, |x| flat(|x| x.sign(), x), [-1.0, 1.0], INFINITE, JUMPS;
        floor: |x| increasing(|x| x.floor(), x), 0.0, |x| flat(|x| x.floor(), x), ALL, INFINITE, JUMPS;
        ceil: |x| increasing(|x| x.ceil(), x), 0.0, |x| flat(|x| x.ceil(), x), ALL, INFINITE, JUMPS;
        round: |x| increasing(|x| x.round(), x), 0.0, |x| flat(|x| x.round(), x), ALL, INFINITE, JUMPS;
        trunc: |x| increasing(|x| x.trunc(), x), 0.0, |x| flat(|x| x.trunc(), x), ALL, INFINITE, JUMPS;
        square: |x| even(|x| x.square(), x), 2.0, |x| x.magnitude() * 2.0, [0.0, INFINITE], INFINITE, GROWS;
    }

    apart! {
        maximum Apart "an operand's is", |a, b| (a.low.maximum(&b.low), a.high.maximum(&b.high));
        minimum Apart "an operand's is", |a, b| (a.low.minimum(&b.low), a.high.minimum(&b.high));
        hypot Root "an operand's is", |a, b| (
            a.nearest_to_zero().hypot(&b.nearest_to_zero()),
            a.magnitude().hypot(&b.magnitude())
        );
    }

    #[track_caller]
    fn logaddexp(&self, other: &Self) -> Self {
        let call = Call { op: "logaddexp", at: At::caller(), why: "an operand's is" };
        self.binary(
            other,
            call,
            |a, b| a.logaddexp(b),
            Joint::Apart,
            |a, b, shape| {
                let range = a.known_range().zip(b.known_range()).map(|(a, b)| {
                    // It may be near zero where its operands are not, and is wrong by what these are.
                    let error = |a: &T, b: &T| a.abs().maximum(&b.abs()).offset(1.0).scale(slack::<T>());
                    let ends = (a.low.logaddexp(&b.low), a.high.logaddexp(&b.high));
                    let errors = || (error(&a.low, &b.low), error(&a.high, &b.high));
                    Range::within(ends.0, ends.1, a.bounded && b.bounded, errors)
                });
                (range, [a.repeats(shape), b.repeats(shape)])
            },
        )
    }
    #[track_caller]
    fn constant(value: f64) -> Self {
        Self::lift(&T::constant(value))
    }
    /// The same: what is bounded is the function.
    fn detach(&self) -> Self {
        self.clone()
    }
    fn adjoint(&self) -> BoundAdjoint<T> {
        BoundAdjoint(Slot::new())
    }
    #[track_caller]
    fn accumulate(adjoint: &BoundAdjoint<T>, g: Self) {
        adjoint.0.accumulate(g);
    }
    fn take_adjoint(adjoint: &BoundAdjoint<T>) -> Option<Self> {
        adjoint.0.take()
    }
    fn is_recorded(internal: Internal) -> bool {
        T::is_recorded(internal)
    }
    fn precision(internal: Internal) -> f64 {
        T::precision(internal)
    }
    fn least(internal: Internal) -> f64 {
        T::least(internal)
    }
    fn lengths(&self, _: Internal) -> Shape {
        self.extent()
    }
    #[track_caller]
    fn check_broadcast(op: &'static str, lhs: &Self, rhs: &Self) -> Result<()> {
        shape::broadcast(op, &lhs.extent(), &rhs.extent()).map(drop)
    }
    fn same_shape(a: &Self, b: &Self) -> bool {
        a.extent() == b.extent()
    }
    #[track_caller]
    fn check_scalar(&self, op: &'static str) -> Result<()> {
        shape::scalar(op, &self.extent())
    }
    #[track_caller]
    fn broadcast_like(&self, like: &Self) -> Self {
        if Self::same_shape(self, like) { self.clone() } else { self.broadcast_to(&like.extent()) }
    }
    #[track_caller]
    fn unbroadcast(self, like: &Self) -> Self {
        let (from, to) = (self.extent(), like.extent());
        if from == to {
            return self;
        }
        self.sum(shape::repeated_axes(&from, &to).as_slice()).reshape(&to)
    }
    #[track_caller]
    fn full_like(&self, value: f64) -> Self {
        Self::full(&self.extent(), value)
    }
    #[track_caller]
    fn powi(&self, n: i32) -> Self {
        let at = At::caller();
        let call = Call { op: "powi", at, why: if n < 0 { DOMAIN } else { GROWS } };
        match &self.0 {
            Content::Constant(x) => operator(at, || Bound::lift(&x.powi(n))),
            Content::Varying(_) if n == 0 => self.full_like(1.0),
            Content::Varying(x) => operator(at, || {
                let (range, factor) = match &x.range {
                    None if n == 1 => (None, Factor::ONE),
                    None if n > 0 && n % 2 == 0 => {
                        (Some(Range::all(&x.shape, 0.0, INFINITE)), Factor::Number(INFINITE))
                    }
                    None => (None, Factor::Number(INFINITE)),
                    Some(range) => power(range, n),
                };
                let result =
                    Bound::result(call, x.shape.clone(), range, Joint::Sum, &[(factor.clone(), self)]);
                elementwise::unary(self, &factor, result, |x| Expression::Powi(x, n), n == 1)
            }),
        }
    }
    #[track_caller]
    fn pow(&self, exponent: &Self) -> Self {
        let at = At::caller();
        let call = Call { op: "pow", at, why: DOMAIN };
        operator(at, || match (&self.0, &exponent.0) {
            (Content::Varying(x), Content::Constant(n)) if x.range.is_some() => {
                let range = x.range.as_ref().expect("it was just looked at");
                let zero = T::constant(0.0);
                // Of a base that is not negative, where the function and its derivative are monotone.
                let defined = range.low.greater_equal(&zero);
                let [low, high] = [&range.low, &range.high].map(|x| x.pow(n));
                let [a, b] = [&range.low, &range.high].map(|x| (x.pow(&(n.clone() - 1.0)) * n).abs());
                let slope = inside(&defined, &a.maximum(&b));
                let slope = not_below_least(slope.nan_to_num(INFINITE, INFINITE, INFINITE));
                let shape = shape::broadcast("pow", &x.shape, &n.shape()).or_raise();
                let [low, high] = [
                    T::select(&defined, &low.minimum(&high), &T::constant(-INFINITE)),
                    T::select(&defined, &low.maximum(&high), &T::constant(INFINITE)),
                ];
                let range = Range::rounded(low, high, false, 16.0);
                let factor = Bound::scaled_by(self, &slope.broadcast_to(&shape), &shape);
                Bound::result(call, shape, Some(range), Joint::Sum, &[(factor, self)])
            }
            (Content::Constant(x), Content::Constant(n)) => Bound::lift(&x.pow(n)),
            // `x^y = e^(y·ln x)`.
            _ => (exponent.clone() * self.log()).exp(),
        })
    }
    #[track_caller]
    fn strong_mul(&self, other: &Self) -> Self {
        let call = Call { op: "strong_mul", at: At::caller(), why: products::WHY };
        self.binary(other, call, |a, b| a.strong_mul(b), Joint::Sum, products::rules)
    }
    #[track_caller]
    fn xlogy(&self, y: &Self) -> Self {
        match (&self.0, &y.0) {
            (Content::Constant(x), Content::Constant(y)) => {
                operator(At::caller(), || Bound::lift(&x.xlogy(y)))
            }
            _ => operator(At::caller(), || y.log() * self),
        }
    }
    #[track_caller]
    fn sinc(&self) -> Self {
        let table = Unary {
            f: |x: &T| x.sinc(),
            range: |x| (x.low.full_like(-0.217_233_628_211_222), x.low.ones_like()),
            units: 2.0,
            // The largest derivative of `sin(t)/t` is 0.43618…, at t = 2.08157….
            slope: |x| x.low.full_like(0.436_181_817_272_8 * PI),
            everywhere: ([-0.217_233_628_211_222, 1.0], 0.436_181_817_272_8 * PI),
            why: GROWS,
        };
        self.unary("sinc", &table)
    }
    #[track_caller]
    fn polygamma(&self, order: u32) -> Self {
        match &self.0 {
            Content::Constant(x) => operator(At::caller(), || Bound::lift(&x.polygamma(order))),
            Content::Varying(_) if order == 0 => self.digamma(),
            Content::Varying(x) => operator(At::caller(), || {
                let call = Call { op: "polygamma", at: At::caller(), why: DOMAIN };
                let (range, factor) = gamma::polygamma(x.range.as_ref(), order);
                Bound::result(call, x.shape.clone(), range, Joint::Sum, &[(factor, self)])
            }),
        }
    }
    #[track_caller]
    fn atan2(&self, x: &Self) -> Self {
        let call =
            Call { op: "atan2", at: At::caller(), why: "the origin, or where angles jump, is in range" };
        self.binary(
            x,
            call,
            |y, x| y.atan2(x),
            Joint::Root,
            |y, x, shape| {
                let range = Range::all(shape, -PI, PI);
                let infinite = [Factor::Number(INFINITE), Factor::Number(INFINITE)];
                let (Some(a), Some(b)) = (y.known_range(), x.known_range()) else {
                    return (Some(range), infinite);
                };
                let zero = T::constant(0.0);
                // It jumps across the negative axis.
                let apart = a.low.greater(&zero).or(&a.high.less(&zero)).or(&b.low.greater(&zero));
                let slope = not_below_least(a.nearest_to_zero().hypot(&b.nearest_to_zero()).recip());
                let slope = inside(&apart, &slope).broadcast_to(shape);
                let factors = [y, x].map(|operand| Bound::scaled_by(operand, &slope, shape));
                (Some(range), factors)
            },
        )
    }
    #[track_caller]
    fn fmod(&self, divisor: &Self) -> Self {
        self.remainder_of("fmod", divisor, |a, b| a.fmod(b))
    }
    #[track_caller]
    fn remainder(&self, divisor: &Self) -> Self {
        self.remainder_of("remainder", divisor, |a, b| a.remainder(b))
    }
    #[track_caller]
    fn nan_to_num(&self, nan: f64, positive: f64, negative: f64) -> Self {
        match &self.0 {
            Content::Constant(x) => {
                operator(At::caller(), || Bound::lift(&x.nan_to_num(nan, positive, negative)))
            }
            // Of numbers it is the identity; where there may be others, it is what these are replaced by.
            Content::Varying(x) => match &x.range {
                Some(range) if !range.bounded => {
                    let others = [nan, positive, negative];
                    let low = others.into_iter().fold(f64::INFINITY, f64::min);
                    let high = others.into_iter().fold(f64::NEG_INFINITY, f64::max);
                    let all = range.union(&Range::all(&x.shape, low, high));
                    self.clone().with_range(|_| all)
                }
                _ => self.clone(),
            },
        }
    }
    #[track_caller]
    fn clamp(&self, low: f64, high: f64) -> Self {
        let at = At::caller();
        let call = Call { op: "clamp", at, why: GROWS };
        operator(at, || match &self.0 {
            Content::Constant(x) => Bound::lift(&x.clamp(low, high)),
            Content::Varying(x) => {
                let range = match &x.range {
                    Some(range) => {
                        let bounded = range.bounded || (low.is_finite() && high.is_finite());
                        Range { bounded, ..range.map(|x| x.clamp(low, high)) }
                    }
                    None => Range::all(&x.shape, low, high),
                };
                let result =
                    Bound::result(call, x.shape.clone(), Some(range), Joint::Sum, &[(Factor::ONE, self)]);
                elementwise::unary(self, &Factor::ONE, result, |x| Expression::Clamp(x, low, high), false)
            }
        })
    }
    #[track_caller]
    fn less(&self, other: &Self) -> BoundBool<T::Bool> {
        operator(At::caller(), || {
            // Where an end is no number, it is not known.
            self.compare("less", other, T::less, |a, b| {
                [a.high.less(&b.low), b.high.less_equal(&a.low).not()]
            })
        })
    }
    #[track_caller]
    fn less_equal(&self, other: &Self) -> BoundBool<T::Bool> {
        operator(At::caller(), || {
            self.compare("less_equal", other, T::less_equal, |a, b| {
                [a.high.less_equal(&b.low), b.high.less(&a.low).not()]
            })
        })
    }
    #[track_caller]
    fn equal(&self, other: &Self) -> BoundBool<T::Bool> {
        operator(At::caller(), || {
            self.compare("equal", other, T::equal, |a, b| {
                let possibly = b.high.less(&a.low).or(&a.high.less(&b.low)).not();
                let surely = a.low.equal(&b.high).and(&b.low.equal(&a.high));
                [surely, possibly]
            })
        })
    }
    #[track_caller]
    fn select(mask: &BoundBool<T::Bool>, then: &Self, otherwise: &Self) -> Self {
        let values = shape::broadcast("select", &then.extent(), &otherwise.extent()).or_raise();
        let shape = shape::broadcast("select", &mask.shape(), &values).or_raise();
        let at = At::caller();
        operator(at, || super::control::select(at, mask, then, otherwise, &shape))
    }
    #[track_caller]
    fn from_int(value: &BoundInt<T::Int>) -> Self {
        let at = At::caller();
        operator(at, || match value.exact() {
            Some(value) => Bound::lift(&T::from_int(value)),
            None => {
                let call = Call { op: "from_int", at, why: "an integer that depends on the input jumps" };
                Bound::unbounded(call, crate::language::tensor::IntTensor::shape(value), None, &[])
            }
        })
    }
    #[track_caller]
    fn to_int(&self) -> BoundInt<T::Int> {
        operator(At::caller(), || match &self.0 {
            Content::Constant(x) => BoundInt::lift(&x.to_int()),
            Content::Varying(x) => BoundInt::unknown(T::zeros(&x.shape).to_int()),
        })
    }
    fn print(&self, name: &str, at: At) {
        match &self.0 {
            Content::Constant(x) => x.print(name, at),
            Content::Varying(x) => {
                if let Some(range) = &x.range {
                    range.low.print(&format!("{name}, at least"), at);
                    range.high.print(&format!("{name}, at most"), at);
                }
                x.lip.print(&format!("{name}, constant"), at);
            }
        }
    }
}

impl<T: Tensor> Bound<T> {
    /// A remainder, `x − n·y` with a whole number `n`: it jumps where that changes. (Computed remainders are exact, and
    /// quotients are not.)
    #[track_caller]
    fn remainder_of(&self, op: &'static str, divisor: &Self, f: fn(&T, &T) -> T) -> Self {
        let call = Call { op, at: At::caller(), why: JUMPS };
        self.binary(divisor, call, f, Joint::Sum, |x, y, shape| {
            let infinite = [Factor::Number(INFINITE), Factor::Number(INFINITE)];
            let (Some(a), Content::Constant(divisor)) = (x.known_range(), &y.0) else {
                return (None, infinite);
            };
            let size = divisor.abs();
            // Between two jumps it changes by as much as its operand does.
            let moved = (f(&a.high, divisor) - f(&a.low, divisor)) - (a.high.clone() - &a.low);
            let range = Range::rounded(-size.clone(), size.clone(), true, 2.0);
            let range =
                Range { low: range.low.broadcast_to(shape), high: range.high.broadcast_to(shape), ..range };
            let slope = inside(&moved.abs().less(&(size * 0.5)), &T::constant(1.0)).broadcast_to(shape);
            (Some(range), [Bound::scaled_by(x, &slope, shape), Factor::Number(0.0)])
        })
    }
}

fn tangent<T: Tensor>(x: &Range<T>) -> (T, T) {
    // A pole lies where `x/π − ½` is an integer.
    let [low, high] = [&x.low, &x.high].map(|x| x.clone() * (1.0 / PI) - 0.5);
    let slack = slack::<T>();
    let pole =
        has_integer(&(low.clone() - low.abs() * slack - slack), &(high.clone() + high.abs() * slack + slack));
    let end = |x: &T, infinite: f64| T::select(&pole, &T::constant(infinite), &x.tan());
    (end(&x.low, -INFINITE), end(&x.high, INFINITE))
}

/// `1 − x²`, exact near one.
fn one_minus_square<T: Tensor>(x: &T) -> T {
    (-x.clone() + 1.0) * (x.clone() + 1.0)
}

/// The slope of `asin` and `acos`.
fn arc<T: Tensor>(x: &Range<T>) -> T {
    let size = x.magnitude();
    inside(&size.less(&T::constant(1.0)), &one_minus_square(&size).sqrt().recip())
}

/// A power: odd ones increase, even ones from zero on; negative ones are those of the reciprocal.
fn power<T: Tensor>(range: &Range<T>, n: i32) -> (Option<Range<T>>, Factor<T>) {
    let (range, bounded, defined) = match n < 0 {
        true => {
            let (recip, apart) = quotients::recip(range);
            (recip, range.bounded, Some(apart))
        }
        false => (range.clone(), range.bounded, None),
    };
    let m = n.saturating_abs();
    let units = 2.0 * f64::from(m);
    let (low, high) = match m % 2 {
        0 => (range.nearest_to_zero().powi(m), range.magnitude().powi(m)),
        _ => (range.low.powi(m), range.high.powi(m)),
    };
    let exponent = if n < 0 { m.saturating_add(1) } else { m - 1 };
    let slope = range.magnitude().powi(exponent) * f64::from(m);
    let slope = defined.map_or(slope.clone(), |apart| inside(&apart, &slope));
    let slope = slope.nan_to_num(INFINITE, INFINITE, INFINITE);
    (Some(Range::rounded(low, high, bounded, units)), Factor::Value(not_below_least(largest(&slope))))
}

mod gamma {
    use super::*;

    /// Where Γ is least, for positive numbers.
    const LEAST: f64 = 1.461_632_144_968_362_3;

    fn positive<T: Tensor>(x: &Range<T>) -> T::Bool {
        x.low.greater(&T::constant(0.0))
    }
    fn ends<T: Tensor>(defined: &T::Bool, low: &T, high: &T) -> (T, T) {
        let end = |x: &T, other: f64| T::select(defined, x, &T::constant(other));
        (end(low, -INFINITE), end(high, INFINITE))
    }

    pub(super) fn lgamma<T: Tensor>(x: &Range<T>) -> (T, T) {
        let least = x.low.maximum(&x.high.minimum(&T::constant(LEAST))).lgamma();
        // Near its zeros, at 1 and 2, its errors are not relative to it.
        let least = least - slack::<T>();
        ends::<T>(&positive(x), &least, &(x.low.lgamma().maximum(&x.high.lgamma()) + slack::<T>()))
    }
    pub(super) fn slope<T: Tensor>(x: &Range<T>) -> T {
        let slope = x.low.digamma().abs().maximum(&x.high.digamma().abs()) + slack::<T>();
        inside(&positive(x), &slope)
    }
    pub(super) fn digamma<T: Tensor>(x: &Range<T>) -> (T, T) {
        ends::<T>(&positive(x), &(x.low.digamma() - slack::<T>()), &(x.high.digamma() + slack::<T>()))
    }
    pub(super) fn digamma_slope<T: Tensor>(x: &Range<T>) -> T {
        inside(&positive(x), &(x.low.polygamma(1) * (1.0 + slack::<T>())))
    }
    /// Its absolute value decreases, of positive numbers.
    pub(super) fn polygamma<T: Tensor>(x: Option<&Range<T>>, order: u32) -> (Option<Range<T>>, Factor<T>) {
        let Some(x) = x.filter(|_| order < 30) else { return (None, Factor::Number(INFINITE)) };
        let [a, b] = [x.low.polygamma(order), x.high.polygamma(order)];
        let (low, high) = ends::<T>(&positive(x), &a.minimum(&b), &a.maximum(&b));
        let slope =
            not_below_least(x.low.polygamma(order + 1).abs() * (1.0 + 1024.0 * T::precision(INTERNAL)));
        (
            Some(Range::rounded(low, high, false, 1024.0)),
            Factor::Value(largest(&inside(&positive(x), &slope).nan_to_num(INFINITE, INFINITE, INFINITE))),
        )
    }
}
