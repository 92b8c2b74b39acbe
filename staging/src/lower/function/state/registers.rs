//! What the code that is being emitted has in registers.

use std::collections::HashMap;

use inkwell::values::PointerValue;

use crate::ir::ids::{Cell, Cont, Func, Value};

/// Where a cell is.
#[derive(Clone, Copy)]
pub struct CellPlace<'c> {
    /// Address of what is accumulated.
    pub data: PointerValue<'c>,
    /// Address of the byte that says whether anything is.
    pub present: PointerValue<'c>,
}

/// Code and frame of a continuation.
pub type Closure<'c> = (PointerValue<'c>, PointerValue<'c>);

/// Addresses that one function of the module has in registers, and that no other can read: all are of the function to
/// which instructions are being added.
pub struct Registers<'c> {
    context: PointerValue<'c>,
    base: PointerValue<'c>,
    frames: HashMap<Func, PointerValue<'c>>,
    wanted: HashMap<Value, PointerValue<'c>>,
    cells: HashMap<Cell, CellPlace<'c>>,
    continuations: HashMap<Cont, Closure<'c>>,
    slots: HashMap<Value, PointerValue<'c>>,
}

impl<'c> Registers<'c> {
    /// Of a function that is given the context of the run and the start of its buffers.
    pub fn new(context: PointerValue<'c>, base: PointerValue<'c>) -> Registers<'c> {
        Registers {
            context,
            base,
            frames: HashMap::new(),
            wanted: HashMap::new(),
            cells: HashMap::new(),
            continuations: HashMap::new(),
            slots: HashMap::new(),
        }
    }

    /// The context of the run.
    pub fn context(&self) -> PointerValue<'c> {
        self.context
    }
    /// The start of the function's buffers.
    pub fn base(&self) -> PointerValue<'c> {
        self.base
    }

    /// The frame of the function, or of one around it.
    pub fn frame(&self, func: Func) -> Option<PointerValue<'c>> {
        self.frames.get(&func).copied()
    }
    pub fn set_frame(&mut self, func: Func, frame: PointerValue<'c>) {
        self.frames.insert(func, frame);
    }

    /// Where an array is to be written when it is computed.
    pub fn wanted(&self, v: Value) -> Option<PointerValue<'c>> {
        self.wanted.get(&v).copied()
    }
    pub fn set_wanted(&mut self, v: Value, to: PointerValue<'c>) {
        self.wanted.insert(v, to);
    }

    /// A cell that the function defines.
    pub fn cell(&self, cell: Cell) -> Option<CellPlace<'c>> {
        self.cells.get(&cell).copied()
    }
    pub fn set_cell(&mut self, cell: Cell, place: CellPlace<'c>) {
        self.cells.insert(cell, place);
    }

    /// A continuation that the function is given.
    pub fn continuation(&self, cont: Cont) -> Option<Closure<'c>> {
        self.continuations.get(&cont).copied()
    }
    pub fn set_slot(&mut self, v: Value, slot: PointerValue<'c>) {
        self.slots.insert(v, slot);
    }
    /// Where a value is kept that outlives a call of the function by itself, if that runs as a loop.
    pub fn slot(&self, v: Value) -> Option<PointerValue<'c>> {
        self.slots.get(&v).copied()
    }

    pub fn set_continuation(&mut self, cont: Cont, closure: Closure<'c>) {
        self.continuations.insert(cont, closure);
    }
}
