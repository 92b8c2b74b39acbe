//! Digits as strokes of a pen.

use std::f64::consts::{PI, TAU};

use crate::nn::Rng;

/// Height and width of a picture.
pub(super) const SIZE: usize = 28;

/// A point in the unit square; `y` points down.
type Point = [f64; 2];

/// Points along an ellipse from one angle to another, counted clockwise from three o'clock in full turns.
fn arc(centre: Point, radii: Point, from: f64, to: f64) -> Vec<Point> {
    let steps = ((to - from).abs() * 16.0).ceil().max(2.0) as usize;
    let at = |k: usize| TAU * (from + (to - from) * k as f64 / steps as f64);
    (0..=steps)
        .map(|k| [centre[0] + radii[0] * libm::cos(at(k)), centre[1] + radii[1] * libm::sin(at(k))])
        .collect()
}

/// The strokes of a digit; some have two usual forms.
fn strokes(digit: u8, other: bool) -> Vec<Vec<Point>> {
    let line = |points: &[Point]| points.to_vec();
    match digit {
        0 => vec![arc([0.5, 0.5], [0.27, 0.4], 0.0, 1.0)],
        1 if other => vec![line(&[[0.5, 0.1], [0.5, 0.9]])],
        1 => vec![line(&[[0.32, 0.28], [0.52, 0.1], [0.52, 0.9]])],
        2 => {
            let mut top = arc([0.5, 0.32], [0.26, 0.22], 0.5, 1.08);
            top.extend([[0.24, 0.9], [0.8, 0.9]]);
            vec![top]
        }
        3 => {
            let (upper, lower) =
                (arc([0.47, 0.3], [0.24, 0.2], 0.55, 1.25), arc([0.47, 0.7], [0.27, 0.21], 0.75, 1.45));
            vec![upper, lower]
        }
        4 if other => {
            vec![line(&[[0.25, 0.1], [0.25, 0.52], [0.78, 0.52]]), line(&[[0.7, 0.1], [0.7, 0.9]])]
        }
        4 => vec![line(&[[0.64, 0.9], [0.64, 0.1], [0.2, 0.64], [0.84, 0.64]])],
        5 => {
            let mut body = vec![[0.75, 0.1], [0.3, 0.1], [0.27, 0.48]];
            body.extend(arc([0.48, 0.66], [0.27, 0.23], 0.65, 1.4));
            vec![body]
        }
        6 => {
            let mut body = vec![[0.66, 0.1], [0.38, 0.34]];
            body.extend(arc([0.5, 0.66], [0.25, 0.23], 0.5, 1.55));
            vec![body]
        }
        7 if other => vec![line(&[[0.2, 0.12], [0.8, 0.12], [0.4, 0.9]]), line(&[[0.36, 0.5], [0.72, 0.5]])],
        7 => vec![line(&[[0.2, 0.12], [0.8, 0.12], [0.4, 0.9]])],
        8 => vec![arc([0.5, 0.29], [0.21, 0.19], 0.0, 1.0), arc([0.5, 0.7], [0.26, 0.21], 0.0, 1.0)],
        _ => {
            let mut body = arc([0.49, 0.33], [0.25, 0.22], 0.0, 1.0);
            body.extend([[0.73, 0.4], [0.64, 0.9]]);
            vec![body]
        }
    }
}

/// The label and the pixels of picture `index` of a seed.
pub(super) fn draw(seed: u64, index: u64) -> (u8, Vec<u8>) {
    // Streams of their own for all pictures (Steele, Lea & Flood, *Fast splittable pseudorandom number generators*,
    // 2014: the golden gamma).
    let mut rng = Rng::new(seed.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(1));
    let label = (rng.uniform() * 10.0) as u8;
    let between = |rng: &mut Rng, low: f64, high: f64| low + (high - low) * rng.uniform();
    let other = rng.uniform() < 0.35;
    let (turn, slant) = (between(&mut rng, -PI / 12.0, PI / 12.0), between(&mut rng, -0.25, 0.25));
    let stretch = [between(&mut rng, 15.0, 22.0), between(&mut rng, 17.0, 23.0)];
    let move_by = [between(&mut rng, -2.0, 2.0), between(&mut rng, -2.0, 2.0)];
    let (thickness, ink) = (between(&mut rng, 0.9, 1.8), between(&mut rng, 0.75, 1.0));
    let noise = between(&mut rng, 0.02, 0.12);
    let (sin, cos) = (libm::sin(turn), libm::cos(turn));
    let middle = SIZE as f64 / 2.0;

    let mut lines: Vec<Vec<Point>> = strokes(label, other);
    for point in lines.iter_mut().flatten() {
        // No hand is steady.
        let x = (point[0] - 0.5 + 0.012 * rng.normal()) * stretch[0];
        let y = (point[1] - 0.5 + 0.012 * rng.normal()) * stretch[1];
        let x = x - slant * y;
        *point = [middle + cos * x - sin * y + move_by[0], middle + sin * x + cos * y + move_by[1]];
    }
    let pixels = (0..SIZE * SIZE).map(|k| {
        let p = [(k % SIZE) as f64 + 0.5, (k / SIZE) as f64 + 0.5];
        let segments = lines.iter().flat_map(|line| line.windows(2));
        let d =
            segments.map(|ends| squared_distance(p, ends[0], ends[1])).fold(f64::INFINITY, f64::min).sqrt();
        let value = ink * (thickness + 0.5 - d).clamp(0.0, 1.0) + noise * rng.normal();
        (255.0 * value.clamp(0.0, 1.0)).round() as u8
    });
    (label, pixels.collect())
}

/// From a point to a segment.
fn squared_distance(p: Point, a: Point, b: Point) -> f64 {
    let (ab, ap) = ([b[0] - a[0], b[1] - a[1]], [p[0] - a[0], p[1] - a[1]]);
    let length = ab[0] * ab[0] + ab[1] * ab[1];
    let along = if length > 0.0 { ((ap[0] * ab[0] + ap[1] * ab[1]) / length).clamp(0.0, 1.0) } else { 0.0 };
    let (dx, dy) = (ap[0] - along * ab[0], ap[1] - along * ab[1]);
    dx * dx + dy * dy
}
