//! The explicit spelling: every scalar case again as nested calls of `antiphon::cps`.
//!
//! A case is written in direct style. Running it once with [`Recorded`] gives the list of its operators (a Wengert
//! list); that list is run as the explicit spelling is written by hand, each operator with the rest of the program
//! as its continuation.

use std::cell::RefCell;
use std::ops::{Add, Div, Mul, Neg, Sub};

use antiphon::cps::{self, Return};
use antiphon::{Control, Dual, Real, Result, Var};

use crate::case::{Jet, ScalarCase, ScalarVisitor};
use crate::compare::Report;
use crate::for_each_scalar_case;

/// One operator; operands are positions in the list.
#[derive(Clone, Copy)]
enum Step {
    Input(usize),
    Constant(f64),
    Detach(usize),
    Sign(usize),
    Unary(Unary, usize),
    Binary(Binary, usize, usize),
    Powi(usize, i32),
    Clamp(usize, f64, f64),
    Select(bool, usize, usize),
}

thread_local! {
    static LIST: RefCell<Vec<Step>> = const { RefCell::new(Vec::new()) };
}

/// A number that writes down the operators applied to it.
#[derive(Clone)]
struct Recorded {
    value: f64,
    position: usize,
}

impl Recorded {
    fn new(value: f64, step: Step) -> Recorded {
        LIST.with_borrow_mut(|list| {
            list.push(step);
            Recorded { value, position: list.len() - 1 }
        })
    }
}

macro_rules! recorded {
    (unary: $($Unary:ident $unary:ident)*; binary: $($Binary:ident $binary:ident)*; methods: $($method:ident)*) => {
        #[derive(Clone, Copy)]
        enum Unary { $($Unary),* }

        #[derive(Clone, Copy)]
        enum Binary { $($Binary),* }

        /// Runs the rest of a list with the values so far; each operator's continuation is the rest after it.
        fn run<T: Real>(
            list: &[Step],
            inputs: &[Var<'_, T>],
            values: &[Var<'_, T>],
            result: usize,
            k: Return<'_, T>,
        ) -> cps::Result<()> {
            let Some((step, rest)) = list.split_first() else {
                return k(&values[result]);
            };
            let mut next = |y: &Var<'_, T>| {
                let before = values.iter().map(|value| value.shorten());
                let values: Vec<Var<'_, T>> = before.chain([y.shorten()]).collect();
                run(rest, inputs, &values, result, k)
            };
            match *step {
                Step::Input(i) => next(&inputs[i]),
                Step::Constant(value) => next(&Var::lift(&T::constant(value))),
                Step::Detach(x) => next(&Var::lift(&values[x].value().detach())),
                Step::Sign(x) => next(&Var::lift(&values[x].value().sign())),
                $(Step::Unary(Unary::$Unary, x) => cps::$unary(&values[x], next),)*
                $(Step::Binary(Binary::$Binary, x, y) => cps::$binary(&values[x], &values[y], next),)*
                Step::Powi(x, n) => cps::powi(&values[x], n, next),
                Step::Clamp(x, low, high) => cps::clamp(&values[x], low, high, next),
                Step::Select(holds, x, y) => {
                    // The mask as a comparison of constants: what `T::Bool` is depends on `T`.
                    let mask = T::constant(0.0).less(&T::constant(if holds { 1.0 } else { 0.0 }));
                    cps::select(&mask, &values[x], &values[y], next)
                }
            }
        }

        impl Real for Recorded {
            type Bool = bool;
            type Int = i64;
            type Adjoint = ();

            fn constant(value: f64) -> Self {
                Recorded::new(value, Step::Constant(value))
            }
            fn detach(&self) -> Self {
                Recorded::new(self.value, Step::Detach(self.position))
            }
            fn adjoint(&self) {}
            fn accumulate((): &(), _: Self) {
                panic!("a recorded number is not differentiated");
            }
            fn take_adjoint((): &()) -> Option<Self> {
                None
            }
            $(recorded!(@unary $Unary $unary);)*
            fn sign(&self) -> Self {
                Recorded::new(self.value.sign(), Step::Sign(self.position))
            }
            fn powi(&self, n: i32) -> Self {
                Recorded::new(self.value.powi(n), Step::Powi(self.position, n))
            }
            $(fn $method(&self, other: &Self) -> Self {
                let value = Real::$method(&self.value, &other.value);
                Recorded::new(value, Step::Binary(recorded!(@variant $method), self.position, other.position))
            })*
            fn clamp(&self, low: f64, high: f64) -> Self {
                Recorded::new(Real::clamp(&self.value, low, high), Step::Clamp(self.position, low, high))
            }
            fn less(&self, other: &Self) -> bool {
                self.value < other.value
            }
            fn less_equal(&self, other: &Self) -> bool {
                self.value <= other.value
            }
            fn equal(&self, other: &Self) -> bool {
                self.value == other.value
            }
            fn select(mask: &bool, then: &Self, otherwise: &Self) -> Self {
                let value = if *mask { then.value } else { otherwise.value };
                Recorded::new(value, Step::Select(*mask, then.position, otherwise.position))
            }
            fn from_int(value: &i64) -> Self {
                Self::constant(*value as f64)
            }
        }
    };
    (@unary Neg neg) => {};
    (@unary $Unary:ident $unary:ident) => {
        fn $unary(&self) -> Self {
            Recorded::new(Real::$unary(&self.value), Step::Unary(Unary::$Unary, self.position))
        }
    };
    (@variant pow) => { Binary::Pow };
    (@variant maximum) => { Binary::Maximum };
    (@variant minimum) => { Binary::Minimum };
}

recorded! {
    unary: Neg neg Recip recip Abs abs Exp exp Expm1 expm1 Log log Log1p log1p Sqrt sqrt Sin sin Cos cos Tan tan
        Tanh tanh Sigmoid sigmoid Softplus softplus Relu relu Erf erf;
    binary: Add add Sub sub Mul mul Div div Pow pow Maximum maximum Minimum minimum;
    methods: pow maximum minimum
}

impl Neg for Recorded {
    type Output = Recorded;
    fn neg(self) -> Recorded {
        Recorded::new(-self.value, Step::Unary(Unary::Neg, self.position))
    }
}

macro_rules! operators {
    ($($Trait:ident $name:ident)*) => { $(
        impl $Trait<&Recorded> for Recorded {
            type Output = Recorded;
            fn $name(self, other: &Recorded) -> Recorded {
                let value = $Trait::$name(self.value, other.value);
                Recorded::new(value, Step::Binary(Binary::$Trait, self.position, other.position))
            }
        }
        impl $Trait for Recorded {
            type Output = Recorded;
            fn $name(self, other: Recorded) -> Recorded {
                $Trait::$name(self, &other)
            }
        }
    )* };
}
operators! { Add add Sub sub Mul mul Div div }

impl Control for Recorded {}

/// A case's operators at a point, and which of them is the result.
fn record(f: fn(&[Recorded]) -> Recorded, x: &[f64]) -> (Vec<Step>, usize) {
    LIST.with_borrow_mut(Vec::clear);
    let inputs: Vec<Recorded> =
        x.iter().enumerate().map(|(i, &x)| Recorded::new(x, Step::Input(i))).collect();
    let result = f(&inputs).position;
    (LIST.take(), result)
}

/// The derivative of a list by input `i`, in the explicit spelling; the other inputs are constants.
fn derivative<T: Real>((list, result): &(Vec<Step>, usize), x: &[T], i: usize) -> Result<T> {
    cps::grad(&x[i], |xi, k| {
        let input = |(j, x)| if i == j { xi.shorten() } else { Var::lift(x) };
        let inputs: Vec<Var<'_, T>> = x.iter().enumerate().map(input).collect();
        run(list, &inputs, &[], *result, k)
    })
}

struct Function {
    name: &'static str,
    points: Vec<&'static [f64]>,
    jet: fn(&[f64]) -> Jet,
    recorded: fn(&[Recorded]) -> Recorded,
}

struct Collect(Vec<Function>);

impl ScalarVisitor for Collect {
    fn visit<C: ScalarCase>(&mut self) {
        let points = C::POINTS.iter().chain(C::KINKS).copied().collect();
        self.0.push(Function { name: C::NAME, points, jet: C::jet, recorded: C::call });
    }
}

fn functions() -> Vec<Function> {
    let mut collect = Collect(Vec::new());
    for_each_scalar_case(&mut collect);
    collect.0
}

#[test]
fn reverse() {
    let mut report = Report::exact("explicit reverse");
    for f in functions() {
        report.cases += 1;
        for &x in &f.points {
            let list = record(f.recorded, x);
            let gradient: Result<Vec<f64>> = (0..x.len()).map(|i| derivative(&list, x, i)).collect();
            match gradient {
                Err(error) => report.fail(format!("{} at {x:?}: {error}", f.name)),
                Ok(gradient) => {
                    report.numbers(|| format!("{} at {x:?}", f.name), &gradient, &(f.jet)(x).gradient)
                }
            }
        }
    }
    report.finish();
}

#[test]
fn forward_over_reverse() {
    let mut report = Report::exact("forward over explicit reverse");
    for f in functions() {
        report.cases += 1;
        for &x in &f.points {
            let list = record(f.recorded, x);
            for (j, expected) in (f.jet)(x).hessian.into_iter().flatten().enumerate() {
                let input = |(k, &x)| if j == k { Dual::new(x, 1.0) } else { Dual::lift(&x) };
                let x_dual: Vec<Dual<f64>> = x.iter().enumerate().map(input).collect();
                let column: Result<Vec<f64>> =
                    (0..x.len()).map(|i| Ok(derivative(&list, &x_dual, i)?.tangent())).collect();
                match column {
                    Err(error) => report.fail(format!("{} at {x:?}: {error}", f.name)),
                    Ok(column) => {
                        report.numbers(|| format!("{} at {x:?}, column {j}", f.name), &column, &expected)
                    }
                }
            }
        }
    }
    report.finish();
}
