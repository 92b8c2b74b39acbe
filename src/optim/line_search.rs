//! How far to go along a direction.

use crate::error::Result;

/// The function along a direction, at a distance `t`.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub t: f64,
    pub value: f64,
    /// Its derivative by `t`.
    pub slope: f64,
    /// Its gradient.
    pub gradient: Vec<f64>,
}

/// What a step has to do, and how long it may be sought.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wolfe {
    /// Which part of the decrease that the slope promises has to be there.
    pub decrease: f64,
    /// Which part of the slope may be left.
    pub curvature: f64,
    pub evaluations: usize,
    /// Distances that differ by less are the same.
    pub resolution: f64,
}

impl Wolfe {
    /// A distance that satisfies the strong Wolfe conditions (Nocedal & Wright, *Numerical optimization*, 2nd ed. 2006,
    /// algorithms 3.5 and 3.6, with cubic interpolation, eq. 3.59), beginning with `first`. If none is found, the best
    /// of those that were tried; `start` itself, at zero, if none is better. Where the function is not finite, it is
    /// too far.
    pub fn search(
        &self,
        start: Sample,
        first: f64,
        mut evaluate: impl FnMut(f64) -> Result<Sample>,
    ) -> Result<Sample> {
        let (value, slope) = (start.value, start.slope);
        // Near a minimum the value changes by less than it is rounded to, while the slope still tells the way.
        let rounding = 4.0 * f64::EPSILON * value.abs();
        let too_high = |sample: &Sample| {
            !sample.is_finite() || sample.value > value + self.decrease * sample.t * slope + rounding
        };
        let flat = |sample: &Sample| sample.slope.abs() <= -self.curvature * slope;
        let mut left = self.evaluations;
        // An interval that has such a distance: the better end, and the other one.
        let (mut low, mut t) = (start, first);
        let mut high = loop {
            if left == 0 {
                return Ok(low);
            }
            left -= 1;
            let sample = evaluate(t)?;
            if too_high(&sample) || (low.t > 0.0 && sample.value >= low.value) {
                break sample;
            }
            if flat(&sample) {
                return Ok(sample);
            }
            if sample.slope >= 0.0 {
                break std::mem::replace(&mut low, sample);
            }
            let further = between(&low, &sample);
            // The minimum of the cubic, if it lies further on, but not out of all proportion.
            t = if further > sample.t {
                further.clamp(1.1 * sample.t, 10.0 * sample.t)
            } else {
                2.0 * sample.t
            };
            low = sample;
        };
        while left > 0 && (high.t - low.t).abs() > self.resolution {
            left -= 1;
            let (a, b) = (low.t.min(high.t), low.t.max(high.t));
            let inside = if high.is_finite() { between(&low, &high) } else { f64::NAN };
            let margin = 0.1 * (b - a);
            let t = if inside.is_finite() { inside.clamp(a + margin, b - margin) } else { 0.5 * (a + b) };
            let sample = evaluate(t)?;
            if too_high(&sample) || sample.value >= low.value {
                high = sample;
                continue;
            }
            if flat(&sample) {
                return Ok(sample);
            }
            if sample.slope * (high.t - low.t) >= 0.0 {
                high = low;
            }
            low = sample;
        }
        Ok(low)
    }
}

impl Sample {
    fn is_finite(&self) -> bool {
        self.value.is_finite() && self.slope.is_finite()
    }
}

/// Where the cubic through two points, with their slopes, is least; NaN if it has no minimum.
fn between(a: &Sample, b: &Sample) -> f64 {
    let d1 = a.slope + b.slope - 3.0 * (a.value - b.value) / (a.t - b.t);
    let d2 = (d1 * d1 - a.slope * b.slope).sqrt() * (b.t - a.t).signum();
    b.t - (b.t - a.t) * (b.slope + d2 - d1) / (b.slope - a.slope + 2.0 * d2)
}
