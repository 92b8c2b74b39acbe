//! Derivatives by differences: good to some ten digits, enough to find a mistake in a formula.

/// The derivative at 0 of `f`, by central differences extrapolated to a vanishing step (Richardson; Ridders 1982).
/// The step that the extrapolation itself finds most consistent wins.
pub fn derivative(f: impl Fn(f64) -> f64, step: f64) -> f64 {
    const ROWS: usize = 10;
    const SHRINK: f64 = 1.4;
    let mut rows = [[0.0; ROWS]; ROWS];
    let (mut best, mut best_error) = (f64::NAN, f64::INFINITY);
    for i in 0..ROWS {
        let h = step / SHRINK.powi(i as i32);
        rows[i][0] = (f(h) - f(-h)) / (2.0 * h);
        let mut factor = SHRINK * SHRINK;
        for j in 1..=i {
            rows[i][j] = (rows[i][j - 1] * factor - rows[i - 1][j - 1]) / (factor - 1.0);
            factor *= SHRINK * SHRINK;
            let error = (rows[i][j] - rows[i][j - 1]).abs().max((rows[i][j] - rows[i - 1][j - 1]).abs());
            if error < best_error {
                (best, best_error) = (rows[i][j], error);
            }
        }
    }
    best
}

#[test]
fn differences_are_good_to_ten_digits() {
    let got = derivative(|h| (1.0 + h).exp(), 1e-2);
    assert!((got - 1f64.exp()).abs() < 1e-10, "{got}");
}
