//! Whether one cell can hold all arrays of a class: each of them is read only while the cell holds it.
//!
//! Every function is walked once, in the order in which it runs, with what the cell holds: at the beginning of a
//! function that is its parameter of the class, or, if it has none, what the cell holds wherever it is called; after a
//! write the result, after a call the result of the class, if there is one, and otherwise nobody knows, if the function
//! or one that it calls writes. On the way the text is rewritten.

use std::collections::{HashMap, HashSet};

use super::classes::{Class, own_blocks};
use super::rewrite::{RESULTS, Rewritten, Uses};
use crate::ir::expr::Expr;
use crate::ir::ids::{Block, Cell, Func, Value};
use crate::ir::{BlockData, CellData, Program, Stmt, Target, Update};

/// What the cell holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// What nobody needs.
    Unknown,
    Holds(Value),
}

/// The class cannot be in one cell.
pub struct Conflict;
type Result<T> = std::result::Result<T, Conflict>;

impl From<()> for Conflict {
    fn from((): ()) -> Conflict {
        Conflict
    }
}

/// The program with a class in one cell, if that can be.
pub fn in_one_cell(program: &mut Program, class: &Class) -> Option<Rewritten> {
    let functions = own_blocks(program);
    let uses = Uses::of(program, &functions, class);
    let writes = writing(program, &functions, class);
    let before = program.clone();
    let cell = program.cells.push(CellData { ty: class.ty.clone(), name: None });
    // What the cell holds where functions begin that have no parameter of the class, as far as it is known. Who calls a
    // continuation is not.
    let blocks = functions.iter().flat_map(|(_, blocks)| blocks);
    let stmts = blocks.flat_map(|&block| &before.blocks[block].stmts);
    let passed = stmts.flat_map(Stmt::targets_passed);
    let passed = passed.filter_map(|target| if let Target::Func(func) = target { Some(func) } else { None });
    let mut entries: HashMap<Func, Content> =
        passed.chain([program.entry]).map(|func| (func, Content::Unknown)).collect();
    loop {
        let mut walk = Walk {
            program,
            class,
            uses: &uses,
            writes: &writes,
            cell,
            called: HashMap::new(),
            blocks: HashMap::new(),
            path: Vec::new(),
            copies: Vec::new(),
        };
        let outcome: Result<bool> =
            functions.iter().try_fold(true, |all, (func, _)| Ok(walk.function(*func, &entries)? && all));
        let Walk { called, blocks, .. } = walk;
        let stable = called.iter().all(|(func, content)| {
            entries.get(func).is_some_and(|known| *known == Content::Unknown || known == content)
        });
        match outcome {
            Ok(true) if stable => return Some(Rewritten::new(program, &functions, class, cell, blocks)),
            // Each time more is known of a function, or less of what the cell holds there, so this ends.
            Ok(_) if !stable => {
                *program = before.clone();
                program.cells.push(CellData { ty: class.ty.clone(), name: None });
                for (func, content) in called {
                    let known = entries.entry(func).or_insert(content);
                    if *known != content {
                        *known = Content::Unknown;
                    }
                }
            }
            // What nobody calls is not looked at, and there should be nothing of the kind.
            _ => {
                *program = before;
                return None;
            }
        }
    }
}

/// The functions that change what the cell holds, or call one that does.
fn writing(program: &Program, functions: &[(Func, Vec<Block>)], class: &Class) -> HashSet<Func> {
    let touches = |func: Func| {
        program.funcs[func].params.iter().any(|&v| class.contains(v))
            || (0..program.funcs[func].results.len()).any(|i| class.results.contains(&(func, i)))
    };
    let mut writes = HashSet::new();
    let mut callers: HashMap<Func, Vec<Func>> = HashMap::new();
    for (func, blocks) in functions {
        for stmt in blocks.iter().flat_map(|&block| &program.blocks[block].stmts) {
            let changes = match stmt {
                Stmt::Let(v, Expr::WriteRows { .. }) => class.contains(*v),
                Stmt::If { results, .. } => results.iter().any(|&v| class.contains(v)),
                Stmt::Call { target: Target::Func(called), .. } => touches(*called),
                _ => false,
            };
            if changes || touches(*func) {
                writes.insert(*func);
            }
            // What is passed may be called.
            for target in stmt.targets() {
                if let Target::Func(called) = target {
                    callers.entry(called).or_default().push(*func);
                }
            }
        }
    }
    let mut pending: Vec<Func> = writes.iter().copied().collect();
    while let Some(func) = pending.pop() {
        for &caller in callers.get(&func).into_iter().flatten() {
            if writes.insert(caller) {
                pending.push(caller);
            }
        }
    }
    writes
}

struct Walk<'p> {
    program: &'p mut Program,
    class: &'p Class,
    uses: &'p Uses,
    writes: &'p HashSet<Func>,
    cell: Cell,
    /// What the cell holds where functions are called that have no parameter of the class.
    called: HashMap<Func, Content>,
    blocks: HashMap<Block, BlockData>,
    /// The blocks around the statement, each with the number of its own statement.
    path: Vec<(Block, usize)>,
    /// Arrays of the class that were copied out of the cell in a block of the path, by its depth there.
    copies: Vec<(usize, Value, Value)>,
}

impl Walk<'_> {
    /// Rewrites a function, if it is known what the cell holds where it begins.
    fn function(&mut self, func: Func, entries: &HashMap<Func, Content>) -> Result<bool> {
        let start = match self.class.param(self.program, func)? {
            Some(i) => Content::Holds(self.program.funcs[func].params[i]),
            None => match entries.get(&func) {
                Some(&known) => known,
                None => return Ok(false),
            },
        };
        let result = self.class.result(self.program, func)?;
        self.block(self.program.funcs[func].body, start, result)?;
        Ok(true)
    }

    /// Rewrites a block, one of whose results may be of the class; what the cell holds after it.
    fn block(&mut self, block: Block, mut content: Content, result: Option<usize>) -> Result<Content> {
        let data = self.program.blocks[block].clone();
        let mut out = Vec::with_capacity(data.stmts.len());
        self.path.push((block, 0));
        for (i, stmt) in data.stmts.into_iter().enumerate() {
            self.path.last_mut().expect("it was pushed").1 = i;
            content = self.stmt(stmt, content, &mut out)?;
        }
        self.path.last_mut().expect("it was pushed").1 = RESULTS;
        let mut results = data.results;
        for (i, value) in results.iter_mut().enumerate() {
            if Some(i) != result {
                *value = self.read(*value, content, &mut out)?;
            }
        }
        if let Some(i) = result {
            let value = results.remove(i);
            content = self.enter(value, content, &mut out)?;
        }
        self.path.pop();
        let depth = self.path.len();
        self.copies.retain(|&(of, ..)| of < depth);
        self.blocks.insert(block, BlockData { stmts: out, results });
        Ok(content)
    }

    /// A copy of an array of the class that was made before.
    fn copied(&self, value: Value) -> Option<Value> {
        self.copies.iter().rev().find(|(_, of, _)| *of == value).map(|&(.., copy)| copy)
    }

    /// The cell holds a value from here on: it does, or the value is copied into it.
    fn enter(&mut self, value: Value, content: Content, out: &mut Vec<Stmt>) -> Result<Content> {
        if content == Content::Holds(value) {
            return Ok(content);
        }
        let from = if self.class.contains(value) { self.copied(value).ok_or(Conflict)? } else { value };
        out.push(Stmt::Accumulate(self.cell, Update::Replace(from)));
        Ok(Content::Holds(value))
    }

    /// A value for whoever needs all of it: a copy of what the cell holds, if it is of the class.
    fn read(&mut self, value: Value, content: Content, out: &mut Vec<Stmt>) -> Result<Value> {
        if !self.class.contains(value) {
            return Ok(value);
        }
        if let Some(copy) = self.copied(value) {
            return Ok(copy);
        }
        if content != Content::Holds(value) {
            return Err(Conflict);
        }
        let copy = self.program.value_like(self.class.ty.clone(), value);
        out.push(Stmt::Take(copy, self.cell));
        if self.uses.are_later(value, &self.path) {
            out.push(Stmt::Accumulate(self.cell, Update::Replace(copy)));
        }
        self.copies.push((self.path.len() - 1, value, copy));
        Ok(copy)
    }

    fn stmt(&mut self, mut stmt: Stmt, content: Content, out: &mut Vec<Stmt>) -> Result<Content> {
        match &mut stmt {
            Stmt::Let(v, Expr::WriteRows { x, indices, rows, axes, add }) if self.class.contains(*v) => {
                let g = self.read(*rows, content, out)?;
                self.enter(*x, content, out)?;
                let update = Update::Write { indices: *indices, g, axes: *axes, add: *add };
                out.push(Stmt::Accumulate(self.cell, update));
                return Ok(Content::Holds(*v));
            }
            Stmt::Let(v, Expr::GatherRows { x, indices }) => {
                let of = self.uses.array_of(*x);
                if self.class.contains(of) && self.copied(of).is_none() {
                    if content != Content::Holds(of) {
                        return Err(Conflict);
                    }
                    out.push(Stmt::Row(*v, self.cell, *indices));
                    return Ok(content);
                }
                if let Some(copy) = self.copied(of).filter(|_| of != *x) {
                    let shape = self.program.ty(*x).shape.clone();
                    let reshaped = self.program.value_like(self.program.ty(*x).clone(), *x);
                    out.push(Stmt::Let(reshaped, Expr::Reshape(copy, shape)));
                    *x = reshaped;
                }
            }
            // Rows are read of it alone.
            Stmt::Let(v, Expr::Reshape(..)) if self.class.contains(self.uses.array_of(*v)) => {
                return Ok(content);
            }
            Stmt::If { condition: _, then, otherwise, results } => {
                let position = self.class.position(results)?;
                let ends =
                    [self.block(*then, content, position)?, self.block(*otherwise, content, position)?];
                let after = match position {
                    Some(i) => Content::Holds(results.remove(i)),
                    None if ends[0] == ends[1] => ends[0],
                    None => Content::Unknown,
                };
                out.push(stmt);
                return Ok(after);
            }
            Stmt::Call { target, args, results, .. } => {
                let target = *target;
                let param = self.class.param_of(self.program, target)?;
                for (i, arg) in args.iter_mut().enumerate() {
                    if Some(i) != param {
                        *arg = self.read(*arg, content, out)?;
                    }
                }
                let mut content = content;
                if let Some(i) = param {
                    content = self.enter(args.remove(i), content, out)?;
                } else if let Target::Func(func) = target {
                    let known = self.called.entry(func).or_insert(content);
                    if *known != content {
                        *known = Content::Unknown;
                    }
                }
                let result = self.class.result_of(self.program, target)?;
                let result = result.map(|i| results.remove(i));
                let after = match (result, target) {
                    (Some(result), _) => Content::Holds(result),
                    (None, Target::Func(func))
                        if !self.writes.contains(&func) && stmt.targets_passed().next().is_none() =>
                    {
                        content
                    }
                    // Nobody knows what a continuation does.
                    _ => Content::Unknown,
                };
                out.push(stmt);
                return Ok(after);
            }
            _ => {}
        }
        let mut reads = Vec::new();
        stmt.for_each_use(|v| reads.push(v));
        for v in reads {
            let read = self.read(v, content, out)?;
            stmt.for_each_use_mut(|other| {
                if *other == v {
                    *other = read;
                }
            });
        }
        out.push(stmt);
        Ok(content)
    }
}
