//! Dead code: what the program's results do not depend on. Values that nothing reads, cells that nobody takes,
//! functions that nobody calls, branches that leave nothing behind.
//!
//! Works by marking what is needed, from the results backwards, so that a cycle of statements that need only each other
//! is dead too. A call that may not return, or that touches cells of others, is always needed.

use crate::analysis::effects::Effects;
use crate::ir::ids::{Block, Cell, EntitySet, Func, SecondaryMap, Value};
use crate::ir::{Program, Stmt, Target};
use crate::optimise::OptimiseOptions;

/// Runs the pass.
pub fn run(program: &mut Program, _: &OptimiseOptions) -> bool {
    let mut changed = unreached(program);
    let mut marking = Marking::of(program);
    marking.function(program.entry);
    marking.finish();
    let Marking { needed, values, .. } = marking;
    for block in program.reachable() {
        let mut position = 0;
        let marks = &needed[block];
        let stmts = &mut program.blocks[block].stmts;
        let before = stmts.len();
        stmts.retain(|_| {
            position += 1;
            marks[position - 1]
        });
        changed |= stmts.len() < before;
    }
    changed | unread_results(program, &values)
}

/// Removes the definitions of functions that nothing from the entry on mentions.
fn unreached(program: &mut Program) -> bool {
    let mut reached = EntitySet::new();
    reached.insert(program.entry);
    let mut pending = vec![program.funcs[program.entry].body];
    while let Some(block) = pending.pop() {
        for stmt in &program.blocks[block].stmts {
            for target in stmt.targets() {
                if let Target::Func(func) = target
                    && reached.insert(func)
                {
                    pending.push(program.funcs[func].body);
                }
            }
            if !matches!(stmt, Stmt::Define(_)) {
                pending.extend(program.children(stmt));
            }
        }
    }
    let mut changed = false;
    for block in program.reachable() {
        program.blocks[block].stmts.retain(|stmt| {
            let kept = !matches!(stmt, Stmt::Define(func) if !reached.contains(*func));
            changed |= !kept;
            kept
        });
    }
    changed
}

/// Removes results of branches that nothing reads.
fn unread_results(program: &mut Program, read: &EntitySet<Value>) -> bool {
    let mut changed = false;
    for block in program.reachable() {
        let mut stmts = std::mem::take(&mut program.blocks[block].stmts);
        for stmt in &mut stmts {
            let Stmt::If { then, otherwise, results, .. } = stmt else { continue };
            let kept: Vec<bool> = results.iter().map(|result| read.contains(*result)).collect();
            changed |= kept.contains(&false);
            let keep = |list: &mut Vec<Value>| {
                let mut kept = kept.iter();
                list.retain(|_| *kept.next().expect("arms yield what the branch binds"));
            };
            keep(results);
            keep(&mut program.blocks[*then].results);
            keep(&mut program.blocks[*otherwise].results);
        }
        program.blocks[block].stmts = stmts;
    }
    changed
}

/// Where a statement is.
type Site = (Block, usize);

struct Marking<'p> {
    program: &'p Program,
    effects: Effects,
    /// The statement that binds each value.
    bound: SecondaryMap<Value, Option<Site>>,
    /// The statements that add to and take from each cell, and that which defines it.
    of_cell: SecondaryMap<Cell, Vec<Site>>,
    definition: SecondaryMap<Func, Option<Site>>,
    /// The branch or definition that each block is part of.
    parent: SecondaryMap<Block, Option<Site>>,
    needed: SecondaryMap<Block, Vec<bool>>,
    values: EntitySet<Value>,
    cells: EntitySet<Cell>,
    funcs: EntitySet<Func>,
    pending: Vec<Site>,
}

impl<'p> Marking<'p> {
    fn of(program: &'p Program) -> Marking<'p> {
        let mut marking = Marking {
            program,
            effects: Effects::of(program),
            bound: SecondaryMap::new(),
            of_cell: SecondaryMap::new(),
            definition: SecondaryMap::new(),
            parent: SecondaryMap::new(),
            needed: SecondaryMap::new(),
            values: EntitySet::new(),
            cells: EntitySet::new(),
            funcs: EntitySet::new(),
            pending: Vec::new(),
        };
        for block in program.reachable() {
            marking.needed[block] = vec![false; program.blocks[block].stmts.len()];
            for (i, stmt) in program.blocks[block].stmts.iter().enumerate() {
                let site = (block, i);
                stmt.results().iter().for_each(|&value| marking.bound[value] = Some(site));
                program.children(stmt).for_each(|child| marking.parent[child] = Some(site));
                match stmt {
                    Stmt::Cell(cell) | Stmt::Accumulate(cell, _) | Stmt::Take(_, cell) => {
                        marking.of_cell[*cell].push(site);
                    }
                    Stmt::Define(func) => marking.definition[*func] = Some(site),
                    Stmt::Let(..)
                    | Stmt::Present(..)
                    | Stmt::Row(..)
                    | Stmt::If { .. }
                    | Stmt::Call { .. }
                    | Stmt::Probe(..) => {}
                }
            }
        }
        marking
    }

    fn stmt(&self, (block, i): Site) -> &'p Stmt {
        &self.program.blocks[block].stmts[i]
    }

    fn value(&mut self, value: Value) {
        if !self.values.insert(value) {
            return;
        }
        // A parameter is bound by no statement.
        let Some(site) = self.bound[value] else { return };
        self.pending.push(site);
        if let Stmt::If { then, otherwise, results, .. } = self.stmt(site) {
            let position = results.iter().position(|&result| result == value).expect("it binds the value");
            let program = self.program;
            for arm in [then, otherwise] {
                self.value(program.blocks[*arm].results[position]);
            }
        }
    }

    /// A cell that is looked at: all that happens to it is needed.
    fn cell(&mut self, cell: Cell) {
        if self.cells.insert(cell) {
            self.pending.extend(&self.of_cell[cell]);
        }
    }

    fn function(&mut self, func: Func) {
        if !self.funcs.insert(func) {
            return;
        }
        self.pending.extend(self.definition[func]);
        let body = self.program.funcs[func].body;
        self.program.blocks[body].results.iter().for_each(|&value| self.value(value));
        self.calls(body);
    }

    /// Marks the probes, and the calls that are needed whether or not their results are, in a block and its branches.
    fn calls(&mut self, block: Block) {
        let program = self.program;
        for (i, stmt) in program.blocks[block].stmts.iter().enumerate() {
            match stmt {
                Stmt::Probe(..) => self.pending.push((block, i)),
                Stmt::Call { .. } if !self.effects.is_quiet(stmt) => self.pending.push((block, i)),
                Stmt::If { then, otherwise, .. } => {
                    [then, otherwise].into_iter().for_each(|&arm| self.calls(arm))
                }
                Stmt::Let(..)
                | Stmt::Cell(_)
                | Stmt::Accumulate(..)
                | Stmt::Take(..)
                | Stmt::Present(..)
                | Stmt::Row(..)
                | Stmt::Define(_)
                | Stmt::Call { .. } => {}
            }
        }
    }

    fn finish(&mut self) {
        while let Some((block, i)) = self.pending.pop() {
            if std::mem::replace(&mut self.needed[block][i], true) {
                continue;
            }
            // What encloses a statement is needed for it: the condition of its branch, the definition of its function.
            self.pending.extend(self.parent[block]);
            let stmt = self.stmt((block, i));
            stmt.for_each_use(|value| self.value(value));
            match stmt {
                Stmt::Take(_, cell) | Stmt::Present(_, cell) | Stmt::Row(_, cell, _) => self.cell(*cell),
                Stmt::Define(func) => self.function(*func),
                Stmt::Let(..)
                | Stmt::Cell(_)
                | Stmt::Accumulate(..)
                | Stmt::If { .. }
                | Stmt::Call { .. }
                | Stmt::Probe(..) => {}
            }
            for target in stmt.targets() {
                if let Target::Func(func) = target {
                    self.function(func);
                }
            }
        }
    }
}
