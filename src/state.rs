//! [`State`]: what can flow through [`Control`](crate::Control): reals, integers, truth values and structures of them.

use crate::real::Real;

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

/// A value that can enter and leave a branch, a loop or a recursive function of the calculus.
///
/// Implemented for an interpretation `T`, its integers and truth values, tuples, arrays, `Vec` and `Option` of
/// these, and structs with `#[derive(Params)]`.
pub trait State<T: Real>: Clone {
    /// Appends the components in order.
    fn flatten(&self, leaves: &mut Vec<Leaf<T>>);
    /// A value of this one's structure from components in the order of [`flatten`](State::flatten).
    ///
    /// # Panics
    /// If `leaves` does not yield components of this structure.
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Leaf<T>>) -> Self;
}

const ALIKE: &str = "components in the order in which this structure was flattened";

impl<T: Real> State<T> for T {
    fn flatten(&self, leaves: &mut Vec<Leaf<T>>) {
        leaves.push(Leaf::Real(self.clone()));
    }
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Leaf<T>>) -> T {
        match leaves.next() {
            Some(Leaf::Real(x)) => x,
            _ => panic!("{ALIKE}"),
        }
    }
}

/// An integer of the interpretation as a [`State`], in code that is generic over the interpretation.
pub struct Index<T: Real>(pub T::Int);

/// A truth value of the interpretation as a [`State`], in code that is generic over the interpretation.
pub struct Flag<T: Real>(pub T::Bool);

macro_rules! wrapper_state {
    ($($Wrapper:ident $Kind:ident;)*) => { $(
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
                match leaves.next() {
                    Some(Leaf::$Kind(value)) => $Wrapper(value),
                    _ => panic!("{ALIKE}"),
                }
            }
        }
    )* };
}
wrapper_state! { Index Int; Flag Bool; }

/// Makes an integer and a truth-value type components of every interpretation that uses them.
macro_rules! index_state {
    ($($int:ty, $bool:ty;)*) => { $(
        impl<T: $crate::real::Real<Int = $int>> $crate::state::State<T> for $int {
            fn flatten(&self, leaves: &mut Vec<$crate::state::Leaf<T>>) {
                leaves.push($crate::state::Leaf::Int(self.clone()));
            }
            fn rebuild(&self, leaves: &mut dyn Iterator<Item = $crate::state::Leaf<T>>) -> Self {
                match leaves.next() {
                    Some($crate::state::Leaf::Int(i)) => i,
                    _ => panic!("components in the order in which this structure was flattened"),
                }
            }
        }
        impl<T: $crate::real::Real<Bool = $bool>> $crate::state::State<T> for $bool {
            fn flatten(&self, leaves: &mut Vec<$crate::state::Leaf<T>>) {
                leaves.push($crate::state::Leaf::Bool(self.clone()));
            }
            fn rebuild(&self, leaves: &mut dyn Iterator<Item = $crate::state::Leaf<T>>) -> Self {
                match leaves.next() {
                    Some($crate::state::Leaf::Bool(b)) => b,
                    _ => panic!("components in the order in which this structure was flattened"),
                }
            }
        }
    )* };
}
pub(crate) use index_state;

index_state! { i64, bool; }

macro_rules! tuple_state {
    ($($S:ident $i:tt),*) => {
        impl<T: Real, $($S: State<T>),*> State<T> for ($($S,)*) {
            #[allow(unused_variables)] // the empty tuple
            fn flatten(&self, leaves: &mut Vec<Leaf<T>>) {
                $(self.$i.flatten(leaves);)*
            }
            #[allow(unused_variables, clippy::unused_unit)] // the empty tuple
            fn rebuild(&self, leaves: &mut dyn Iterator<Item = Leaf<T>>) -> Self {
                ($(self.$i.rebuild(leaves),)*)
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

impl<T: Real, S: State<T>, const N: usize> State<T> for [S; N] {
    fn flatten(&self, leaves: &mut Vec<Leaf<T>>) {
        self.iter().for_each(|s| s.flatten(leaves));
    }
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Leaf<T>>) -> Self {
        std::array::from_fn(|i| self[i].rebuild(leaves))
    }
}

impl<T: Real, S: State<T>> State<T> for Vec<S> {
    fn flatten(&self, leaves: &mut Vec<Leaf<T>>) {
        self.iter().for_each(|s| s.flatten(leaves));
    }
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Leaf<T>>) -> Self {
        self.iter().map(|s| s.rebuild(leaves)).collect()
    }
}

impl<T: Real, S: State<T>> State<T> for Option<S> {
    fn flatten(&self, leaves: &mut Vec<Leaf<T>>) {
        self.iter().for_each(|s| s.flatten(leaves));
    }
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Leaf<T>>) -> Self {
        self.as_ref().map(|s| s.rebuild(leaves))
    }
}
