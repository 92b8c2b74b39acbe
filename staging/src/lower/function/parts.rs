//! Long straight code in parts.
//!
//! LLVM takes a time that grows faster than a function, and than a basic block most of all. So a function of the
//! program that becomes very much code is cut: runs of its statements become functions of the module, *parts*, which
//! are called where the statements were. A part gets the context, the frame and the start of the buffers of the
//! function, and gives nothing back: a value that statements outside of the part in which it is computed read is kept
//! in a *word* of memory, among the function's buffers, for as long as anything is to read it. Parts have no parts.

use std::collections::HashMap;
use std::ops::Range;

use inkwell::module::Linkage;
use inkwell::values::PointerValue;

use crate::analysis::captures::Entity;
use crate::ir::expr::Expr;
use crate::ir::ids::{Block, Cell, Cont, Func, Value};
use crate::ir::{Program, Stmt, Target};
use crate::lower::asm::Reg;
use crate::lower::asm::math::is_elementary;
use crate::lower::asm::{FAST, is_scalar};
use crate::lower::function::module::Lowerer;
use crate::lower::function::values::{Place, computes, moves};
use crate::lower::function::{Body, CellPlace};

/// Weight of a function from which on it is cut; nearly all are in the tests of this module.
const WHOLE: usize = if cfg!(test) { 4 } else { 2048 };
/// Weight of a part.
const PART: usize = if cfg!(test) { 4 } else { 256 };
/// Weight of a run of statements that is not worth a part.
const SHORT: usize = if cfg!(test) { 1 } else { 32 };
/// Weight of an elementary function that is emitted inline.
const ELEMENTARY: usize = 32;
/// Weight of what is read and written in memory.
const MEMORY: usize = 4;
/// Weight of a call, or of an operator on arrays, which mostly is one.
const CALL: usize = 6;
/// What counts where it is decided whether a function is cut: operators on numbers. Those on arrays do not, for calls
/// are soon compiled, and a function that is not cut can compute arrays in the place of others.
const NUMBERS: usize = if cfg!(test) { CALL } else { 0 };
/// Elements of arrays whose operators are emitted where they are.
const FEW: usize = 8;
/// Bytes of the buffers from which words are taken.
const PAGE: u64 = 4096;
/// Bytes of a word.
pub const WORD: u64 = 8;

/// About how many instructions statements become where they are.
#[derive(Default)]
pub struct Weights {
    /// Of the functions that become part of their callers: with operators on arrays, and without them.
    inlined: HashMap<Func, [usize; 2]>,
}

impl Weights {
    /// Of a program, of whose functions some become part of their callers.
    pub fn of(lower: &Lowerer<'_, '_>, is_inlined: impl Fn(Func) -> bool) -> Weights {
        let mut weights = Weights::default();
        // What is inlined is mostly called where it is defined: inner functions come first.
        for &func in lower.analysis.all.iter().rev() {
            if is_inlined(func) {
                let body = lower.program.funcs[func].body;
                let of = [CALL, NUMBERS].map(|array| weights.block(lower, body, array));
                // What is cut is hardly more than calls.
                weights
                    .inlined
                    .insert(func, if of[1] > WHOLE { of.map(|weight| weight / SHORT) } else { of });
            }
        }
        weights
    }

    /// Of a block, where an operator on arrays has this weight.
    fn block(&self, lower: &Lowerer<'_, '_>, block: Block, array: usize) -> usize {
        lower.program.blocks[block].stmts.iter().map(|stmt| self.stmt(lower, stmt, array)).sum()
    }

    fn stmt(&self, lower: &Lowerer<'_, '_>, stmt: &Stmt, array: usize) -> usize {
        match stmt {
            Stmt::Let(v, expr) => self.operator(lower, *v, expr, array),
            Stmt::Define(_) => 0,
            Stmt::Cell(_) => 2,
            Stmt::Accumulate(cell, _)
            | Stmt::Take(_, cell)
            | Stmt::Present(_, cell)
            | Stmt::Row(_, cell, _) => {
                if is_scalar(&lower.program.cells[*cell].ty) {
                    MEMORY
                } else {
                    array
                }
            }
            Stmt::If { then, otherwise, .. } => {
                2 + [then, otherwise].map(|&arm| self.block(lower, arm, array)).iter().sum::<usize>()
            }
            Stmt::Call { target: Target::Func(func), .. } => {
                CALL + self.inlined.get(func).map_or(0, |of| of[usize::from(array == NUMBERS)])
            }
            Stmt::Call { .. } => CALL,
        }
    }

    fn operator(&self, lower: &Lowerer<'_, '_>, v: Value, expr: &Expr, array: usize) -> usize {
        let ty = lower.program.ty(v);
        match expr {
            _ if expr.operands().is_empty() || moves(expr) => 0,
            _ if !computes(expr) || ty.size() > FEW => array,
            Expr::Unary(op, x) if is_elementary(*op) && !lower.math.strict => {
                let called = lower.asm.elementary.contains_key(&(*op, lower.program.ty(*x).dtype));
                if called && is_scalar(ty) { CALL } else { ELEMENTARY }
            }
            _ => 2,
        }
    }

    /// Whether a function is cut.
    fn is_cut(&self, lower: &Lowerer<'_, '_>, func: Func) -> bool {
        self.block(lower, lower.program.funcs[func].body, NUMBERS) > WHOLE
    }

    /// Statements in runs, each with whether it becomes a part: all but those in which a function that runs as a loop
    /// calls itself, and branches that are large themselves.
    fn runs(&self, lower: &Lowerer<'_, '_>, func: Func, stmts: &[Stmt]) -> Vec<(Range<usize>, bool)> {
        let is_loop = !lower.analysis.funcs[&func].sites.is_empty();
        let mut runs = Vec::new();
        let (mut start, mut weight) = (0, 0);
        for (i, stmt) in stmts.iter().enumerate() {
            let own = self.stmt(lower, stmt, CALL);
            let large = matches!(stmt, Stmt::If { .. }) && own > PART;
            if large || is_loop && calls(lower.program, stmt, func) {
                runs.extend([(start..i, weight > SHORT), (i..i + 1, false)]);
                (start, weight) = (i + 1, 0);
                continue;
            }
            weight += own;
            if weight >= PART {
                runs.push((start..i + 1, true));
                (start, weight) = (i + 1, 0);
            }
        }
        runs.push((start..stmts.len(), weight > SHORT));
        runs
    }
}

/// Whether a statement, or one inside of its arms, calls a function.
fn calls(program: &Program, stmt: &Stmt, func: Func) -> bool {
    let mut found = false;
    for_each(program, std::slice::from_ref(stmt), &mut |stmt| {
        found |= matches!(stmt, Stmt::Call { target: Target::Func(called), .. } if *called == func);
    });
    found
}

/// Calls `f` with statements and those inside of their arms.
fn for_each(program: &Program, stmts: &[Stmt], f: &mut impl FnMut(&Stmt)) {
    for stmt in stmts {
        f(stmt);
        if let Stmt::If { then, otherwise, .. } = stmt {
            for arm in [then, otherwise] {
                for_each(program, &program.blocks[*arm].stmts, f);
            }
        }
    }
}

/// Where a function that is cut keeps what its parts have to find: offsets from the start of its buffers.
#[derive(Default)]
pub struct Words {
    values: HashMap<Value, u64>,
    /// Of cells that nobody captures, what is accumulated and whether anything is.
    cells: HashMap<Cell, [u64; 2]>,
    /// Of continuations that nobody captures, code and frame.
    conts: HashMap<Cont, [u64; 2]>,
    /// The addresses at which arrays are wanted.
    wanted: HashMap<Value, u64>,
    /// Where values are that outlive a call of the function by itself and that nobody captures.
    slots: HashMap<Value, u64>,
    unused: Vec<u64>,
    /// How many statements of the function touch each of the cells.
    touches: HashMap<Cell, usize>,
}

/// What a function has in registers, which no part of it can read.
pub struct Outside<'c> {
    context: PointerValue<'c>,
    base: PointerValue<'c>,
    frames: HashMap<Func, PointerValue<'c>>,
    places: HashMap<Value, Place<'c>>,
    wanted: HashMap<Value, PointerValue<'c>>,
    batch_innermost: HashMap<Value, PointerValue<'c>>,
    cells: HashMap<Cell, CellPlace<'c>>,
    conts: HashMap<Cont, (PointerValue<'c>, PointerValue<'c>)>,
}

impl<'c> Body<'_, '_, 'c> {
    /// Prepares a function to be cut, if it is too large.
    pub fn begin_words(&mut self) {
        let lower = self.lower;
        if !lower.weights.is_cut(lower, self.func) {
            return;
        }
        let mut words = Words::default();
        let body = &lower.program.blocks[lower.program.funcs[self.func].body];
        for_each(lower.program, &body.stmts, &mut |stmt| {
            if let Some(cell) = stmt.touched() {
                *words.touches.entry(cell).or_default() += 1;
            }
        });
        self.words = Some(words);
    }

    /// Emits the statements of a block.
    pub fn stmts(&mut self, block: Block) {
        let stmts = &self.lower.program.blocks[block].stmts;
        if self.words.is_none() || self.outside.is_some() {
            return stmts.iter().for_each(|stmt| self.stmt(stmt));
        }
        for (run, is_part) in self.lower.weights.runs(self.lower, self.func, stmts) {
            if is_part {
                self.part(&stmts[run]);
            } else {
                stmts[run].iter().for_each(|stmt| self.stmt(stmt));
            }
        }
    }

    /// Emits statements as a part, and the call of it.
    fn part(&mut self, stmts: &[Stmt]) {
        let (asm, here) = (self.asm, self.asm.here());
        let ptr = asm.ptr_ty();
        let ty = asm.context.void_type().fn_type(&[ptr.into(); 3], false);
        let function = asm.module.add_function("part", ty, Some(Linkage::Private));
        function.set_call_conventions(FAST);
        asm.attributes(function);
        asm.go_to(asm.context.append_basic_block(function, "entry"));
        let own = self.frames.get(&self.func).copied();
        let frame = own.or(self.around()).unwrap_or(ptr.const_null());
        let given: Vec<_> = function.get_param_iter().map(Reg::into_pointer_value).collect();
        let args = [self.context, frame, self.base].map(Reg::from);
        self.outside = Some(Outside {
            context: std::mem::replace(&mut self.context, given[0]),
            base: std::mem::replace(&mut self.base, given[2]),
            frames: std::mem::take(&mut self.frames),
            places: std::mem::take(&mut self.places),
            wanted: std::mem::take(&mut self.wanted),
            batch_innermost: std::mem::take(&mut self.batch_innermost),
            cells: std::mem::take(&mut self.cells),
            conts: std::mem::take(&mut self.conts),
        });
        let has_parent = self.lower.analysis.funcs[&self.func].parent.is_some();
        let around = match own {
            Some(_) => {
                self.frames.insert(self.func, given[1]);
                has_parent.then(|| asm.load_ptr(given[1]))
            }
            None => has_parent.then_some(given[1]),
        };
        self.link_around(around);
        let outside = self.outside.as_mut().expect("it was set above");
        for v in &self.pending {
            self.places.extend(outside.places.remove_entry(v));
        }
        self.own_cells_of(stmts);
        stmts.iter().for_each(|stmt| self.stmt(stmt));
        let outside = self.end_part();
        self.context = outside.context;
        self.base = outside.base;
        self.frames = outside.frames;
        self.wanted = outside.wanted;
        self.batch_innermost = outside.batch_innermost;
        self.cells = outside.cells;
        self.conts = outside.conts;
        asm.ret(None);
        asm.go_to(here);
        asm.call(function, &args);
    }

    /// Keeps what was computed in a part and is read outside of it.
    fn end_part(&mut self) -> Outside<'c> {
        let mut outside = self.outside.take().expect("a part was begun");
        let inside = std::mem::replace(&mut self.places, std::mem::take(&mut outside.places));
        let mut inside: Vec<(Value, Place<'c>)> = inside.into_iter().collect();
        inside.sort_unstable_by_key(|(v, _)| *v);
        for (v, place) in inside {
            if matches!(place, Place::Deferred(_)) || is_constant(&place) {
                self.places.insert(v, place);
            } else {
                self.keep_in_word(v, &place);
            }
        }
        outside
    }

    /// Keeps a value where parts find it, if anything is yet to read it.
    fn keep_in_word(&mut self, v: Value, place: &Place<'c>) {
        let found = is_constant(place) || self.lower.analysis.is_captured(Entity::Value(v));
        if found || self.uses(v) == 0 || self.slots.contains_key(&v) {
            return;
        }
        let at = match self.words().values.get(&v) {
            Some(&at) => at,
            None => self.new_word(),
        };
        self.words().values.insert(v, at);
        let to = self.word(at);
        match *place {
            Place::Register(x) => self.asm.store(self.ty(v).dtype, x, to),
            Place::Memory(address) => drop(self.asm.store_raw(address.into(), to)),
            Place::Deferred(_) => unreachable!("it is kept when it is computed"),
        }
    }

    /// The same for what is bound outside of parts.
    pub fn keep_for_parts(&mut self, v: Value) {
        if self.words.is_some()
            && self.outside.is_none()
            && let Some(place @ (Place::Register(_) | Place::Memory(_))) = self.places.get(&v).cloned()
        {
            self.keep_in_word(v, &place);
        }
    }

    /// The place of a value that was computed in another part, or outside of this one.
    pub fn kept_place(&mut self, v: Value) -> Option<Place<'c>> {
        let words = self.words.as_ref()?;
        if let Some(place) = self.outside.as_ref().and_then(|outside| outside.places.get(&v))
            && is_constant(place)
        {
            return Some(place.clone());
        }
        let from = self.word(*words.values.get(&v)?);
        let ty = self.ty(v);
        Some(if is_scalar(ty) {
            Place::Register(self.asm.load(ty.dtype, 1, from))
        } else {
            Place::Memory(self.asm.load_ptr(from))
        })
    }

    /// Nothing reads a value any more.
    pub fn leave_word(&mut self, v: Value) {
        if let Some(words) = &mut self.words
            && let Some(at) = words.values.remove(&v)
        {
            words.unused.push(at);
        }
    }

    /// Whether an array that is yet to be read was computed in a part, so that its address is known only when the
    /// program runs.
    pub fn keeps_arrays(&self) -> bool {
        let Some(words) = &self.words else { return false };
        words
            .values
            .keys()
            .any(|&v| self.uses(v) > 0 && !is_scalar(self.ty(v)) && !self.places.contains_key(&v))
    }

    /// Memory for a cell of the function that nobody captures, if the function is cut. Where an array is accumulated is
    /// given.
    pub fn cell_in_words(&mut self, cell: Cell, data: Option<u64>) -> Option<CellPlace<'c>> {
        self.words.as_ref()?;
        let places = [data.unwrap_or_else(|| self.new_word()), self.new_word()];
        self.words().cells.insert(cell, places);
        self.cell_of_words(cell)
    }

    /// The cell, if it is there.
    pub fn cell_of_words(&self, cell: Cell) -> Option<CellPlace<'c>> {
        let [data, present] = self.words.as_ref()?.cells.get(&cell)?.map(|at| self.word(at));
        Some(CellPlace { data, present })
    }

    /// Cells which nothing but a part touches are its own.
    fn own_cells_of(&mut self, stmts: &[Stmt]) {
        let program = self.lower.program;
        let (mut defined, mut touches) = (Vec::new(), HashMap::new());
        for_each(program, stmts, &mut |stmt| {
            if let Stmt::Cell(cell) = stmt {
                defined.push(*cell);
            }
            if let Some(cell) = stmt.touched() {
                *touches.entry(cell).or_insert(0) += 1;
            }
        });
        let words = self.words();
        defined.retain(|cell| words.cells.contains_key(cell) && touches.get(cell) == words.touches.get(cell));
        for cell in defined {
            let ty = &program.cells[cell].ty;
            let data = match self.cell_of_words(cell) {
                Some(place) if !is_scalar(ty) => place.data,
                _ => self.asm.alloca(self.asm.memory_ty(ty.dtype, 1)),
            };
            let present = self.asm.alloca(self.asm.context.i8_type().into());
            self.cells.insert(cell, CellPlace { data, present });
        }
    }

    /// Keeps a continuation that nobody captures, if the function is cut.
    pub fn keep_cont(&mut self, cont: Cont, (code, frame): (PointerValue<'c>, PointerValue<'c>)) {
        if self.words.is_none() {
            return;
        }
        let at = [self.new_word(), self.new_word()];
        for (x, at) in [code, frame].into_iter().zip(at) {
            self.asm.store_raw(x.into(), self.word(at));
        }
        self.words().conts.insert(cont, at);
    }

    /// The continuation, if it is there.
    pub fn kept_cont(&self, cont: Cont) -> Option<(PointerValue<'c>, PointerValue<'c>)> {
        let [code, frame] = self.words.as_ref()?.conts.get(&cont)?.map(|at| self.asm.load_ptr(self.word(at)));
        Some((code, frame))
    }

    /// Says where an array is to be written, unless that is said already.
    pub fn want(&mut self, v: Value, to: PointerValue<'c>) {
        if self.wanted_address(v).is_some() {
            return;
        }
        self.wanted.insert(v, to);
        if self.words.is_some() && self.outside.is_none() {
            let at = self.new_word();
            self.asm.store_raw(to.into(), self.word(at));
            self.words().wanted.insert(v, at);
        }
    }

    /// Where an array is to be written, if that is said.
    pub fn wanted_address(&self, v: Value) -> Option<PointerValue<'c>> {
        self.wanted.get(&v).copied().or_else(|| {
            let at = self.words.as_ref()?.wanted.get(&v)?;
            Some(self.asm.load_ptr(self.word(*at)))
        })
    }

    /// Memory for a number that outlives a call of the function by itself, if the function is cut.
    pub fn slot_in_words(&mut self, v: Value) -> Option<PointerValue<'c>> {
        self.words.as_ref()?;
        let at = self.new_word();
        self.words().slots.insert(v, at);
        Some(self.word(at))
    }

    /// The word that is its memory, if one is.
    pub fn word_of_slot(&self, v: Value) -> Option<u64> {
        self.words.as_ref()?.slots.get(&v).copied()
    }

    /// Where a value is kept that outlives a call of the function by itself.
    pub fn slot(&self, v: Value) -> Option<PointerValue<'c>> {
        let slot = self.slots.get(&v).copied()?;
        if self.outside.is_none() {
            return Some(slot);
        }
        let at = self.words.as_ref().and_then(|words| words.slots.get(&v));
        Some(at.map_or_else(|| self.field(Entity::Value(v)), |&at| self.word(at)))
    }

    fn words(&mut self) -> &mut Words {
        self.words.as_mut().expect("the function is cut")
    }

    fn word(&self, at: u64) -> PointerValue<'c> {
        self.asm.bytes(self.base, at as i64)
    }

    fn new_word(&mut self) -> u64 {
        if let Some(at) = self.words().unused.pop() {
            return at;
        }
        let (_, page) = self.plan.place(PAGE);
        self.words().unused.extend((1..PAGE / WORD).rev().map(|i| page + i * WORD));
        page
    }
}

/// Whether a value is the same in all functions of the module.
fn is_constant(place: &Place<'_>) -> bool {
    match place {
        Place::Register(Reg::FloatValue(x)) => x.is_const(),
        Place::Register(Reg::IntValue(x)) => x.is_const(),
        Place::Memory(address) => address.is_const(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::fuzz::{Case, choices, generate};
    use crate::interpret::interpret;
    use crate::jit::{CompileOptions, compile, llvm_ir};
    use crate::optimise::OptimiseOptions;

    #[test]
    fn random_programs_give_the_same_numbers_in_parts() {
        let mut parts = 0;
        for seed in 0..100 {
            let Case { program, inputs } = generate(&choices(seed, 400)).expect("a well-formed program");
            let expected = interpret(&program, &inputs).unwrap();
            for optimise in [None, Some(OptimiseOptions::default())] {
                let options = CompileOptions { optimise, strict: true, ..CompileOptions::default() };
                parts +=
                    llvm_ir(&program, &options).unwrap().matches("define private fastcc void @part").count();
                let mut compiled = compile(&program, &options).unwrap();
                // The second run finds in memory what the first one left.
                for _ in 0..2 {
                    let found = compiled.run(&inputs).unwrap();
                    let same = expected.iter().zip(&found).all(|(expected, found)| expected.same(found));
                    assert!(same, "{expected:?} became {found:?} of\n{program}");
                }
            }
        }
        assert!(parts > 1000, "{parts}");
    }
}
