//! Convolutions and windows. Where the batch fills vectors, convolutions are computed
//! [directly](crate::lower::products::convolution); else, and where every bit counts, as loop nests over images,
//! channels and taps. Taps outside of the image are skipped, not multiplied by zero: `0·∞` is NaN.

use inkwell::values::PointerValue;

use crate::ir::expr::{Binary, Expr, Reduction, Window2d};
use crate::ir::ids::Value;
use crate::ir::types::{Dtype, Scalar, Type};
use crate::lower::asm::bytes;
use crate::lower::function::Body;
use crate::lower::loops::emit;
use crate::lower::loops::nest::{Affine, Nest, NodeId, Op, Root};
use crate::lower::loops::transpose::{self, Transposition};
use crate::lower::products::convolution::{Batch, Images, KernelGradient, Sum};

/// Row and column of an image under a window's tap.
fn under(nest: &Nest<'_>, window: Window2d, place: [usize; 2], tap: [Affine; 2]) -> [Affine; 2] {
    let loops = nest.loops();
    [0, 1].map(|i| {
        let start = Affine::counter(loops, place[i]).times(window.stride[i] as i64, 0);
        start.plus(&tap[i], 1).times(1, -(window.padding[i] as i64))
    })
}

/// Whether a place is inside of an image, if that is not so always.
fn inside(nest: &mut Nest<'_>, at: &[Affine; 2], size: [usize; 2]) -> Option<NodeId> {
    let mut mask = None;
    for i in 0..2 {
        if let Some(within) = nest.within(&at[i], size[i]) {
            mask = Some(nest.both(mask, within));
        }
    }
    mask
}

impl<'c> Body<'_, '_, 'c> {
    /// Binds a value to a convolution, a part of its derivative, or the windows of an image.
    pub fn convolution(&mut self, v: Value, expr: &Expr, ty: &Type) {
        if self.direct_convolution(v, expr, ty) {
            return;
        }
        let operands = expr.operands();
        let from: Vec<PointerValue<'c>> = operands.iter().map(|&x| self.address(x)).collect();
        let shapes: Vec<_> = operands.iter().map(|&x| self.ty(x).shape.clone()).collect();
        let to = self.new_buffer(v);
        match expr {
            Expr::Conv2d { window, .. } => {
                let (image, kernel) = (&shapes[0], &shapes[1]);
                let s = &ty.shape;
                let mut nest = Nest::new(&[s[0], s[1], s[2], s[3], image[1], kernel[2], kernel[3]]);
                nest.reduced = 0b111_0000;
                let at = |i| Affine::counter(7, i);
                let place = under(&nest, *window, [2, 3], [at(5), at(6)]);
                let mask = inside(&mut nest, &place, [image[2], image[3]]);
                let [r, c] = place;
                let x = self.element(&mut nest, from[0], image, [at(0), at(4), r, c], ty.dtype, mask);
                let w =
                    self.element(&mut nest, from[1], kernel, [at(1), at(4), at(5), at(6)], ty.dtype, None);
                self.sum_products(nest, x, w, mask, to, ty, [at(0), at(1), at(2), at(3)]);
            }
            Expr::Conv2dKernel { window, .. } => {
                let (image, y) = (&shapes[0], &shapes[1]);
                let s = &ty.shape;
                let mut nest = Nest::new(&[s[0], s[1], s[2], s[3], y[0], y[2], y[3]]);
                nest.reduced = 0b111_0000;
                let at = |i| Affine::counter(7, i);
                let place = under(&nest, *window, [5, 6], [at(2), at(3)]);
                let mask = inside(&mut nest, &place, [image[2], image[3]]);
                let [r, c] = place;
                let x = self.element(&mut nest, from[0], image, [at(4), at(1), r, c], ty.dtype, mask);
                let g = self.element(&mut nest, from[1], y, [at(4), at(0), at(5), at(6)], ty.dtype, None);
                self.sum_products(nest, x, g, mask, to, ty, [at(0), at(1), at(2), at(3)]);
            }
            Expr::Conv2dImage { size, window, .. } => {
                let (y, kernel) = (&shapes[0], &shapes[1]);
                // The taps are walked backwards in each row, so that every element is added to in the order of y.
                let loops = [y[0], y[1], y[2], kernel[1], kernel[2], kernel[3], y[3]];
                let mut nest = Nest::new(&loops);
                let at = |i| Affine::counter(7, i);
                let column = at(5).times(-1, kernel[3] as i64 - 1);
                let place = under(&nest, *window, [2, 6], [at(4), column.clone()]);
                let mask = inside(&mut nest, &place, *size);
                let g = self.element(&mut nest, from[0], y, [at(0), at(1), at(2), at(6)], ty.dtype, None);
                let w =
                    self.element(&mut nest, from[1], kernel, [at(1), at(3), at(4), column], ty.dtype, None);
                let product = nest.binary(Binary::Mul, g, w);
                let [r, c] = place;
                self.add_into(nest, product, mask, to, ty, [at(0), at(3), r, c]);
            }
            Expr::Unfold2d { kernel, window, .. } => {
                let image = &shapes[0];
                let [rows, columns] = [ty.shape[3], ty.shape[4]];
                let mut nest = Nest::new(&[image[0], image[1], kernel[0], kernel[1], rows, columns]);
                let at = |i| Affine::counter(6, i);
                let place = under(&nest, *window, [4, 5], [at(2), at(3)]);
                let mask = inside(&mut nest, &place, [image[2], image[3]]);
                let [r, c] = place;
                let node = self.element(&mut nest, from[0], image, [at(0), at(1), r, c], ty.dtype, mask);
                let tap = at(2).times(kernel[1] as i64, 0).plus(&at(3), 1);
                let index = [at(0), at(1), tap, at(4), at(5)];
                let at = Affine::position(&index, &ty.shape, 6);
                nest.roots.push(Root::Store { to, at, node, mask: None });
                emit::emit(self.asm, self.lower.math, nest);
            }
            Expr::Fold2d { size, kernel, window, .. } => {
                let x = &shapes[0];
                let mut nest = Nest::new(&[x[0], x[1], kernel[0], kernel[1], x[3], x[4]]);
                let at = |i| Affine::counter(6, i);
                let place = under(&nest, *window, [4, 5], [at(2), at(3)]);
                let mask = inside(&mut nest, &place, *size);
                let tap = at(2).times(kernel[1] as i64, 0).plus(&at(3), 1);
                let index = [at(0), at(1), tap, at(4), at(5)];
                let from_at = Affine::position(&index, x, 6);
                let node = nest.load(from[0], from_at, ty.dtype);
                let [r, c] = place;
                self.add_into(nest, node, mask, to, ty, [at(0), at(1), r, c]);
            }
            _ => unreachable!("{} is lowered elsewhere", expr.name()),
        }
    }

    /// Convolves with the batch innermost, if that fills vectors. The order in which the kernel's gradient is summed up
    /// is then another.
    fn direct_convolution(&mut self, v: Value, expr: &Expr, ty: &Type) -> bool {
        let (Expr::Conv2d { window, .. }
        | Expr::Conv2dImage { window, .. }
        | Expr::Conv2dKernel { window, .. }) = expr
        else {
            return false;
        };
        let window = *window;
        let [first, second] = expr.operands()[..] else { unreachable!("convolutions have two operands") };
        let [count, ..] = self.ty(first).shape[..] else { unreachable!("images have four axes") };
        let batch = Batch { dtype: ty.dtype, count: count as u64 };
        if self.lower.math.strict
            || 2 * count < batch.lanes(self.asm) as usize
            || self.any_empty(&[first, second], ty)
        {
            return false;
        }
        let images = |ty: &Type| Images {
            channels: ty.shape[1] as i64,
            rows: ty.shape[2] as i64,
            columns: ty.shape[3] as i64,
        };
        let of_kernel = |ty: &Type| [ty.shape[2] as i64, ty.shape[3] as i64];
        let (x, kernel) = (images(self.ty(first)), of_kernel(self.ty(second)));
        let sum = match expr {
            Expr::Conv2d { .. } => Sum::convolution(batch, x, images(ty), kernel, window),
            Expr::Conv2dImage { .. } if window.stride == [1, 1] => {
                Sum::image(batch, x, images(ty), kernel, window)
            }
            Expr::Conv2dKernel { .. } if window.padding == [0, 0] => {
                let stride = window.stride.map(|s| s as i64);
                let gradient =
                    KernelGradient { batch, x, y: images(self.ty(second)), kernel: of_kernel(ty), stride };
                let [x, y] = [first, second].map(|v| self.batch_innermost(v, batch));
                let to = self.new_buffer(v);
                let function = gradient.emit(self.asm);
                self.asm.call(function, &[x.into(), y.into(), to.into()]);
                return true;
            }
            _ => return false,
        };
        let x = self.batch_innermost(first, batch);
        let w = self.address(second);
        let to = self.new_buffer(v);
        let pixels = ty.size() / count;
        let (buffer, y) = self.temporary(batch.bytes(self.asm, pixels));
        let function = sum.emit(self.asm);
        self.asm.call(function, &[x.into(), w.into(), y.into()]);
        let back = Transposition {
            from: y,
            to,
            rows: count,
            columns: pixels,
            padded: pixels,
            from_pitch: batch.padded(self.asm) as i64,
            to_pitch: pixels as i64,
            dtype: ty.dtype,
        };
        transpose::emit(self.asm, &back);
        self.plan.free(buffer);
        true
    }

    fn any_empty(&self, operands: &[Value], ty: &Type) -> bool {
        ty.size() == 0 || operands.iter().any(|&x| self.ty(x).size() == 0)
    }

    /// A copy of images with the batch innermost, which is kept: the next product of a convolution's derivative reads
    /// it as well.
    fn batch_innermost(&mut self, v: Value, batch: Batch) -> PointerValue<'c> {
        if let Some(&copy) = self.batch_innermost.get(&v) {
            return copy;
        }
        let from = self.address(v);
        let pixels = self.ty(v).size() / batch.count as usize;
        let (_, to) = self.temporary(batch.bytes(self.asm, pixels));
        let padded = batch.padded(self.asm) as usize;
        let block = transpose::block_size(self.asm, batch.dtype);
        let columns = batch.count as usize;
        if columns.next_multiple_of(block) < padded {
            self.asm.zero(to, batch.bytes(self.asm, pixels));
        }
        let turned = Transposition {
            from,
            to,
            rows: pixels,
            columns,
            padded: padded.min(columns.next_multiple_of(block)),
            from_pitch: pixels as i64,
            to_pitch: padded as i64,
            dtype: batch.dtype,
        };
        transpose::emit(self.asm, &turned);
        self.batch_innermost.insert(v, to);
        to
    }

    fn element(
        &self,
        nest: &mut Nest<'c>,
        from: PointerValue<'c>,
        shape: &[usize],
        index: [Affine; 4],
        dtype: Dtype,
        mask: Option<NodeId>,
    ) -> NodeId {
        let at = Affine::position(&index, shape, nest.loops());
        nest.node(Op::Load { from, at, mask, fresh: false }, dtype)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one formula")]
    fn sum_products(
        &self,
        mut nest: Nest<'c>,
        x: NodeId,
        w: NodeId,
        mask: Option<NodeId>,
        to: PointerValue<'c>,
        ty: &Type,
        index: [Affine; 4],
    ) {
        let mut node = nest.binary(Binary::Mul, x, w);
        if let Some(mask) = mask {
            let zero = nest.node(Op::Constant(Scalar::of(ty.dtype, 0.0)), ty.dtype);
            node = nest.node(Op::Select(mask, node, zero), ty.dtype);
        }
        let at = Affine::position(&index, &ty.shape, nest.loops());
        let to = Some((to, at));
        nest.roots.push(Root::Reduce { op: Reduction::Sum, node, to });
        emit::emit(self.asm, self.lower.math, nest);
    }

    /// Adds elements to zeros, where the mask holds.
    fn add_into(
        &self,
        mut nest: Nest<'c>,
        node: NodeId,
        mask: Option<NodeId>,
        to: PointerValue<'c>,
        ty: &Type,
        index: [Affine; 4],
    ) {
        self.asm.zero(to, bytes(ty));
        let at = Affine::position(&index, &ty.shape, nest.loops());
        let old = nest.node(Op::Load { from: to, at: at.clone(), mask, fresh: true }, ty.dtype);
        let node = nest.binary(Binary::Add, old, node);
        nest.roots.push(Root::Store { to, at, node, mask });
        emit::emit(self.asm, self.lower.math, nest);
    }
}
