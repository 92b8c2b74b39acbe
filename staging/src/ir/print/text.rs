//! Programs as text: `Display` of [`Program`].

use std::fmt::{self, Write};
use std::panic::Location;

use crate::ir::expr::{Binary, Comparison, Expr, Padding, Unary, Window2d};
use crate::ir::host::HostFunction;
use crate::ir::ids::{Block, Cell, Func, Value};
use crate::ir::print::Names;
use crate::ir::print::loops::Parts;
use crate::ir::print::passes::Passes;
use crate::ir::probe::ProbeKind;
use crate::ir::tensor::ConcreteTensor;
use crate::ir::types::Type;
use crate::ir::{Program, Stmt, Target, Update};

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
        let params = data.params.iter().map(|&v| self.typed(v)).chain(data.continuations.iter().map(|&k| {
            let cont = &self.program.conts[k];
            format!("{}: fn({}) -> {}", self.names.cont(k), join(&cont.params), results(&cont.results))
        }));
        let params: Vec<String> = params.collect();
        let parts = self.names.parts(self.program, func);
        let word = if parts.is_some() { "loop" } else { "fn" };
        let results = results(&data.results);
        let header = format!("{word} {}({}) -> {results} {{", self.names.func(func), params.join(", "));
        if self.passes.is_continuation(func) {
            self.line(depth, "// continuation: what comes after the call that it is passed to", None)?;
        }
        self.line(depth, &header, data.origin.line)?;
        match parts {
            None => self.stmts(&self.program.blocks[data.body].stmts, self.turn(data.body), depth + 1)?,
            Some(parts) => self.rounds(data.body, parts, depth + 1)?,
        }
        self.leave("return", &self.program.blocks[data.body].results, depth + 1)?;
        self.line(depth, "}", None)
    }

    /// The body of a loop, but for what it returns, in the order in which it is run: the way back runs the rounds in
    /// reverse.
    fn rounds(&mut self, body: Block, parts: Parts<'_>, depth: usize) -> fmt::Result {
        let Parts { head, branch, then, otherwise, forward, next, backward, yielded, tail } = parts;
        let turn = self.turn(body);
        self.stmts(head, turn, depth)?;
        let Stmt::If { condition, .. } = branch else { unreachable!("the branch of a loop") };
        let line =
            format!("{}while {} {{", self.names.bind(self.program, branch), self.names.value(*condition));
        self.line(depth, &line, self.origin(branch))?;
        self.stmts(forward, self.turn(then), depth + 1)?;
        let Stmt::Call { args, continuations, .. } = next else { unreachable!("the next round is called") };
        let passed = self.names.passed(args, continuations);
        self.line(depth + 1, format!("next {passed}").trim_end(), self.origin(next))?;
        if !self.program.blocks[otherwise].is_empty() {
            self.line(depth, "} then {  // after the last round", None)?;
            self.block(otherwise, "yield", depth + 1)?;
        }
        if parts.returns() {
            let returned: Vec<String> = next.results().iter().map(|&v| self.typed(v)).collect();
            let backward_of = format!("}} backward {}", returned.join(", "));
            let line = format!("{} {{  // the rounds again, the last one first", backward_of.trim_end());
            self.line(depth, &line, None)?;
            self.stmts(backward, None, depth + 1)?;
            self.leave("yield", yielded, depth + 1)?;
        }
        self.line(depth, "}", None)?;
        let turn = turn.and_then(|turn| turn.checked_sub(head.len() + 1));
        self.stmts(tail, if parts.returns() { None } else { turn }, depth)
    }

    fn block(&mut self, block: Block, leave: &str, depth: usize) -> fmt::Result {
        let data = &self.program.blocks[block];
        self.stmts(&data.stmts, self.turn(block), depth)?;
        self.leave(leave, &data.results, depth)
    }

    /// Where in a block the backward pass begins, if it does in there.
    fn turn(&self, block: Block) -> Option<usize> {
        self.passes.turn(self.program, block)
    }

    /// Statements, of which that number `turn` begins the backward pass.
    fn stmts(&mut self, stmts: &[Stmt], turn: Option<usize>, depth: usize) -> fmt::Result {
        let program = self.program;
        let mut i = 0;
        while let Some(stmt) = stmts.get(i) {
            if turn == Some(i) {
                self.line(depth, "// backward", None)?;
            }
            i += 1;
            match stmt {
                Stmt::Let(v, _) if self.names.is_literal(*v) => {}
                Stmt::Define(func) => self.function(*func, depth)?,
                Stmt::If { then, otherwise, .. } => {
                    let head = self.names.line(program, stmt);
                    self.line(depth, &format!("{head} {{"), self.origin(stmt))?;
                    self.block(*then, "yield", depth + 1)?;
                    if !program.blocks[*otherwise].is_empty() {
                        self.line(depth, "} else {", None)?;
                        self.block(*otherwise, "yield", depth + 1)?;
                    }
                    self.line(depth, "}", None)?;
                }
                Stmt::Accumulate(cell, Update::Add(g)) => {
                    let more = stmts[i..].iter().take_while(|stmt| adds(stmt, *cell, *g)).count();
                    i += more;
                    let line = match more {
                        0 => self.names.line(program, stmt),
                        // Added one after another: not the same, when rounded, as a sum that is added.
                        _ => {
                            let (cell, g) = (self.names.cell(*cell), self.names.value(*g));
                            format!("{cell} = {cell}{}", format!(" + {g}").repeat(more + 1))
                        }
                    };
                    self.line(depth, &line, self.origin(stmt))?;
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
                    self.line(depth, &line, self.origin(stmt))?;
                }
            }
        }
        Ok(())
    }

    /// What a block yields, or a function returns.
    fn leave(&mut self, word: &str, results: &[Value], depth: usize) -> fmt::Result {
        if results.is_empty() {
            return Ok(());
        }
        let results = self.names.list(results);
        self.line(depth, &format!("{word} {results}"), None)
    }

    fn typed(&self, v: Value) -> String {
        format!("{}: {}", self.names.value(v), self.program.ty(v))
    }

    /// The line of the source that a statement comes from: of a branch that of its condition, and of what is added to
    /// a cell that of what computed it.
    fn origin(&self, stmt: &Stmt) -> Option<&'static Location<'static>> {
        let value = match stmt {
            Stmt::Call { target: Target::Func(func), results, .. } if results.is_empty() => {
                return self.program.funcs[*func].origin.line;
            }
            Stmt::Probe(probe, _) => return Some(self.program.probes[*probe].at),
            Stmt::If { condition, .. } => Some(*condition),
            Stmt::Accumulate(_, update) => update.operands().last(),
            Stmt::Let(..)
            | Stmt::Cell(_)
            | Stmt::Take(..)
            | Stmt::Present(..)
            | Stmt::Row(..)
            | Stmt::Define(_)
            | Stmt::Call { .. } => stmt.results().first().copied(),
        };
        value.filter(|&v| !self.names.is_literal(v)).and_then(|v| self.program.values[v].origin.line)
    }

    fn line(&mut self, depth: usize, text: &str, from: Option<&Location<'_>>) -> fmt::Result {
        write!(self.out, "{:indent$}{text}", "", indent = 4 * depth)?;
        if let Some(from) = from {
            write!(self.out, "  // {}:{}", from.file(), from.line())?;
        }
        writeln!(self.out)
    }
}

/// Whether a statement adds a value to a cell.
fn adds(stmt: &Stmt, to: Cell, value: Value) -> bool {
    matches!(stmt, Stmt::Accumulate(cell, Update::Add(g)) if (*cell, *g) == (to, value))
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

    /// The names that a statement gives its results, with ` = `.
    fn bind(&self, program: &Program, stmt: &Stmt) -> String {
        let bound: Vec<String> =
            stmt.results().iter().map(|&v| format!("{}: {}", self.value(v), program.ty(v))).collect();
        if bound.is_empty() { String::new() } else { format!("{} = ", bound.join(", ")) }
    }

    /// What a call passes.
    fn passed(&self, args: &[Value], continuations: &[Target]) -> String {
        let args = args.iter().map(|&v| self.value(v));
        args.chain(continuations.iter().map(|&k| self.target(k))).collect::<Vec<_>>().join(", ")
    }

    /// A statement as one line of text; of an `if` or a function, the head.
    pub fn line(&self, program: &Program, stmt: &Stmt) -> String {
        let bind = self.bind(program, stmt);
        match stmt {
            Stmt::Let(_, Expr::Host { host, operands, .. }) => {
                let HostFunction { name, version, .. } = &program.hosts[*host].function;
                format!("{bind}host {name}.{version}({})", self.list(operands))
            }
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
                format!("{bind}{}({})", self.target(*target), self.passed(args, continuations))
            }
        }
    }

    fn update(&self, cell: &str, update: &Update) -> String {
        match *update {
            Update::Add(g) => format!("{cell} += {}", self.value(g)),
            Update::Replace(g) => format!("{cell} = {}", self.value(g)),
            Update::Matmul(a, b) => format!("{cell} += matmul({}, {})", self.value(a), self.value(b)),
            Update::Slice { axis, start, step, g, .. } => {
                format!("{cell}[axis {axis}, from {start} by {step}] += {}", self.value(g))
            }
            Update::Rows { indices, g } | Update::Write { indices, g, add: true, .. } => {
                format!("{cell}[{}] += {}", self.value(indices), self.value(g))
            }
            Update::Write { indices, g, add: false, .. } => {
                format!("{cell}[{}] = {}", self.value(indices), self.value(g))
            }
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
            | Expr::After(..)
            | Expr::GatherRows { .. }
            | Expr::GatherLast { .. }
            | Expr::Host { .. } => String::new(),
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
            Expr::WriteRows { axes: 1, .. } => String::new(),
            Expr::WriteRows { axes, .. } => format!(", axes {axes}"),
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
        Binary::Pow
        | Binary::Atan2
        | Binary::Hypot
        | Binary::Fmod
        | Binary::FloorDivide
        | Binary::Maximum
        | Binary::Minimum => None,
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
