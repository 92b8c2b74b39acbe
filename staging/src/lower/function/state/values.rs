//! Where values are. An elementwise operator or a movement of elements is not computed where it is defined, but where
//! it is first needed: in the loop of the operator that reads it, or in one loop with all others of its shape.

use std::collections::{HashMap, HashSet};

use inkwell::values::PointerValue;

use crate::analysis::captures::{Analysis, Entity, FuncFacts};
use crate::ir::expr::{Binary, Class, Expr, Unary};
use crate::ir::ids::{Func, Value};
use crate::ir::types::Type;
use crate::ir::{Program, Stmt};
use crate::lower::asm::{Reg, is_scalar};
use crate::lower::loops::nest::NodeId;

/// Where a value is.
#[derive(Clone)]
pub enum Place<'c> {
    /// A scalar, in a register.
    Register(Reg<'c>),
    /// An array, in row-major order.
    Memory(PointerValue<'c>),
    /// Not computed yet.
    Deferred(Expr),
}

impl Place<'_> {
    /// Whether what is there is the same in all functions of the module.
    pub fn is_constant(&self) -> bool {
        match self {
            Place::Register(Reg::FloatValue(x)) => x.is_const(),
            Place::Register(Reg::IntValue(x)) => x.is_const(),
            Place::Memory(address) => address.is_const(),
            Place::Register(_) | Place::Deferred(_) => false,
        }
    }
}

/// Whether an operator only says where elements come from.
pub fn moves(expr: &Expr) -> bool {
    expr.class() == Class::Movement
}

/// Whether an operator computes every element from elements.
pub fn computes(expr: &Expr) -> bool {
    expr.class() == Class::Elementwise
}

/// Whether an elementwise operator takes an instruction or two.
fn is_light(expr: &Expr) -> bool {
    use {Binary as B, Unary as U};
    match expr {
        Expr::Fill { .. } | Expr::Clamp { .. } => true,
        Expr::Unary(op, _) => [U::Neg, U::Abs, U::Relu].contains(op),
        Expr::Binary(op, ..) => [B::Add, B::Sub, B::Mul].contains(op),
        Expr::Powi(..)
        | Expr::Compare(..)
        | Expr::Select { .. }
        | Expr::Convert(..)
        | Expr::Uniform { .. }
        | Expr::Permute(..)
        | Expr::Broadcast(..)
        | Expr::Slice { .. }
        | Expr::Flip(..)
        | Expr::Pad { .. }
        | Expr::Array(_)
        | Expr::Reshape(..)
        | Expr::After(..)
        | Expr::Concat(..)
        | Expr::GatherRows { .. }
        | Expr::ScatterRows { .. }
        | Expr::WriteRows { .. }
        | Expr::GatherLast { .. }
        | Expr::ScatterLast { .. }
        | Expr::Reduce(..)
        | Expr::Argmax(..)
        | Expr::Matmul(..)
        | Expr::Conv2d { .. }
        | Expr::Conv2dImage { .. }
        | Expr::Conv2dKernel { .. }
        | Expr::Unfold2d { .. }
        | Expr::Fold2d { .. }
        | Expr::Host { .. } => false,
    }
}

/// The arrays that are bound to the memory of others, if the function runs as a loop.
fn shared(program: &Program, facts: &FuncFacts) -> HashMap<Value, Value> {
    if facts.sites.is_empty() {
        return HashMap::new();
    }
    let shared = facts.order.iter().filter_map(|&(block, i)| match program.blocks[block].stmts[i] {
        Stmt::Let(v, Expr::Reshape(x, _) | Expr::After(x, _)) => Some((v, x)),
        _ => None,
    });
    shared.filter(|&(v, x)| !is_scalar(program.ty(v)) && !is_scalar(program.ty(x))).collect()
}

/// The values that the code being emitted can read.
///
/// Those that are [deferred](Place::Deferred) are pending, in the order of their definitions, and no others are.
/// Whoever computes or removes a deferred one releases its operands.
pub struct Values<'l, 'c> {
    program: &'l Program,
    analysis: &'l Analysis,
    func: Func,
    places: HashMap<Value, Place<'c>>,
    /// Arrays that are in the memory of others, of a function that runs as a loop.
    shared: HashMap<Value, Value>,
    /// How often a value is yet to be read by code that is not emitted yet.
    uses: HashMap<Value, usize>,
    /// Values that are not computed yet, in the order of their definitions.
    pending: Vec<Value>,
    /// Whether cheap values are computed again where they are read, for which what they are computed from has to stay
    /// as it is.
    recomputes: bool,
}

impl<'l, 'c> Values<'l, 'c> {
    /// None yet, of a function.
    pub fn new(program: &'l Program, analysis: &'l Analysis, func: Func) -> Values<'l, 'c> {
        Values {
            program,
            analysis,
            func,
            places: HashMap::new(),
            shared: shared(program, &analysis.funcs[func]),
            uses: analysis.funcs[func].uses.clone(),
            pending: Vec::new(),
            recomputes: true,
        }
    }

    pub fn ty(&self, v: Value) -> &'l Type {
        self.program.ty(v)
    }
    /// Whether nested functions read a value.
    pub fn is_captured(&self, v: Value) -> bool {
        self.analysis.is_captured(Entity::Value(v))
    }
    /// The value in whose memory an array is, of a function that runs as a loop: what it is a reshape of, perhaps.
    pub fn root(&self, mut v: Value) -> Value {
        while let Some(&with) = self.shared.get(&v) {
            v = with;
        }
        v
    }
    /// How often a value is yet to be read.
    pub fn uses(&self, v: Value) -> usize {
        self.uses.get(&v).copied().unwrap_or(0)
    }

    /// Where a value is, if the code being emitted knows.
    pub fn place(&self, v: Value) -> Option<&Place<'c>> {
        self.places.get(&v)
    }
    /// All values with their places.
    pub fn places(&self) -> impl Iterator<Item = (Value, &Place<'c>)> {
        self.places.iter().map(|(&v, place)| (v, place))
    }
    /// A value is somewhere from here on.
    pub fn set_place(&mut self, v: Value, place: Place<'c>) {
        let deferred = matches!(place, Place::Deferred(_));
        let was_deferred = matches!(self.places.insert(v, place), Some(Place::Deferred(_)));
        match (was_deferred, deferred) {
            (false, true) => self.pending.push(v),
            (true, false) => self.pending.retain(|&w| w != v),
            _ => {}
        }
    }
    /// A deferred value will not be computed by itself.
    pub fn remove_deferred(&mut self, v: Value) {
        if self.deferred(v).is_some() {
            self.places.remove(&v);
            self.pending.retain(|&w| w != v);
        }
    }

    /// What a deferred value is to be computed from.
    pub fn deferred(&self, v: Value) -> Option<&Expr> {
        match self.places.get(&v) {
            Some(Place::Deferred(expr)) => Some(expr),
            Some(Place::Register(_) | Place::Memory(_)) | None => None,
        }
    }
    /// The elementwise operator of a deferred value.
    pub fn elementwise(&self, v: Value) -> Option<&Expr> {
        self.deferred(v).filter(|expr| computes(expr))
    }
    /// The movement of elements of a deferred value.
    pub fn movement(&self, v: Value) -> Option<&Expr> {
        self.deferred(v).filter(|expr| moves(expr))
    }
    /// All values that are deferred, in the order of their definitions.
    pub fn pending(&self) -> &[Value] {
        &self.pending
    }
    /// The elementwise operators among them that have a shape.
    pub fn elementwise_of(&self, shape: &[usize]) -> Vec<(Value, Expr)> {
        let of_shape = self.pending.iter().filter(|&&v| self.ty(v).shape[..] == *shape);
        of_shape.filter_map(|&v| Some((v, self.elementwise(v)?.clone()))).collect()
    }

    /// A reader of a value has been emitted. Calls `dead` with each value that nothing reads any more because of it.
    pub fn release(&mut self, v: Value, dead: &mut impl FnMut(Value)) {
        if self.analysis.owner[Entity::Value(v)] != self.func {
            return;
        }
        let uses = self.uses.get_mut(&v).expect("what is read was counted");
        *uses -= 1;
        if *uses > 0 || self.is_captured(v) {
            return;
        }
        dead(v);
        if let Some(expr) = self.deferred(v).cloned() {
            self.remove_deferred(v);
            expr.operands().into_iter().for_each(|x| self.release(x, dead));
        }
    }

    /// From here on, what values are computed from may be written over.
    pub fn stop_recomputing(&mut self) {
        self.recomputes = false;
    }

    /// Whether a value need not be stored for a reader that reads each element once: it is in memory, or is read by
    /// nobody else, or is cheap.
    pub fn is_read_in_place(&self, v: Value) -> bool {
        let Some(expr) = self.deferred(v).filter(|_| !self.is_captured(v)) else { return true };
        let is_operand_read_in_place = |x: Value| self.elementwise(x).is_none() || self.is_read_in_place(x);
        self.uses(v) == 1 && expr.operands().into_iter().all(is_operand_read_in_place)
            || self.is_cheap(v, &[])
    }

    /// Whether computing a value again wherever it is read costs no more than reading it: it takes a few operators, and
    /// one array of its size at most, which is in memory or about to be `stored`.
    pub fn is_cheap(&self, v: Value, stored: &[(Value, NodeId)]) -> bool {
        let (mut operators, mut arrays) = (0, HashSet::new());
        let mut next = vec![v];
        while let Some(x) = next.pop() {
            let is_stored = || stored.iter().any(|(y, _)| *y == x);
            if let Some(expr) = self.deferred(x).filter(|_| !is_stored()) {
                operators += 1;
                if !self.recomputes || operators > 4 || !is_light(expr) {
                    return false;
                }
                next.extend(expr.operands());
            } else if self.ty(x).size() >= self.ty(v).size() {
                arrays.insert(x);
            }
        }
        arrays.len() <= 1
    }

    /// Adds to `kept` a value and the deferred ones that it is computed from, but for those that are `stored`.
    pub fn keep_deferred(&self, v: Value, stored: &[(Value, NodeId)], kept: &mut HashSet<Value>) {
        if let Some(expr) = self.deferred(v)
            && !stored.iter().any(|(x, _)| *x == v)
            && kept.insert(v)
        {
            expr.operands().into_iter().for_each(|x| self.keep_deferred(x, stored, kept));
        }
    }

    /// Takes away, until [`return_to`](Values::return_to), the places that code of another function of the module does
    /// not know.
    pub fn leave(&mut self) -> HashMap<Value, Place<'c>> {
        let unknown = |place: &Place<'c>| !place.is_constant() && !matches!(place, Place::Deferred(_));
        self.places.extract_if(|_, place| unknown(place)).collect()
    }
    /// Brings them back; the places that are known in that code only, in the order of the values.
    pub fn return_to(&mut self, outside: HashMap<Value, Place<'c>>) -> Vec<(Value, Place<'c>)> {
        let mut inside: Vec<_> = self.leave().into_iter().collect();
        inside.sort_unstable_by_key(|(v, _)| *v);
        self.places.extend(outside);
        inside
    }
}
