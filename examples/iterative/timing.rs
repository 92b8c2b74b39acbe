//! How long something takes.

use std::time::Instant;

use antiphon::Result;

/// What each of several functions gives, and the least time of so many runs, in milliseconds: in turns, so that what else
/// the machine does is the same for all.
pub fn in_turns<R>(
    runs: usize,
    functions: &mut [Box<dyn FnMut() -> Result<R> + '_>],
) -> Result<Vec<(R, f64)>> {
    let mut found = Vec::new();
    for f in functions.iter_mut() {
        found.push((f()?, f64::INFINITY));
    }
    for _ in 0..runs {
        for (f, (_, least)) in functions.iter_mut().zip(&mut found) {
            let start = Instant::now();
            f()?;
            *least = least.min(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(found)
}
