//! Communication as operators of the language, each with its derivative, which communicates as well.

use std::sync::Arc;

use super::Communicator;
use super::buckets;
use super::element::Element;
use super::protocol::{ALL_GATHER, BROADCAST, MAX, MEAN, REDUCE, REDUCE_SCATTER, SUM, Signature, State};
use super::raw::{Channel, Fold};
use crate::continuation::unwinding::{blame, operator, raise};
use crate::error::{At, Error};
use crate::language::custom::CustomOperator;
use crate::language::host::{ArrayViewD, ArrayViewMutD, HostElement, HostOperator, Kernel};
use crate::language::shape;
use crate::language::tensor::Tensor;

/// What becomes of the ranks' arrays in [`Communicator::all_reduce`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReduceOp {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// The largest of their elements, NaN if one is.
    Max,
}

/// What is communicated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum What {
    AllReduce(ReduceOp),
    Broadcast {
        root: usize,
    },
    Reduce {
        root: usize,
    },
    AllGather,
    ReduceScatter,
    /// A gradient is given to what is under way; with `now`, what has come together is sent.
    Begin {
        name: Arc<str>,
        now: bool,
    },
    /// Its mean over the ranks is fetched.
    End {
        name: Arc<str>,
        last: bool,
    },
}

/// An operator on vectors that communicates.
#[derive(Clone, Debug)]
struct Collective {
    world: Communicator,
    what: What,
}

/// What a collective computes, for numbers of either type.
struct Run<'a>(&'a Collective);

impl Kernel for Run<'_> {
    fn single(self, operands: &[&[f32]], result: &mut [f32]) -> Result<(), String> {
        self.0.run(operands[0], result)
    }
    fn double(self, operands: &[&[f64]], result: &mut [f64]) -> Result<(), String> {
        self.0.run(operands[0], result)
    }
}

impl Collective {
    /// Of a vector of this communicator.
    #[track_caller]
    fn of<T: Tensor>(world: &Communicator, what: What, x: &T) -> T {
        let at = At::caller();
        operator(at, || T::host(&Collective { world: world.clone(), what }, &[x]))
    }

    fn run<E: Element>(&self, x: &[E], result: &mut [E]) -> Result<(), String> {
        let Some(mut state) = self.world.state() else {
            // Whatever it is, of one rank it is the array itself.
            result.copy_from_slice(x);
            return Ok(());
        };
        match &self.what {
            What::Begin { name, now } => {
                result.copy_from_slice(x);
                let begun = buckets::begin(&mut state, name, x, *now);
                begun.inspect_err(|_| E::buckets(&mut state).forget())
            }
            What::End { name, last } => {
                let ended = buckets::end(&mut state, name, *last, result);
                ended.inspect_err(|_| E::buckets(&mut state).forget())
            }
            _ => {
                let received = self.exchange(&mut state, x)?;
                match self.what {
                    // On other ranks nothing is received.
                    What::Reduce { root } if root != state.mpi.rank => result.fill(E::default()),
                    _ => result.copy_from_slice(&received),
                }
                Ok(())
            }
        }
    }

    /// Communicates, and waits.
    fn exchange<E: Element>(&self, state: &mut State, x: &[E]) -> Result<Vec<E>, String> {
        let agree = |state: &mut State, kind, root: usize| {
            state.agree(Signature { kind, width: size_of::<E>(), count: x.len(), detail: root as u64 })
        };
        match self.what {
            What::AllReduce(ReduceOp::Max) => {
                agree(state, MAX, 0)?;
                let places = x.iter().map(|x| x.ordered()).collect();
                let begun = state.mpi.all_reduce(places, Vec::new(), Fold::Max);
                Ok(state.finish(begun)?.into_iter().map(E::of_ordered).collect())
            }
            What::AllReduce(reduction) => {
                let mean = reduction == ReduceOp::Mean;
                agree(state, if mean { MEAN } else { SUM }, 0)?;
                let begun = state.mpi.all_reduce(x.to_vec(), Vec::new(), Fold::Sum);
                let mut sums = state.finish(begun)?;
                if mean {
                    let size = state.mpi.size;
                    sums.iter_mut().for_each(|sum| *sum = sum.mean(size));
                }
                Ok(sums)
            }
            What::Broadcast { root } => {
                agree(state, BROADCAST, root)?;
                let begun = state.mpi.broadcast(Channel::Data, x.to_vec(), root);
                state.finish(begun)
            }
            What::Reduce { root } => {
                agree(state, REDUCE, root)?;
                let begun = state.mpi.reduce(x.to_vec(), root);
                state.finish(begun)
            }
            What::AllGather => {
                agree(state, ALL_GATHER, 0)?;
                let begun = state.mpi.all_gather(Channel::Data, x.to_vec());
                state.finish(begun)
            }
            What::ReduceScatter => {
                agree(state, REDUCE_SCATTER, 0)?;
                let begun = state.mpi.reduce_scatter(x.to_vec());
                state.finish(begun)
            }
            What::Begin { .. } | What::End { .. } => unreachable!("gradients travel in buckets"),
        }
    }

    /// Its transpose, of an adjoint: what each rank gives to each other one comes back.
    fn transposed<T: Tensor>(&self, y_bar: &T) -> T {
        let again = |what| Collective::of(&self.world, what, y_bar);
        match self.what {
            What::AllReduce(ReduceOp::Max) => unreachable!("it is not linear"),
            What::AllReduce(reduction) => again(What::AllReduce(reduction)),
            What::Broadcast { root } => again(What::Reduce { root }),
            What::Reduce { root } => again(What::Broadcast { root }),
            What::AllGather => again(What::ReduceScatter),
            What::ReduceScatter => again(What::AllGather),
            What::Begin { .. } => y_bar.clone(),
            What::End { .. } => again(What::AllReduce(ReduceOp::Mean)),
        }
    }

    /// For a maximum, the share that an element of each rank has in it: its part of all that are as large.
    fn shares<T: Tensor>(&self, x: &T, y: &T) -> T {
        let (one, zero) = (T::constant(1.0), T::constant(0.0));
        let largest = T::select(&x.detach().equal(&y.detach()), &one, &zero);
        let count = Collective::of(&self.world, What::AllReduce(ReduceOp::Sum), &largest);
        // Of NaN none is as large.
        largest / count
    }
}

impl HostOperator for Collective {
    const NAME: &'static str = "communication";
    const ACTS: bool = true;
    const RANKS: &'static [usize] = &[1];

    fn name(&self) -> &'static str {
        match self.what {
            What::AllReduce(_) => "all_reduce",
            What::Broadcast { .. } => "broadcast",
            What::Reduce { .. } => "reduce",
            What::AllGather => "all_gather",
            What::ReduceScatter => "reduce_scatter",
            What::Begin { .. } => "begin_mean",
            What::End { .. } => "end_mean",
        }
    }

    fn shape(&self, operands: &[&[usize]]) -> Result<Vec<usize>, String> {
        let (n, ranks) = (operands[0][0], self.world.size());
        match self.what {
            What::AllGather => {
                n.checked_mul(ranks).map(|n| vec![n]).ok_or_else(|| "too many elements".into())
            }
            What::ReduceScatter if n.is_multiple_of(ranks) => Ok(vec![n / ranks]),
            What::ReduceScatter => Err(format!("{n} elements for {ranks} ranks")),
            _ => Ok(vec![n]),
        }
    }

    fn value<E: HostElement>(
        &self,
        operands: &[ArrayViewD<'_, E>],
        mut result: ArrayViewMutD<'_, E>,
    ) -> Result<(), String> {
        let operand = operands[0].as_slice().expect("operands of the host are in row-major order");
        E::run(Run(self), &[operand], result.as_slice_mut().expect("in row-major order"))
    }

    fn value_of_elements<E: HostElement>(
        &self,
        operands: &[&[E]],
        result: &mut [E],
    ) -> Option<Result<(), String>> {
        Some(E::run(Run(self), operands, result))
    }

    fn is_elementwise(&self) -> bool {
        !matches!(self.what, What::AllGather | What::ReduceScatter)
    }

    fn pull<T: Tensor>(&self, x: &[T], y: &T, y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        vec![Some(match self.what {
            What::AllReduce(ReduceOp::Max) => {
                let of_all = Collective::of(&self.world, What::AllReduce(ReduceOp::Sum), y_bar);
                of_all * self.shares(&x[0], y)
            }
            _ => self.transposed(y_bar),
        })]
    }

    fn push<T: Tensor>(&self, x: &[T], y: &T, tangents: &[Option<T>]) -> Option<T> {
        let again = |what, dx: &T| Collective::of(&self.world, what, dx);
        // A rank takes part though its own tangent is zero: all ranks run the same model.
        tangents[0].as_ref().map(|dx| match &self.what {
            What::AllReduce(ReduceOp::Max) => {
                again(What::AllReduce(ReduceOp::Sum), &(dx.clone() * self.shares(&x[0], y)))
            }
            What::Begin { .. } => dx.clone(),
            What::End { .. } => again(What::AllReduce(ReduceOp::Mean), dx),
            what => again(what.clone(), dx),
        })
    }
}

/// The identity, whose adjoint begins to travel when it is complete.
#[derive(Clone, Debug)]
struct Early {
    world: Communicator,
    name: Arc<str>,
    /// Whether no other one is waited for.
    now: bool,
}

impl CustomOperator for Early {
    const NAME: &'static str = "early";
    fn value<T: Tensor>(&self, x: &[T]) -> T {
        x[0].clone()
    }
    fn pull<T: Tensor>(&self, _x: &[T], _y: &T, y_bar: &T, _wanted: &[bool]) -> Vec<Option<T>> {
        vec![Some(begin(&self.world, &self.name, self.now, y_bar))]
    }
    fn push<T: Tensor>(&self, _x: &[T], _y: &T, tangents: &[Option<T>]) -> Option<T> {
        tangents[0].clone()
    }
}

/// Applies an operator on vectors to an array of any shape that it does not change.
#[track_caller]
fn to_vector<T: Tensor>(world: &Communicator, what: What, x: &T) -> T {
    let at = At::caller();
    operator(at, || {
        let shape = x.shape();
        match shape.len() {
            1 => Collective::of(world, what, x),
            _ => Collective::of(world, what, &x.reshape(&[x.size()])).reshape(&shape),
        }
    })
}

/// Gives a gradient to what is under way; the gradient.
#[track_caller]
pub(super) fn begin<T: Tensor>(world: &Communicator, name: &Arc<str>, now: bool, gradient: &T) -> T {
    to_vector(world, What::Begin { name: name.clone(), now }, gradient)
}

/// Fetches its mean.
#[track_caller]
pub(super) fn end<T: Tensor>(world: &Communicator, name: &Arc<str>, last: bool, gradient: &T) -> T {
    to_vector(world, What::End { name: name.clone(), last }, gradient)
}

/// A parameter whose gradient is given to what is under way.
pub(super) fn early<T: Tensor>(world: &Communicator, name: Arc<str>, now: bool, x: &T) -> T {
    T::custom(&Early { world: world.clone(), name, now }, &[x])
}

/// # Communication in a model
///
/// Each rank runs the model with its own values, and all ranks communicate in the same order. What is differentiated is
/// the *sum of all ranks' results*, by each rank's own inputs: an adjoint of an operator's result on one rank flows
/// back to all ranks whose operands went into it. (So `all_reduce` of the loss with [`ReduceOp::Mean`] gives each rank
/// the derivatives of its own loss: all ranks' results are the mean, and their sum is that of all losses.) Tangents are
/// those of all ranks' directions together.
///
/// Operators communicate in the order in which the model calls them, and on the way back in the reverse order, eagerly
/// and compiled. What decides whether one is called at all has to be the same on all ranks: a branch or the number of a
/// loop's rounds may depend on data only if all ranks have the same. The derivative of a result that a model does not
/// use communicates nothing, on any rank.
///
/// In a [`Batch`](crate::Batch) they communicate all rows of the batch at once, and `all_gather` and `reduce_scatter`,
/// whose axis is the first one of each row, row by row.
impl Communicator {
    /// Element by element the sum, the mean or the maximum of all ranks' arrays, of one shape, on all ranks.
    ///
    /// Adjoints, with those of all ranks' results `ȳᵣ`: of a sum `Σᵣ ȳᵣ`, of a mean the mean of `ȳᵣ`; of a maximum
    /// `Σᵣ ȳᵣ` on the rank that has it, in equal parts if several have it.
    ///
    /// # Errors
    /// Raises [`Error::Argument`] if the ranks do not agree, or one has failed.
    #[track_caller]
    pub fn all_reduce<T: Tensor>(&self, x: &T, reduction: ReduceOp) -> T {
        to_vector(self, What::AllReduce(reduction), x)
    }

    /// The array of rank `root`, on all ranks; the other ranks give one of the same shape.
    ///
    /// Its adjoint is the sum of all ranks' adjoints, on rank `root`, and zero on the others.
    ///
    /// # Errors
    /// Raises [`Error::Argument`] if there is no such rank, the ranks do not agree, or one has failed.
    #[track_caller]
    pub fn broadcast<T: Tensor>(&self, x: &T, root: usize) -> T {
        self.check_root("broadcast", root);
        to_vector(self, What::Broadcast { root }, x)
    }

    /// The sum of all ranks' arrays on rank `root`, and zeros on the others.
    ///
    /// Its adjoint is that of rank `root`, on all ranks.
    ///
    /// # Errors
    /// As [`broadcast`](Communicator::broadcast).
    #[track_caller]
    pub fn reduce<T: Tensor>(&self, x: &T, root: usize) -> T {
        self.check_root("reduce", root);
        to_vector(self, What::Reduce { root }, x)
    }

    /// All ranks' arrays `[n, …]`, of one shape, one after the other: `[ranks·n, …]`.
    ///
    /// Its adjoint is the sum of all ranks' adjoints, of which each rank has its own rows
    /// ([`reduce_scatter`](Communicator::reduce_scatter)).
    ///
    /// # Errors
    /// Raises [`Error::Operand`] if it has no axis; [`Error::Argument`] if the ranks do not agree, or one has failed.
    #[track_caller]
    pub fn all_gather<T: Tensor>(&self, x: &T) -> T {
        let at = At::caller();
        operator(at, || {
            let mut shape = self.with_rows("all_gather", x);
            shape[0] *= self.size();
            Collective::of(self, What::AllGather, &x.reshape(&[x.size()])).reshape(&shape)
        })
    }

    /// The sum of all ranks' arrays `[ranks·n, …]`, of one shape, of which each rank gets its own rows, `[n, …]`.
    ///
    /// Its adjoint is [`all_gather`](Communicator::all_gather) of the ranks' adjoints.
    ///
    /// # Errors
    /// Raises [`Error::Operand`] if the ranks do not divide the rows; [`Error::Argument`] if the ranks do not agree, or
    /// one has failed.
    #[track_caller]
    pub fn reduce_scatter<T: Tensor>(&self, x: &T) -> T {
        let at = At::caller();
        operator(at, || {
            let mut shape = self.with_rows("reduce_scatter", x);
            if !shape[0].is_multiple_of(self.size()) {
                let reason = format!("{} rows, which {} ranks do not divide", shape[0], self.size());
                raise(Error::Operand { op: "reduce_scatter", shape: shape.to_vec(), reason, at: blame(at) });
            }
            shape[0] /= self.size();
            Collective::of(self, What::ReduceScatter, &x.reshape(&[x.size()])).reshape(&shape)
        })
    }

    #[track_caller]
    fn check_root(&self, op: &'static str, root: usize) {
        if root >= self.size() {
            let reason = format!("rank {root}, of {}", self.size());
            raise(Error::Argument { op, reason, at: blame(At::caller()) });
        }
    }

    /// The shape of an array with rows.
    #[track_caller]
    fn with_rows<T: Tensor>(&self, op: &'static str, x: &T) -> shape::Shape {
        let shape = x.shape();
        if shape.is_empty() {
            let reason = "a number has no rows".into();
            raise(Error::Operand { op, shape: Vec::new(), reason, at: blame(At::caller()) });
        }
        shape
    }
}
