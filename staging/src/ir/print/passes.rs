//! What of a program is the forward and what the backward pass: for the reader.

use crate::ir::ids::{Block, Cell, EntitySet, Func, Value};
use crate::ir::{Name, Program, Stmt, Target};

/// Which values depend on adjoints, and which functions are continuations.
#[derive(Default)]
pub struct Passes {
    backward: EntitySet<Value>,
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
                turned |= passes.visit(program, stmt);
                if turned && !matches!(stmt, Stmt::Define(_)) {
                    passes.inside.extend(program.children(stmt));
                }
            }
        }
        passes
    }

    /// Whether a function is passed as a continuation.
    pub fn is_continuation(&self, func: Func) -> bool {
        self.continuations.contains(func)
    }

    /// Where in a block the backward pass begins, if it does in there and something comes before it that is shown.
    pub fn turn(&self, program: &Program, block: Block, is_hidden: impl Fn(Value) -> bool) -> Option<usize> {
        if self.inside.contains(block) {
            return None;
        }
        let stmts = &program.blocks[block].stmts;
        let turn = stmts.iter().position(|stmt| self.is_backward(program, stmt))?;
        let is_forward = |stmt: &Stmt| match stmt {
            Stmt::Let(v, _) => !is_hidden(*v),
            Stmt::If { .. } | Stmt::Call { .. } | Stmt::Probe(..) => true,
            Stmt::Cell(_)
            | Stmt::Accumulate(..)
            | Stmt::Take(..)
            | Stmt::Present(..)
            | Stmt::Row(..)
            | Stmt::Define(_) => false,
        };
        stmts[..turn].iter().any(is_forward).then_some(turn)
    }

    fn visit(&mut self, program: &Program, stmt: &Stmt) -> bool {
        if let Stmt::Call { continuations, .. } = stmt {
            self.continuations.extend(continuations.iter().filter_map(|target| match target {
                Target::Func(func) => Some(*func),
                Target::Cont(_) => None,
            }));
        }
        let backward = self.is_backward(program, stmt);
        if backward {
            self.backward.extend(stmt.results().iter().copied());
        }
        backward
    }

    /// Whether a statement uses or makes an adjoint.
    fn is_backward(&self, program: &Program, stmt: &Stmt) -> bool {
        let mut uses = false;
        stmt.for_each_use(|value| uses |= self.backward.contains(value));
        let adjoint = |value: &Value| matches!(program.values[*value].name, Some(Name::AdjointOf(_)));
        let collects = |cell: &Cell| matches!(program.cells[*cell].name, Some(Name::AdjointOf(_)));
        match stmt {
            // Only adjoints are ever asked for in this way.
            Stmt::Present(..) | Stmt::Row(..) => true,
            Stmt::Accumulate(cell, _) => uses || collects(cell),
            Stmt::Let(..) | Stmt::Take(..) => uses || stmt.results().iter().any(adjoint),
            Stmt::Probe(..) => uses,
            // Arms that begin otherwise have both passes in them.
            Stmt::If { then, .. } => {
                let first = program.blocks[*then].stmts.first();
                uses || first.is_some_and(|stmt| self.is_backward(program, stmt))
            }
            Stmt::Cell(_) | Stmt::Define(_) | Stmt::Call { .. } => false,
        }
    }
}
