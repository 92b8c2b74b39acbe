//! [`Params`]: a model's parameters as a plain struct of `T`, and what can be done to all of them at once.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::error::{Error, Result};
use crate::language::real::Real;
use crate::language::shape::{self, Shape};
use crate::language::tensor::Tensor;

/// A structure whose leaves are real numbers or arrays: a scalar, an array, a tuple of up to twelve, a `Vec`, an
/// `Option`, a map by name (`BTreeMap<String, P>`, `HashMap<String, P>`), or a struct or an enum with
/// `#[derive(Params)]`.
///
/// Leaves are visited in the order of the declaration, those of maps in the order of their keys, whatever the hash;
/// their names are the path of fields, joined by dots (`"layers.0.wx"`). [`Params::With`] is the same structure over
/// other leaves: `Rnn<f64>` becomes `Rnn<Var<f64>>` inside of [`grad`](crate::grad).
pub trait Params: Sized {
    /// What the structure is built of.
    type Leaf: Real;
    /// The same structure with other leaves.
    type With<U: Real>: Params<Leaf = U, With<Self::Leaf> = Self>;

    /// The structure of `f(name, leaf)`.
    fn map_named<U: Real>(
        &self,
        path: &mut Path,
        f: &mut dyn FnMut(&Path, &Self::Leaf) -> U,
    ) -> Self::With<U>;

    /// Calls `f(name, leaf)` on every leaf, which it may change.
    fn visit_mut(&mut self, path: &mut Path, f: &mut dyn FnMut(&Path, &mut Self::Leaf));

    /// Calls `f(name, leaf)` on every leaf.
    fn visit(&self, f: &mut dyn FnMut(&Path, &Self::Leaf)) {
        // Built over `f64`, which costs nothing, and dropped.
        self.map_named(&mut Path::default(), &mut |path, leaf| {
            f(path, leaf);
            0.0
        });
    }

    /// The structure of `f(leaf)`.
    fn map_leaves<U: Real>(&self, mut f: impl FnMut(&Self::Leaf) -> U) -> Self::With<U> {
        self.map_named(&mut Path::default(), &mut |_, leaf| f(leaf))
    }

    /// All leaves, in order.
    fn leaves(&self) -> Vec<Self::Leaf> {
        let mut leaves = Vec::new();
        self.visit(&mut |_, leaf| leaves.push(leaf.clone()));
        leaves
    }

    /// All leaves' names, in order.
    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.visit(&mut |path, _| names.push(path.to_string()));
        names
    }

    /// All leaves' shapes, in order.
    fn shapes(&self) -> Vec<Shape>
    where
        Self::Leaf: Tensor,
    {
        let mut shapes = Vec::new();
        self.visit(&mut |_, leaf| shapes.push(leaf.shape()));
        shapes
    }

    /// How many numbers all leaves have together.
    fn count(&self) -> usize
    where
        Self::Leaf: Tensor,
    {
        self.shapes().iter().map(|shape| shape::size(shape)).sum()
    }

    /// The structure of `f(leaf, other leaf)`, for two structures that are alike.
    ///
    /// # Errors
    /// [`Error::Structure`] if their leaves' names differ.
    fn zip_leaves<Q: Params, U: Real>(
        &self,
        other: &Q,
        mut f: impl FnMut(&Self::Leaf, &Q::Leaf) -> U,
    ) -> Result<Self::With<U>> {
        let (mine, theirs) = (self.names(), other.names());
        if mine != theirs {
            return Err(Error::Structure(format!("{mine:?} and {theirs:?}")));
        }
        let mut others = other.leaves().into_iter();
        Ok(self.map_leaves(|leaf| f(leaf, &others.next().expect("as many leaves as names"))))
    }

    /// The same structure with the leaves replaced, in order, by `leaves`.
    ///
    /// # Errors
    /// [`Error::Structure`] if there are not exactly as many.
    fn with_leaves<U: Real>(&self, leaves: Vec<U>) -> Result<Self::With<U>> {
        let (have, want) = (leaves.len(), self.names().len());
        if have != want {
            return Err(Error::Structure(format!("{have} values for {want} parameters")));
        }
        let mut leaves = leaves.into_iter();
        Ok(self.map_leaves(|_| leaves.next().expect("counted above")))
    }
}

/// Where in a structure a leaf stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Path(SmallVec<[Field; 8]>);

/// One step of a [`Path`] down: a field's name or an element's number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// A name.
    Name(Cow<'static, str>),
    /// A number.
    Index(usize),
}

impl From<&'static str> for Field {
    fn from(name: &'static str) -> Field {
        Field::Name(name.into())
    }
}

impl From<String> for Field {
    fn from(name: String) -> Field {
        Field::Name(name.into())
    }
}

impl From<usize> for Field {
    fn from(index: usize) -> Field {
        Field::Index(index)
    }
}

impl Path {
    /// Runs `f` one field (or element) further down.
    pub fn descend<R>(&mut self, field: impl Into<Field>, f: impl FnOnce(&mut Path) -> R) -> R {
        self.0.push(field.into());
        let result = f(self);
        self.0.pop();
        result
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (depth, field) in self.0.iter().enumerate() {
            let dot = if depth > 0 { "." } else { "" };
            match field {
                Field::Name(name) => write!(f, "{dot}{name}")?,
                Field::Index(index) => write!(f, "{dot}{index}")?,
            }
        }
        Ok(())
    }
}

/// Whether a leaf's name is one of those that a pattern stands for, in which `*` is anything, dots included: `head.*`
/// is all of the head, and `*.b` every bias.
///
/// ```
/// use antiphon::params::matches;
/// assert!(matches("head.*", "head.layers.0.w") && matches("*.b", "head.b") && matches("*", "w"));
/// assert!(!matches("head.*", "header.w") && !matches("w", "wx"));
/// ```
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(start) else { return false };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        match name.find(part) {
            Some(found) => name = &name[found + part.len()..],
            None => return false,
        }
    }
    name.ends_with(end)
}

/// An interpretation is its own, single leaf.
///
/// One implementation for all, so that generic code knows it too: for any `T: Real`, `T::With<U>` *is* `U`.
impl<T: Real> Params for T {
    type Leaf = T;
    type With<U: Real> = U;
    fn map_named<U: Real>(&self, path: &mut Path, f: &mut dyn FnMut(&Path, &T) -> U) -> U {
        f(path, self)
    }
    fn visit_mut(&mut self, path: &mut Path, f: &mut dyn FnMut(&Path, &mut T)) {
        f(path, self)
    }
}

macro_rules! tuple_params {
    ($($P:ident $i:tt),*) => {
        impl<L: Real, $($P: Params<Leaf = L>),*> Params for ($($P,)*) {
            type Leaf = L;
            type With<U: Real> = ($($P::With<U>,)*);
            fn map_named<U: Real>(&self, path: &mut Path, f: &mut dyn FnMut(&Path, &L) -> U) -> Self::With<U> {
                ($(path.descend(stringify!($i), |path| self.$i.map_named(path, f)),)*)
            }
            fn visit_mut(&mut self, path: &mut Path, f: &mut dyn FnMut(&Path, &mut L)) {
                $(path.descend(stringify!($i), |path| self.$i.visit_mut(path, f));)*
            }
        }
    };
}
tuple_params!(A 0);
tuple_params!(A 0, B 1);
tuple_params!(A 0, B 1, C 2);
tuple_params!(A 0, B 1, C 2, D 3);
tuple_params!(A 0, B 1, C 2, D 3, E 4);
tuple_params!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple_params!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple_params!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuple_params!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuple_params!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuple_params!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuple_params!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, M 11);

impl<P: Params> Params for Vec<P> {
    type Leaf = P::Leaf;
    type With<U: Real> = Vec<P::With<U>>;
    fn map_named<U: Real>(&self, path: &mut Path, f: &mut dyn FnMut(&Path, &P::Leaf) -> U) -> Self::With<U> {
        self.iter().enumerate().map(|(i, p)| path.descend(i, |path| p.map_named(path, f))).collect()
    }
    fn visit_mut(&mut self, path: &mut Path, f: &mut dyn FnMut(&Path, &mut P::Leaf)) {
        for (i, p) in self.iter_mut().enumerate() {
            path.descend(i, |path| p.visit_mut(path, f));
        }
    }
}

impl<P: Params, const N: usize> Params for [P; N] {
    type Leaf = P::Leaf;
    type With<U: Real> = [P::With<U>; N];
    fn map_named<U: Real>(&self, path: &mut Path, f: &mut dyn FnMut(&Path, &P::Leaf) -> U) -> Self::With<U> {
        std::array::from_fn(|i| path.descend(i, |path| self[i].map_named(path, f)))
    }
    fn visit_mut(&mut self, path: &mut Path, f: &mut dyn FnMut(&Path, &mut P::Leaf)) {
        for (i, p) in self.iter_mut().enumerate() {
            path.descend(i, |path| p.visit_mut(path, f));
        }
    }
}

impl<P: Params> Params for Option<P> {
    type Leaf = P::Leaf;
    type With<U: Real> = Option<P::With<U>>;
    fn map_named<U: Real>(&self, path: &mut Path, f: &mut dyn FnMut(&Path, &P::Leaf) -> U) -> Self::With<U> {
        self.as_ref().map(|p| p.map_named(path, f))
    }
    fn visit_mut(&mut self, path: &mut Path, f: &mut dyn FnMut(&Path, &mut P::Leaf)) {
        if let Some(p) = self {
            p.visit_mut(path, f);
        }
    }
}
