//! Which kernel a product calls, and with what.

use std::collections::HashMap;

use inkwell::values::{InstructionOpcode, IntValue, PointerValue};

use crate::ir::expr::{Binary, Reduction};
use crate::ir::ids::Value;
use crate::ir::types::{Dtype, Shape, Type};
use crate::lower::asm::bytes;
use crate::lower::asm::{Asm, Reg, element_bytes};
use crate::lower::function::Body;
use crate::lower::function::nodes::broadcast_index;
use crate::lower::loops::emit;
use crate::lower::loops::nest::{Affine, Nest, Op, Root, identity};
use crate::lower::products::contract::{FEW_ROWS, Kernel, Length, Operands, Strides, Sum};

impl<'c> Body<'_, '_, 'c> {
    /// Writes `a·b` (added to what is there, where `add` says so) for matrices with leading axes that broadcast.
    pub fn matmul(&mut self, a: Value, b: Value, to: PointerValue<'c>, ty: &Type, add: Option<Reg<'c>>) {
        let rank = ty.shape.len();
        let (m, n) = (ty.shape[rank - 2], ty.shape[rank - 1]);
        let k = *self.ty(a).shape.last().expect("a matrix");
        if ty.size() == 0 {
            return;
        }
        let sum = match add {
            None => Sum::Stored,
            Some(Reg::IntValue(add)) if add.get_zero_extended_constant() == Some(1) => Sum::Added,
            Some(_) => Sum::Asked,
        };
        let kernel = |factors: &[Factor<'c>; 2], [m, n]: [usize; 2]| {
            let [a, b] = [0, 1].map(|i| factors[i].matrix());
            let k = Length::Fixed(k as u64);
            Kernel { dtype: ty.dtype, m: m as u64, n: n as u64, k, a, b, c: n as i64, sum }
        };
        let few = m as u64 <= FEW_ROWS;
        let distant = if few { self.moved(b).filter(|b| b.matrix().row == 1) } else { None };
        if n == 1 || distant.is_some() {
            let (factors, size) = match distant.filter(|_| n > 1) {
                Some(columns) => ([self.factor(a, Side::First, n), columns], [m, n]),
                // `(a·b)ᵀ = bᵀ·aᵀ`: one row, and a matrix whose columns are the rows of `a`.
                None => {
                    let [a, b] =
                        [(a, Side::First), (b, Side::Second)].map(|(x, side)| self.factor(x, side, n));
                    ([b.turned(), a.turned()], [1, m])
                }
            };
            let kernel = kernel(&factors, size);
            return match self.lower.products.are_dots(&kernel) {
                true => self.products(&factors, kernel, to, ty, add),
                false => self.dot_products(a, b, to, ty, add),
            };
        }
        let factors = [(a, Side::First), (b, Side::Second)].map(|(x, side)| self.factor(x, side, n));
        if k == 0 {
            // A sum of nothing; added to what is there, it changes −0 to 0 at most.
            if add.is_none() {
                self.asm.zero(to, bytes(ty));
            }
            return;
        }
        let kernel = kernel(&factors, [m, n]);
        self.products(&factors, kernel, to, ty, add);
    }

    /// The products of matrices along leading axes.
    fn products(
        &mut self,
        factors: &[Factor<'c>; 2],
        kernel: Kernel,
        to: PointerValue<'c>,
        ty: &Type,
        add: Option<Reg<'c>>,
    ) {
        let cost = Kernel::cost(&kernel).saturating_mul(ty.size() as u64 / (kernel.m * kernel.n));
        let parts = self.asm.parts_of(cost);
        if parts > 1 && self.products_in_parts(parts, factors, kernel, to, ty, add) {
            return;
        }
        match self.lower.products.scratch_bytes(self.asm, &kernel) {
            0 => self.products_with(factors, kernel, to, ty, add, None),
            bytes => self.with_scratch(bytes, |body, scratch| {
                body.products_with(factors, kernel, to, ty, add, Some(scratch));
            }),
        }
    }

    /// The same on several threads, if it can be cut: into groups of matrices, or one product into rows or columns. No
    /// element is another sum than it would be in one piece.
    fn products_in_parts(
        &mut self,
        parts: u64,
        factors: &[Factor<'c>; 2],
        kernel: Kernel,
        to: PointerValue<'c>,
        ty: &Type,
        add: Option<Reg<'c>>,
    ) -> bool {
        let rank = ty.shape.len();
        let matrices: usize = ty.shape[..rank - 2].iter().product();
        let add = add.filter(|_| kernel.sum == Sum::Asked);
        if matrices > 1 {
            let parts = parts.min(matrices as u64);
            let bytes = self.lower.products.scratch_bytes(self.asm, &kernel);
            let scratch = bytes.next_multiple_of(64);
            let groups = Groups { factors, kernel, ty, parts, scratch };
            match scratch {
                0 => self.groups(&groups, to, add, None),
                _ => self.with_scratch(scratch * parts, |body, room| {
                    body.groups(&groups, to, add, Some(room));
                }),
            }
            return true;
        }
        let Some(cut) = self.lower.products.cut(self.asm, &kernel, parts) else { return false };
        let [a, b] = [0, 1].map(|i| factors[i].start);
        match cut.scratch_bytes(&self.lower.products, self.asm) {
            0 => self.lower.products.call_in_parts(
                self.asm,
                &cut,
                Operands { a, b, c: to, scratch: None, k: None, add },
            ),
            bytes => self.with_scratch(bytes, |body, room| {
                let operands = Operands { a, b, c: to, scratch: Some(room), k: None, add };
                body.lower.products.call_in_parts(body.asm, &cut, operands);
            }),
        }
        true
    }

    /// Groups of matrices, each with scratch memory of its own.
    fn groups(
        &self,
        groups: &Groups<'_, 'c>,
        to: PointerValue<'c>,
        add: Option<Reg<'c>>,
        scratch: Option<PointerValue<'c>>,
    ) {
        let (asm, ty, kernel) = (self.asm, groups.ty, groups.kernel);
        let batch = &ty.shape[..ty.shape.len() - 2];
        let matrices: usize = batch.iter().product();
        let [a, b] = groups.factors;
        let mut args: Vec<Reg<'c>> = vec![a.start.into(), b.start.into(), to.into()];
        args.extend(scratch.map(Reg::from));
        args.extend(add);
        let key = format!(
            "products {kernel:?} {batch:?} {} {:?} {:?} {:?} {:?}",
            groups.parts, a.shape, a.strides, b.shape, b.strides
        );
        asm.parallel(key, &args, groups.parts, |args, part| {
            let mut rest = args[3..].iter().copied();
            let scratch = scratch.and_then(|_| rest.next()).map(Reg::into_pointer_value);
            let scratch = scratch.map(|room| {
                asm.at(asm.context.i8_type().into(), room, asm.index_mul(part, groups.scratch as i64))
            });
            let add = add.and_then(|_| rest.next());
            // From `part·n/parts` on.
            let bound = |part| {
                let product = asm.index_mul(part, matrices as i64);
                asm.op(InstructionOpcode::UDiv, product.into(), asm.int(groups.parts as i64).into())
                    .into_int_value()
            };
            let [from, end] = [bound(part), bound(asm.index_add(part, asm.int(1)))];
            let of = asm.begin_loop_to(from, end, 1, &[]);
            let mut left = of.counter;
            let mut counters = vec![left; batch.len()];
            for (axis, &n) in batch.iter().enumerate().rev() {
                let n = asm.int(n as i64).into();
                counters[axis] = asm.op(InstructionOpcode::URem, left.into(), n).into_int_value();
                left = asm.op(InstructionOpcode::UDiv, left.into(), n).into_int_value();
            }
            let strides = crate::interpret::index::strides(&ty.shape);
            let whole = Factor {
                start: args[2].into_pointer_value(),
                shape: ty.shape.clone(),
                strides: strides.iter().map(|&s| s as i64).collect(),
            };
            let [a, b] = [0, 1].map(|i| {
                let start = args[i].into_pointer_value();
                Factor { start, ..groups.factors[i].clone() }.at(asm, ty.dtype, batch.len(), &counters)
            });
            let c = whole.at(asm, ty.dtype, batch.len(), &counters);
            self.lower.products.call(asm, kernel, Operands { a, b, c, scratch, k: None, add });
            asm.end_loop(of, vec![]);
        });
    }

    /// The same, with the memory that the kernel needs.
    fn products_with(
        &self,
        factors: &[Factor<'c>; 2],
        kernel: Kernel,
        to: PointerValue<'c>,
        ty: &Type,
        add: Option<Reg<'c>>,
        scratch: Option<PointerValue<'c>>,
    ) {
        let rank = ty.shape.len();
        let batch = &ty.shape[..rank - 2];
        let open: Vec<_> = batch.iter().map(|&n| self.asm.begin_loop(0, n as u64, 1, &[])).collect();
        let counters: Vec<_> = open.iter().map(|l| l.counter).collect();
        let [a, b] = [0, 1].map(|i| factors[i].at(self.asm, ty.dtype, batch.len(), &counters));
        let strides = crate::interpret::index::strides(&ty.shape);
        let whole = Factor {
            start: to,
            shape: ty.shape.clone(),
            strides: strides.iter().map(|&s| s as i64).collect(),
        };
        let c = whole.at(self.asm, ty.dtype, batch.len(), &counters);
        let add = add.filter(|_| kernel.sum == Sum::Asked);
        let operands = Operands { a, b, c, scratch, k: None, add };
        self.lower.products.call(self.asm, kernel, operands);
        for l in open.into_iter().rev() {
            self.asm.end_loop(l, vec![]);
        }
    }

    /// A product as sums along rows of `a` and columns of `b`, where few rows or columns would not fill a block.
    fn dot_products(&mut self, a: Value, b: Value, to: PointerValue<'c>, ty: &Type, add: Option<Reg<'c>>) {
        let rank = ty.shape.len();
        for x in [a, b] {
            if self.values.elementwise(x).is_some() {
                self.address(x);
            }
        }
        let shape: Vec<usize> = ty.shape.iter().copied().chain(self.ty(a).shape.last().copied()).collect();
        let mut nest = Nest::new(&shape);
        nest.reduced = 1 << rank;
        let at = identity(rank + 1);
        let batch = &at[..rank - 2];
        let index = |i: usize, j: usize| [batch, &[at[i].clone(), at[j].clone()]].concat();
        let [of_a, of_b] = [(a, index(rank - 2, rank)), (b, index(rank, rank - 1))].map(|(x, index)| {
            let own = broadcast_index(&index, &self.ty(x).shape.clone(), rank + 1);
            self.node(&mut nest, x, &own, &mut HashMap::new())
        });
        let node = nest.binary(Binary::Mul, of_a, of_b);
        let place = Affine::position(&at[..rank], &ty.shape, rank + 1);
        let Some(add) = add else {
            let to = Some((to, place));
            nest.roots.push(Root::Reduce { op: Reduction::Sum, node, to });
            emit::emit(self.asm, self.lower.math, nest);
            return;
        };
        self.with_scratch(bytes(ty), |body, room| {
            nest.roots.push(Root::Reduce { op: Reduction::Sum, node, to: Some((room, place)) });
            emit::emit(body.asm, body.lower.math, nest);
            let mut sum = Nest::new(&[ty.size()]);
            let at = Affine::counter(1, 0);
            let [old, new] = [to, room].map(|from| sum.load(from, at.clone(), ty.dtype));
            let both = sum.binary(Binary::Add, old, new);
            let mask = sum.node(Op::Register(add), Dtype::Bool);
            let node = sum.node(Op::Select(mask, both, new), ty.dtype);
            sum.roots.push(Root::Store { to, at, node, mask: None });
            emit::emit(body.asm, body.lower.math, sum);
        });
    }

    /// A factor, read where it is if that is possible.
    fn factor(&mut self, x: Value, side: Side, n: usize) -> Factor<'c> {
        if let Some(moved) = self.moved(x) {
            let Strides { row, column } = moved.matrix();
            let once = self.values.uses(x) == 1;
            // The kernel turns a second factor for itself, which is a waste if others do, too.
            if side == Side::First || n == 1 || column == 1 || (row == 1 && column > 1 && once) {
                return moved;
            }
        }
        let shape = self.ty(x).shape.clone();
        let strides = crate::interpret::index::strides(&shape).iter().map(|&s| s as i64).collect();
        Factor { start: self.address(x), shape, strides }
    }

    /// A factor that is another array's elements in another order, where that array is.
    fn moved(&mut self, x: Value) -> Option<Factor<'c>> {
        self.values.movement(x)?;
        let shape = self.ty(x).shape.clone();
        let mut nest = Nest::new(&shape);
        let node = self.node(&mut nest, x, &identity(shape.len()), &mut HashMap::new());
        let Op::Load { from, at, mask: None, .. } = nest.nodes[node].op.clone() else { return None };
        let start = self.asm.bytes(from, at.offset * i64::from(element_bytes(self.ty(x).dtype)));
        Some(Factor { start, shape, strides: at.factors.to_vec() })
    }
}

/// Which factor of a product.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    First,
    Second,
}

/// Products of matrices that are done in groups.
struct Groups<'a, 'c> {
    factors: &'a [Factor<'c>; 2],
    kernel: Kernel,
    ty: &'a Type,
    parts: u64,
    /// Bytes for each.
    scratch: u64,
}

/// A factor where it is read: matrices along leading axes.
#[derive(Clone)]
struct Factor<'c> {
    start: PointerValue<'c>,
    shape: Shape,
    strides: Vec<i64>,
}

impl<'c> Factor<'c> {
    fn matrix(&self) -> Strides {
        let [.., row, column] = self.strides[..] else { unreachable!("matrices have two axes") };
        Strides { row, column }
    }
    /// The transposed matrices.
    fn turned(mut self) -> Factor<'c> {
        let rank = self.shape.len();
        self.shape.swap(rank - 2, rank - 1);
        self.strides.swap(rank - 2, rank - 1);
        self
    }
    /// The first element of one of the matrices, by the counters of `loops` axes to which the leading ones broadcast.
    fn at(&self, asm: &Asm<'c>, dtype: Dtype, loops: usize, counters: &[IntValue<'c>]) -> PointerValue<'c> {
        let lead = self.shape.len() - 2;
        let mut position = asm.int(0);
        for (axis, &counter) in counters[loops - lead..].iter().enumerate() {
            if self.shape[axis] != 1 {
                position = asm.index_add(position, asm.index_mul(counter, self.strides[axis]));
            }
        }
        asm.at(asm.memory_ty(dtype, 1), self.start, position)
    }
}
