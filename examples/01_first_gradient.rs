//! A first gradient: write a function once, over any kind of number; evaluate it, and differentiate it.

use antiphon::{Real, Result, grad, value_and_grad};

/// How far a ball flies that is thrown with speed `v` at an angle (over level ground, without air).
pub(crate) fn range<T: Real>(v: &T, angle: &T) -> T {
    v.square() * angle.clone().scale(2.0).sin() / T::constant(9.81)
}

fn main() -> Result<()> {
    // As plain numbers …
    let (v, angle) = (20.0, 0.6);
    println!("at {angle} rad the ball flies {:.2} m", range(&v, &angle));

    // … and with derivatives: how much farther for each unit of speed, and of angle?
    let (distance, (per_speed, per_angle)) = value_and_grad(|(v, angle)| range(&v, &angle), &(v, angle))?;
    println!("{distance:.2} m: {per_speed:.3} m more per m/s, {per_angle:.3} m more per rad");

    // A gradient is all that a search uphill needs.
    let mut best = angle;
    for _ in 0..50 {
        best += 0.005 * grad(|angle| range(&angle.clone().full_like(v), &angle), &best)?;
    }
    println!("the best angle is {best:.4} rad, a quarter of pi is {:.4}", std::f64::consts::FRAC_PI_4);
    Ok(())
}
