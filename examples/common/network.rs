//! Training of models that take a batch of arrays a step.

use std::collections::BTreeMap;
use std::path::Path;

use antiphon::io::{Stored, save_npz};
use antiphon::optim::{AnyOptimizer, OptState, Optimizer, clip_by_value};
use antiphon::{Params, Result, Tensor, Var, value_and_grad};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::cli::{count, positive};
use super::session::{Learnt, Precision, Session, elements};
use super::training::{Training, check_loss};

/// What a step trains on: arrays, and integers such as symbols, labels and seeds.
#[derive(Clone)]
pub struct Batch<T: Tensor> {
    pub reals: Vec<T>,
    pub ints: Vec<T::Int>,
}

/// A model with its loss.
pub trait Network<T: Tensor>: Params<Leaf = T> + Clone {
    /// The loss of a batch, a scalar.
    fn loss(&self, batch: &Batch<T>) -> T;
}

/// Flags that a resumed run has to agree with.
#[derive(Args, Serialize)]
pub struct LearningFlags {
    /// Precision of all numbers [default: f32]
    #[arg(long)]
    precision: Option<Precision>,
    /// Seed of the initial weights and of generated data [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// Examples in a step
    #[arg(long, value_parser = count)]
    batch: Option<usize>,
    /// sgd, momentum, nesterov, adagrad, rmsprop, adam or adamw
    #[arg(long)]
    optimizer: Option<String>,
    /// Learning rate
    #[arg(long, value_parser = positive, allow_negative_numbers = true)]
    lr: Option<f64>,
    /// Largest magnitude of an element of a gradient; 0 for no limit [default: 0]
    #[arg(long, allow_negative_numbers = true)]
    clip: Option<f64>,
}

/// The settings that these flags change.
#[derive(Clone, Serialize, Deserialize)]
pub struct Learning {
    pub precision: Precision,
    pub seed: u64,
    pub batch: usize,
    pub optimizer: String,
    pub lr: f64,
    pub clip: f64,
}

impl Learning {
    pub fn new(batch: usize, optimizer: &str, lr: f64) -> Learning {
        Learning { precision: Precision::F32, seed: 0, batch, optimizer: optimizer.into(), lr, clip: 0.0 }
    }
}

/// Where batches come from, and what the model is tried on.
pub trait Source<T: Tensor, M> {
    /// The batch of a step.
    fn batch(&self, step: usize) -> Result<Batch<T>>;
    /// Shares of the held-out part that are right.
    fn accuracy(&self, model: &M) -> Result<BTreeMap<String, f64>>;
    /// Something to show of what has been learnt.
    fn sample(&self, model: &M) -> Result<String> {
        let accuracy = self.accuracy(model)?;
        let parts = accuracy.iter().map(|(what, share)| format!("{what} {:.1} %", 100.0 * share));
        Ok(format!("held out: {}", parts.collect::<Vec<_>>().join(", ")))
    }
    /// How many examples a batch has.
    fn examples(&self) -> usize;
    /// A checksum of the data.
    fn fingerprint(&self) -> String;
}

/// A model in training.
pub struct NetworkRun<'a, T: Tensor, M: Params<Leaf = T>, S> {
    session: &'a Session<'a>,
    learning: &'a Learning,
    source: S,
    data: String,
    model: M,
    optimizer: AnyOptimizer,
    state: OptState<M>,
    losses: Vec<f64>,
}

impl<'a, T, M, S> NetworkRun<'a, T, M, S>
where
    T: Tensor + Stored + 'static,
    M: Network<T>,
    for<'r> M::With<Var<'r, T>>: Network<Var<'r, T>>,
    S: Source<T, M>,
{
    /// Trains `model` on the source as the session says.
    pub fn train(
        session: &'a Session<'a>,
        learning: &'a Learning,
        mut model: M,
        source: S,
        unit: &'static str,
        steps: usize,
    ) -> Result<()> {
        let optimizer: AnyOptimizer = learning.optimizer.parse()?;
        let mut state = optimizer.init(&model);
        let data = source.fingerprint();
        let losses = session.start(&data, &mut model, &mut state)?;
        let mut run = NetworkRun { session, learning, source, data, model, optimizer, state, losses };
        session.train(&mut run, unit, steps)
    }
}

impl<T, M, S> Training for NetworkRun<'_, T, M, S>
where
    T: Tensor + Stored + 'static,
    M: Network<T>,
    for<'r> M::With<Var<'r, T>>: Network<Var<'r, T>>,
    S: Source<T, M>,
{
    fn step(&mut self) -> Result<()> {
        let step = self.losses.len();
        let batch = self.source.batch(step)?;
        let (loss, mut gradients) = value_and_grad(
            |model| {
                let reals = batch.reals.iter().map(Var::lift).collect();
                model.loss(&Batch { reals, ints: batch.ints.clone() })
            },
            &self.model,
        )?;
        let loss = elements(&loss)[0];
        check_loss(step, loss)?;
        if let Some(path) = self.session.flags.grads.as_ref().filter(|_| step == 0) {
            save_npz(path, &gradients)?;
        }
        if self.learning.clip > 0.0 {
            clip_by_value(&mut gradients, self.learning.clip);
        }
        let lr = T::constant(self.learning.lr);
        self.optimizer.update(&mut self.state, &mut self.model, &gradients, &lr)?;
        self.losses.push(loss);
        Ok(())
    }

    fn losses(&self) -> &[f64] {
        &self.losses
    }

    fn examples_per_step(&self) -> usize {
        self.source.examples()
    }

    fn sample(&self) -> Result<String> {
        self.source.sample(&self.model)
    }

    fn save_checkpoint(&self, path: &Path) -> Result<()> {
        self.session.save_checkpoint(path, &self.data, &self.model, self.state.clone(), &self.losses)
    }
}

impl<T, M, S> Learnt<M> for NetworkRun<'_, T, M, S>
where
    T: Tensor + Stored,
    M: Network<T>,
    S: Source<T, M>,
{
    fn parameters(&self) -> &M {
        &self.model
    }

    fn accuracy(&self) -> Result<BTreeMap<String, f64>> {
        self.source.accuracy(&self.model)
    }
}
