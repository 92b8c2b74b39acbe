//! Training of models that take a batch of arrays a step.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use antiphon::io::save_npz;
use antiphon::optim::{AnyOptimizer, OptState, Optimizer, clip_by_value};
use antiphon::{Gradient, Params, Real, Result, Structure, Tensor, TrainingStep, Var, value_and_grad};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::cli::{clip, positive, size};
use super::files::elements;
use super::mode::{Array, Form, Precision, code};
use super::session::{Learnt, Session, Unit};
use super::training::{Training, check_loss};

/// What a step trains on.
#[derive(Clone, Structure)]
pub struct Batch<T: Real> {
    /// Images, say.
    pub reals: Vec<T>,
    /// Symbols, or the seed of what is random in a step.
    pub integers: T::Int,
    /// What should come out.
    pub labels: T::Int,
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
    #[arg(long, value_parser = size)]
    batch: Option<usize>,
    /// sgd, momentum, nesterov, adagrad, rmsprop, adam or adamw
    #[arg(long)]
    optimizer: Option<String>,
    /// Learning rate
    #[arg(long, value_parser = positive)]
    lr: Option<f64>,
    /// Largest magnitude of an element of a gradient; 0 for no limit [default: 0]
    #[arg(long, value_parser = clip)]
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

/// What a step changes: the model, and what the optimiser remembers of it.
pub type Trained<M> = (M, OptState<M>);

/// What a step reads: the batch and the learning rate.
pub type Data<T> = (Batch<T>, T);

/// A step on a model in training, with some result.
pub type StepOf<'a, T, M, R> = TrainingStep<'a, Trained<M>, Data<T>, R>;

/// The step of a training and the gradients of such a step, each from a state on: what [`network_steps`] makes.
pub type Steps<'a, T, M> = (
    Box<dyn FnOnce(Trained<M>) -> Result<StepOf<'a, T, M, T>> + 'a>,
    Box<dyn FnOnce(Trained<M>) -> Result<StepOf<'a, T, M, Vec<T>>> + 'a>,
);

/// A step of training; the loss.
pub fn step<T, M>(learning: &Learning, (model, state): &mut Trained<M>, (batch, lr): &Data<T>) -> Result<T>
where
    T: Tensor,
    M: Network<T>,
    for<'r> M::With<Var<'r, T>>: Network<Var<'r, T>>,
{
    let (loss, mut gradients) = loss_and_gradients(model, batch)?;
    if learning.clip > 0.0 {
        clip_by_value(&mut gradients, learning.clip);
    }
    learning.optimizer.parse::<AnyOptimizer>()?.update(state, model, &gradients, lr)?;
    Ok(loss)
}

/// The gradients of a step, each parameter's.
pub fn gradients<T, M>((model, _): &mut Trained<M>, (batch, _): &Data<T>) -> Result<Vec<T>>
where
    T: Tensor,
    M: Network<T>,
    for<'r> M::With<Var<'r, T>>: Network<Var<'r, T>>,
{
    Ok(loss_and_gradients(model, batch)?.1.leaves())
}

fn loss_and_gradients<T, M>(model: &M, batch: &Batch<T>) -> Result<(T, Gradient<M>)>
where
    T: Tensor,
    M: Network<T>,
    for<'r> M::With<Var<'r, T>>: Network<Var<'r, T>>,
{
    value_and_grad(
        |model| {
            let reals = batch.reals.iter().map(Var::lift).collect();
            let (integers, labels) = (batch.integers.clone(), batch.labels.clone());
            model.loss(&Batch { reals, integers, labels })
        },
        model,
    )
}

/// A model in training.
pub struct NetworkRun<'a, T: Tensor, M: Params<Leaf = T>, S> {
    session: &'a Session<'a>,
    learning: &'a Learning,
    source: S,
    data: String,
    step: StepOf<'a, T, M, T>,
    losses: Vec<f64>,
}

impl<'a, T, M, S> NetworkRun<'a, T, M, S>
where
    T: Array,
    M: Network<T>,
    S: Source<T, M>,
{
    /// Trains `model` on the source as the session says.
    pub fn train(
        session: &'a Session<'a>,
        learning: &'a Learning,
        mut model: M,
        source: S,
        (unit, steps): (Unit, usize),
        (step, gradients): Steps<'a, T, M>,
    ) -> Result<()> {
        let mut state = learning.optimizer.parse::<AnyOptimizer>()?.init(&model);
        let data = source.fingerprint();
        let losses = session.start(&data, &mut model, &mut state)?;
        let trained = (model, state);
        let mut run = NetworkRun { session, learning, source, data, step: step(trained.clone())?, losses };
        if let Some(path) = &session.flags.grads {
            let leaves = gradients(trained.clone())?.call(&run.batch()?)?;
            save_npz(path, &trained.0.with_leaves(leaves)?)?;
        }
        session.train(&mut run, unit, steps)
    }
}

impl<T: Tensor, M: Params<Leaf = T>, S: Source<T, M>> NetworkRun<'_, T, M, S> {
    fn batch(&self) -> Result<Data<T>> {
        Ok((self.source.batch(self.losses.len())?, T::constant(self.learning.lr)))
    }
}

/// [`Steps`] of a network in a mode, for [`NetworkRun::train`].
#[allow(unused_macros, reason = "every example uses its part")]
macro_rules! network_steps {
    ($mode:expr, $learning:expr) => {
        (
            Box::new(|trained| {
                $crate::common::mode::training_step!($mode, trained, |trained, data| {
                    $crate::common::network::step($learning, trained, data)
                })
            }),
            Box::new(|trained| {
                $crate::common::mode::training_step!($mode, trained, |trained, data| {
                    $crate::common::network::gradients(trained, data)
                })
            }),
        )
    };
}
#[allow(unused_imports, reason = "as above")]
pub(crate) use network_steps;

impl<T, M, S> Training for NetworkRun<'_, T, M, S>
where
    T: Array,
    M: Network<T>,
    S: Source<T, M>,
{
    fn step(&mut self) -> Result<()> {
        let loss = elements(&self.step.call(&self.batch()?)?)[0];
        check_loss(self.losses.len(), loss)?;
        self.losses.push(loss);
        Ok(())
    }

    fn compile_time(&self) -> Duration {
        self.step.compile_time()
    }

    fn compilations(&self) -> usize {
        self.step.compilations()
    }

    fn losses(&self) -> &[f64] {
        &self.losses
    }

    fn code(&self, form: Form) -> Result<String> {
        code(&self.step, form)
    }

    fn examples_per_step(&self) -> usize {
        self.source.examples()
    }

    fn sample(&self) -> Result<String> {
        self.source.sample(&self.step.state().0)
    }

    fn save_checkpoint(&self, path: &Path) -> Result<()> {
        let (model, state) = self.step.state();
        self.session.save_checkpoint(path, &self.data, &model, state, &self.losses)
    }
}

impl<T, M, S> Learnt<M> for NetworkRun<'_, T, M, S>
where
    T: Array,
    M: Network<T>,
    S: Source<T, M>,
{
    fn parameters(&self) -> M {
        self.step.state().0
    }

    fn accuracy(&self) -> Result<BTreeMap<String, f64>> {
        self.source.accuracy(&self.step.state().0)
    }
}
