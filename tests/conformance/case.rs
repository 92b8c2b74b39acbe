//! What a scalar case of the table is: a function of the calculus beside its derivatives in closed form.

use antiphon::Control;

/// Value and derivatives of a case at a point, from formulas that owe nothing to the library.
pub struct Jet {
    pub value: f64,
    pub gradient: Vec<f64>,
    /// Row by row; absent where only the first order has a convention.
    pub hessian: Option<Vec<Vec<f64>>>,
    /// `f‴`, of some functions of one variable.
    pub third: Option<f64>,
}

/// A function of `n ≥ 1` scalars.
pub trait ScalarCase {
    const NAME: &'static str;
    /// Where the function is smooth: here the formulas are themselves checked against differences.
    const POINTS: &'static [&'static [f64]];
    /// Kinks, ties, poles and infinities, where the derivative is the documented convention.
    const KINKS: &'static [&'static [f64]];
    /// The function, in the language that models are written in.
    fn call<T: Control>(x: &[T]) -> T;
    /// The same function and its derivatives in closed form.
    fn jet(x: &[f64]) -> Jet;
}

/// What a harness does with each scalar case.
pub trait ScalarVisitor {
    fn visit<C: ScalarCase>(&mut self);
}

/// A constant of the calculus, briefly.
pub fn c<T: Control>(value: f64) -> T {
    T::constant(value)
}

/// Declares cases and `for_each`, which shows them to a visitor:
///
/// ```text
/// name(x, y) at [[1.0, 2.0], [0.5, -1.0]] kinks [[0.0, 0.0]] {
///     f: the function; x and y are values of type T: Control,
///     value: closed form; from here on x and y are f64,
///     gradient: [∂x, ∂y],
///     hessian: [[∂xx, ∂xy], [∂yx, ∂yy]],   // optional
///     third: f‴,                           // optional
/// }
/// ```
macro_rules! scalar_cases {
    ($($name:ident ($($x:ident),+) at [$([$($p:expr),+]),* $(,)?] $(kinks [$([$($q:expr),+]),* $(,)?])? {
        f: $f:expr,
        value: $value:expr,
        gradient: $gradient:expr,
        $(hessian: $hessian:expr,)?
        $(third: $third:expr,)?
    })+) => {
        /// Shows every case of this file to the visitor.
        pub fn for_each(visitor: &mut impl $crate::case::ScalarVisitor) {
            $({
                struct Case;
                #[allow(unused_variables, reason = "a constant function uses none of its inputs")]
                impl $crate::case::ScalarCase for Case {
                    const NAME: &'static str = concat!(module_path!(), "::", stringify!($name));
                    const POINTS: &'static [&'static [f64]] = &[$(&[$($p),+]),*];
                    const KINKS: &'static [&'static [f64]] = &[$($(&[$($q),+]),*)?];
                    fn call<T: antiphon::Control>(x: &[T]) -> T {
                        let [$($x),+] = x else { panic!("as many inputs as the case has names") };
                        $(let $x = $x.clone();)+
                        $f
                    }
                    fn jet(x: &[f64]) -> $crate::case::Jet {
                        let &[$($x),+] = x else { panic!("as many inputs as the case has names") };
                        $crate::case::Jet {
                            value: $value,
                            gradient: $gradient.to_vec(),
                            hessian: scalar_cases!(@optional $($hessian.map(|row| row.to_vec()).to_vec())?),
                            third: scalar_cases!(@optional $($third)?),
                        }
                    }
                }
                visitor.visit::<Case>();
            })+
        }
    };
    (@optional) => { None };
    (@optional $e:expr) => { Some($e) };
}
pub(crate) use scalar_cases;
