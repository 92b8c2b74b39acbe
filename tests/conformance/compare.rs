//! When a derivative counts as right, and what is reported when it does not.

/// Compares what a harness computed with the table, and reports every difference at the end.
pub struct Report {
    mode: &'static str,
    tolerance: f64,
    /// Cases seen.
    pub cases: usize,
    compared: usize,
    failures: Vec<String>,
}

impl Report {
    /// Relative 1e-12: what every way of differentiating in f64 is held to.
    pub fn exact(mode: &'static str) -> Report {
        Report::within(mode, 1e-12)
    }

    pub fn within(mode: &'static str, tolerance: f64) -> Report {
        Report { mode, tolerance, cases: 0, compared: 0, failures: Vec::new() }
    }

    /// Holds `got` to `expected` relative to `|expected|`. Where that is 0, what is left of cancelled terms of
    /// size `scale` may remain. NaN compares as NaN.
    pub fn number(&mut self, what: impl Fn() -> String, got: f64, expected: f64, scale: f64) {
        self.compared += 1;
        let close = if expected == 0.0 {
            got.abs() <= 1e-3 * self.tolerance * scale
        } else {
            expected.is_finite() && (got - expected).abs() <= self.tolerance * expected.abs()
        };
        if !(close || got == expected || (got.is_nan() && expected.is_nan())) {
            let error = ((got - expected) / expected).abs();
            let what = what();
            self.failures.push(format!("{what}: got {got:?}, expected {expected:?} (relative {error:.1e})"));
        }
    }

    /// [`number`](Report::number) for each component; the scale is the largest of them, at least 1.
    pub fn numbers(&mut self, what: impl Fn() -> String, got: &[f64], expected: &[f64]) {
        if got.len() != expected.len() {
            let what = what();
            self.failures.push(format!("{what}: {} numbers, expected {}", got.len(), expected.len()));
            return;
        }
        let scale = expected.iter().filter(|e| e.is_finite()).fold(1.0, |m: f64, e| m.max(e.abs()));
        for (i, (&got, &expected)) in got.iter().zip(expected).enumerate() {
            self.number(|| format!("{}[{i}]", what()), got, expected, scale);
        }
    }

    /// Anything else that is wrong.
    pub fn fail(&mut self, what: String) {
        self.failures.push(what);
    }

    /// Fails the test if there was a difference, or nothing to compare.
    pub fn finish(self) {
        assert!(self.compared > 0, "{}: nothing was compared", self.mode);
        assert!(
            self.failures.is_empty(),
            "{}: {} of {} comparisons in {} cases failed\n{}",
            self.mode,
            self.failures.len(),
            self.compared,
            self.cases,
            self.failures.join("\n"),
        );
    }
}

#[test]
fn a_difference_is_found() {
    let wrong = [
        (1.0 + 1e-11, 1.0),
        (f64::NAN, 1.0),
        (1.0, f64::NAN),
        (f64::INFINITY, f64::NEG_INFINITY),
        (1e-14, 0.0),
        (0.0, 1e-300),
        (1.0, f64::INFINITY),
    ];
    for (got, expected) in wrong {
        let mut report = Report::exact("found");
        report.number(String::new, got, expected, 1.0);
        assert_eq!(report.failures.len(), 1, "{got} passed for {expected}");
    }
}

#[test]
fn equal_within_rounding_passes() {
    let mut report = Report::exact("passes");
    let inf = f64::INFINITY;
    report.numbers(String::new, &[1.0 + 1e-13, f64::NAN, inf, 0.0, 1e-16], &[1.0, f64::NAN, inf, 0.0, 0.0]);
    report.finish();
}
