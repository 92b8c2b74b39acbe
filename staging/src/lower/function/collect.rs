//! Cells to which inner functions add products of few rows: the gradients of weights that every node of a tree, or
//! every step of a loop, uses once. `c += xᵀ·y` would read and write the whole sum to add a few rows' worth to it.
//! Instead the rows of `x` and of `y` are collected beside the cell, and are contracted at once when there is no room
//! for more, or when something else looks at the cell. Sums are grouped differently thereby, so not in strict code.
//!
//! (Where all products are in one block, [`defer`](crate::optimise::defer) does the same ahead of time.)

use std::collections::HashMap;

use inkwell::IntPredicate;
use inkwell::values::{IntValue, PointerValue};

use crate::analysis::captures::{Analysis, Entity};
use crate::ir::ids::{Cell, Func, Value};
use crate::ir::types::Dtype;
use crate::ir::{Program, Stmt, Update};
use crate::lower::asm::{self, bytes};
use crate::lower::function::Body;
use crate::lower::function::module::Lowerer;
use crate::lower::function::state::plan::ALIGNMENT;
use crate::lower::loops::emit;
use crate::lower::loops::nest::{Affine, Nest, Root, identity};
use crate::lower::products::contract::{Kernel, Length, Operands, Strides, Sum};

/// Rows that there is room for, at least: those of a long sentence's tree.
const ROWS: u64 = 64;
/// Products for whose rows there is room, at least.
const PRODUCTS: u64 = 8;
/// Elements of the smallest sum for which it is worth it.
const SMALLEST: usize = 512;

/// Cells that collect rows, each with the number that there is room for.
#[derive(Default)]
pub struct Collecting(HashMap<Cell, u64>);

impl Collecting {
    /// Of a program.
    pub fn of(program: &Program, analysis: &Analysis) -> Collecting {
        let mut rows: HashMap<Cell, u64> = HashMap::new();
        for &func in &analysis.all {
            for &(block, i) in &analysis.funcs[func].order {
                let Stmt::Accumulate(cell, update) = &program.blocks[block].stmts[i] else { continue };
                let owner = analysis.owner[Entity::Cell(*cell)];
                // A loop is active once, but adds in each round.
                let repeats =
                    |func: Func| analysis.funcs[func].recursive || !analysis.funcs[func].sites.is_empty();
                let again = repeats(func) && !repeats(owner);
                if let Some(count) = few_rows(program, *cell, update)
                    && again
                {
                    let room = rows.entry(*cell).or_insert(ROWS);
                    *room = (*room).max(PRODUCTS * count);
                }
            }
        }
        Collecting(rows)
    }
}

/// The number of rows of a product that is added to a matrix, if to collect them costs less than to add it.
fn few_rows(program: &Program, cell: Cell, update: &Update) -> Option<u64> {
    let (&Update::Matmul(_, b), [m, n]) = (update, &program.cells[cell].ty.shape[..]) else { return None };
    let k = program.ty(b).shape[0];
    (k > 0 && m * n >= SMALLEST && k * (m + n) <= m * n).then_some(k as u64)
}

/// Where a cell's rows are: byte offsets from its data.
struct Layout {
    kernel: Kernel,
    x: u64,
    y: u64,
    count: u64,
    scratch: u64,
    end: u64,
    rows: u64,
}

impl Layout {
    fn of(lower: &Lowerer<'_, '_>, cell: Cell) -> Option<Layout> {
        let &rows = lower.collecting.0.get(&cell)?;
        let ty = &lower.program.cells[cell].ty;
        let [m, n] = [0, 1].map(|axis| ty.shape[axis] as u64);
        let kernel = Kernel {
            dtype: ty.dtype,
            m,
            n,
            k: Length::Given,
            a: Strides { row: 1, column: m as i64 },
            b: Strides { row: n as i64, column: 1 },
            c: n as i64,
            sum: Sum::Asked,
        };
        let element = u64::from(asm::element_bytes(ty.dtype));
        let mut end = 0;
        let mut place = |bytes: u64| {
            let at = end;
            end = (end + bytes).next_multiple_of(ALIGNMENT);
            at
        };
        place(bytes(ty));
        let [x, y, count] = [rows * m * element, rows * n * element, 8].map(&mut place);
        let scratch = place(lower.products.scratch_bytes(&lower.asm, &kernel));
        Some(Layout { kernel, x, y, count, scratch, end, rows })
    }
}

/// Bytes of a cell, with the room for its rows if it collects any.
pub fn cell_bytes(lower: &Lowerer<'_, '_>, cell: Cell) -> u64 {
    Layout::of(lower, cell).map_or_else(|| bytes(&lower.program.cells[cell].ty), |layout| layout.end)
}

impl<'c> Body<'_, '_, 'c> {
    /// A cell has come into being: no rows.
    pub fn collect_none(&mut self, cell: Cell, data: PointerValue<'c>) {
        if let Some(layout) = Layout::of(self.lower, cell) {
            self.set_count(&layout, data, self.asm.int(0));
        }
    }

    /// Collects the rows of a product instead of adding it to a cell; whether it did.
    pub fn collect(&mut self, cell: Cell, update: &Update, data: PointerValue<'c>) -> bool {
        let Some(layout) = Layout::of(self.lower, cell) else { return false };
        let program = self.lower.program;
        let (&Update::Matmul(a, b), Some(k)) = (update, few_rows(program, cell, update)) else {
            return false;
        };
        if k > layout.rows || self.lower.analysis.owner[Entity::Cell(cell)] == self.func {
            return false;
        }
        let count = self.count(&layout, data);
        self.contract_above(layout.rows - k, &layout, cell, data, count);
        let count = self.count(&layout, data);
        let ty = &program.cells[cell].ty;
        let [m, n] = [0, 1].map(|axis| ty.shape[axis]);
        self.append(a, true, [k as usize, m], self.asm.bytes(data, layout.x as i64), count);
        self.append(b, false, [k as usize, n], self.asm.bytes(data, layout.y as i64), count);
        let count = self.asm.index_add(count, self.asm.int(k as i64));
        self.set_count(&layout, data, count);
        true
    }

    /// Adds what was collected for a cell to it, before something looks at it.
    pub fn contract_collected(&mut self, cell: Cell) {
        let Some(layout) = Layout::of(self.lower, cell) else { return };
        let data = self.cell(cell).data;
        let count = self.count(&layout, data);
        self.contract_above(0, &layout, cell, data, count);
    }

    /// Copies rows, which may be a matrix's columns, behind those that are there.
    fn append(
        &mut self,
        x: Value,
        turned: bool,
        [rows, width]: [usize; 2],
        to: PointerValue<'c>,
        after: IntValue<'c>,
    ) {
        if !self.values.is_read_in_place(x) {
            self.address(x);
        }
        let dtype = self.ty(x).dtype;
        let mut nest = Nest::new(&[rows, width]);
        let mut index = identity(2);
        let at = Affine::position(&index, &[rows, width], 2);
        if turned {
            index.reverse();
        }
        let node = self.node(&mut nest, x, &index, &mut HashMap::new());
        let start = self.asm.index_mul(after, width as i64);
        let to = self.asm.at(self.asm.memory_ty(dtype, 1), to, start);
        nest.roots.push(Root::Store { to, at, node, mask: None });
        emit::emit(self.asm, self.lower.math, nest);
    }

    /// Contracts what was collected if there are more rows than so many.
    fn contract_above(
        &mut self,
        limit: u64,
        layout: &Layout,
        cell: Cell,
        data: PointerValue<'c>,
        count: IntValue<'c>,
    ) {
        let asm = self.asm;
        let (contract, after) = (asm.block("contract"), asm.block("contracted"));
        let enough = asm.icmp(IntPredicate::SGT, count.into(), asm.int(limit as i64).into());
        asm.branch(enough, contract, after);
        asm.go_to(contract);
        let place = self.cell(cell);
        let byte = asm.context.i8_type();
        let present = asm.load_raw(byte.into(), place.present);
        let at = |offset: u64| asm.bytes(data, offset as i64);
        let operands = Operands {
            a: at(layout.x),
            b: at(layout.y),
            c: data,
            scratch: (layout.scratch < layout.end).then(|| at(layout.scratch)),
            k: Some(count),
            add: Some(asm.icmp(IntPredicate::NE, present, byte.const_zero().into())),
        };
        self.lower.products.call(asm, layout.kernel, operands);
        asm.store_raw(byte.const_int(1, false).into(), place.present);
        self.set_count(layout, data, asm.int(0));
        asm.jump(after);
        asm.go_to(after);
        self.facts.forget_filled(|forgotten| forgotten == cell);
    }

    fn count(&self, layout: &Layout, data: PointerValue<'c>) -> IntValue<'c> {
        self.asm.load(Dtype::I64, 1, self.asm.bytes(data, layout.count as i64)).into_int_value()
    }
    fn set_count(&self, layout: &Layout, data: PointerValue<'c>, count: IntValue<'c>) {
        self.asm.store(Dtype::I64, count.into(), self.asm.bytes(data, layout.count as i64));
    }
}
