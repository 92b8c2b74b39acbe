//! The training loop: steps, progress, samples and checkpoints.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use antiphon::Result;
use antiphon::error::Error;
use indicatif::{ProgressBar, ProgressStyle};

use super::mode::Form;
use super::report::LossUnit;

/// Something that can be trained step by step.
pub trait Training {
    /// The losses of all steps so far; their number is the number of the next step.
    fn losses(&self) -> &[f64];
    /// Makes the next step. A loss that is not finite is an error, which ends the training.
    fn step(&mut self) -> Result<()>;
    /// How long compiling took so far.
    fn compile_time(&self) -> Duration {
        Duration::ZERO
    }
    /// How many times a step was compiled.
    fn compilations(&self) -> usize {
        0
    }
    /// What the last step was compiled to.
    fn code(&self, form: Form) -> Result<String>;
    /// How many examples (characters, images, …) a step takes.
    fn examples_per_step(&self) -> usize;
    /// Something to show of what has been learnt.
    fn sample(&self) -> Result<String>;
    /// Replaces the checkpoint, atomically.
    fn save_checkpoint(&self, path: &std::path::Path) -> Result<()>;
    /// Saves what there is before an error of the last step ends the training, if that is worth something.
    fn rescue(&self, _: &std::path::Path) -> Result<()> {
        Ok(())
    }
}

/// How long to train, and how often to do what.
pub struct Plan {
    /// Whether this process shows how it goes: not all that train together do.
    pub shows: bool,
    /// Number of the last step.
    pub steps: usize,
    /// Where checkpoints go.
    pub checkpoint: PathBuf,
    /// Steps from one checkpoint to the next.
    pub checkpoint_every: usize,
    /// Steps from one sample to the next.
    pub sample_every: usize,
    /// What an example is called: "characters".
    pub unit: &'static str,
    /// What losses are shown in.
    pub loss_unit: LossUnit,
}

/// Makes one step, and prints what it was compiled to, if this process shows anything.
pub fn print(training: &mut impl Training, form: Form, shows: bool) -> Result<()> {
    training.step()?;
    let code = training.code(form)?;
    if shows {
        print!("{code}");
    }
    Ok(())
}

/// Trains to the end of the plan; returns the time of each step made, without that of compiling it. The last checkpoint
/// is of the last step.
pub fn train(training: &mut impl Training, plan: &Plan) -> Result<Vec<Duration>> {
    let progress = Progress::new(plan, training.losses().len());
    let mut times = Vec::new();
    while training.losses().len() < plan.steps {
        let (start, compiled) = (Instant::now(), training.compile_time());
        if let Err(error) = training.step() {
            training.rescue(&plan.checkpoint)?;
            return Err(error);
        }
        times.push(start.elapsed().saturating_sub(training.compile_time() - compiled));
        let done = training.losses().len();
        let rate = training.examples_per_step() as f64 / mean_seconds(&times);
        if plan.shows {
            progress.show(done, training.losses()[done - 1], rate);
        }
        if plan.shows && done.is_multiple_of(plan.sample_every) {
            progress.say(&format!("── after {done} steps ──\n{}\n", training.sample()?));
        }
        if done.is_multiple_of(plan.checkpoint_every) || done == plan.steps {
            training.save_checkpoint(&plan.checkpoint)?;
        }
    }
    progress.bar.finish();
    Ok(times)
}

/// Mean of the last hundred.
fn mean_seconds(times: &[Duration]) -> f64 {
    let recent = &times[times.len().saturating_sub(100)..];
    recent.iter().sum::<Duration>().as_secs_f64() / recent.len() as f64
}

/// Fails unless the loss of a step is finite.
pub fn check_loss(step: usize, loss: f64) -> Result<()> {
    match loss.is_finite() {
        true => Ok(()),
        false => Err(Error::Diverged { what: format!("the loss at step {step}"), value: loss }),
    }
}

/// A bar on a terminal; elsewhere a line now and then.
struct Progress {
    bar: ProgressBar,
    steps: usize,
    unit: &'static str,
    loss_unit: LossUnit,
    on_terminal: bool,
}

impl Progress {
    fn new(plan: &Plan, done: usize) -> Progress {
        let bar = ProgressBar::new(plan.steps as u64).with_position(done as u64);
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} steps · {msg} · {eta} left");
        bar.set_style(style.expect("a constant template"));
        let on_terminal = std::io::stderr().is_terminal();
        Progress { bar, steps: plan.steps, unit: plan.unit, loss_unit: plan.loss_unit.clone(), on_terminal }
    }

    fn show(&self, done: usize, loss: f64, rate: f64) {
        let loss = self.loss_unit.measure(&[loss])[0];
        let message = || format!("loss {loss:.3} {} · {rate:.0} {}/s", self.loss_unit.name, self.unit);
        if self.on_terminal {
            self.bar.set_message(message());
            self.bar.set_position(done as u64);
        } else if done.is_multiple_of(self.steps.div_ceil(20)) || done == self.steps {
            println!("step {done}/{} · {}", self.steps, message());
        }
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| println!("{text}"));
    }
}
