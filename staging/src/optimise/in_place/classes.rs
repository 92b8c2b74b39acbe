//! The classes of arrays that hand on to each other.

use std::collections::{HashMap, HashSet};

use crate::ir::expr::Expr;
use crate::ir::ids::{Block, Cont, Func, Value};
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
                    stmt => {
                        let children: Vec<Block> = program.children(stmt).collect();
                        inside.extend(children.into_iter().rev());
                    }
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
    /// The result of the first write.
    pub first: Value,
    /// Of all of them.
    pub ty: Type,
    pub members: HashSet<Value>,
    /// Results of functions that are of the class, by position.
    pub results: HashSet<(Func, usize)>,
    /// Parameters and results of continuations, likewise.
    pub cont_params: HashSet<(Cont, usize)>,
    pub cont_results: HashSet<(Cont, usize)>,
}

impl Class {
    fn of(first: Value, ty: Type) -> Class {
        let (members, results) = Default::default();
        let (cont_params, cont_results) = Default::default();
        Class { first, ty, members, results, cont_params, cont_results }
    }
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
    /// The position of the parameter of a target that is of the class; an error if several are.
    pub fn param_of(&self, program: &Program, target: Target) -> Result<Option<usize>, ()> {
        match target {
            Target::Func(func) => self.param(program, func),
            Target::Cont(cont) => {
                only((0..program.conts[cont].params.len()).filter(|&i| self.cont_params.contains(&(cont, i))))
            }
        }
    }
    /// The position of the result of a target that is of the class; an error if several are.
    pub fn result_of(&self, program: &Program, target: Target) -> Result<Option<usize>, ()> {
        match target {
            Target::Func(func) => self.result(program, func),
            Target::Cont(cont) => only(
                (0..program.conts[cont].results.len()).filter(|&i| self.cont_results.contains(&(cont, i))),
            ),
        }
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
    ContParam(Cont, usize),
    ContResult(Cont, usize),
}

impl Node {
    fn param(program: &Program, target: Target, i: usize) -> Node {
        match target {
            Target::Func(func) => Node::Value(program.funcs[func].params[i]),
            Target::Cont(cont) => Node::ContParam(cont, i),
        }
    }
    fn result(target: Target, i: usize) -> Node {
        match target {
            Target::Func(func) => Node::Result(func, i),
            Target::Cont(cont) => Node::ContResult(cont, i),
        }
    }
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
    let of_array = |ty: &Type| ty.dtype.is_float() && !ty.shape.is_empty();
    let is_array = |v: Value| of_array(program.ty(v));
    let mut union = Union::default();
    // What comes into the program, and goes out of it, is the caller's.
    for (func, _) in functions.iter().filter(|(func, _)| *func != program.entry) {
        let data = &program.funcs[*func];
        data.params.iter().filter(|&&v| is_array(v)).for_each(|&v| union.add(Node::Value(v)));
        let results = data.results.iter().enumerate();
        results.filter(|(_, ty)| of_array(ty)).for_each(|(i, _)| union.add(Node::Result(*func, i)));
        for &cont in &data.continuations {
            let of = &program.conts[cont];
            let arrays =
                |types: &[Type]| (0..types.len()).filter(|&i| of_array(&types[i])).collect::<Vec<_>>();
            arrays(&of.params).into_iter().for_each(|i| union.add(Node::ContParam(cont, i)));
            arrays(&of.results).into_iter().for_each(|i| union.add(Node::ContResult(cont, i)));
        }
    }
    for stmt in stmts() {
        match stmt {
            Stmt::Let(v, Expr::WriteRows { .. }) if is_array(*v) => union.add(Node::Value(*v)),
            Stmt::If { results, .. } => {
                results.iter().filter(|&&v| is_array(v)).for_each(|&v| union.add(Node::Value(v)));
            }
            Stmt::Call { results, .. } => {
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
            Stmt::Call { target, args, continuations, results } => {
                for (i, &arg) in args.iter().enumerate() {
                    union.join(Node::Value(arg), Node::param(program, *target, i));
                }
                for (i, &v) in results.iter().enumerate() {
                    union.join(Node::result(*target, i), Node::Value(v));
                }
                // What is passed is what is called for it.
                let Target::Func(func) = target else { continue };
                for (&cont, &passed) in program.funcs[*func].continuations.iter().zip(continuations) {
                    let of = &program.conts[cont];
                    for i in 0..of.params.len() {
                        union.join(Node::ContParam(cont, i), Node::param(program, passed, i));
                    }
                    for i in 0..of.results.len() {
                        union.join(Node::ContResult(cont, i), Node::result(passed, i));
                    }
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
                classes.push(Class::of(*v, ty));
                classes.len() - 1
            });
        }
    }
    for &node in &union.order {
        let number = union.of(node).and_then(|root| numbers.get(&root));
        match (node, number) {
            (Node::Value(v), Some(&number)) => {
                classes[number].members.insert(v);
            }
            (Node::Result(func, i), Some(&number)) => {
                classes[number].results.insert((func, i));
            }
            (Node::ContParam(cont, i), Some(&number)) => {
                classes[number].cont_params.insert((cont, i));
            }
            (Node::ContResult(cont, i), Some(&number)) => {
                classes[number].cont_results.insert((cont, i));
            }
            (_, None) => {}
        }
    }
    classes
}
