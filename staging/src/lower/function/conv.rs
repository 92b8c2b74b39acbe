//! Convolutions and windows. Where the batch fills vectors, convolutions are computed
//! [directly](crate::lower::products::convolution); else, and where every bit counts, as loop nests over images,
//! channels and taps. Taps outside of the image are skipped, not multiplied by zero: `0·∞` is NaN.

use inkwell::values::PointerValue;

use crate::ir::expr::{Binary, Reduction, Window2d};
use crate::ir::ids::Value;
use crate::ir::types::{Dtype, Scalar, Type};
use crate::lower::asm::bytes;
use crate::lower::function::Body;
use crate::lower::loops::emit;
use crate::lower::loops::nest::{Affine, Nest, NodeId, Op, Root};
use crate::lower::loops::transpose::{self, Transposition};
use crate::lower::products::convolution::{Batch, Images, KernelGradient, TapSum};

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

/// Channels, rows and columns of images.
fn images(ty: &Type) -> Images {
    let [_, channels, rows, columns] = ty.shape[..] else { unreachable!("images have four axes") };
    Images { channels: channels as i64, rows: rows as i64, columns: columns as i64 }
}

/// Rows and columns of a kernel.
fn taps(ty: &Type) -> [i64; 2] {
    [ty.shape[2] as i64, ty.shape[3] as i64]
}

impl<'c> Body<'_, '_, 'c> {
    /// Binds a value to a convolution.
    pub fn conv2d(&mut self, v: Value, operands: [Value; 2], window: Window2d, ty: &Type) {
        let [image, kernel] = operands.map(|x| self.ty(x));
        if let Some(batch) = self.direct_batch(operands, ty) {
            let sum = TapSum::convolution(batch, images(image), images(ty), taps(kernel), window);
            return self.direct_sum(v, &sum, batch, operands, ty);
        }
        let [from_image, from_kernel] = operands.map(|x| self.address(x));
        let to = self.new_buffer(v);
        let s = &ty.shape;
        let (image, kernel) = (&image.shape, &kernel.shape);
        let mut nest = Nest::new(&[s[0], s[1], s[2], s[3], image[1], kernel[2], kernel[3]]);
        nest.reduced = 0b111_0000;
        let at = |i| Affine::counter(7, i);
        let place = under(&nest, window, [2, 3], [at(5), at(6)]);
        let mask = inside(&mut nest, &place, [image[2], image[3]]);
        let [r, c] = place;
        let x = self.element(&mut nest, from_image, image, [at(0), at(4), r, c], ty.dtype, mask);
        let w = self.element(&mut nest, from_kernel, kernel, [at(1), at(4), at(5), at(6)], ty.dtype, None);
        self.sum_products(nest, x, w, mask, to, ty, [at(0), at(1), at(2), at(3)]);
    }

    /// Binds a value to the gradient of a convolution's kernel.
    pub fn conv2d_kernel(&mut self, v: Value, operands: [Value; 2], window: Window2d, ty: &Type) {
        let [image, y_bar] = operands.map(|x| self.ty(x));
        let batch = self.direct_batch(operands, ty).filter(|_| window.padding == [0, 0]);
        if let Some(batch) = batch {
            let stride = window.stride.map(|s| s as i64);
            let (x, y) = (images(image), images(y_bar));
            let gradient = KernelGradient { batch, x, y, kernel: taps(ty), stride };
            let [x, y] = operands.map(|x| self.batch_innermost(x, batch));
            let to = self.new_buffer(v);
            let cost = (self.ty(operands[1]).size() * ty.size() / ty.shape[0]) as u64 / 8;
            gradient.emit(self.asm).call(self.asm, [x, y, to], cost);
            return;
        }
        let [from_image, from_y] = operands.map(|x| self.address(x));
        let to = self.new_buffer(v);
        let s = &ty.shape;
        let (image, y) = (&image.shape, &y_bar.shape);
        let mut nest = Nest::new(&[s[0], s[1], s[2], s[3], y[0], y[2], y[3]]);
        nest.reduced = 0b111_0000;
        let at = |i| Affine::counter(7, i);
        let place = under(&nest, window, [5, 6], [at(2), at(3)]);
        let mask = inside(&mut nest, &place, [image[2], image[3]]);
        let [r, c] = place;
        let x = self.element(&mut nest, from_image, image, [at(4), at(1), r, c], ty.dtype, mask);
        let g = self.element(&mut nest, from_y, y, [at(4), at(0), at(5), at(6)], ty.dtype, None);
        self.sum_products(nest, x, g, mask, to, ty, [at(0), at(1), at(2), at(3)]);
    }

    /// Binds a value to the gradient of a convolution's image, of a size.
    pub fn conv2d_image(
        &mut self,
        v: Value,
        operands: [Value; 2],
        size: [usize; 2],
        window: Window2d,
        ty: &Type,
    ) {
        let [y_bar, kernel] = operands.map(|x| self.ty(x));
        let batch = self.direct_batch(operands, ty).filter(|_| window.stride == [1, 1]);
        if let Some(batch) = batch {
            let sum = TapSum::image(batch, images(y_bar), images(ty), taps(kernel), window);
            return self.direct_sum(v, &sum, batch, operands, ty);
        }
        let [from_y, from_kernel] = operands.map(|x| self.address(x));
        let to = self.new_buffer(v);
        let (y, kernel) = (&y_bar.shape, &kernel.shape);
        // The taps are walked backwards in each row, so that every element is added to in the order of y.
        let mut nest = Nest::new(&[y[0], y[1], y[2], kernel[1], kernel[2], kernel[3], y[3]]);
        let at = |i| Affine::counter(7, i);
        let column = at(5).times(-1, kernel[3] as i64 - 1);
        let place = under(&nest, window, [2, 6], [at(4), column.clone()]);
        let mask = inside(&mut nest, &place, size);
        let g = self.element(&mut nest, from_y, y, [at(0), at(1), at(2), at(6)], ty.dtype, None);
        let w = self.element(&mut nest, from_kernel, kernel, [at(1), at(3), at(4), column], ty.dtype, None);
        let product = nest.binary(Binary::Mul, g, w);
        let [r, c] = place;
        self.add_into(nest, product, mask, to, ty, [at(0), at(3), r, c]);
    }

    /// Binds a value to the windows of an image.
    pub fn unfold2d(&mut self, v: Value, image: Value, kernel: [usize; 2], window: Window2d, ty: &Type) {
        let from = self.address(image);
        let to = self.new_buffer(v);
        let image = &self.ty(image).shape;
        let [rows, columns] = [ty.shape[3], ty.shape[4]];
        let mut nest = Nest::new(&[image[0], image[1], kernel[0], kernel[1], rows, columns]);
        let at = |i| Affine::counter(6, i);
        let place = under(&nest, window, [4, 5], [at(2), at(3)]);
        let mask = inside(&mut nest, &place, [image[2], image[3]]);
        let [r, c] = place;
        let node = self.element(&mut nest, from, image, [at(0), at(1), r, c], ty.dtype, mask);
        let tap = at(2).times(kernel[1] as i64, 0).plus(&at(3), 1);
        let at = Affine::position(&[at(0), at(1), tap, at(4), at(5)], &ty.shape, 6);
        nest.roots.push(Root::Store { to, at, node, mask: None });
        emit::emit(self.asm, self.lower.math, nest);
    }

    /// Binds a value to the image of a size that is the sum of windows.
    pub fn fold2d(
        &mut self,
        v: Value,
        windows: Value,
        size: [usize; 2],
        kernel: [usize; 2],
        window: Window2d,
        ty: &Type,
    ) {
        let from = self.address(windows);
        let to = self.new_buffer(v);
        let x = &self.ty(windows).shape;
        let mut nest = Nest::new(&[x[0], x[1], kernel[0], kernel[1], x[3], x[4]]);
        let at = |i| Affine::counter(6, i);
        let place = under(&nest, window, [4, 5], [at(2), at(3)]);
        let mask = inside(&mut nest, &place, size);
        let tap = at(2).times(kernel[1] as i64, 0).plus(&at(3), 1);
        let from_at = Affine::position(&[at(0), at(1), tap, at(4), at(5)], x, 6);
        let node = nest.load(from, from_at, ty.dtype);
        let [r, c] = place;
        self.add_into(nest, node, mask, to, ty, [at(0), at(1), r, c]);
    }

    /// The images of a convolution or of a part of its derivative, if they fill vectors with the batch innermost. The
    /// order in which the kernel's gradient is summed up is another then.
    fn direct_batch(&self, operands: [Value; 2], ty: &Type) -> Option<Batch> {
        let count = self.ty(operands[0]).shape[0];
        let batch = Batch { dtype: ty.dtype, count: count as u64 };
        let any_empty = ty.size() == 0 || operands.iter().any(|&x| self.ty(x).size() == 0);
        let fills = 2 * count >= batch.lanes(self.asm) as usize;
        (fills && !self.lower.math.strict && !any_empty).then_some(batch)
    }

    /// Binds a value to a sum over taps with the batch innermost.
    fn direct_sum(&mut self, v: Value, sum: &TapSum, batch: Batch, [x, kernel]: [Value; 2], ty: &Type) {
        let x = self.batch_innermost(x, batch);
        let cost = self.ty(kernel).size() as u64 / ty.shape[1].max(1) as u64 * ty.size() as u64 / 8;
        let w = self.address(kernel);
        let to = self.new_buffer(v);
        let rows = batch.count as usize;
        let pixels = ty.size() / rows;
        self.with_scratch(batch.bytes(self.asm, pixels), |body, y| {
            let asm = body.asm;
            sum.emit(asm).call(asm, [x, w, y], cost);
            let back = Transposition {
                from: y,
                to,
                rows,
                columns: pixels,
                padded: pixels,
                from_pitch: batch.padded(asm) as i64,
                to_pitch: pixels as i64,
                dtype: ty.dtype,
            };
            transpose::emit_shared(asm, &back);
        });
    }

    /// A copy of images with the batch innermost, which is kept: the next product of a convolution's derivative reads
    /// it as well.
    fn batch_innermost(&mut self, v: Value, batch: Batch) -> PointerValue<'c> {
        if let Some(copy) = self.facts.batch_innermost(v) {
            return copy;
        }
        let from = self.address(v);
        let pixels = self.ty(v).size() / batch.count as usize;
        let at = self.buffers.keep(batch.bytes(self.asm, pixels));
        let to = self.in_buffers(at);
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
        transpose::emit_shared(self.asm, &turned);
        self.facts.set_batch_innermost(v, to);
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
