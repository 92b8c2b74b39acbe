//! What a recursive function needs in its last round only.
//!
//! Of the arms of a branch of which one calls the function again, the others end the recursion. Their arrays and cells
//! are needed once, and not in each round: the next frame begins behind what is alive at the call, and cells of these
//! arms lie behind all buffers. For a loop that is differentiated such an arm is all that comes after the loop,
//! backward half included; so its frames are of the size of what a round keeps.

use std::collections::HashSet;

use inkwell::values::PointerValue;

use crate::ir::ids::{Block, Cell, Func};
use crate::ir::{Program, Stmt, Target};
use crate::lower::abi::offset;
use crate::lower::asm::Reg;
use crate::lower::function::Body;
use crate::lower::function::state::plan::ALIGNMENT;

/// Places from here on are behind all buffers, by how much they are above it.
pub const BEHIND: u64 = 1 << 62;

/// Cells of a function that are behind all buffers.
#[derive(Default)]
pub struct Last {
    cells: HashSet<Cell>,
    bytes: u64,
}

impl Last {
    /// Those of a function's arms that end its recursion.
    pub fn of(program: &Program, func: Func) -> Last {
        let mut last = Last::default();
        last.look(program, func, program.funcs[func].body, false);
        last
    }

    /// Looks for cells of a block, which are all `behind` if its arm is, and says whether the function is called there.
    fn look(&mut self, program: &Program, func: Func, block: Block, behind: bool) -> bool {
        let mut calls = false;
        for stmt in &program.blocks[block].stmts {
            match stmt {
                Stmt::Call { target, .. } => calls |= *target == Target::Func(func),
                Stmt::Cell(cell) if behind => {
                    self.cells.insert(*cell);
                }
                Stmt::If { then, otherwise, .. } => {
                    let [a, b] = [*then, *otherwise].map(|arm| self.look(program, func, arm, behind));
                    if a != b {
                        self.look(program, func, if a { *otherwise } else { *then }, true);
                    }
                    calls |= a | b;
                }
                _ => {}
            }
        }
        calls
    }

    /// The place of a cell of so many bytes, if it is behind all buffers.
    pub fn place(&mut self, cell: Cell, bytes: u64) -> Option<u64> {
        self.cells.contains(&cell).then(|| {
            let at = self.bytes;
            self.bytes += bytes.max(1).next_multiple_of(ALIGNMENT);
            BEHIND + at
        })
    }

    /// Bytes that they take together.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl<'c> Body<'_, '_, 'c> {
    /// Whether the function has frames in the arena that arrays may be in.
    pub fn has_frames(&self) -> bool {
        let facts = &self.lower.analysis.funcs[self.func];
        facts.recursive && !facts.only_scalars
    }

    /// Lets the next frame begin behind what is alive in this one, before the function calls itself. Gives where the
    /// next frame's begin is kept, and what is to be there again afterwards.
    pub fn next_frame(&self, target: Target) -> Option<(PointerValue<'c>, Reg<'c>)> {
        if target != Target::Func(self.func) || !self.has_frames() {
            return None;
        }
        let place = self.asm.bytes(self.registers.context(), offset::TOP);
        let top = self.asm.load_ptr(place);
        self.asm.store_raw(self.in_buffers(self.buffers.end()).into(), place);
        Some((place, top.into()))
    }
}
