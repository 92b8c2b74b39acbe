//! A projectile that bounces, with drag of the air: how fast it was thrown, how much speed it keeps at a bounce, and the
//! drag are found by Gauss and Newton's method from when and where it met the ground.

use antiphon::solve::{
    Event, Integration, LeastSquaresMethod, Options, Problem, Stepper, VectorField, integrate,
    integrate_until, least_squares,
};
use antiphon::{NdArray, OrRaise, Result, Tensor};
use serde_json::{Value, json};

use crate::Run;
use crate::common::mode::Mode;
use crate::picture::{self, Panel, Series};

type Array = NdArray<f64>;
const GRAVITY: f64 = 9.81;
const BOUNCES: usize = 4;
/// The longest that it flies between two of them.
const LONGEST: f64 = 10.0;

/// `d(x, z, vₓ, v_z)/dt = (vₓ, v_z, −k·|v|·vₓ, −g − k·|v|·v_z)`, of the drag `k`.
#[derive(Clone, Debug)]
struct Flight;

impl VectorField for Flight {
    type State = Array;
    type Parameters = Array;
    fn slope<T: Tensor>(&self, _t: &T, y: &T, drag: &T) -> T {
        let v = y.slice(0, 2..4);
        let speed = v.square().sum(..).sqrt();
        let gravity = T::from_elements(&[2], &[0.0, GRAVITY]).or_raise();
        let fall = -(v.clone() * (speed * drag)) - gravity;
        T::concat(&[v, fall], 0)
    }
}

/// The height.
#[derive(Clone, Debug)]
struct Ground;

impl Event<Flight> for Ground {
    fn distance<T: Tensor>(&self, _t: &T, y: &T, _drag: &T) -> T {
        y.index(0, 1)
    }
}

/// A bounce: the projectile is on the ground, and goes up with a part of the speed that it came down with.
fn bounced<T: Tensor>(y: &T, kept: &T) -> T {
    let part = |i: usize| y.slice(0, i..i + 1);
    T::concat(&[part(0), T::zeros(&[1]), part(2), -part(3) * kept], 0)
}

/// Where it starts, thrown from the ground with these speeds.
fn thrown<T: Tensor>(speed: &T) -> T {
    T::concat(&[T::zeros(&[2]), speed.clone()], 0)
}

fn how(tolerance: f64) -> Integration {
    Integration { absolute: tolerance, relative: tolerance, ..Integration::default() }
}

/// What is sought: both speeds, the part that is kept at a bounce, and the drag.
type Sought<T> = (T, T, T);

/// When, and how far away, it meets the ground: `[bounces, 2]`.
fn bounces<T: Tensor>((speed, kept, drag): &Sought<T>, how: &Integration) -> T {
    let (mut y, mut clock) = (thrown(speed), T::constant(0.0));
    let ends = [T::constant(0.0), T::constant(LONGEST)];
    let mut met = Vec::new();
    for _ in 0..BOUNCES {
        let (t, down) = integrate_until(&Flight, &Ground, &y, [&ends[0], &ends[1]], drag, how).or_raise();
        clock += t;
        met.push(T::concat(&[clock.reshape(&[1]), down.slice(0, 0..1)], 0));
        y = bounced(&down, kept);
    }
    T::stack(&met, 0)
}

/// What is predicted, less what was seen.
#[derive(Clone, Debug)]
struct Fit;

impl Problem for Fit {
    type Unknown = Sought<Array>;
    type Parameters = Array;
    type Value = Array;
    fn value<T: Tensor>(&self, sought: &Sought<T>, seen: &T) -> T {
        bounces(sought, &how(1e-10)) - seen
    }
}

/// What fits best, and how it was found: steps and the gradient's norm.
fn fitted<T: Tensor>((guess, seen): &(Sought<T>, T), steps: usize) -> (Sought<T>, (T, T)) {
    let options = Options::default().absolute(1e-9).max_steps(steps);
    let found = least_squares(&Fit, LeastSquaresMethod::GaussNewton, guess, seen, &options).or_raise();
    (found.x, (found.info.steps, found.info.residual))
}

/// The way through the air, at times, with its bounces.
fn path(sought: &Sought<Array>) -> Result<Vec<(f64, f64)>> {
    let (speed, kept, drag) = sought;
    let ends = [Array::scalar(0.0), Array::scalar(LONGEST)];
    let (mut y, mut points) = (thrown(speed), Vec::new());
    for _ in 0..BOUNCES {
        let (t, down) = integrate_until(&Flight, &Ground, &y, [&ends[0], &ends[1]], drag, &how(1e-8))?;
        let times: Vec<f64> = (0..=40).map(|i| t.item() * f64::from(i) / 40.0).collect();
        let found = integrate(&Flight, &y, &Array::from(times), drag, &how(1e-8))?.y;
        points.push((y.view()[[0]], 0.0));
        points.extend(found.view().outer_iter().map(|row| (row[0], row[1])));
        y = bounced(&down, kept);
    }
    Ok(points)
}

pub fn run(run: &Run) -> Result<Value> {
    let sought = |vx, vz, kept, drag| {
        let speed = Array::from(vec![vx, vz]);
        (speed, Array::scalar(kept), Array::scalar(drag))
    };
    let truth = sought(7.0, 9.0, 0.8, 0.02);
    // Seen by another method, with other steps.
    let exact = Integration { stepper: Stepper::DormandPrince, ..how(1e-13) };
    let seen = bounces(&truth, &exact);
    let guess = sought(5.0, 7.0, 0.6, 0.0);
    let data = (guess.clone(), seen.clone());
    let steps = run.steps(30);
    let (found, (steps, residual)) = match run.mode {
        Mode::Eager => antiphon::reset(|_| Ok(fitted(&data, steps)))?,
        #[cfg(feature = "staging")]
        Mode::Compiled => {
            antiphon::compile("fit", |data: (_, _)| fitted(&data, steps), &data)?.call(&data)?
        }
        #[cfg(not(feature = "staging"))]
        Mode::Compiled => return Err(crate::common::mode::not_built()),
    };
    let numbers = |(speed, kept, drag): &Sought<Array>| {
        let speed: Vec<f64> = speed.view().iter().copied().collect();
        [speed[0], speed[1], kept.item(), drag.item()]
    };
    let (found_numbers, true_numbers) = (numbers(&found), numbers(&truth));
    let apart = found_numbers.iter().zip(&true_numbers).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!("         vₓ        v_z       kept      drag");
    println!("found {found_numbers:.7?}");
    println!("true  {true_numbers:.7?}, {apart:.1e} from it after {} steps", steps.item());
    let met = seen.view().outer_iter().map(|row| (row[1], 0.0)).collect();
    picture::draw(
        &run.out.join("projectile.svg"),
        &[Panel::new(
            "A projectile, from where and when it bounced",
            ["metres", "metres"],
            vec![
                Series::line("first guess", path(&guess)?),
                Series::line("found", path(&found)?),
                Series::points("where it was seen", met),
            ],
        )],
    )?;
    Ok(json!({
        "example": "projectile", "found": found_numbers, "true": true_numbers, "apart": apart,
        "steps": steps.item(), "residual": residual.item(),
    }))
}
