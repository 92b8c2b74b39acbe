//! Programs as text: `Display` of [`Program`].

use std::fmt::{self, Write};

use crate::ir::expr::{Binary, Comparison, Expr, Padding, Unary, Window2d};
use crate::ir::ids::{Block, Func, Value};
use crate::ir::print::Names;
use crate::ir::print::passes::Passes;
use crate::ir::probe::ProbeKind;
use crate::ir::tensor::ConcreteTensor;
use crate::ir::types::Type;
use crate::ir::{Program, Stmt, Update};

/// Elements of a constant array that are shown.
const SHOWN: usize = 8;

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (names, passes) = (Names::of(self), Passes::of(self));
        Printer { program: self, names, passes, out: f }.function(self.entry, 0)
    }
}

struct Printer<'a, 'b> {
    program: &'a Program,
    names: Names,
    passes: Passes,
    out: &'a mut fmt::Formatter<'b>,
}

impl Printer<'_, '_> {
    fn function(&mut self, func: Func, depth: usize) -> fmt::Result {
        let data = &self.program.funcs[func];
        let typed = |&v: &Value| format!("{}: {}", self.names.value(v), self.program.ty(v));
        let params = data.params.iter().map(typed).chain(data.continuations.iter().map(|&k| {
            let cont = &self.program.conts[k];
            format!("{}: fn({}) -> {}", self.names.cont(k), join(&cont.params), results(&cont.results))
        }));
        let params: Vec<String> = params.collect();
        let header =
            format!("fn {}({}) -> {} {{", self.names.func(func), params.join(", "), results(&data.results));
        if self.passes.is_continuation(func) {
            self.line(depth, "// continuation: what comes after the call that it is passed to")?;
        }
        self.line(depth, &header)?;
        self.block(data.body, "return", depth + 1)?;
        self.line(depth, "}")
    }

    fn block(&mut self, block: Block, leave: &str, depth: usize) -> fmt::Result {
        let program = self.program;
        let turn = self.passes.turn(program, block, |v| self.names.is_literal(v));
        for (i, stmt) in program.blocks[block].stmts.iter().enumerate() {
            if turn == Some(i) {
                self.line(depth, "// backward")?;
            }
            match stmt {
                Stmt::Let(v, _) if self.names.is_literal(*v) => {}
                Stmt::Define(func) => self.function(*func, depth)?,
                Stmt::If { then, otherwise, .. } => {
                    let head = self.names.line(program, stmt);
                    self.line(depth, &format!("{head} {{"))?;
                    self.block(*then, "yield", depth + 1)?;
                    let other = &program.blocks[*otherwise];
                    if !(other.stmts.is_empty() && other.results.is_empty()) {
                        self.line(depth, "} else {")?;
                        self.block(*otherwise, "yield", depth + 1)?;
                    }
                    self.line(depth, "}")?;
                }
                Stmt::Let(..)
                | Stmt::Cell(_)
                | Stmt::Accumulate(..)
                | Stmt::Take(..)
                | Stmt::Present(..)
                | Stmt::Row(..)
                | Stmt::Call { .. }
                | Stmt::Probe(..) => {
                    let line = self.names.line(program, stmt);
                    self.line(depth, &line)?;
                }
            }
        }
        let results = &program.blocks[block].results;
        if results.is_empty() {
            return Ok(());
        }
        let results = self.names.list(results);
        self.line(depth, &format!("{leave} {results}"))
    }

    fn line(&mut self, depth: usize, text: &str) -> fmt::Result {
        writeln!(self.out, "{:indent$}{text}", "", indent = 4 * depth)
    }
}

fn join(types: &[Type]) -> String {
    types.iter().map(Type::to_string).collect::<Vec<_>>().join(", ")
}

fn results(types: &[Type]) -> String {
    match types {
        [ty] => ty.to_string(),
        _ => format!("({})", join(types)),
    }
}

impl Names {
    fn list(&self, values: &[Value]) -> String {
        values.iter().map(|&v| self.value(v)).collect::<Vec<_>>().join(", ")
    }

    /// A statement as one line of text; of an `if` or a function, the head.
    pub fn line(&self, program: &Program, stmt: &Stmt) -> String {
        let bound: Vec<String> =
            stmt.results().iter().map(|&v| format!("{}: {}", self.value(v), program.ty(v))).collect();
        let bind = if bound.is_empty() { String::new() } else { format!("{} = ", bound.join(", ")) };
        match stmt {
            Stmt::Let(_, expr) => format!("{bind}{}", self.expr(expr)),
            Stmt::Cell(cell) => format!("{}: cell {}", self.cell(*cell), program.cells[*cell].ty),
            Stmt::Accumulate(cell, update) => self.update(&self.cell(*cell), update),
            Stmt::Take(_, cell) => format!("{bind}take {}", self.cell(*cell)),
            Stmt::Present(_, cell) => format!("{bind}present {}", self.cell(*cell)),
            Stmt::Row(_, cell, index) => format!("{bind}{}[{}]", self.cell(*cell), self.value(*index)),
            Stmt::If { condition, .. } => format!("{bind}if {}", self.value(*condition)),
            Stmt::Probe(probe, value) => {
                let value = self.value(*value);
                match &program.probes[*probe].kind {
                    ProbeKind::Ensure(message) => format!("ensure {value}, {message:?}"),
                    ProbeKind::Finite { .. } => format!("ensure finite {value}"),
                    ProbeKind::Print(name) => format!("print {value} as {name:?}"),
                }
            }
            Stmt::Define(func) => format!("fn {}", self.func(*func)),
            Stmt::Call { target, args, continuations, .. } => {
                let args = args.iter().map(|&v| self.value(v));
                let args: Vec<String> = args.chain(continuations.iter().map(|&k| self.target(k))).collect();
                format!("{bind}{}({})", self.target(*target), args.join(", "))
            }
        }
    }

    fn update(&self, cell: &str, update: &Update) -> String {
        match *update {
            Update::Add(g) => format!("{cell} += {}", self.value(g)),
            Update::Matmul(a, b) => format!("{cell} += matmul({}, {})", self.value(a), self.value(b)),
            Update::Slice { axis, start, step, g, .. } => {
                format!("{cell}[axis {axis}, from {start} by {step}] += {}", self.value(g))
            }
            Update::Rows { indices, g } => format!("{cell}[{}] += {}", self.value(indices), self.value(g)),
        }
    }

    /// An expression as text: as it is written, or its name with its operands and constants.
    pub fn expr(&self, expr: &Expr) -> String {
        let value = |&v: &Value| self.value(v);
        let constants = match expr {
            Expr::Fill { value, shape } if shape.is_empty() => return value.to_string(),
            Expr::Fill { value, shape } => return format!("fill {value} to {:?}", shape.as_slice()),
            Expr::Array(tensor) => return array(tensor),
            Expr::Unary(Unary::Neg, x) => return format!("-{}", value(x)),
            Expr::Unary(Unary::Not, x) => return format!("!{}", value(x)),
            Expr::Binary(op, a, b) if let Some(sign) = infix(*op) => {
                return format!("{} {sign} {}", value(a), value(b));
            }
            Expr::Compare(op, a, b) => return format!("{} {} {}", value(a), sign(*op), value(b)),
            Expr::Unary(..)
            | Expr::Binary(..)
            | Expr::Select { .. }
            | Expr::Matmul(..)
            | Expr::GatherRows { .. }
            | Expr::GatherLast { .. } => String::new(),
            Expr::Powi(_, n) => format!(", {n}"),
            Expr::Clamp { low, high, .. } => format!(", {low}, {high}"),
            Expr::Convert(_, dtype) => format!(", {dtype}"),
            Expr::Reshape(_, shape) | Expr::Broadcast(_, shape) | Expr::Uniform { shape, .. } => {
                format!(", {:?}", shape.as_slice())
            }
            Expr::Permute(_, order) => format!(", {:?}", order.as_slice()),
            Expr::Reduce(_, _, axes) => format!(", axes {:?}", axes.as_slice()),
            Expr::Argmax(_, axis) | Expr::Concat(_, axis) | Expr::Flip(_, axis) => format!(", axis {axis}"),
            Expr::Slice { axis, start, end, step: 1, .. } => format!(", axis {axis}, {start}..{end}"),
            Expr::Slice { axis, start, end, step, .. } => format!(", axis {axis}, {start}..{end} by {step}"),
            Expr::Pad { axis, padding: Padding { before, after, interior }, .. } => {
                format!(", axis {axis}, before {before}, after {after}, interior {interior}")
            }
            Expr::ScatterRows { rows, .. } => format!(", rows {rows}"),
            Expr::ScatterLast { length, .. } => format!(", length {length}"),
            Expr::Conv2d { window, .. } => windows(*window),
            Expr::Conv2dImage { size, window, .. } | Expr::Conv2dKernel { size, window, .. } => {
                format!(", size {size:?}{}", windows(*window))
            }
            Expr::Unfold2d { kernel, window, .. } => format!(", kernel {kernel:?}{}", windows(*window)),
            Expr::Fold2d { size, kernel, window, .. } => {
                format!(", size {size:?}, kernel {kernel:?}{}", windows(*window))
            }
        };
        let operands: Vec<String> = expr.operands().iter().map(value).collect();
        format!("{}({}{constants})", expr.name(), operands.join(", "))
    }
}

/// The sign that is written between the operands, if there is one.
fn infix(op: Binary) -> Option<&'static str> {
    match op {
        Binary::Add => Some("+"),
        Binary::Sub => Some("-"),
        Binary::Mul => Some("*"),
        Binary::Div => Some("/"),
        Binary::And => Some("&"),
        Binary::Or => Some("|"),
        Binary::Pow | Binary::Maximum | Binary::Minimum => None,
    }
}

fn sign(op: Comparison) -> &'static str {
    match op {
        Comparison::Less => "<",
        Comparison::LessEqual => "<=",
        Comparison::Equal => "==",
    }
}

fn windows(Window2d { stride, padding }: Window2d) -> String {
    format!(", stride {stride:?}, padding {padding:?}")
}

fn array(tensor: &ConcreteTensor) -> String {
    let mut text = String::from("[");
    for i in 0..tensor.size().min(SHOWN) {
        let _ = write!(text, "{}{}", if i > 0 { ", " } else { "" }, tensor.at(i));
    }
    text.push_str(if tensor.size() > SHOWN { ", ..]" } else { "]" });
    text
}
