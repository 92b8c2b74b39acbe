//! Loops and vector code for a [`Nest`].

use inkwell::IntPredicate;
use inkwell::values::{InstructionOpcode, IntValue, PointerValue};

use crate::ir::expr::{Binary, Reduction};
use crate::ir::types::{Dtype, Scalar};
use crate::lower::asm::elementwise;
use crate::lower::asm::math::Math;
use crate::lower::asm::{Asm, Reg, element_bytes, lanes};
use crate::lower::loops::nest::{Affine, Nest, NodeId, Op, Root, operands};
use crate::lower::loops::outline::outline;
use crate::lower::loops::parallel::Split;

/// Nodes of a nest whose values do not fill the registers where each is several vectors.
const LIGHT: usize = 3;

/// Emits a nest; what its roots keep in registers, in their order.
pub fn emit<'c>(asm: &Asm<'c>, math: Math, mut nest: Nest<'c>) -> Vec<Reg<'c>> {
    nest.collapse();
    if let Some(split) = Split::of(asm, &nest) {
        split.emit(asm, |asm, nest| emit_here(asm, math, nest));
        return Vec::new();
    }
    outline(asm, nest, |asm, nest| emit_here(asm, math, nest))
}

/// Emits a collapsed nest where the builder is.
pub fn emit_here<'c>(asm: &Asm<'c>, math: Math, mut nest: Nest<'c>) -> Vec<Reg<'c>> {
    let is_reduced = |i: &usize| nest.reduced >> i & 1 == 1;
    let empty = |reduced: bool| (0..nest.loops()).any(|i| nest.shape[i] == 0 && is_reduced(&i) == reduced);
    if empty(false) {
        return Vec::new();
    }
    let nothing = empty(true);
    let last_reduced = nest.loops() > 0 && is_reduced(&(nest.loops() - 1));
    let mut order: Vec<usize> = (0..nest.loops()).filter(|i| !is_reduced(i)).collect();
    let kept = order.len();
    order.extend((0..nest.loops()).filter(is_reduced));
    nest.reorder(&order);
    let vector = if last_reduced { nest.loops() - 1 } else { kept.wrapping_sub(1) };
    let mut emitter = Emitter {
        asm,
        math,
        kept,
        vector,
        lanes: 1,
        counters: vec![asm.int(0); nest.loops()],
        active: None,
        values: vec![None; nest.nodes.len()],
        results: Vec::new(),
        nothing,
        nest,
    };
    emitter.lanes = emitter.choose_lanes(last_reduced);
    emitter.level(0, Vec::new());
    emitter.results
}

struct Emitter<'a, 'c> {
    asm: &'a Asm<'c>,
    math: Math,
    nest: Nest<'c>,
    /// Number of loops that are not reduced over; they come first.
    kept: usize,
    /// The loop that is vectorised.
    vector: usize,
    lanes: u32,
    counters: Vec<IntValue<'c>>,
    /// Number of lanes in use, in the last, partial round of the vectorised loop.
    active: Option<u32>,
    values: Vec<Option<Reg<'c>>>,
    results: Vec<Reg<'c>>,
    /// Whether a loop that is reduced over has no round.
    nothing: bool,
}

impl<'c> Emitter<'_, 'c> {
    fn choose_lanes(&self, last_reduced: bool) -> u32 {
        let Some(&rounds) = self.nest.shape.get(self.vector) else { return 1 };
        let conflict = self.nest.roots.iter().any(|root| match root {
            Root::Store { at, mask, .. } => {
                let step = at.factors[self.vector];
                step == 0 || (mask.is_some() && step != 1)
            }
            _ => false,
        });
        if conflict || (last_reduced && self.math.strict) {
            return 1;
        }
        let bytes = self.nest.nodes.iter().map(|node| element_bytes(node.dtype)).max().unwrap_or(8);
        let most = self.asm.target.vector_bits / 8 / bytes.max(4);
        let lanes = most.min(u32::try_from(rounds).map_or(most, u32::next_power_of_two));
        // A sum along columns reads as many neighbours as it can before it goes on to the next row.
        let along_columns = !last_reduced && self.nest.reduced != 0 && self.nest.nodes.len() <= LIGHT;
        let wide = [8, 4, 2].map(|vectors| vectors * lanes).into_iter();
        let mut wide = wide.filter(|&wide| along_columns && lanes == most && rounds % wide as usize == 0);
        wide.next().unwrap_or(lanes)
    }

    fn is_vector(&self, id: NodeId) -> bool {
        self.lanes > 1 && self.nest.nodes[id].varies >> self.vector & 1 == 1
    }

    /// The number of loops that surround a node.
    fn depth(&self, id: NodeId) -> usize {
        (u32::BITS - self.nest.nodes[id].varies.leading_zeros()) as usize
    }

    /// Emits what is inside of `depth` loops, and returns what is carried on.
    fn level(&mut self, depth: usize, mut carried: Vec<Reg<'c>>) -> Vec<Reg<'c>> {
        for id in 0..self.nest.nodes.len() {
            if self.depth(id) == depth {
                self.values[id] = Some(self.node(id));
            }
        }
        let reduces = depth == self.kept;
        if reduces {
            carried = self.nest.roots.iter().filter_map(|root| self.start(root)).collect();
        }
        if depth == self.nest.loops() {
            carried = self.body(carried);
        } else if !(reduces && self.nothing) {
            carried = self.rounds(depth, carried);
        }
        if reduces {
            self.finish(&carried);
        }
        carried
    }

    fn rounds(&mut self, depth: usize, mut carried: Vec<Reg<'c>>) -> Vec<Reg<'c>> {
        if let Some(part) = self.nest.part.filter(|_| depth == 0) {
            self.counters[0] = part;
            return self.level(1, carried);
        }
        let n = self.nest.shape[depth] as u64;
        let step = if depth == self.vector { u64::from(self.lanes) } else { 1 };
        let whole = n / step * step;
        if whole > 0 {
            let of = self.asm.begin_loop(0, whole, step, &carried);
            self.counters[depth] = of.counter;
            let next = self.level(depth + 1, of.carried.clone());
            carried = self.asm.end_loop(of, next);
        }
        if whole < n {
            self.counters[depth] = self.asm.int(whole as i64);
            self.active = Some((n - whole) as u32);
            carried = self.level(depth + 1, carried);
            self.active = None;
        }
        carried
    }

    /// What a reduction starts from.
    fn start(&self, root: &Root<'c>) -> Option<Reg<'c>> {
        let Root::Reduce { op, node, .. } = root else { return None };
        Some(self.asm.constant(self.neutral(*op, *node), self.lanes))
    }
    fn neutral(&self, op: Reduction, node: NodeId) -> Scalar {
        let neutral = match op {
            Reduction::Sum => 0.0,
            Reduction::Max => f64::NEG_INFINITY,
            Reduction::LogSumExp => unreachable!("it is composed of sums and maxima"),
        };
        Scalar::of(self.nest.nodes[node].dtype, neutral)
    }
    fn combine(&self, op: Reduction, sum: Reg<'c>, x: Reg<'c>) -> Reg<'c> {
        match op {
            Reduction::Sum => self.asm.add(sum, x),
            Reduction::Max => elementwise::binary(self.asm, self.math, Binary::Maximum, sum, x),
            Reduction::LogSumExp => unreachable!("it is composed of sums and maxima"),
        }
    }

    fn body(&mut self, carried: Vec<Reg<'c>>) -> Vec<Reg<'c>> {
        let mut next = Vec::new();
        for root in self.nest.roots.clone() {
            match root {
                Root::Keep(node) => self.results.push(self.value(node)),
                Root::Store { to, ref at, node, mask } => {
                    let dtype = self.nest.nodes[node].dtype;
                    let x = self.asm.splat(self.value(node), self.lanes);
                    let mask = mask.map(|mask| self.value(mask));
                    self.store(dtype, x, to, at, mask);
                }
                Root::Reduce { op, node, .. } => {
                    let mut x = self.asm.splat(self.value(node), self.lanes);
                    if let Some(active) = self.active.filter(|_| self.vector >= self.kept) {
                        let neutral = self.asm.constant(self.neutral(op, node), self.lanes);
                        x = self.asm.select(self.asm.first_lanes(active, self.lanes).into(), x, neutral);
                    }
                    next.push(self.combine(op, carried[next.len()], x));
                }
            }
        }
        next
    }

    fn finish(&mut self, carried: &[Reg<'c>]) {
        let mut carried = carried.iter();
        for root in self.nest.roots.clone() {
            let Root::Reduce { op, node, to } = root else { continue };
            let mut x = *carried.next().expect("one for each reduction");
            let across = self.vector >= self.kept;
            if across {
                let mut width = lanes(x);
                while width > 1 {
                    width /= 2;
                    let (low, high) = (0..width, width..2 * width);
                    x = self.combine(op, self.asm.shuffle(x, x, low), self.asm.shuffle(x, x, high));
                    if width == 1 {
                        x = self.asm.lane(x, 0);
                    }
                }
            }
            let wide = self.lanes;
            self.lanes = if across { 1 } else { wide };
            match to {
                Some((to, at)) => self.store(self.nest.nodes[node].dtype, x, to, &at, None),
                None => self.results.push(x),
            }
            self.lanes = wide;
        }
    }

    fn value(&self, id: NodeId) -> Reg<'c> {
        self.values[id].expect("operands come before what reads them")
    }

    fn node(&self, id: NodeId) -> Reg<'c> {
        let node = &self.nest.nodes[id];
        let wide = if self.is_vector(id) { self.lanes } else { 1 };
        let args: Vec<Reg<'c>> =
            operands(&node.op).iter().map(|&x| self.asm.splat(self.value(x), wide)).collect();
        let asm = self.asm;
        match &node.op {
            Op::Load { from, at, mask, .. } => self.load(node.dtype, *from, at, mask.map(|_| args[0])),
            Op::Register(x) => *x,
            Op::Constant(x) => asm.constant(*x, 1),
            Op::Position(at) => {
                let start = self.position(at);
                if wide == 1 {
                    return start.into();
                }
                let step = at.factors[self.vector];
                let steps = asm.int_vector((0..wide).map(|i| i64::from(i) * step));
                asm.op(InstructionOpcode::Add, asm.splat(start.into(), wide), steps.into())
            }
            Op::Unary(op, x) => {
                let dtype = self.nest.nodes[*x].dtype;
                match asm.elementary.get(&(*op, dtype)).filter(|_| self.nest.loops() == 0) {
                    Some(&function) => asm.result(asm.call(function, &args)),
                    None => elementwise::unary(asm, self.math, *op, args[0], dtype),
                }
            }
            Op::Powi(_, n) => elementwise::powi(asm, args[0], *n),
            Op::Clamp(_, low, high) => elementwise::clamp(asm, args[0], *low, *high),
            Op::Binary(op, ..) => elementwise::binary(asm, self.math, *op, args[0], args[1]),
            Op::Compare(op, x, _) => {
                elementwise::compare(asm, *op, args[0], args[1], self.nest.nodes[*x].dtype)
            }
            Op::Select(..) => asm.select(args[0], args[1], args[2]),
            Op::Convert(x) => elementwise::convert(asm, args[0], self.nest.nodes[*x].dtype, node.dtype),
            Op::Uniform(..) => elementwise::uniform(asm, args[0], args[1], node.dtype),
            Op::Within(_, n) => {
                asm.icmp(IntPredicate::ULT, args[0], asm.constant(Scalar::I64(*n), lanes(args[0])))
            }
        }
    }

    /// The position of the first lane.
    fn position(&self, at: &Affine) -> IntValue<'c> {
        let start = self.asm.int(at.offset);
        at.factors
            .iter()
            .zip(&self.counters)
            .filter(|(factor, _)| **factor != 0)
            .fold(start, |sum, (&factor, &counter)| {
                self.asm.index_add(self.asm.index_mul(counter, factor), sum)
            })
    }

    fn mask(&self, mask: Option<Reg<'c>>) -> Option<Reg<'c>> {
        let active = self.active.map(|active| self.asm.first_lanes(active, self.lanes).into());
        match (active, mask.map(|mask| self.asm.splat(mask, self.lanes))) {
            (Some(a), Some(b)) => Some(self.asm.op(InstructionOpcode::And, a, b)),
            (a, b) => a.or(b),
        }
    }

    fn load(&self, dtype: Dtype, from: PointerValue<'c>, at: &Affine, mask: Option<Reg<'c>>) -> Reg<'c> {
        let asm = self.asm;
        let memory = asm.memory_ty(dtype, 1);
        let start = self.position(at);
        let step = at.factors.get(self.vector).copied().unwrap_or(0);
        let zero = asm.constant(Scalar::of(dtype, 0.0), 1);
        let wide = self.lanes > 1 && (step != 0 || mask.is_some_and(|mask| lanes(mask) > 1));
        let single = |start: IntValue<'c>, mask: Option<Reg<'c>>| {
            let address = asm.at(memory, from, start);
            match mask {
                None => asm.load(dtype, 1, address),
                Some(mask) => {
                    let address = asm.select(mask, address.into(), from.into()).into_pointer_value();
                    asm.select(mask, asm.load(dtype, 1, address), zero)
                }
            }
        };
        if !wide {
            return single(start, mask);
        }
        if step == 1 {
            let address = asm.at(memory, from, start);
            let Some(mask) = self.mask(mask) else { return asm.load(dtype, self.lanes, address) };
            let ty = asm.memory_ty(dtype, self.lanes);
            let zeros = ty.into_vector_type().const_zero().into();
            let align = asm.int32(element_bytes(dtype)).into();
            let types = [ty, asm.ptr_ty().into()];
            let x = asm.intrinsic("llvm.masked.load", &types, &[address.into(), align, mask, zeros]);
            return asm.in_register(dtype, x);
        }
        if step == -1 && mask.is_none() && self.active.is_none() {
            let first = asm.index_add(start, asm.int(1 - i64::from(self.lanes)));
            let x = asm.load(dtype, self.lanes, asm.at(memory, from, first));
            return asm.shuffle(x, x, (0..self.lanes).rev());
        }
        let mut out: Reg<'c> = asm.ty(dtype, self.lanes).into_vector_type().const_zero().into();
        for i in 0..self.active.unwrap_or(self.lanes) {
            let place = asm.index_add(start, asm.int(i64::from(i) * step));
            out = asm.with_lane(out, single(place, mask.map(|mask| asm.lane(mask, i))), i);
        }
        out
    }

    fn store(&self, dtype: Dtype, x: Reg<'c>, to: PointerValue<'c>, at: &Affine, mask: Option<Reg<'c>>) {
        let asm = self.asm;
        let memory = asm.memory_ty(dtype, 1);
        let start = self.position(at);
        let step = at.factors.get(self.vector).copied().unwrap_or(0);
        if self.lanes == 1 {
            let Some(mask) = mask else { return asm.store(dtype, x, asm.at(memory, to, start)) };
            let (then, after) = (asm.block("inside"), asm.block("after"));
            asm.branch(mask, then, after);
            asm.go_to(then);
            asm.store(dtype, x, asm.at(memory, to, start));
            asm.jump(after);
            return asm.go_to(after);
        }
        if step == 1 {
            let address = asm.at(memory, to, start);
            let Some(mask) = self.mask(mask) else { return asm.store(dtype, x, address) };
            let align = asm.int32(element_bytes(dtype)).into();
            let types = [asm.memory_ty(dtype, self.lanes), asm.ptr_ty().into()];
            let x = asm.in_memory(dtype, x);
            return asm.effect("llvm.masked.store", &types, &[x, address.into(), align, mask]);
        }
        for i in 0..self.active.unwrap_or(self.lanes) {
            let place = asm.index_add(start, asm.int(i64::from(i) * step));
            asm.store(dtype, asm.lane(x, i), asm.at(memory, to, place));
        }
    }
}
