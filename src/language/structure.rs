//! [`Structure`]: what a recorded model takes and gives.

use crate::language::params::{Params, Path};
use crate::language::real::Real;
use crate::language::state::{Flag, Index, Leaf, State};

/// From a component's name and the component to the one that takes its place.
pub type MapComponent<'f, T, U> = &'f mut dyn FnMut(&Path, Leaf<T>) -> Leaf<U>;

/// A structure of reals, integers and truth values over an interpretation `T`, which exists over every other one:
/// `(Rnn<NdArray<f32>>, NdInt)` becomes `(Rnn<Recorded>, RecordedInt)` when a model of it is recorded.
///
/// Implemented for interpretations, their integers and truth values, tuples, arrays, `Vec`, `Option` and maps by name
/// of these, and structs and enums with `#[derive(Params)]` or, where not everything is real, `#[derive(Structure)]`.
/// Components have the order and the names of [`Params`].
pub trait Structure<T: Real>: State<T> {
    /// The same structure over another interpretation.
    type With<U: Real>;

    /// The structure of `f(name, component)`, which is of the component's kind.
    ///
    /// # Panics
    /// If `f` gives another kind.
    fn map_components<U: Real>(&self, path: &mut Path, f: MapComponent<'_, T, U>) -> Self::With<U>;
}

impl<T: Real> Structure<T> for T {
    type With<U: Real> = U;
    fn map_components<U: Real>(&self, path: &mut Path, f: MapComponent<'_, T, U>) -> U {
        f(path, Leaf::Real(self.clone())).real()
    }
}

impl<T: Real> Structure<T> for Index<T> {
    type With<U: Real> = Index<U>;
    fn map_components<U: Real>(&self, path: &mut Path, f: MapComponent<'_, T, U>) -> Index<U> {
        Index(f(path, Leaf::Int(self.0.clone())).int())
    }
}

impl<T: Real> Structure<T> for Flag<T> {
    type With<U: Real> = Flag<U>;
    fn map_components<U: Real>(&self, path: &mut Path, f: MapComponent<'_, T, U>) -> Flag<U> {
        Flag(f(path, Leaf::Bool(self.0.clone())).bool())
    }
}

/// A structure of parameters is one of reals: what the derive and implementations by hand need.
#[doc(hidden)]
pub fn map_params<P: Params, U: Real>(
    params: &P,
    path: &mut Path,
    f: MapComponent<'_, P::Leaf, U>,
) -> P::With<U> {
    params.map_named(path, &mut |path, leaf| f(path, Leaf::Real(leaf.clone())).real())
}

macro_rules! tuple_structure {
    ($($S:ident $i:tt),*) => {
        impl<T: Real, $($S: Structure<T>),*> Structure<T> for ($($S,)*) {
            type With<U: Real> = ($($S::With<U>,)*);
            #[allow(unused_variables, clippy::unused_unit, reason = "the empty tuple")]
            fn map_components<U: Real>(
                &self,
                path: &mut Path,
                f: MapComponent<'_, T, U>,
            ) -> Self::With<U> {
                ($(path.descend(stringify!($i), |path| self.$i.map_components(path, f)),)*)
            }
        }
    };
}
tuple_structure!();
tuple_structure!(A 0);
tuple_structure!(A 0, B 1);
tuple_structure!(A 0, B 1, C 2);
tuple_structure!(A 0, B 1, C 2, D 3);
tuple_structure!(A 0, B 1, C 2, D 3, E 4);
tuple_structure!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple_structure!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple_structure!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuple_structure!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuple_structure!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuple_structure!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuple_structure!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, M 11);

impl<T: Real, S: Structure<T>, const N: usize> Structure<T> for [S; N] {
    type With<U: Real> = [S::With<U>; N];
    fn map_components<U: Real>(&self, path: &mut Path, f: MapComponent<'_, T, U>) -> Self::With<U> {
        std::array::from_fn(|i| path.descend(i, |path| self[i].map_components(path, f)))
    }
}

impl<T: Real, S: Structure<T>> Structure<T> for Vec<S> {
    type With<U: Real> = Vec<S::With<U>>;
    fn map_components<U: Real>(&self, path: &mut Path, f: MapComponent<'_, T, U>) -> Self::With<U> {
        self.iter().enumerate().map(|(i, s)| path.descend(i, |path| s.map_components(path, f))).collect()
    }
}

impl<T: Real, S: Structure<T>> Structure<T> for Option<S> {
    type With<U: Real> = Option<S::With<U>>;
    fn map_components<U: Real>(&self, path: &mut Path, f: MapComponent<'_, T, U>) -> Self::With<U> {
        self.as_ref().map(|s| s.map_components(path, f))
    }
}
