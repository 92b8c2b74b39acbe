//! Cells that whole arrays and rows are added to become values: an array, and the same with rows added.
//!
//! An adjoint is collected in a cell of its activation: what came back from the next one, and the rows that were read.
//! As a value it is one of a class.

use std::collections::HashMap;

use crate::ir::expr::{Binary, Expr};
use crate::ir::ids::{Block, Cell, EntitySet, Func, Value};
use crate::ir::types::Scalar;
use crate::ir::{BlockData, Program, Stmt, Update};
use crate::optimise::rewrite::Substitution;

/// Turns the cells into values that can be, and that rows are added to.
pub fn become_values(program: &mut Program) {
    for cell in candidates(program) {
        let Some(home) = defined_in(program, cell) else { continue };
        let before = program.values.len();
        let mut turn = Turn { program, cell, blocks: HashMap::new(), substitution: Substitution::default() };
        if turn.block(home, Sum::Empty).is_some() {
            let Turn { blocks, substitution, .. } = turn;
            for (block, data) in blocks {
                program.blocks[block] = data;
            }
            substitution.apply(program);
        } else {
            debug_assert!(program.values.len() >= before, "values that nothing binds are no harm");
        }
    }
}

/// Cells of arrays that rows are added to, and whole arrays, by the function alone that defines them.
fn candidates(program: &Program) -> Vec<Cell> {
    let (mut rows, mut whole, mut foreign) = (EntitySet::new(), EntitySet::new(), EntitySet::new());
    let mut owner: HashMap<Cell, Func> = HashMap::new();
    let mut found = Vec::new();
    for (func, blocks) in super::classes::own_blocks(program) {
        for stmt in blocks.iter().flat_map(|&block| &program.blocks[block].stmts) {
            if let Stmt::Cell(cell) = stmt {
                owner.insert(*cell, func);
                found.push(*cell);
            }
            if let Some(cell) = stmt.touched()
                && owner.get(&cell) != Some(&func)
            {
                foreign.insert(cell);
            }
            if let Stmt::Accumulate(cell, update) = stmt {
                match update {
                    Update::Rows { .. } | Update::Write { .. } => rows.insert(*cell),
                    Update::Add(_) => whole.insert(*cell),
                    Update::Matmul(..) | Update::Slice { .. } | Update::Replace(_) => foreign.insert(*cell),
                };
            }
        }
    }
    found.retain(|&cell| rows.contains(cell) && whole.contains(cell) && !foreign.contains(cell));
    found
}

fn defined_in(program: &Program, cell: Cell) -> Option<Block> {
    let defines = |block: &Block| {
        program.blocks[*block].stmts.iter().any(|stmt| matches!(stmt, Stmt::Cell(c) if *c == cell))
    };
    program.reachable().into_iter().find(defines)
}

/// What the cell holds at a point of the program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sum {
    Empty,
    Is(Value),
}

struct Turn<'p> {
    program: &'p mut Program,
    cell: Cell,
    blocks: HashMap<Block, BlockData>,
    substitution: Substitution,
}

impl Turn<'_> {
    /// Rewrites a block; what the cell holds at its end, or nothing if that is not known.
    fn block(&mut self, block: Block, mut sum: Sum) -> Option<Sum> {
        let data = self.program.blocks[block].clone();
        let mut out = Vec::with_capacity(data.stmts.len());
        for mut stmt in data.stmts {
            match &mut stmt {
                Stmt::Cell(cell) if *cell == self.cell => {
                    sum = Sum::Empty;
                    continue;
                }
                Stmt::Accumulate(cell, update) if *cell == self.cell => {
                    sum = Sum::Is(self.add(sum, *update, &mut out)?);
                    continue;
                }
                Stmt::Take(v, cell) if *cell == self.cell => {
                    let ty = self.program.ty(*v).clone();
                    match sum {
                        Sum::Is(value) => self.substitution.replace(self.program, *v, value),
                        Sum::Empty => {
                            let zeros = Expr::Fill { value: Scalar::of(ty.dtype, 0.0), shape: ty.shape };
                            out.push(Stmt::Let(*v, zeros));
                        }
                    }
                    sum = Sum::Empty;
                    continue;
                }
                Stmt::Present(v, cell) if *cell == self.cell => {
                    out.push(Stmt::Let(*v, Expr::literal(Scalar::Bool(sum != Sum::Empty))));
                    continue;
                }
                Stmt::Row(_, cell, _) if *cell == self.cell => return None,
                Stmt::If { then, otherwise, results, .. } => {
                    let arms = [*then, *otherwise];
                    let ends = [self.block(arms[0], sum)?, self.block(arms[1], sum)?];
                    sum = match ends {
                        [a, b] if a == b => a,
                        [Sum::Is(a), Sum::Is(b)] => {
                            let joined = self.program.value_like(self.program.ty(a).clone(), a);
                            results.push(joined);
                            for (arm, value) in arms.into_iter().zip([a, b]) {
                                self.blocks.get_mut(&arm).expect("it was rewritten").results.push(value);
                            }
                            Sum::Is(joined)
                        }
                        _ => return None,
                    };
                }
                _ => {}
            }
            out.push(stmt);
        }
        self.blocks.insert(block, BlockData { stmts: out, results: data.results });
        Some(sum)
    }

    fn add(&mut self, sum: Sum, update: Update, out: &mut Vec<Stmt>) -> Option<Value> {
        let ty = self.program.cells[self.cell].ty.clone();
        let of = update.operands().last()?;
        let held = match (sum, update) {
            (Sum::Empty, Update::Add(g)) => return Some(g),
            (Sum::Is(value), _) => value,
            (Sum::Empty, _) => {
                let zeros = self.program.value_like(ty.clone(), of);
                out.push(Stmt::Let(
                    zeros,
                    Expr::Fill { value: Scalar::of(ty.dtype, 0.0), shape: ty.shape.clone() },
                ));
                zeros
            }
        };
        let expr = match update {
            Update::Add(g) => Expr::Binary(Binary::Add, held, g),
            Update::Rows { indices, g } => Expr::WriteRows { x: held, indices, rows: g, axes: 1, add: true },
            Update::Write { indices, g, axes, add } => {
                Expr::WriteRows { x: held, indices, rows: g, axes, add }
            }
            Update::Matmul(..) | Update::Slice { .. } | Update::Replace(_) => return None,
        };
        let next = self.program.value_like(ty, of);
        out.push(Stmt::Let(next, expr));
        Some(next)
    }
}
