//! Networks from ONNX files (feature `onnx`): read, evaluated, differentiated, trained, compiled and written again.
//!
//! A [`Model`] is a structure of parameters like any other: the real initializers of the file are its leaves, under
//! their names there. [`Model::apply`] evaluates the network over any interpretation, so that derivatives, batches,
//! optimisers, checkpoints and [`TrainingStep`](crate::TrainingStep) work as with a model of one's own.
//!
//! ```no_run
//! use antiphon::onnx::Model;
//! use antiphon::{NdArray, OrRaise, Params, Tensor, Var, grad};
//! let model = Model::<NdArray<f32>>::open("squeezenet.onnx")?;
//! let image = NdArray::zeros(&[1, 3, 224, 224]);
//! let scores = model.predict(&[image.clone()])?;
//! let slopes = grad(|model: Model<_>| model.predict(&[Var::lift(&image)]).or_raise().sum(..), &model)?;
//! assert_eq!(slopes.names(), model.names());
//! # let _ = scores;
//! # Ok::<(), antiphon::Error>(())
//! ```
//!
//! What is known whatever the inputs are, as shapes, axes, slices and indices mostly are, is computed on the host while
//! the network is read or evaluated (or recorded), so that shapes follow from the inputs' shapes. The operators and
//! versions that are read are listed in the documentation's page on ONNX.
//!
//! # Files of strangers
//!
//! Nothing in a file is believed: lengths are compared with what is there, and a network that asks for values of more
//! elements than [a limit](Model::with_limit) is refused when it is evaluated. Whatever a file holds, reading and
//! evaluating it give a result or an error.

#[cfg(feature = "staging")]
mod builder;
mod call;
#[cfg(feature = "staging")]
mod counterparts;
mod evaluate;
mod export;
mod graph;
mod known;
mod model;
mod ops;
mod proto;
mod table;
#[cfg(feature = "staging")]
mod trace;

pub use model::{Averages, Model, Value};
#[cfg(feature = "staging")]
pub use trace::export;
