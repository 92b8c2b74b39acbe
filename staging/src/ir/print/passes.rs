//! What of a program is the forward and what the backward pass: for the reader.

use crate::ir::expr::Expr;
use crate::ir::ids::{Block, Cell, EntitySet, Func, Value};
use crate::ir::{Name, Program, Stmt, Target};

/// Which functions are continuations, and what is inside of a backward pass.
#[derive(Default)]
pub struct Passes {
    continuations: EntitySet<Func>,
    /// The blocks inside of a backward pass, in which it does not begin.
    inside: EntitySet<Block>,
}

impl Passes {
    /// Of a program.
    pub fn of(program: &Program) -> Passes {
        let mut passes = Passes::default();
        // Each block before those nested in it: what encloses a block is known before the block is.
        for block in program.reachable() {
            let mut turned = passes.inside.contains(block);
            for stmt in &program.blocks[block].stmts {
                turned |= is_backward(program, stmt);
                if turned && !matches!(stmt, Stmt::Define(_)) {
                    passes.inside.extend(program.children(stmt));
                }
                if let Stmt::Call { continuations, .. } = stmt {
                    let functions = continuations.iter().filter_map(|target| match target {
                        Target::Func(func) => Some(*func),
                        Target::Cont(_) => None,
                    });
                    passes.continuations.extend(functions);
                }
            }
        }
        passes
    }

    /// Whether a function is passed as a continuation.
    pub fn is_continuation(&self, func: Func) -> bool {
        self.continuations.contains(func)
    }

    /// Where in a block the backward pass begins, if it does in there.
    pub fn turn(&self, program: &Program, block: Block) -> Option<usize> {
        if self.inside.contains(block) {
            return None;
        }
        program.blocks[block].stmts.iter().position(|stmt| is_backward(program, stmt))
    }
}

/// Whether a statement was recorded on the way back, or makes an adjoint. A call is of both passes: it goes on,
/// and comes back with adjoints.
fn is_backward(program: &Program, stmt: &Stmt) -> bool {
    let backward = |value: Value| {
        let data = &program.values[value];
        data.origin.backward || matches!(data.name, Some(Name::AdjointOf(_)))
    };
    let collects = |cell: &Cell| matches!(program.cells[*cell].name, Some(Name::AdjointOf(_)));
    match stmt {
        stmt if is_literal(stmt) => false,
        Stmt::Let(v, _) => backward(*v),
        Stmt::Take(v, cell) => backward(*v) || collects(cell),
        Stmt::Probe(_, value) => backward(*value),
        // Only adjoints are ever asked for in this way.
        Stmt::Present(..) | Stmt::Row(..) => true,
        Stmt::Accumulate(cell, update) => collects(cell) || update.operands().any(backward),
        // Arms that begin otherwise have both passes in them.
        Stmt::If { then, otherwise, .. } => {
            let shown = |block: &Block| {
                let mut stmts = program.blocks[*block].stmts.iter();
                stmts.find(|stmt| !is_literal(stmt)).map(|stmt| is_backward(program, stmt))
            };
            shown(then).or_else(|| shown(otherwise)).unwrap_or(false)
        }
        Stmt::Cell(_) | Stmt::Define(_) | Stmt::Call { .. } => false,
    }
}

/// Whether a statement is shown where its value is used.
fn is_literal(stmt: &Stmt) -> bool {
    matches!(stmt, Stmt::Let(_, Expr::Fill { shape, .. }) if shape.is_empty())
}
