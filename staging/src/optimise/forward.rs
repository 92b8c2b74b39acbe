//! Store-to-load forwarding of cells: what is accumulated and taken again in straight-line code is passed on as a
//! value, and a cell that nothing reached needs no zeros.
//!
//! In each block the contents of a cell are followed from where they are known (its definition, or a `take`).
//! Accumulations are put off until something may look at the cell; if that is a `take` in the same block, their sum
//! takes its place. Several accumulations of which one is a product, a slice or rows stay in the cell: adding in place
//! is then cheaper than adding up arrays.

use std::collections::{BTreeMap, HashSet};

use crate::analysis::effects::Effects;
use crate::ir::expr::{Binary, Expr};
use crate::ir::ids::{Cell, Value};
use crate::ir::types::{Scalar, Shape};
use crate::ir::{Program, Stmt, Update};
use crate::optimise::OptimiseOptions;
use crate::optimise::rewrite::Substitution;

/// Runs the pass.
pub fn run(program: &mut Program, _: &OptimiseOptions) -> bool {
    let effects = Effects::of(program);
    let mut substitution = Substitution::default();
    let mut changed = false;
    for block in program.reachable() {
        let stmts = std::mem::take(&mut program.blocks[block].stmts);
        let mut follow = Follow {
            program,
            effects: &effects,
            substitution: &mut substitution,
            known: BTreeMap::new(),
            out: vec![],
            changed: false,
        };
        let own: HashSet<Cell> =
            stmts.iter().filter_map(|s| if let Stmt::Cell(cell) = s { Some(*cell) } else { None }).collect();
        stmts.into_iter().for_each(|stmt| follow.stmt(stmt));
        follow.leave(&own);
        changed |= follow.changed;
        let out = follow.out;
        program.blocks[block].stmts = out;
    }
    substitution.apply(program);
    changed
}

struct Follow<'a> {
    program: &'a mut Program,
    effects: &'a Effects,
    substitution: &'a mut Substitution,
    /// What was put off, for cells that were empty before it.
    known: BTreeMap<Cell, Vec<Update>>,
    out: Vec<Stmt>,
    changed: bool,
}

impl Follow<'_> {
    fn stmt(&mut self, stmt: Stmt) {
        match stmt {
            Stmt::Cell(cell) => {
                self.known.insert(cell, Vec::new());
                self.out.push(stmt);
            }
            Stmt::Accumulate(cell, update) => match self.known.get_mut(&cell) {
                Some(updates) => updates.push(update),
                None => self.out.push(stmt),
            },
            Stmt::Present(value, cell) if let Some(updates) = self.known.get(&cell) => {
                let present = Scalar::Bool(!updates.is_empty());
                self.out.push(Stmt::Let(value, Expr::literal(present)));
                self.changed = true;
            }
            Stmt::Take(value, cell) => match self.known.insert(cell, Vec::new()) {
                Some(updates) if is_forwarded(&updates) => self.sum(value, cell, &updates),
                updates => {
                    self.emit(cell, updates.unwrap_or_default());
                    self.out.push(stmt);
                }
            },
            stmt => {
                for cell in self.effects.touched(self.program, &stmt, self.known.keys().copied()) {
                    let updates = self.known.remove(&cell).expect("it is one of the keys");
                    self.emit(cell, updates);
                }
                self.out.push(stmt);
            }
        }
    }

    fn emit(&mut self, cell: Cell, updates: Vec<Update>) {
        self.out.extend(updates.into_iter().map(|update| Stmt::Accumulate(cell, update)));
    }

    /// Binds what was taken to the sum of what was accumulated.
    fn sum(&mut self, taken: Value, cell: Cell, updates: &[Update]) {
        self.changed = true;
        let ty = self.program.cells[cell].ty.clone();
        // A sum that no line asked for is of the line that adds last.
        let last = updates.last().and_then(|update| update.operands().last());
        if let (None, Some(last)) = (self.program.values[taken].origin.line, last) {
            self.program.values[taken].origin.line = self.program.values[last].origin.line;
        }
        match updates {
            [] => {
                let zeros = Expr::Fill { value: Scalar::of(ty.dtype, 0.0), shape: Shape::clone(&ty.shape) };
                self.out.push(Stmt::Let(taken, zeros));
            }
            &[Update::Add(g)] => self.substitution.replace(self.program, taken, g),
            [update] => {
                let expr = update.as_expr(&ty).expect("an update of the recorder's");
                self.out.push(Stmt::Let(taken, expr));
            }
            [first, middle @ .., last] => {
                let addend = |update: &Update| match *update {
                    Update::Add(g) => g,
                    _ => unreachable!("several accumulations are forwarded only if all are of values"),
                };
                let mut sum = addend(first);
                for update in middle {
                    let next = self.program.value_like(ty.clone(), taken);
                    self.out.push(Stmt::Let(next, Expr::Binary(Binary::Add, sum, addend(update))));
                    sum = next;
                }
                self.out.push(Stmt::Let(taken, Expr::Binary(Binary::Add, sum, addend(last))));
            }
        }
    }

    /// Ends the block: what was put off for its own cells is lost with them.
    fn leave(&mut self, own: &HashSet<Cell>) {
        for (cell, updates) in std::mem::take(&mut self.known) {
            if own.contains(&cell) {
                self.changed |= !updates.is_empty();
            } else {
                self.emit(cell, updates);
            }
        }
    }
}

fn is_forwarded(updates: &[Update]) -> bool {
    match updates {
        // No operator gives what an empty cell holds after these.
        [Update::Write { .. } | Update::Replace(_)] => false,
        [] | [_] => true,
        several => several.iter().all(|update| matches!(update, Update::Add(_))),
    }
}
