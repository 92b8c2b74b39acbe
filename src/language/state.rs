//! [`State`]: what can flow through [`Control`](crate::Control): reals, integers, truth values and structures of them.

use std::fmt;

use crate::language::real::{Int, Mask, Real};

/// One component of a [`State`].
#[derive(Clone)]
pub enum Leaf<T: Real> {
    /// A real value.
    Real(T),
    /// An integer.
    Int(T::Int),
    /// A truth value.
    Bool(T::Bool),
}

impl<T: Real> fmt::Debug for Leaf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Leaf::Real(_) => "Real(..)",
            Leaf::Int(_) => "Int(..)",
            Leaf::Bool(_) => "Bool(..)",
        })
    }
}

const ALIKE: &str = "components in the order in which this structure was flattened";

macro_rules! leaf_kinds {
    ($($name:ident $Kind:ident $Value:ty;)*) => { $(
        /// The component, which has to be of this kind.
        #[doc(hidden)]
        pub fn $name(self) -> $Value {
            match self {
                Leaf::$Kind(value) => value,
                _ => panic!("{ALIKE}"),
            }
        }
    )* };
}

impl<T: Real> Leaf<T> {
    leaf_kinds! { real Real T; int Int T::Int; bool Bool T::Bool; }

    /// The same component of another interpretation, which has the same integers and truth values.
    #[doc(hidden)]
    pub fn map_real<U: Real<Int = T::Int, Bool = T::Bool>>(self, real: impl FnOnce(T) -> U) -> Leaf<U> {
        match self {
            Leaf::Real(x) => Leaf::Real(real(x)),
            Leaf::Int(i) => Leaf::Int(i),
            Leaf::Bool(b) => Leaf::Bool(b),
        }
    }

    /// The next of several components.
    #[doc(hidden)]
    pub fn next(leaves: &mut dyn Iterator<Item = Leaf<T>>) -> Leaf<T> {
        leaves.next().expect(ALIKE)
    }
}

/// A value that can enter and leave a branch, a loop or a recursive function of the calculus.
///
/// Implemented for an interpretation `T`, its integers and truth values, tuples, arrays, `Vec`, `Option` and maps by
/// name of these, and structs and enums with `#[derive(Params)]`.
pub trait State<T: Real>: Clone {
    /// Appends the components in order.
    fn flatten(&self, leaves: &mut Vec<Leaf<T>>);
    /// A value of this one's structure from components in the order of [`flatten`](State::flatten).
    ///
    /// # Panics
    /// If `leaves` does not yield components of this structure.
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Leaf<T>>) -> Self;
    /// Appends what may differ between values of this type, their components aside: the lengths of lists, the keys of
    /// maps, whether options have something, and which variant of an enum it is.
    fn outline(&self, _lengths: &mut Vec<usize>) {}
}

/// A [`State`] whose values share nothing that could be written: so that what is computed again of one, after the
/// frames around it have gone, cannot leave a variable of theirs in another. It is for the derives of this crate,
/// which implement it for what is made of such values, and for the types of this crate.
///
/// # Safety
/// Neither `flatten` nor `rebuild` leaves a component anywhere but in what it gives.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot go into a checkpoint",
    label = "is neither an interpretation's value, nor a tuple, list or derived structure of such",
    note = "a type with a `State` of its own, or a closure, may share what can be written; derive `Params` or \
            `Structure`"
)]
pub unsafe trait Confined<T: Real>: State<T> {}

// SAFETY: components are moved or cloned, and kept nowhere.
unsafe impl<T: Real> Confined<T> for T {}

impl<T: Real> State<T> for T {
    fn flatten(&self, leaves: &mut Vec<Leaf<T>>) {
        leaves.push(Leaf::Real(self.clone()));
    }
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Leaf<T>>) -> T {
        Leaf::next(leaves).real()
    }
}

/// An integer of the interpretation as a [`State`], in code that is generic over the interpretation.
pub struct Index<T: Real>(pub T::Int);

impl<T: Real> fmt::Debug for Index<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").finish_non_exhaustive()
    }
}

/// A truth value of the interpretation as a [`State`], in code that is generic over the interpretation.
pub struct Flag<T: Real>(pub T::Bool);

impl<T: Real> fmt::Debug for Flag<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flag").finish_non_exhaustive()
    }
}

macro_rules! wrapper_state {
    ($($Wrapper:ident $Kind:ident $value:ident;)*) => { $(
        impl<T: Real> Clone for $Wrapper<T> {
            fn clone(&self) -> Self {
                $Wrapper(self.0.clone())
            }
        }
        impl<T: Real> State<T> for $Wrapper<T> {
            fn flatten(&self, leaves: &mut Vec<Leaf<T>>) {
                leaves.push(Leaf::$Kind(self.0.clone()));
            }
            fn rebuild(&self, leaves: &mut dyn Iterator<Item = Leaf<T>>) -> Self {
                $Wrapper(Leaf::next(leaves).$value())
            }
        }
    )* };
}
wrapper_state! { Index Int int; Flag Bool bool; }

// SAFETY: components are moved or cloned, and kept nowhere.
unsafe impl<T: Real> Confined<T> for Index<T> {}
// SAFETY: components are moved or cloned, and kept nowhere.
unsafe impl<T: Real> Confined<T> for Flag<T> {}

/// Makes an integer and a truth-value type components of every interpretation that uses them.
macro_rules! index_state {
    ($($int:ty, $bool:ty;)*) => { $(
        $crate::language::state::index_state! { $int, Int, int, Int; }
        $crate::language::state::index_state! { $bool, Bool, bool, Bool; }
    )* };
    ($($value:ty, $Kind:ident, $kind:ident, $Associated:ident;)*) => { $(
        impl<T: $crate::language::real::Real<$Associated = $value>> $crate::language::state::State<T> for $value {
            fn flatten(&self, leaves: &mut Vec<$crate::language::state::Leaf<T>>) {
                leaves.push($crate::language::state::Leaf::$Kind(self.clone()));
            }
            fn rebuild(&self, leaves: &mut dyn Iterator<Item = $crate::language::state::Leaf<T>>) -> Self {
                $crate::language::state::Leaf::next(leaves).$kind()
            }
        }
        // SAFETY: components are moved or cloned, and kept nowhere.
        unsafe impl<T: $crate::language::real::Real<$Associated = $value>> $crate::language::state::Confined<T>
            for $value
        {
        }
        impl<T: $crate::language::real::Real<$Associated = $value>> $crate::language::structure::Structure<T>
            for $value
        {
            type With<U: $crate::language::real::Real> = U::$Associated;
            fn map_components<U: $crate::language::real::Real>(
                &self,
                path: &mut $crate::language::params::Path,
                f: &mut dyn FnMut(
                    &$crate::language::params::Path,
                    $crate::language::state::Leaf<T>,
                ) -> $crate::language::state::Leaf<U>,
            ) -> U::$Associated {
                f(path, $crate::language::state::Leaf::$Kind(self.clone())).$kind()
            }
        }
    )* };
}
pub(crate) use index_state;

index_state! { i64, bool; }

macro_rules! tuple_state {
    ($($S:ident $i:tt),*) => {
        // SAFETY: components are moved or cloned, and kept nowhere.
        unsafe impl<T: Real, $($S: Confined<T>),*> Confined<T> for ($($S,)*) {}
        impl<T: Real, $($S: State<T>),*> State<T> for ($($S,)*) {
            #[allow(unused_variables, reason = "the empty tuple")]
            fn flatten(&self, leaves: &mut Vec<Leaf<T>>) {
                $(self.$i.flatten(leaves);)*
            }
            #[allow(unused_variables, clippy::unused_unit, reason = "the empty tuple")]
            fn rebuild(&self, leaves: &mut dyn Iterator<Item = Leaf<T>>) -> Self {
                ($(self.$i.rebuild(leaves),)*)
            }
            #[allow(unused_variables, reason = "the empty tuple")]
            fn outline(&self, lengths: &mut Vec<usize>) {
                $(self.$i.outline(lengths);)*
            }
        }
    };
}
tuple_state!();
tuple_state!(A 0);
tuple_state!(A 0, B 1);
tuple_state!(A 0, B 1, C 2);
tuple_state!(A 0, B 1, C 2, D 3);
tuple_state!(A 0, B 1, C 2, D 3, E 4);
tuple_state!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple_state!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple_state!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuple_state!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuple_state!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuple_state!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuple_state!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, M 11);

// SAFETY: components are moved or cloned, and kept nowhere.
unsafe impl<T: Real, S: Confined<T>, const N: usize> Confined<T> for [S; N] {}
// SAFETY: components are moved or cloned, and kept nowhere.
unsafe impl<T: Real, S: Confined<T>> Confined<T> for Vec<S> {}
// SAFETY: components are moved or cloned, and kept nowhere.
unsafe impl<T: Real, S: Confined<T>> Confined<T> for Option<S> {}

impl<T: Real, S: State<T>, const N: usize> State<T> for [S; N] {
    fn flatten(&self, leaves: &mut Vec<Leaf<T>>) {
        self.iter().for_each(|s| s.flatten(leaves));
    }
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Leaf<T>>) -> Self {
        std::array::from_fn(|i| self[i].rebuild(leaves))
    }
    fn outline(&self, lengths: &mut Vec<usize>) {
        self.iter().for_each(|s| s.outline(lengths));
    }
}

impl<T: Real, S: State<T>> State<T> for Vec<S> {
    fn flatten(&self, leaves: &mut Vec<Leaf<T>>) {
        self.iter().for_each(|s| s.flatten(leaves));
    }
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Leaf<T>>) -> Self {
        self.iter().map(|s| s.rebuild(leaves)).collect()
    }
    fn outline(&self, lengths: &mut Vec<usize>) {
        lengths.push(self.len());
        self.iter().for_each(|s| s.outline(lengths));
    }
}

impl<T: Real, S: State<T>> State<T> for Option<S> {
    fn flatten(&self, leaves: &mut Vec<Leaf<T>>) {
        self.iter().for_each(|s| s.flatten(leaves));
    }
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Leaf<T>>) -> Self {
        self.as_ref().map(|s| s.rebuild(leaves))
    }
    fn outline(&self, lengths: &mut Vec<usize>) {
        lengths.push(self.iter().len());
        self.iter().for_each(|s| s.outline(lengths));
    }
}

/// The components of one state where a mask, which broadcasts to each, holds, and of another of its kind elsewhere.
#[track_caller]
pub(crate) fn chosen<T: Real, S: State<T>>(mask: &T::Bool, then: &S, otherwise: &S) -> S {
    let (mut new, mut old) = (Vec::new(), Vec::new());
    then.flatten(&mut new);
    otherwise.flatten(&mut old);
    let mut chosen = Vec::with_capacity(new.len());
    // Not in a closure: it would not know its caller.
    for pair in new.into_iter().zip(old) {
        chosen.push(match pair {
            (Leaf::Real(new), Leaf::Real(old)) => Leaf::Real(T::select(mask, &new, &old)),
            (Leaf::Int(new), Leaf::Int(old)) => Leaf::Int(T::Int::select(mask, &new, &old)),
            (Leaf::Bool(new), Leaf::Bool(old)) => Leaf::Bool(mask.and(&new).or(&mask.not().and(&old))),
            _ => unreachable!("two states of one kind"),
        });
    }
    then.rebuild(&mut chosen.into_iter())
}
