//! What the examples share around their training: flags, settings, checkpoints, and what is written at the end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use antiphon::error::Error;
use antiphon::io::{Metadata, Stored, load_checkpoint, load_npz, read_metadata, save_checkpoint, save_npz};
use antiphon::{Params, Result, Tensor};
use clap::Args;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::cli::{bad, count};
use super::comparison::Earlier;
use super::curve;
use super::files::{check_finite, check_places, elements, steps_seen};
use super::mode::{Form, Mode, Precision};
use super::ranks::Ranks;
use super::report::{LossUnit, Report, mean_ms, median_ms};
use super::training::{Plan, Training, print, train};

/// Flags of a run, which a resumed one may choose anew.
#[derive(Args)]
pub struct RunFlags {
    /// How many steps to train, those before a resumption included
    #[arg(long, value_parser = count)]
    pub steps: Option<usize>,
    /// Initial weights: an .npz file
    #[arg(long, conflicts_with = "resume")]
    pub init: Option<PathBuf>,
    /// Write the weights to this .npz file at the end
    #[arg(long)]
    pub save: Option<PathBuf>,
    /// Go on from this checkpoint, with its settings
    #[arg(long)]
    pub resume: Option<PathBuf>,
    /// Write a report to this file
    #[arg(long)]
    pub report: Option<PathBuf>,
    /// Say how this training compares with another one, whose report this is
    #[arg(long, value_name = "REPORT")]
    pub compare: Option<PathBuf>,
    /// How steps are run
    #[arg(long, default_value = "eager")]
    pub mode: Mode,
    /// Instead of training, make one step and print what it was compiled to
    #[arg(long, value_name = "FORM")]
    pub print: Option<Form>,
    /// Directory for the checkpoint and the loss curve [default: out/ and the example's name]
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Write the first step's gradients to this .npz file
    #[arg(long, conflicts_with = "resume")]
    pub grads: Option<PathBuf>,
    /// Steps from one checkpoint to the next
    #[arg(long, value_parser = count, default_value = "1000")]
    pub checkpoint_every: usize,
    /// Steps from one look at the held-out part to the next [default: a fifth of the steps]
    #[arg(long, value_parser = count)]
    pub sample_every: Option<usize>,
}

/// A run of an example.
pub struct Session<'a> {
    example: &'static str,
    pub flags: &'a RunFlags,
    pub out: PathBuf,
    precision: Precision,
    settings: Value,
    resumed: Option<Resumed>,
    ranks: Option<Ranks>,
}

/// What is known of the run that this one goes on from.
struct Resumed {
    checkpoint: PathBuf,
    data: Option<String>,
    steps: usize,
}

impl<'a> Session<'a> {
    /// A run with its settings: those of the checkpoint to resume, which flags may repeat but not contradict; or
    /// `defaults`, with what was `given` in their place. Both serialise to objects; null and false are not given.
    pub fn new<S: Serialize + DeserializeOwned>(
        example: &'static str,
        flags: &'a RunFlags,
        defaults: &S,
        given: &impl Serialize,
    ) -> Result<(Session<'a>, S)> {
        let out = flags.out.clone().unwrap_or(Path::new("out").join(example));
        check_places([&flags.save, &flags.report, &flags.grads], &out)?;
        let mut given = object(given);
        given.retain(|_, value| !matches!(value, Value::Null | Value::Bool(false)));
        let mut settings = object(defaults);
        let mut resumed = None;
        match &flags.resume {
            None => settings.extend(given),
            Some(checkpoint) => {
                let metadata = read_metadata(checkpoint)?;
                let foreign = || Error::Format {
                    path: checkpoint.clone(),
                    reason: format!("not a checkpoint of {example}"),
                };
                metadata.get("example").filter(|name| *name == example).ok_or_else(foreign)?;
                let stored = metadata.get("settings").and_then(|text| serde_json::from_str(text).ok());
                settings = stored.ok_or_else(foreign)?;
                if let Some((name, _)) = given.iter().find(|(name, value)| settings.get(*name) != Some(value))
                {
                    return Err(bad("resume", format!("the checkpoint has another value of {name}")));
                }
                let steps = steps_seen(checkpoint, &metadata).ok_or_else(foreign)?;
                resumed = Some(Resumed {
                    checkpoint: checkpoint.clone(),
                    data: metadata.get("data").cloned(),
                    steps,
                });
            }
        }
        let settings = Value::Object(settings);
        let foreign = |error: serde_json::Error| bad("settings", error.to_string());
        let read = S::deserialize(&settings).map_err(foreign)?;
        let precision = Precision::deserialize(&settings["precision"]).map_err(foreign)?;
        fs::create_dir_all(&out).map_err(|source| Error::Io { path: out.clone(), source })?;
        Ok((Session { example, flags, out, precision, settings, resumed, ranks: None }, read))
    }

    /// The same, of one of several processes that train together.
    pub fn with_ranks(self, ranks: &Ranks) -> Session<'a> {
        Session { ranks: Some(ranks.clone()), ..self }
    }

    /// Whether this process is the one that prints and writes.
    pub fn is_first(&self) -> bool {
        self.ranks.as_ref().is_none_or(Ranks::is_first)
    }

    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Takes initial weights from `--init`, or everything from `--resume`; the losses so far.
    pub fn start<T, P, S>(&self, data: &str, params: &mut P, state: &mut S) -> Result<Vec<f64>>
    where
        T: Tensor + Stored,
        P: Params<Leaf = T>,
        S: Params<Leaf = T> + Clone,
    {
        if let Some(path) = &self.flags.init {
            load_npz(path, params)?;
        }
        let Some(resumed) = &self.resumed else { return Ok(Vec::new()) };
        if resumed.data.as_deref() != Some(data) {
            return Err(bad("resume", "the checkpoint is of other data"));
        }
        let mut all = (state.clone(), T::zeros(&[resumed.steps]));
        load_checkpoint(&resumed.checkpoint, params, &mut all)?;
        *state = all.0;
        Ok(elements(&all.1))
    }

    /// Replaces the checkpoint. Parameters that are not finite are refused, so that the last good one stays.
    pub fn save_checkpoint<T, P, S>(
        &self,
        path: &Path,
        data: &str,
        params: &P,
        state: S,
        losses: &[f64],
    ) -> Result<()>
    where
        T: Tensor + Stored,
        P: Params<Leaf = T>,
        S: Params<Leaf = T>,
    {
        let steps = losses.len();
        check_finite(params, steps)?;
        let metadata = Metadata::from([
            ("example".into(), self.example.into()),
            ("settings".into(), self.settings.to_string()),
            ("data".into(), data.into()),
            ("steps".into(), steps.to_string()),
        ]);
        save_checkpoint(path, params, &(state, T::from_elements(&[steps], losses)?), &metadata)
    }

    /// Trains to the end, writes the loss curve and what was asked for, and says where it lies.
    pub fn train<T, P, R>(&self, run: &mut R, unit: Unit, steps: usize) -> Result<()>
    where
        T: Tensor + Stored,
        P: Params<Leaf = T>,
        R: Learnt<P>,
    {
        if let Some(form) = self.flags.print {
            return print(run, form, self.is_first());
        }
        let steps = self.flags.steps.unwrap_or(steps);
        let plan = Plan {
            shows: self.is_first(),
            steps,
            checkpoint: self.out.join("checkpoint.safetensors"),
            checkpoint_every: self.flags.checkpoint_every,
            sample_every: self.flags.sample_every.unwrap_or(steps.div_ceil(5)),
            unit: unit.many,
            loss_unit: LossUnit { terms: unit.terms, ..LossUnit::nats(unit.one) },
        };
        let earlier = self.flags.compare.as_deref();
        let earlier =
            earlier.map(|path| Earlier::read(path, self.example, run.cell(), self.precision)).transpose()?;
        if plan.shows {
            println!("{}", run.introduction(unit));
            if !run.losses().is_empty() {
                println!("going on after {} steps", run.losses().len());
            }
        }
        let times = train(run, &plan)?;
        if !plan.shows {
            return Ok(());
        }
        self.finish(run, &plan, &times, earlier)
    }

    fn finish<T, P, R>(
        &self,
        run: &R,
        plan: &Plan,
        times: &[Duration],
        earlier: Option<Earlier>,
    ) -> Result<()>
    where
        T: Tensor + Stored,
        P: Params<Leaf = T>,
        R: Learnt<P>,
    {
        let (losses, picture) = (run.losses(), self.out.join("loss.svg"));
        curve::draw(&picture, &run.title(self.example), &plan.loss_unit, losses)?;
        let report = Report {
            model: self.example.into(),
            cell: run.cell().map(str::to_string),
            mode: self.flags.mode,
            precision: self.precision,
            steps: losses.len(),
            compile_ms: run.compile_time().as_secs_f64() * 1e3,
            step_ms_median: median_ms(times),
            step_ms_mean: mean_ms(times),
            accuracy: run.accuracy()?,
            loss_unit: plan.loss_unit.clone(),
            losses: losses.to_vec(),
        };
        if let Some(path) = &self.flags.report {
            report.save(path)?;
        }
        if let Some(path) = &self.flags.save {
            save_npz(path, &run.parameters())?;
        }
        print!("{}", run.summary(&report));
        match run.compilations() {
            0 => {}
            1 => println!("It was compiled, or found in the cache, once, in {:.0} ms.", report.compile_ms),
            n => {
                println!("It was compiled, or found in the cache, {n} times, in {:.0} ms.", report.compile_ms)
            }
        }
        for (what, share) in &report.accuracy {
            println!("Accuracy, {what}: {:.1} %", 100.0 * share);
        }
        println!(
            "Loss curve: {}\nCheckpoint: {} (go on with --resume)",
            picture.display(),
            plan.checkpoint.display()
        );
        for (what, path) in [("Report", &self.flags.report), ("Weights", &self.flags.save)] {
            if let Some(path) = path {
                println!("{what}: {}", path.display());
            }
        }
        if let Some(earlier) = earlier {
            earlier.tell(&report, &self.out)?;
        }
        Ok(())
    }
}

/// What an example to learn from is called; a loss is the mean over the examples of its step.
#[derive(Clone, Copy)]
pub struct Unit {
    /// "an image".
    pub one: &'static str,
    /// "images".
    pub many: &'static str,
    /// How many such means a step's loss is the sum of: one, or the number of times.
    pub terms: usize,
}

/// What a training has come to.
pub trait Learnt<P: Params<Leaf: Tensor>>: Training {
    /// The parameters.
    fn parameters(&self) -> P;
    /// Shares of the held-out part that are right, each with its name; none where nothing is held out.
    fn accuracy(&self) -> Result<BTreeMap<String, f64>>;
    /// Kind of recurrent cell, where there is one.
    fn cell(&self) -> Option<&'static str> {
        None
    }
    /// The title of the loss curve.
    fn title(&self, example: &str) -> String {
        example.into()
    }
    /// What is trained on what, in a line.
    fn introduction(&self, unit: Unit) -> String {
        let a_step = match self.examples_per_step() {
            1 => format!("one of the {}", unit.many),
            n => format!("{n} {}", unit.many),
        };
        format!("{} parameters; {a_step} a step", self.parameters().count())
    }
    /// How far the loss fell and what a step took, in lines.
    fn summary(&self, report: &Report) -> String {
        let losses = report.loss_unit.measure(&report.losses);
        let tenth = losses.len().div_ceil(10);
        let fell = format!(
            "Trained {} steps. The loss fell from {:.3} to {:.3} {} (means of the first and last tenth).\n",
            losses.len(),
            mean(&losses[..tenth]),
            mean(&losses[losses.len() - tenth..]),
            report.loss_unit.name,
        );
        match (report.step_ms_median, report.step_ms_mean) {
            (Some(median), Some(mean)) => {
                format!("{fell}A step took {median:.2} ms (median; mean {mean:.2} ms).\n")
            }
            _ => fell,
        }
    }
}

/// The mean of some losses.
pub fn mean(losses: &[f64]) -> f64 {
    losses.iter().sum::<f64>() / losses.len() as f64
}

fn object(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields,
        _ => panic!("settings are structs"),
    }
}
