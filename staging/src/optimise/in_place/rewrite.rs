//! Where arrays of a class are used, and what becomes of the program when a cell takes their place.

use std::collections::{HashMap, HashSet};

use super::classes::Class;
use crate::ir::expr::Expr;
use crate::ir::ids::{Block, Cell, Func, Value};
use crate::ir::types::size;
use crate::ir::{BlockData, Program, Stmt, Target};

/// The number of a block's results, among its statements.
pub const RESULTS: usize = usize::MAX;

/// A use of an array.
struct Use {
    block: Block,
    at: usize,
    /// Whether it hands the array on in the cell; all others can read a copy.
    hands_on: bool,
}

/// The uses of the arrays of a class.
pub struct Uses {
    uses: HashMap<Value, Vec<Use>>,
    /// The body of the function that each array is a parameter of, or is bound in.
    homes: HashMap<Value, Block>,
    /// The branch that each block is an arm of.
    parents: HashMap<Block, (Block, usize)>,
    /// Arrays of the class in another shape, in which only rows are read of them.
    aliases: HashMap<Value, Value>,
}

impl Uses {
    pub fn of(program: &Program, functions: &[(Func, Vec<Block>)], class: &Class) -> Uses {
        let mut found = Uses {
            uses: HashMap::new(),
            homes: HashMap::new(),
            parents: HashMap::new(),
            aliases: HashMap::new(),
        };
        found.find_aliases(program, functions, class);
        for (func, blocks) in functions {
            let body = program.funcs[*func].body;
            let stmts = blocks.iter().flat_map(|&block| &program.blocks[block].stmts);
            let bound = stmts.flat_map(Stmt::results).chain(&program.funcs[*func].params);
            found.homes.extend(bound.filter(|v| class.contains(**v)).map(|&v| (v, body)));
            for &block in blocks {
                let data = &program.blocks[block];
                for (at, stmt) in data.stmts.iter().enumerate() {
                    if let Stmt::If { then, otherwise, .. } = stmt {
                        for arm in [then, otherwise] {
                            found.parents.insert(*arm, (block, at));
                        }
                    }
                    found.stmt(program, class, block, at, stmt);
                }
                for (i, &v) in data.results.iter().enumerate() {
                    let hands_on = match found.parents.get(&block) {
                        _ if body == block => class.results.contains(&(*func, i)),
                        Some(&(around, at)) => match &program.blocks[around].stmts[at] {
                            Stmt::If { results, .. } => class.contains(results[i]),
                            _ => false,
                        },
                        None => false,
                    };
                    found.add(class, v, Use { block, at: RESULTS, hands_on });
                }
            }
        }
        found
    }

    fn stmt(&mut self, program: &Program, class: &Class, block: Block, at: usize, stmt: &Stmt) {
        match stmt {
            Stmt::Let(v, Expr::WriteRows { x, rows, .. }) => {
                self.add(class, *x, Use { block, at, hands_on: class.contains(*v) });
                self.add(class, *rows, Use { block, at, hands_on: false });
            }
            Stmt::Let(v, Expr::Reshape(..)) if self.aliases.contains_key(v) => {}
            Stmt::Call { target, args, .. } => {
                for (i, &arg) in args.iter().enumerate() {
                    let hands_on = match *target {
                        Target::Func(func) => class.contains(program.funcs[func].params[i]),
                        Target::Cont(cont) => class.cont_params.contains(&(cont, i)),
                    };
                    self.add(class, arg, Use { block, at, hands_on });
                }
            }
            stmt => {
                stmt.for_each_use(|v| self.add(class, self.array_of(v), Use { block, at, hands_on: false }))
            }
        }
    }

    fn add(&mut self, class: &Class, value: Value, of: Use) {
        if class.contains(value) {
            self.uses.entry(value).or_default().push(of);
        }
    }

    fn find_aliases(&mut self, program: &Program, functions: &[(Func, Vec<Block>)], class: &Class) {
        let blocks = || functions.iter().flat_map(|(_, blocks)| blocks).map(|&block| &program.blocks[block]);
        for stmt in blocks().flat_map(|data| &data.stmts) {
            if let Stmt::Let(v, Expr::Reshape(x, shape)) = stmt
                && class.contains(*x)
                && merges(&program.ty(*x).shape, shape)
            {
                self.aliases.insert(*v, *x);
            }
        }
        for data in blocks() {
            for stmt in &data.stmts {
                // Indices are integers.
                if !matches!(stmt, Stmt::Let(_, Expr::GatherRows { .. })) {
                    stmt.for_each_use(|v| {
                        self.aliases.remove(&v);
                    });
                }
            }
            for v in &data.results {
                self.aliases.remove(v);
            }
        }
    }

    /// The array of the class that a value is in another shape, or the value.
    pub fn array_of(&self, value: Value) -> Value {
        self.aliases.get(&value).copied().unwrap_or(value)
    }

    /// Whether anything after a place needs the array in the cell: hands it on, or reads it where the copy that is made
    /// at that place is not in scope.
    pub fn are_later(&self, value: Value, path: &[(Block, usize)]) -> bool {
        // A function that captures the array may run again, and read it again.
        self.homes.get(&value) != path.first().map(|(body, _)| body)
            || self.uses.get(&value).into_iter().flatten().any(|of| self.is_later(of, path))
    }

    fn is_later(&self, of: &Use, path: &[(Block, usize)]) -> bool {
        let (mut block, mut at) = (of.block, of.at);
        loop {
            if let Some(depth) = path.iter().position(|&(around, _)| around == block) {
                let here = path[depth].1;
                return match depth + 1 == path.len() {
                    // In the same statement operands are read before one is handed on.
                    true => of.hands_on && at >= here,
                    // In the other arm of the same branch it is not after, but instead.
                    false => at > here,
                };
            }
            match self.parents.get(&block) {
                Some(&parent) => (block, at) = parent,
                // In another function, which may run after.
                None => return true,
            }
        }
    }
}

/// Whether the first axes of a shape are one in another.
fn merges(shape: &[usize], to: &[usize]) -> bool {
    let Some(axes) = (shape.len() + 1).checked_sub(to.len()).filter(|&axes| axes > 0 && !to.is_empty())
    else {
        return false;
    };
    to[0] == size(&shape[..axes]) && to[1..] == shape[axes..]
}

/// What is left of a program when a class is in a cell.
pub struct Rewritten {
    blocks: HashMap<Block, BlockData>,
    cell: Cell,
    /// Whose body the cell is defined in.
    home: Func,
}

impl Rewritten {
    pub fn new(
        program: &Program,
        functions: &[(Func, Vec<Block>)],
        class: &Class,
        cell: Cell,
        blocks: HashMap<Block, BlockData>,
    ) -> Rewritten {
        Rewritten { blocks, cell, home: home(program, functions, class) }
    }

    /// Puts it in place of what was there.
    pub fn apply(self, program: &mut Program, class: &Class) {
        for (block, data) in self.blocks {
            program.blocks[block] = data;
        }
        for func in program.funcs.keys().collect::<Vec<_>>() {
            let data = &mut program.funcs[func];
            data.params.retain(|&param| !class.contains(param));
            without(&mut data.results, |i| class.results.contains(&(func, i)));
        }
        for cont in program.conts.keys().collect::<Vec<_>>() {
            let data = &mut program.conts[cont];
            without(&mut data.params, |i| class.cont_params.contains(&(cont, i)));
            without(&mut data.results, |i| class.cont_results.contains(&(cont, i)));
        }
        let body = program.funcs[self.home].body;
        program.blocks[body].stmts.insert(0, Stmt::Cell(self.cell));
    }
}

/// Removes what is at some positions.
fn without<T>(list: &mut Vec<T>, mut gone: impl FnMut(usize) -> bool) {
    let mut position = 0;
    list.retain(|_| {
        position += 1;
        !gone(position - 1)
    });
}

/// The innermost function around all that hand on an array of the class.
fn home(program: &Program, functions: &[(Func, Vec<Block>)], class: &Class) -> Func {
    let mut parents: HashMap<Func, Func> = HashMap::new();
    let mut concerned: HashSet<Func> = HashSet::new();
    for (func, blocks) in functions {
        for stmt in blocks.iter().flat_map(|&block| &program.blocks[block].stmts) {
            if let Stmt::Define(nested) = stmt {
                parents.insert(*nested, *func);
            }
            if stmt.results().iter().any(|&v| class.contains(v)) {
                concerned.insert(*func);
            }
        }
    }
    let outside = functions.iter().map(|(func, _)| *func).filter(|&func| {
        program.funcs[func].params.iter().any(|&v| class.contains(v))
            || (0..program.funcs[func].results.len()).any(|i| class.results.contains(&(func, i)))
    });
    concerned.extend(outside.filter_map(|func| parents.get(&func).copied()).collect::<Vec<_>>());
    let around = |func: Func| std::iter::successors(Some(func), |func| parents.get(func).copied());
    let mut common: Option<Vec<Func>> = None;
    for &func in &concerned {
        let mut outer: Vec<Func> = around(func).collect();
        outer.reverse();
        common = Some(match common {
            None => outer,
            Some(common) => {
                common.into_iter().zip(outer).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
            }
        });
    }
    common.and_then(|common| common.last().copied()).unwrap_or(program.entry)
}
