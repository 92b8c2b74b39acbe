//! Programs as pictures: [`graphviz`].

use std::fmt::Write;

use crate::ir::ids::{Block, Cell, EntityRef, Func, SecondaryMap, Value};
use crate::ir::print::Names;
use crate::ir::{Program, Stmt, Target};

/// The program in Graphviz's language: render with `dot -Tsvg`. Functions and the arms of branches are boxes around
/// their statements; solid edges are data, bold ones calls, dashed ones continuations passed down, dotted ones what
/// flows through cells.
pub fn graphviz(program: &Program) -> String {
    let mut picture = Picture {
        program,
        names: Names::of(program),
        out: String::from("digraph program {\n  node [shape=box, fontname=monospace];\n"),
        edges: String::new(),
        makers: SecondaryMap::new(),
        boxes: 0,
        nodes: 0,
    };
    picture.function(program.entry);
    let Picture { out, edges, .. } = picture;
    format!("{out}{edges}}}\n")
}

struct Picture<'p> {
    program: &'p Program,
    names: Names,
    out: String,
    edges: String,
    /// The node that binds each value.
    makers: SecondaryMap<Value, Option<usize>>,
    boxes: usize,
    nodes: usize,
}

impl Picture<'_> {
    fn open(&mut self, label: &str) {
        let _ = writeln!(self.out, "subgraph cluster_{} {{ label=\"{}\";", self.boxes, escape(label));
        self.boxes += 1;
    }

    fn node(&mut self, label: &str, style: &str) -> usize {
        let _ = writeln!(self.out, "  n{} [label=\"{}\"{style}];", self.nodes, escape(label));
        self.nodes += 1;
        self.nodes - 1
    }

    fn edge(&mut self, from: &str, to: &str, style: &str) {
        let _ = writeln!(self.edges, "  {from} -> {to}{style};");
    }

    fn uses(&mut self, value: Value, node: usize) {
        if let Some(maker) = self.makers[value] {
            self.edge(&format!("n{maker}"), &format!("n{node}"), "");
        }
    }

    fn function(&mut self, func: Func) {
        let data = &self.program.funcs[func];
        self.open(&format!("fn {}", self.names.func(func)));
        let _ = writeln!(
            self.out,
            "  f{} [label=\"{}\", shape=oval];",
            func.index(),
            escape(&self.names.func(func))
        );
        for &param in &data.params {
            let node = self.node(&self.names.value(param), ", shape=ellipse");
            self.makers[param] = Some(node);
            self.edge(&format!("f{}", func.index()), &format!("n{node}"), " [style=bold]");
        }
        for &cont in &data.continuations {
            let _ = writeln!(
                self.out,
                "  k{} [label=\"{}\", shape=diamond];",
                cont.index(),
                escape(&self.names.cont(cont))
            );
        }
        self.block(data.body, "return");
        self.out.push_str("}\n");
    }

    fn cell(&mut self, cell: Cell, node: usize, reads: bool) {
        let (cell, node) = (format!("c{}", cell.index()), format!("n{node}"));
        let (from, to) = if reads { (cell, node) } else { (node, cell) };
        self.edge(&from, &to, " [style=dotted]");
    }

    /// Draws a block; its last node, which is what it yields.
    fn block(&mut self, block: Block, leave: &str) -> usize {
        let program = self.program;
        for stmt in &program.blocks[block].stmts {
            match stmt {
                Stmt::Let(v, _) if self.names.is_literal(*v) => continue,
                Stmt::Define(func) => {
                    self.function(*func);
                    continue;
                }
                Stmt::Cell(cell) => {
                    let label = escape(&self.names.line(program, stmt));
                    let _ = writeln!(self.out, "  c{} [label=\"{label}\", shape=cylinder];", cell.index());
                    continue;
                }
                Stmt::Let(..)
                | Stmt::Accumulate(..)
                | Stmt::Take(..)
                | Stmt::Present(..)
                | Stmt::Row(..)
                | Stmt::If { .. }
                | Stmt::Call { .. }
                | Stmt::Probe(..) => {}
            }
            let node = self.node(&self.names.line(program, stmt), "");
            stmt.for_each_use(|value| self.uses(value, node));
            stmt.results().iter().for_each(|&value| self.makers[value] = Some(node));
            match stmt {
                Stmt::Accumulate(cell, _) => self.cell(*cell, node, false),
                Stmt::Take(_, cell) | Stmt::Present(_, cell) | Stmt::Row(_, cell, _) => {
                    self.cell(*cell, node, true);
                }
                Stmt::If { then, otherwise, .. } => {
                    for (arm, label) in [(*then, "then"), (*otherwise, "else")] {
                        self.open(label);
                        let leaves = self.block(arm, "yield");
                        self.out.push_str("}\n");
                        self.edge(&format!("n{leaves}"), &format!("n{node}"), "");
                    }
                }
                Stmt::Call { target, continuations, .. } => {
                    self.edge(&format!("n{node}"), &end(*target), " [style=bold]");
                    for &passed in continuations {
                        self.edge(&format!("n{node}"), &end(passed), " [style=dashed]");
                    }
                }
                Stmt::Let(..) | Stmt::Cell(_) | Stmt::Define(_) | Stmt::Probe(..) => {}
            }
        }
        let results = &program.blocks[block].results;
        let shown: Vec<String> = results.iter().map(|&v| self.names.value(v)).collect();
        let node = self.node(&format!("{leave} {}", shown.join(", ")), ", shape=plaintext");
        results.iter().for_each(|&value| self.uses(value, node));
        node
    }
}

fn end(target: Target) -> String {
    match target {
        Target::Func(func) => format!("f{}", func.index()),
        Target::Cont(cont) => format!("k{}", cont.index()),
    }
}

/// As it stands between the quotes of a label, in which Graphviz knows HTML's entities.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('\\', "\\\\").replace('"', "\\\"")
}
