//! How the benchmarks of numbers are asked for: they print a table, and then go on under criterion.

use std::time::Duration;

use criterion::Criterion;

/// Criterion for short runs; none with `-- --table`, which asks for the table alone.
pub fn criterion() -> Option<Criterion> {
    if std::env::args().any(|argument| argument == "--table") {
        return None;
    }
    let criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(300))
        .sample_size(20);
    Some(criterion.configure_from_args())
}
