//! The mean of what the ranks have computed, in few messages, and on its way before the backward pass ends.

use std::sync::Arc;

use super::{Communicator, operators};
use crate::continuation::unwinding::catch;
use crate::error::Result;
use crate::language::params::{Params, Path};
use crate::language::tensor::Tensor;

/// What the loss is called among gradients.
const LOSS: &str = "the loss";

impl Communicator {
    /// Replaces all leaves of a structure by their means over the ranks, element by element. Small arrays travel
    /// together, in messages of some megabytes.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if the ranks do not agree, or one has failed, which it names; if
    /// some gradient was begun [early](Communicator::early) under a name that no leaf has.
    #[track_caller]
    pub fn mean<P: Params<Leaf: Tensor>>(&self, structure: &mut P) -> Result<()> {
        catch(|| {
            self.begin(structure);
            self.end(structure);
            Ok(())
        })
    }

    /// Replaces a rank's loss and gradients by those of the mean loss, which are their means: data parallel training.
    ///
    /// # Errors
    /// As of [`mean`](Communicator::mean).
    #[track_caller]
    pub fn mean_gradients<T: Tensor, P: Params<Leaf = T>>(
        &self,
        loss: &mut T,
        gradients: &mut P,
    ) -> Result<()> {
        catch(|| {
            let name: Arc<str> = LOSS.into();
            *loss = operators::begin(self, &name, false, loss);
            self.begin(gradients);
            *loss = operators::end(self, &name, false, loss);
            self.end(gradients);
            Ok(())
        })
    }

    #[track_caller]
    fn begin<P: Params<Leaf: Tensor>>(&self, structure: &mut P) {
        structure.visit_mut(&mut Path::default(), &mut |path, leaf| {
            *leaf = operators::begin(self, &path.to_string().into(), false, leaf);
        });
    }

    #[track_caller]
    fn end<P: Params<Leaf: Tensor>>(&self, structure: &mut P) {
        let mut left = structure.names().len();
        structure.visit_mut(&mut Path::default(), &mut |path, leaf| {
            left -= 1;
            *leaf = operators::end(self, &path.to_string().into(), left == 0, leaf);
        });
    }

    /// Parameters whose gradients travel as soon as the backward pass has them all, in a message, while it goes on:
    /// [`mean_gradients`](Communicator::mean_gradients) fetches their means. A model calls it where it first uses the
    /// parameters, since what is used first has its gradient last; `prefix` says where in the whole structure of
    /// gradients they stand: `"head"` for its field `head`, nothing for all of it.
    ///
    /// ```
    /// # use antiphon::distributed::Communicator;
    /// # use antiphon::nn::Linear;
    /// # use antiphon::{Params, Tensor};
    /// #[derive(Clone, Params)]
    /// struct Model<T> {
    ///     body: Linear<T>,
    ///     head: Linear<T>,
    /// }
    /// fn model<T: Tensor>(world: &Communicator, model: &Model<T>, x: &T) -> T {
    ///     let h = model.body.apply(x).tanh();
    ///     // The gradients of `head` are there when those of `body` are not.
    ///     world.early("head", &model.head).apply(&h)
    /// }
    /// ```
    ///
    /// What is used several times is made early once, before all of them; not in a loop, nor in a branch.
    #[must_use]
    pub fn early<P: Params<Leaf: Tensor> + Clone>(&self, prefix: &str, params: &P) -> P {
        let mut params = params.clone();
        // Adjoints come back in the reverse order: that of the first leaf is the last one.
        let mut last = true;
        params.visit_mut(&mut Path::default(), &mut |path, leaf| {
            let name = match (prefix, path.to_string()) {
                ("", name) => name,
                (prefix, name) if name.is_empty() => prefix.into(),
                (prefix, name) => format!("{prefix}.{name}"),
            };
            *leaf = operators::early(self, name.into(), last, leaf);
            last = false;
        });
        params
    }
}
