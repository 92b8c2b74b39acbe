//! What holds at a place in the code.

use std::collections::HashMap;

use inkwell::values::PointerValue;

use crate::ir::ids::{Cell, Value};

/// What holds at a place in the code. What an arm of a branch changes of it is not so in the
/// other: both begin with what holds before the branch, and after it holds what holds at the end of
/// [both](Facts::common).
#[derive(Clone, Default)]
pub struct Facts<'c> {
    /// Whether a cell holds anything, where that is known.
    filled: HashMap<Cell, bool>,
    /// Copies of images with the batch as the innermost axis.
    batch_innermost: HashMap<Value, PointerValue<'c>>,
}

impl<'c> Facts<'c> {
    /// Whether a cell holds anything, if that is known.
    pub fn is_filled(&self, cell: Cell) -> Option<bool> {
        self.filled.get(&cell).copied()
    }
    /// A cell holds something from here on, or nothing; whether that was known before.
    pub fn set_filled(&mut self, cell: Cell, filled: bool) -> bool {
        self.filled.insert(cell, filled) == Some(filled)
    }
    /// Whether these cells hold anything is not known any more.
    pub fn forget_filled(&mut self, is_forgotten: impl Fn(Cell) -> bool) {
        self.filled.retain(|&cell, _| !is_forgotten(cell));
    }

    /// The copy of an image with the batch innermost, if there is one.
    pub fn batch_innermost(&self, image: Value) -> Option<PointerValue<'c>> {
        self.batch_innermost.get(&image).copied()
    }
    /// There is such a copy from here on.
    pub fn set_batch_innermost(&mut self, image: Value, copy: PointerValue<'c>) {
        self.batch_innermost.insert(image, copy);
    }

    /// What holds of these in code of another function of the module, which cannot read registers of this one.
    pub fn elsewhere(&self) -> Facts<'c> {
        Facts { filled: self.filled.clone(), batch_innermost: HashMap::new() }
    }
    /// What holds after code of another function, at whose end something holds.
    pub fn after(&mut self, elsewhere: Facts<'c>) {
        self.filled = elsewhere.filled;
    }

    /// What holds after a branch at the ends of whose arms these hold.
    pub fn common(mut self, other: &Facts<'c>) -> Facts<'c> {
        self.filled.retain(|cell, filled| other.filled.get(cell) == Some(filled));
        self.batch_innermost.retain(|image, copy| other.batch_innermost.get(image) == Some(copy));
        self
    }
}
