//! What passes are written with.

use crate::ir::expr::{Constant, Expr};
use crate::ir::ids::{Block, Cell, EntitySet, PackedOption, SecondaryMap, Value};
use crate::ir::types::Scalar;
use crate::ir::{Name, Program, Stmt};

/// The expression that each value is bound to, if it is bound to one.
pub struct Definitions(SecondaryMap<Value, Option<Expr>>);

impl Definitions {
    /// Of a program.
    pub fn of(program: &Program) -> Definitions {
        let mut definitions = SecondaryMap::with_capacity(program.values.len());
        for block in program.reachable() {
            for stmt in &program.blocks[block].stmts {
                if let Stmt::Let(v, expr) = stmt {
                    definitions[*v] = Some(expr.clone());
                }
            }
        }
        Definitions(definitions)
    }
    /// Of a value.
    pub fn get(&self, value: Value) -> Option<&Expr> {
        self.0[value].as_ref()
    }
    /// Records another.
    pub fn set(&mut self, value: Value, expr: Expr) {
        self.0[value] = Some(expr);
    }
    /// The constant that all elements of a value are, if they are.
    pub fn constant(&self, value: Value) -> Option<Scalar> {
        match self.get(value)?.constant()? {
            Constant::Fill(value) => Some(value),
            Constant::Array(tensor) => tensor.uniform(),
        }
    }
}

/// Values to be replaced by others.
#[derive(Default)]
pub struct Substitution(SecondaryMap<Value, PackedOption<Value>>);

impl Substitution {
    /// Replaces one; a name from the source moves to what replaces it if that has none, and so does its line. What was
    /// computed on the way forward is not called an adjoint, though it may be one as well.
    pub fn replace(&mut self, program: &mut Program, old: Value, new: Value) {
        let name = program.values[old].name.replace(Name::Of(new));
        let from = program.values[old].origin;
        let kept = &mut program.values[new];
        match name {
            Some(Name::Given(_)) if !matches!(kept.name, Some(Name::Given(_))) => kept.name = name,
            Some(Name::AdjointOf(_)) if kept.name.is_none() && kept.origin.backward == from.backward => {
                kept.name = name;
            }
            _ => {}
        }
        kept.origin.line = kept.origin.line.or(from.line);
        self.0[old] = new.into();
    }
    /// Whether nothing is replaced.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// What a value is replaced by in the end.
    pub fn resolve(&self, mut value: Value) -> Value {
        while let Some(next) = self.0[value].expand() {
            value = next;
        }
        value
    }
    /// Replaces in the operands of a statement.
    pub fn in_stmt(&self, stmt: &mut Stmt) {
        stmt.for_each_use_mut(|value| *value = self.resolve(*value));
    }
    /// Replaces everywhere.
    pub fn apply(&self, program: &mut Program) {
        if self.is_empty() {
            return;
        }
        for block in program.reachable() {
            let data = &mut program.blocks[block];
            data.stmts.iter_mut().for_each(|stmt| self.in_stmt(stmt));
            data.results.iter_mut().for_each(|value| *value = self.resolve(*value));
        }
    }
}

/// How often each value is read.
pub fn use_counts(program: &Program) -> SecondaryMap<Value, usize> {
    let mut counts = SecondaryMap::with_capacity(program.values.len());
    for block in program.reachable() {
        let data = &program.blocks[block];
        data.stmts.iter().for_each(|stmt| stmt.for_each_use(|value| counts[value] += 1));
        data.results.iter().for_each(|&value| counts[value] += 1);
    }
    counts
}

/// The cells that only statements of the block that defines them mention: nothing that is called can reach them.
pub fn local_cells(program: &Program) -> EntitySet<Cell> {
    let mut home: SecondaryMap<Cell, PackedOption<Block>> = SecondaryMap::new();
    let mut local = EntitySet::new();
    for block in program.reachable() {
        for stmt in &program.blocks[block].stmts {
            if let Stmt::Cell(cell) = stmt {
                home[*cell] = block.into();
                local.insert(*cell);
            } else if let Some(cell) = stmt.touched().filter(|&cell| home[cell] != block.into()) {
                local.remove(cell);
            }
        }
    }
    local
}
