//! [`Buffers`]: arrays that outlive a run.

use crate::ir::error::Result;
use crate::ir::tensor::look_for_memory;
use crate::ir::tensor::{Elements, ElementsMut};
use crate::ir::types::{Dtype, Type};
use std::fmt;

/// A cache line, and the widest vector.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Arrays side by side, each from a multiple of 64 bytes on; zeros at first.
pub struct Buffers {
    memory: Vec<Line>,
    /// Each array's type and the line that it begins at.
    arrays: Vec<(Type, usize)>,
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffers").field("arrays", &self.arrays.len()).finish_non_exhaustive()
    }
}

/// The elements from an address on, as a view of their kind.
macro_rules! view {
    ($View:ident, $from_raw:path, $dtype:expr, $address:expr, $len:expr) => {
        // SAFETY: the caller says why so many elements are there; every bit pattern is a number, and truth values are
        // written as such only.
        unsafe {
            match $dtype {
                Dtype::F32 => $View::F32($from_raw($address.cast(), $len)),
                Dtype::F64 => $View::F64($from_raw($address.cast(), $len)),
                Dtype::I64 => $View::I64($from_raw($address.cast(), $len)),
                Dtype::Bool => $View::Bool($from_raw($address.cast(), $len)),
            }
        }
    };
}

fn lines(ty: &Type) -> usize {
    let element = match ty.dtype {
        Dtype::F32 => 4,
        Dtype::F64 | Dtype::I64 => 8,
        Dtype::Bool => 1,
    };
    ty.size().saturating_mul(element).div_ceil(size_of::<Line>())
}

impl Buffers {
    /// Zeros of these types.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) if they are larger than the system grants.
    pub fn zeros(types: impl IntoIterator<Item = Type>) -> Result<Buffers> {
        let mut total = 0usize;
        let place = |ty: Type| {
            let start = total;
            total = total.saturating_add(lines(&ty));
            (ty, start)
        };
        let arrays = types.into_iter().map(place).collect();
        look_for_memory(total.saturating_mul(size_of::<Line>() / size_of::<f64>()))?;
        Ok(Buffers { memory: vec![Line([0; 64]); total], arrays })
    }
    /// How many arrays there are.
    pub fn len(&self) -> usize {
        self.arrays.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.arrays.is_empty()
    }
    /// Types of the arrays.
    pub fn types(&self) -> impl Iterator<Item = &Type> {
        self.arrays.iter().map(|(ty, _)| ty)
    }
    /// The elements of each array.
    pub fn elements(&self) -> impl Iterator<Item = Elements<'_>> {
        let memory = self.memory.as_ptr().cast::<u8>();
        self.arrays.iter().map(move |(ty, start)| {
            let address = memory.wrapping_add(start * size_of::<Line>());
            // The array lies in `memory`, which is borrowed, from there on.
            view!(Elements, std::slice::from_raw_parts, ty.dtype, address, ty.size())
        })
    }
    /// The elements of each array, to be written.
    pub fn elements_mut(&mut self) -> impl Iterator<Item = ElementsMut<'_>> {
        let memory = self.memory.as_mut_ptr().cast::<u8>();
        self.arrays.iter().map(move |(ty, start)| {
            let address = memory.wrapping_add(start * size_of::<Line>());
            // The array lies in `memory`, which is borrowed exclusively, from there on, and overlaps no other.
            view!(ElementsMut, std::slice::from_raw_parts_mut, ty.dtype, address, ty.size())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_aligned_and_do_not_overlap() {
        let types = [
            Type::new(Dtype::F32, &[17]),
            Type::scalar(Dtype::Bool),
            Type::new(Dtype::F64, &[0, 3]),
            Type::new(Dtype::I64, &[9]),
        ];
        let mut buffers = Buffers::zeros(types.clone()).unwrap();
        assert!(buffers.types().eq(&types));
        for (i, array) in buffers.elements_mut().enumerate() {
            match array {
                ElementsMut::F32(xs) => xs.fill(i as f32),
                ElementsMut::F64(xs) => xs.fill(i as f64),
                ElementsMut::I64(xs) => xs.fill(i as i64),
                ElementsMut::Bool(xs) => xs.fill(true),
            }
        }
        let found: Vec<_> = buffers.elements().collect();
        let [Elements::F32(a), Elements::Bool(b), Elements::F64(c), Elements::I64(d)] = found[..] else {
            panic!("{found:?}");
        };
        assert_eq!((a, b, c, d), (&[0.0; 17][..], &[true][..], &[][..], &[3; 9][..]));
        assert!([a.as_ptr().addr(), b.as_ptr().addr(), d.as_ptr().addr()].iter().all(|at| at % 64 == 0));
    }
}
