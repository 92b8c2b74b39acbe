//! Where parts of a function that is cut find what others computed: words of memory among the function's buffers.

use std::collections::HashMap;

use crate::ir::ids::{Cell, Cont, Value};
use crate::lower::function::state::plan::BufferPlan;

/// Bytes of the buffers from which words are taken.
const PAGE: u64 = 4096;
/// Bytes of a word.
pub const WORD: u64 = 8;

/// Where a function that is cut keeps what its parts have to find: bytes from the start of its buffers. A word belongs
/// to one value, cell or continuation at a time.
#[derive(Default)]
pub struct Words {
    values: HashMap<Value, u64>,
    /// Of cells that nobody captures, what is accumulated and whether anything is.
    cells: HashMap<Cell, [u64; 2]>,
    /// Of continuations that nobody captures, code and frame.
    continuations: HashMap<Cont, [u64; 2]>,
    /// The addresses at which arrays are wanted.
    wanted: HashMap<Value, u64>,
    /// Where values are that outlive a call of the function by itself and that nobody captures.
    slots: HashMap<Value, u64>,
    unused: Vec<u64>,
    /// How many statements of the function touch each of its cells.
    touches: HashMap<Cell, usize>,
}

impl Words {
    /// Of a function of which so many statements touch its cells.
    pub fn new(touches: HashMap<Cell, usize>) -> Words {
        Words { touches, ..Words::default() }
    }

    /// How many statements of the function touch a cell.
    pub fn touches(&self, cell: Cell) -> usize {
        self.touches.get(&cell).copied().unwrap_or(0)
    }

    fn new_word(&mut self, buffers: &mut BufferPlan) -> u64 {
        if let Some(at) = self.unused.pop() {
            return at;
        }
        let page = buffers.keep(PAGE);
        self.unused.extend((1..PAGE / WORD).rev().map(|i| page + i * WORD));
        page
    }

    /// The word of a value or of its address, if it has one.
    pub fn value(&self, v: Value) -> Option<u64> {
        self.values.get(&v).copied()
    }
    /// The word of a value, which has one from now on.
    pub fn add_value(&mut self, v: Value, buffers: &mut BufferPlan) -> u64 {
        let at = self.value(v).unwrap_or_else(|| self.new_word(buffers));
        self.values.insert(v, at);
        at
    }
    /// Nothing reads a value any more.
    pub fn remove_value(&mut self, v: Value) {
        self.unused.extend(self.values.remove(&v));
    }
    /// All values that have words.
    pub fn values(&self) -> impl Iterator<Item = Value> {
        self.values.keys().copied()
    }

    /// Where what a cell accumulates is, and whether anything is.
    pub fn cell(&self, cell: Cell) -> Option<[u64; 2]> {
        self.cells.get(&cell).copied()
    }
    /// The same of a cell that is there from now on. Where an array is accumulated is given.
    pub fn add_cell(&mut self, cell: Cell, data: Option<u64>, buffers: &mut BufferPlan) -> [u64; 2] {
        let places = [data.unwrap_or_else(|| self.new_word(buffers)), self.new_word(buffers)];
        self.cells.insert(cell, places);
        places
    }

    /// The words of a continuation's code and frame.
    pub fn continuation(&self, cont: Cont) -> Option<[u64; 2]> {
        self.continuations.get(&cont).copied()
    }
    pub fn add_continuation(&mut self, cont: Cont, buffers: &mut BufferPlan) -> [u64; 2] {
        let places = [self.new_word(buffers), self.new_word(buffers)];
        self.continuations.insert(cont, places);
        places
    }

    /// The word of the address at which an array is wanted.
    pub fn wanted(&self, v: Value) -> Option<u64> {
        self.wanted.get(&v).copied()
    }
    pub fn add_wanted(&mut self, v: Value, buffers: &mut BufferPlan) -> u64 {
        let at = self.new_word(buffers);
        self.wanted.insert(v, at);
        at
    }

    /// The word of a number that outlives a call of the function by itself.
    pub fn slot(&self, v: Value) -> Option<u64> {
        self.slots.get(&v).copied()
    }
    pub fn add_slot(&mut self, v: Value, buffers: &mut BufferPlan) -> u64 {
        let at = self.new_word(buffers);
        self.slots.insert(v, at);
        at
    }
}
