//! [`Plain`]: the interpretations whose values a program takes and gives.

use antiphon_staging::{ConcreteTensor, Data, Dtype, Type};
use antiphon_staging::{Elements, ElementsMut};

use crate::continuation::unwinding::{catch, operator};
use crate::error::{At, Error, Result};
use crate::language::real::Real;
use crate::language::state::Leaf;
use crate::memory::collected;

/// An interpretation that holds plain numbers: `f32`, `f64`, and [`NdArray`](crate::NdArray) of one of them.
///
/// What a recorded model takes and gives are structures over one of these; its precision is that of the program.
pub trait Plain: Real<Int: Send, Bool: Send> + Send {
    /// What the reals of a program over it are.
    #[doc(hidden)]
    const DTYPE: Dtype;
    /// Type of a component.
    #[doc(hidden)]
    fn ty(leaf: &Leaf<Self>) -> Type;
    /// The same component with its elements in row-major order: itself, if they are.
    #[doc(hidden)]
    fn row_major(leaf: Leaf<Self>) -> Leaf<Self>;
    /// The elements of a component whose elements are in row-major order.
    #[doc(hidden)]
    fn elements(leaf: &Leaf<Self>) -> Elements<'_>;
    /// Zeros of a type, if this interpretation has values of its shape.
    #[doc(hidden)]
    fn zeros(ty: &Type) -> Option<Leaf<Self>>;
    /// The elements of zeros, to be written: of other zeros, if somebody else holds them.
    #[doc(hidden)]
    fn elements_mut(leaf: &mut Leaf<Self>) -> ElementsMut<'_>;
}

macro_rules! plain_scalar {
    ($($E:ident $Kind:ident;)*) => { $(
        impl Plain for $E {
            const DTYPE: Dtype = Dtype::$Kind;
            fn ty(leaf: &Leaf<$E>) -> Type {
                Type::scalar(match leaf {
                    Leaf::Real(_) => Dtype::$Kind,
                    Leaf::Int(_) => Dtype::I64,
                    Leaf::Bool(_) => Dtype::Bool,
                })
            }
            fn row_major(leaf: Leaf<$E>) -> Leaf<$E> {
                leaf
            }
            fn elements(leaf: &Leaf<$E>) -> Elements<'_> {
                match leaf {
                    Leaf::Real(x) => Elements::$Kind(std::slice::from_ref(x)),
                    Leaf::Int(i) => Elements::I64(std::slice::from_ref(i)),
                    Leaf::Bool(b) => Elements::Bool(std::slice::from_ref(b)),
                }
            }
            fn zeros(ty: &Type) -> Option<Leaf<$E>> {
                match ty.dtype {
                    _ if !ty.shape.is_empty() => None,
                    Dtype::I64 => Some(Leaf::Int(0)),
                    Dtype::Bool => Some(Leaf::Bool(false)),
                    _ => Some(Leaf::Real(0.0)),
                }
            }
            fn elements_mut(leaf: &mut Leaf<$E>) -> ElementsMut<'_> {
                match leaf {
                    Leaf::Real(x) => ElementsMut::$Kind(std::slice::from_mut(x)),
                    Leaf::Int(i) => ElementsMut::I64(std::slice::from_mut(i)),
                    Leaf::Bool(b) => ElementsMut::Bool(std::slice::from_mut(b)),
                }
            }
        }
    )* };
}
plain_scalar! { f32 F32; f64 F64; }

/// Zeros of a type, over an interpretation.
pub(crate) fn zeros<T: Plain>(ty: &Type, at: At) -> Result<Leaf<T>> {
    let zeros = catch(|| operator(at, || Ok::<_, Error>(T::zeros(ty))))?;
    zeros.ok_or_else(|| Error::Recording {
        reason: format!("the program gives an array, {ty}, where the example has plain numbers"),
        at,
    })
}

/// A component as the interpreter takes it.
#[track_caller]
pub(crate) fn to_tensor<T: Plain>(leaf: Leaf<T>) -> ConcreteTensor {
    let leaf = T::row_major(leaf);
    let data: Data = match T::elements(&leaf) {
        Elements::F32(xs) => collected(xs.iter().copied()).into(),
        Elements::F64(xs) => collected(xs.iter().copied()).into(),
        Elements::I64(xs) => collected(xs.iter().copied()).into(),
        Elements::Bool(xs) => collected(xs.iter().copied()).into(),
    };
    ConcreteTensor::new(&T::ty(&leaf).shape, data).expect("as many elements as the shape has")
}

/// A component as the interpreter gives it.
pub(crate) fn from_tensor<T: Plain>(tensor: &ConcreteTensor, at: At) -> Result<Leaf<T>> {
    let mut leaf = zeros(&tensor.ty(), at)?;
    match (T::elements_mut(&mut leaf), tensor.data()) {
        (ElementsMut::F32(to), Data::F32(from)) => to.copy_from_slice(from),
        (ElementsMut::F64(to), Data::F64(from)) => to.copy_from_slice(from),
        (ElementsMut::I64(to), Data::I64(from)) => to.copy_from_slice(from),
        (ElementsMut::Bool(to), Data::Bool(from)) => to.copy_from_slice(from),
        _ => {
            let reason = format!("the program is not one of {} numbers: it gives {}", T::DTYPE, tensor.ty());
            return Err(Error::Recording { reason, at });
        }
    }
    Ok(leaf)
}
