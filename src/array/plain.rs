//! Arrays as inputs and outputs of recorded programs.

use antiphon_staging::{Dtype, Elements, ElementsMut, Type};
use bytemuck::Zeroable;

use super::buffer::{Storage, contiguous, exclusive, from_vec};
use super::{NdArray, NdBool, NdInt};
use crate::language::state::Leaf;
use crate::memory::{self, repeated};
use crate::recording::Plain;

fn slice<T>(storage: &Storage<T>) -> &[T] {
    storage.as_slice().expect("the elements are in row-major order")
}

#[track_caller]
fn zeros<T: Copy + Zeroable>(ty: &Type) -> Storage<T> {
    from_vec(&ty.shape, memory::zeros(ty.size()))
}

#[track_caller]
fn owned_slice<T: Copy>(storage: &mut Storage<T>, value: T) -> &mut [T] {
    if exclusive(storage).is_none() {
        *storage = from_vec(storage.shape(), repeated(storage.len(), value));
    }
    exclusive(storage).expect("new arrays are nobody else's")
}

macro_rules! plain_array {
    ($($E:ident $Kind:ident;)*) => { $(
        impl Plain for NdArray<$E> {
            const DTYPE: Dtype = Dtype::$Kind;
            fn ty(leaf: &Leaf<Self>) -> Type {
                match leaf {
                    Leaf::Real(x) => Type::new(Dtype::$Kind, x.0.shape()),
                    Leaf::Int(i) => Type::new(Dtype::I64, i.0.shape()),
                    Leaf::Bool(b) => Type::new(Dtype::Bool, b.0.shape()),
                }
            }
            fn row_major(leaf: Leaf<Self>) -> Leaf<Self> {
                match leaf {
                    Leaf::Real(x) => Leaf::Real(NdArray(contiguous(&x.0))),
                    Leaf::Int(i) => Leaf::Int(NdInt(contiguous(&i.0))),
                    Leaf::Bool(b) => Leaf::Bool(NdBool(contiguous(&b.0))),
                }
            }
            fn elements(leaf: &Leaf<Self>) -> Elements<'_> {
                match leaf {
                    Leaf::Real(x) => Elements::$Kind(slice(&x.0)),
                    Leaf::Int(i) => Elements::I64(slice(&i.0)),
                    Leaf::Bool(b) => Elements::Bool(slice(&b.0)),
                }
            }
            fn zeros(ty: &Type) -> Option<Leaf<Self>> {
                Some(match ty.dtype {
                    Dtype::I64 => Leaf::Int(NdInt(zeros(ty))),
                    Dtype::Bool => Leaf::Bool(NdBool(zeros(ty))),
                    Dtype::F32 | Dtype::F64 => Leaf::Real(NdArray(zeros(ty))),
                })
            }
            fn elements_mut(leaf: &mut Leaf<Self>) -> ElementsMut<'_> {
                match leaf {
                    Leaf::Real(x) => ElementsMut::$Kind(owned_slice(&mut x.0, 0.0)),
                    Leaf::Int(i) => ElementsMut::I64(owned_slice(&mut i.0, 0)),
                    Leaf::Bool(b) => ElementsMut::Bool(owned_slice(&mut b.0, false)),
                }
            }
        }
    )* };
}
plain_array! { f32 F32; f64 F64; }
