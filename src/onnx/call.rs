//! [`Call`]: a node that is being evaluated, with its operands as the interpretation has them.

use super::evaluate::Settings;
use super::graph::{Attribute, Node};
use super::known::{Elements, Known, Outcome};
use crate::array::NdArray;
use crate::continuation::unwinding::OrRaise;
use crate::language::real::Int;
use crate::language::shape::{self, Shape};
use crate::language::tensor::{IntTensor, MaskTensor, Tensor};

/// A value of the network while it is evaluated.
#[derive(Clone)]
pub enum Operand<T: Tensor> {
    Real(T),
    Int(T::Int),
    Bool(T::Bool),
    Known(Known),
}

/// What the elements of a value are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Real,
    Int,
    Bool,
}

/// An array of integers over an interpretation.
#[track_caller]
pub fn ints<T: Tensor>(shape: &[usize], elements: &[i64]) -> T::Int {
    T::Int::from_elements(shape, elements).or_raise()
}

/// Truth values over an interpretation.
#[track_caller]
pub fn bools<T: Tensor>(shape: &[usize], elements: &[bool]) -> T::Bool {
    let elements: Vec<i64> = elements.iter().map(|&x| x.into()).collect();
    ints::<T>(shape, &elements).not_equal(&T::Int::constant(0))
}

/// Reals over an interpretation.
#[track_caller]
pub fn reals<T: Tensor>(shape: &[usize], elements: &[f64]) -> T {
    T::from_elements(shape, elements).or_raise()
}

impl<T: Tensor> Operand<T> {
    pub fn shape(&self) -> Shape {
        match self {
            Operand::Real(x) => x.shape(),
            Operand::Int(x) => x.shape(),
            Operand::Bool(x) => MaskTensor::shape(x),
            Operand::Known(x) => x.shape.clone(),
        }
    }
    pub fn ty(&self) -> Type {
        match self {
            Operand::Real(_) => Type::Real,
            Operand::Int(_) => Type::Int,
            Operand::Bool(_) => Type::Bool,
            Operand::Known(Known { elements: Elements::Reals(_), .. }) => Type::Real,
            Operand::Known(Known { elements: Elements::Ints(_), .. }) => Type::Int,
            Operand::Known(Known { elements: Elements::Bools(_), .. }) => Type::Bool,
        }
    }
    pub fn real(&self) -> Outcome<T> {
        match self {
            Operand::Real(x) => Ok(x.clone()),
            Operand::Known(Known { shape, elements: Elements::Reals(x) }) => Ok(reals(shape, x)),
            other => Err(format!("{:?} where reals are wanted", other.ty())),
        }
    }
    pub fn int(&self) -> Outcome<T::Int> {
        match self {
            Operand::Int(x) => Ok(x.clone()),
            Operand::Known(Known { shape, elements: Elements::Ints(x) }) => Ok(ints::<T>(shape, x)),
            other => Err(format!("{:?} where integers are wanted", other.ty())),
        }
    }
    pub fn mask(&self) -> Outcome<T::Bool> {
        match self {
            Operand::Bool(x) => Ok(x.clone()),
            Operand::Known(Known { shape, elements: Elements::Bools(x) }) => Ok(bools::<T>(shape, x)),
            other => Err(format!("{:?} where truth values are wanted", other.ty())),
        }
    }
    /// Any of the three as reals.
    pub fn as_real(&self) -> Outcome<T> {
        match self.ty() {
            Type::Real => self.real(),
            Type::Int => Ok(T::from_int(&self.int()?)),
            Type::Bool => Ok(T::from_mask(&self.mask()?)),
        }
    }
    /// Any of the three as integers; reals are rounded towards zero.
    pub fn as_int(&self) -> Outcome<T::Int> {
        match self.ty() {
            Type::Real => Ok(self.real()?.to_int()),
            Type::Int => self.int(),
            Type::Bool => Ok(T::Int::select(&self.mask()?, &T::Int::constant(1), &T::Int::constant(0))),
        }
    }
    /// Any of the three as truth values.
    pub fn as_mask(&self) -> Outcome<T::Bool> {
        match self.ty() {
            Type::Real => Ok(self.real()?.not_equal(&T::constant(0.0))),
            Type::Int => Ok(self.int()?.not_equal(&T::Int::constant(0))),
            Type::Bool => self.mask(),
        }
    }
    /// The same elements in another shape.
    pub fn reshape(&self, to: &[usize]) -> Operand<T> {
        match self {
            Operand::Real(x) => Operand::Real(x.reshape(to)),
            Operand::Int(x) => Operand::Int(x.reshape(to)),
            Operand::Bool(x) => Operand::Bool(MaskTensor::reshape(x, to)),
            Operand::Known(x) => {
                shape::reshape(&x.shape, to).or_raise();
                Operand::Known(Known { shape: Shape::from_slice(to), elements: x.elements.clone() })
            }
        }
    }
}

impl Operand<NdArray<f64>> {
    /// What was computed of known operands is known.
    pub fn known(self) -> Outcome<Known> {
        let shape = self.shape();
        let elements = match self {
            Operand::Known(known) => return Ok(known),
            Operand::Real(x) => Elements::Reals(x.view().iter().copied().collect()),
            Operand::Int(x) => Elements::Ints(x.view().iter().copied().collect()),
            Operand::Bool(x) => Elements::Bools(x.view().iter().copied().collect()),
        };
        Ok(Known { shape, elements })
    }
}

/// A node with its operands.
pub struct Call<'a, T: Tensor> {
    pub node: &'a Node,
    pub operands: Vec<Option<Operand<T>>>,
    pub settings: Settings<'a, T>,
}

impl<T: Tensor> Call<'_, T> {
    /// An operand, which has to be there.
    pub fn operand(&self, i: usize) -> Outcome<&Operand<T>> {
        self.optional(i).ok_or_else(|| format!("operand {i} is missing"))
    }
    /// An operand that may be left out.
    pub fn optional(&self, i: usize) -> Option<&Operand<T>> {
        self.operands.get(i).and_then(Option::as_ref)
    }
    /// An operand of reals.
    pub fn real(&self, i: usize) -> Outcome<T> {
        self.operand(i)?.real().map_err(|reason| format!("operand {i}: {reason}"))
    }
    /// An operand of reals that may be left out.
    pub fn optional_real(&self, i: usize) -> Outcome<Option<T>> {
        self.optional(i).map(|_| self.real(i)).transpose()
    }
    /// An operand of integers.
    pub fn int(&self, i: usize) -> Outcome<T::Int> {
        self.operand(i)?.int().map_err(|reason| format!("operand {i}: {reason}"))
    }
    /// An operand of truth values.
    pub fn mask(&self, i: usize) -> Outcome<T::Bool> {
        self.operand(i)?.mask().map_err(|reason| format!("operand {i}: {reason}"))
    }
    /// The elements of an operand of integers, which have to be known when the network is evaluated, or recorded.
    pub fn known_ints(&self, i: usize) -> Outcome<Vec<i64>> {
        match self.operand(i)? {
            Operand::Known(Known { elements: Elements::Ints(elements), .. }) => Ok(elements.to_vec()),
            Operand::Int(x) => x.elements().ok_or_else(|| {
                format!("operand {i} has to be known, and is computed of inputs of the network")
            }),
            other => Err(format!("operand {i}: {:?} where integers are wanted", other.ty())),
        }
    }
    /// The elements of an operand of reals, which have to be known.
    pub fn known_reals(&self, i: usize) -> Outcome<Vec<f64>> {
        match self.operand(i)? {
            Operand::Known(Known { elements: Elements::Reals(elements), .. }) => Ok(elements.to_vec()),
            Operand::Known(Known { elements: Elements::Ints(elements), .. }) => {
                Ok(elements.iter().map(|&x| x as f64).collect())
            }
            _ => Err(format!("operand {i} has to be known, and is computed of inputs or parameters")),
        }
    }
    /// The single element of an operand of reals, which has to be known.
    pub fn known_real(&self, i: usize) -> Outcome<f64> {
        match self.known_reals(i)?.as_slice() {
            &[x] => Ok(x),
            others => Err(format!("operand {i} has {} elements, and has to have one", others.len())),
        }
    }
    /// The single element of an operand of integers, which has to be known.
    pub fn known_int(&self, i: usize) -> Outcome<i64> {
        match self.known_ints(i)?.as_slice() {
            &[x] => Ok(x),
            others => Err(format!("operand {i} has {} elements, and has to have one", others.len())),
        }
    }

    fn wrong(&self, name: &str, wanted: &str) -> String {
        format!("attribute {name:?} is {:?}, and has to be {wanted}", self.node.attributes.get(name))
    }
    /// An attribute that is an integer.
    pub fn int_attribute(&self, name: &str, default: i64) -> Outcome<i64> {
        match self.node.attributes.get(name) {
            None => Ok(default),
            Some(Attribute::Int(x)) => Ok(*x),
            Some(_) => Err(self.wrong(name, "an integer")),
        }
    }
    /// An attribute that is yes or no.
    pub fn flag(&self, name: &str, default: bool) -> Outcome<bool> {
        Ok(self.int_attribute(name, default.into())? != 0)
    }
    /// An attribute that is a number.
    pub fn float_attribute(&self, name: &str, default: f64) -> Outcome<f64> {
        match self.node.attributes.get(name) {
            None => Ok(default),
            Some(Attribute::Float(x)) => Ok(*x),
            Some(_) => Err(self.wrong(name, "a number")),
        }
    }
    /// An attribute that is a text.
    pub fn text<'s>(&'s self, name: &str, default: &'s str) -> Outcome<&'s str> {
        match self.node.attributes.get(name) {
            None => Ok(default),
            Some(Attribute::String(x)) => Ok(x),
            Some(_) => Err(self.wrong(name, "a text")),
        }
    }
    /// An attribute that is a list of integers.
    pub fn ints_attribute(&self, name: &str) -> Outcome<Option<&[i64]>> {
        match self.node.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Ints(x)) => Ok(Some(x)),
            Some(_) => Err(self.wrong(name, "a list of integers")),
        }
    }
    /// Integers that are an attribute, in the versions before `operand`, and an operand since then.
    pub fn listed(&self, name: &str, i: usize) -> Outcome<Option<Vec<i64>>> {
        match self.ints_attribute(name)? {
            Some(elements) => Ok(Some(elements.to_vec())),
            None => self.optional(i).map(|_| self.known_ints(i)).transpose(),
        }
    }
    /// An attribute that a version of the operator does not have, or that may have one value only.
    pub fn demand(&self, name: &str, value: i64) -> Outcome<()> {
        match self.int_attribute(name, value)? {
            x if x == value => Ok(()),
            x => Err(format!("{name} = {x} is not supported")),
        }
    }

    /// A shape for a result, if the network may have values of that size.
    pub fn room(&self, lengths: &[usize]) -> Outcome<()> {
        let size = lengths.iter().try_fold(1usize, |size, &n| size.checked_mul(n.max(1)));
        match size {
            Some(size) if size <= self.settings.limit => Ok(()),
            _ => {
                let limit = self.settings.limit;
                Err(format!("a value of shape {lengths:?}, and the limit is {limit} elements"))
            }
        }
    }
    /// What is asked for as lengths, as a shape.
    pub fn lengths(&self, dims: &[i64]) -> Outcome<Shape> {
        let lengths = super::known::lengths(dims)?;
        self.room(&lengths)?;
        Ok(lengths)
    }
    /// The common shape of operands that broadcast.
    pub fn broadcast(&self, operands: &[Shape]) -> Outcome<Shape> {
        let mut whole = Shape::new();
        for lengths in operands {
            whole = shape::broadcast("broadcast", &whole, lengths)
                .map_err(|_| format!("the shapes {operands:?} do not broadcast"))?;
        }
        self.room(&whole)?;
        Ok(whole)
    }
}

/// An axis, which may be counted from the end, of so many.
pub fn axis(axis: i64, rank: usize) -> Outcome<usize> {
    let signed = rank as i64;
    match axis {
        _ if (-signed..signed).contains(&axis) => Ok(axis.rem_euclid(signed) as usize),
        _ => Err(format!("axis {axis} of {rank}")),
    }
}

/// Different axes, in ascending order.
pub fn axes(list: &[i64], rank: usize) -> Outcome<Vec<usize>> {
    let mut resolved = list.iter().map(|&one| axis(one, rank)).collect::<Outcome<Vec<_>>>()?;
    resolved.sort_unstable();
    match resolved.windows(2).any(|pair| pair[0] == pair[1]) {
        true => Err(format!("axes {list:?}, of which two are the same")),
        false => Ok(resolved),
    }
}

/// A number that is no length if it is negative.
pub fn count(value: i64) -> Outcome<usize> {
    usize::try_from(value).map_err(|_| format!("{value} where a number of elements is wanted"))
}
