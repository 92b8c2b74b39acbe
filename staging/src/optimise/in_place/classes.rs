//! The classes of arrays that hand on to each other.

use std::collections::{HashMap, HashSet};

use crate::ir::expr::Expr;
use crate::ir::ids::{Block, Func, Value};
use crate::ir::types::Type;
use crate::ir::{Program, Stmt, Target};

/// Whether anything writes rows.
pub fn writes_rows(program: &Program) -> bool {
    program.exprs().iter().any(|expr| matches!(expr, Expr::WriteRows { .. }))
}

/// Each function that is part of the program, with its own blocks, in the order of the text.
pub fn own_blocks(program: &Program) -> Vec<(Func, Vec<Block>)> {
    let mut found = Vec::new();
    let mut pending = vec![program.entry];
    while let Some(func) = pending.pop() {
        let mut blocks = Vec::new();
        let mut inside = vec![program.funcs[func].body];
        while let Some(block) = inside.pop() {
            blocks.push(block);
            for stmt in program.blocks[block].stmts.iter().rev() {
                match stmt {
                    Stmt::Define(nested) => pending.push(*nested),
                    Stmt::If { then, otherwise, .. } => inside.extend([*otherwise, *then]),
                    _ => {}
                }
            }
        }
        found.push((func, blocks));
    }
    found
}

/// Arrays one of which is made of the other by writing rows, or that are the same by another name.
#[derive(Debug)]
pub struct Class {
    /// Of all of them.
    pub ty: Type,
    pub members: HashSet<Value>,
    /// Results of functions that are of the class, by position.
    pub results: HashSet<(Func, usize)>,
}

impl Class {
    pub fn contains(&self, value: Value) -> bool {
        self.members.contains(&value)
    }
    /// The position of the parameter that is of the class; an error if several are.
    pub fn param(&self, program: &Program, func: Func) -> Result<Option<usize>, ()> {
        only((0..program.funcs[func].params.len()).filter(|&i| self.contains(program.funcs[func].params[i])))
    }
    /// The position of the result that is of the class; an error if several are.
    pub fn result(&self, program: &Program, func: Func) -> Result<Option<usize>, ()> {
        only((0..program.funcs[func].results.len()).filter(|&i| self.results.contains(&(func, i))))
    }
    /// The position of the one of these values that is of the class; an error if several are.
    pub fn position(&self, values: &[Value]) -> Result<Option<usize>, ()> {
        only((0..values.len()).filter(|&i| self.contains(values[i])))
    }
}

fn only(mut positions: impl Iterator<Item = usize>) -> Result<Option<usize>, ()> {
    let first = positions.next();
    if positions.next().is_some() { Err(()) } else { Ok(first) }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Node {
    Value(Value),
    Result(Func, usize),
}

#[derive(Default)]
struct Union {
    parent: HashMap<Node, Node>,
    /// In the order in which they were met, so that the same program always becomes the same.
    order: Vec<Node>,
}

impl Union {
    fn add(&mut self, node: Node) {
        if self.parent.insert(node, node).is_none() {
            self.order.push(node);
        }
    }
    fn of(&self, mut node: Node) -> Option<Node> {
        loop {
            let next = *self.parent.get(&node)?;
            if next == node {
                return Some(node);
            }
            node = next;
        }
    }
    /// Joins two, if both hand on.
    fn join(&mut self, a: Node, b: Node) {
        if let (Some(a), Some(b)) = (self.of(a), self.of(b)) {
            self.parent.insert(a, b);
        }
    }
}

/// The classes of a program in which rows are written. A value that comes from elsewhere is of none: it is copied into
/// the cell where it begins to be one.
pub fn of(program: &Program) -> Vec<Class> {
    let functions = own_blocks(program);
    let stmts =
        || functions.iter().flat_map(|(_, blocks)| blocks).flat_map(|&block| &program.blocks[block].stmts);
    // Who calls a continuation is not known here.
    let passed: HashSet<Func> = stmts()
        .flat_map(Stmt::targets_passed)
        .filter_map(|target| if let Target::Func(func) = target { Some(func) } else { None })
        .chain([program.entry])
        .collect();
    let is_array = |v: Value| program.ty(v).dtype.is_float() && !program.ty(v).shape.is_empty();
    let mut union = Union::default();
    for (func, _) in functions.iter().filter(|(func, _)| !passed.contains(func)) {
        let data = &program.funcs[*func];
        data.params.iter().filter(|&&v| is_array(v)).for_each(|&v| union.add(Node::Value(v)));
        let results = program.blocks[data.body].results.iter().enumerate();
        results.filter(|(_, v)| is_array(**v)).for_each(|(i, _)| union.add(Node::Result(*func, i)));
    }
    for stmt in stmts() {
        match stmt {
            Stmt::Let(v, Expr::WriteRows { .. }) if is_array(*v) => union.add(Node::Value(*v)),
            Stmt::If { results, .. } => {
                results.iter().filter(|&&v| is_array(v)).for_each(|&v| union.add(Node::Value(v)));
            }
            Stmt::Call { target: Target::Func(func), results, .. } if !passed.contains(func) => {
                results.iter().filter(|&&v| is_array(v)).for_each(|&v| union.add(Node::Value(v)));
            }
            _ => {}
        }
    }
    for stmt in stmts() {
        match stmt {
            Stmt::Let(v, Expr::WriteRows { x, .. }) => union.join(Node::Value(*x), Node::Value(*v)),
            Stmt::If { then, otherwise, results, .. } => {
                for (i, &v) in results.iter().enumerate() {
                    for arm in [then, otherwise] {
                        union.join(Node::Value(program.blocks[*arm].results[i]), Node::Value(v));
                    }
                }
            }
            Stmt::Call { target: Target::Func(func), args, results, .. } => {
                for (&arg, &param) in args.iter().zip(&program.funcs[*func].params) {
                    union.join(Node::Value(arg), Node::Value(param));
                }
                for (i, &v) in results.iter().enumerate() {
                    union.join(Node::Result(*func, i), Node::Value(v));
                }
            }
            _ => {}
        }
    }
    for (func, _) in &functions {
        for (i, &v) in program.blocks[program.funcs[*func].body].results.iter().enumerate() {
            union.join(Node::Value(v), Node::Result(*func, i));
        }
    }
    let mut classes: Vec<Class> = Vec::new();
    let mut numbers: HashMap<Node, usize> = HashMap::new();
    for stmt in stmts() {
        if let Stmt::Let(v, Expr::WriteRows { .. }) = stmt
            && let Some(root) = union.of(Node::Value(*v))
        {
            numbers.entry(root).or_insert_with(|| {
                let ty = program.ty(*v).clone();
                classes.push(Class { ty, members: HashSet::new(), results: HashSet::new() });
                classes.len() - 1
            });
        }
    }
    for &node in &union.order {
        let number = union.of(node).and_then(|root| numbers.get(&root));
        match (node, number) {
            (Node::Value(v), Some(&number)) => drop(classes[number].members.insert(v)),
            (Node::Result(func, i), Some(&number)) => drop(classes[number].results.insert((func, i))),
            (_, None) => {}
        }
    }
    classes
}
