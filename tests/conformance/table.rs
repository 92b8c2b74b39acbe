//! The table against itself: values by running each function on plain numbers, and every closed form of a
//! derivative against differences of the one before it.

use crate::case::{ScalarCase, ScalarVisitor};
use crate::compare::Report;
use crate::differences::derivative;
use crate::for_each_scalar_case;

/// Both kinds of points.
pub fn points<C: ScalarCase>() -> impl Iterator<Item = &'static [f64]> {
    C::POINTS.iter().chain(C::KINKS).copied()
}

struct Values(Report);

impl ScalarVisitor for Values {
    fn visit<C: ScalarCase>(&mut self) {
        self.0.cases += 1;
        for x in points::<C>() {
            self.0.numbers(|| format!("{} at {x:?}", C::NAME), &[C::call(x)], &[C::jet(x).value]);
        }
    }
}

#[test]
fn values_on_plain_numbers() {
    let mut values = Values(Report::exact("values"));
    for_each_scalar_case(&mut values);
    values.0.finish();
}

struct Formulas(Report);

impl Formulas {
    /// Holds the closed form `df` of a derivative to differences of `f` along input `i`.
    fn along(&mut self, what: impl Fn() -> String, x: &[f64], i: usize, f: impl Fn(&[f64]) -> f64, df: f64) {
        let moved = |h: f64| {
            let mut x = x.to_vec();
            x[i] += h;
            f(&x)
        };
        // Absolute below 1: differences carry the rounding of the value, whatever its slope.
        let step = if x[i].abs() < 1e-3 { 0.01 } else { 0.02 * x[i].abs().min(1.0) };
        let got = derivative(moved, step);
        let size = 1.0 + df.abs() + f(x).abs();
        self.0.number(what, (got - df) / size + 1.0, 1.0, 1.0);
    }
}

impl ScalarVisitor for Formulas {
    fn visit<C: ScalarCase>(&mut self) {
        self.0.cases += 1;
        for &x in C::POINTS {
            let jet = C::jet(x);
            let hessian = jet.hessian.as_deref().unwrap_or(&[]);
            if jet.gradient.len() != x.len() || hessian.iter().any(|row| row.len() != x.len()) {
                self.0.fail(format!("{}: the gradient and Hessian do not have the inputs' size", C::NAME));
                continue;
            }
            for i in 0..x.len() {
                let name = |order: &str| format!("{} at {x:?}, {order} derivative along {i}", C::NAME);
                self.along(|| name("first"), x, i, |x| C::jet(x).value, jet.gradient[i]);
                for (j, row) in hessian.iter().enumerate() {
                    self.along(|| name("second"), x, i, |x| C::jet(x).gradient[j], row[i]);
                }
                if let Some(third) = jet.third {
                    let second = |x: &[f64]| C::jet(x).hessian.expect("a second before a third")[0][0];
                    self.along(|| name("third"), x, i, second, third);
                }
            }
        }
    }
}

#[test]
fn closed_forms_agree_with_differences() {
    let mut formulas = Formulas(Report::within("formulas", 1e-7));
    for_each_scalar_case(&mut formulas);
    formulas.0.finish();
}

/// Counts what the table covers.
#[derive(Default)]
struct Census {
    names: Vec<&'static str>,
    second: usize,
    third: usize,
}

impl ScalarVisitor for Census {
    fn visit<C: ScalarCase>(&mut self) {
        let jet = C::jet(points::<C>().next().expect("a case has a point"));
        self.names.push(C::NAME);
        self.second += usize::from(jet.hessian.is_some());
        self.third += usize::from(jet.third.is_some());
    }
}

#[test]
fn the_table_is_as_large_as_promised() {
    let mut census = Census::default();
    for_each_scalar_case(&mut census);
    let total = census.names.len();
    census.names.sort_unstable();
    census.names.dedup();
    assert_eq!(census.names.len(), total, "two cases of one name");
    assert!(
        total >= 130 && census.second >= 120 && census.third >= 60,
        "{total} {} {}",
        census.second,
        census.third
    );
}
