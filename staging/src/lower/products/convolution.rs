//! Direct convolution with the batch innermost: `[channels, rows, columns, batch]`, the batch padded with zeros to
//! whole vectors. Every tap is then one multiply–add of whole vectors, whatever the window's strides and padding are,
//! and taps outside of the image are not visited.
//!
//! The sum over taps is that of a matrix product for each pixel, `y[o, n] += w[o, tap]·x[tap, n]`, so blocks of sums
//! stay in registers as in [`contract`](super::contract). The gradient of the kernel contracts over the batch: its sums
//! are vectors, one for each of some taps and channels, and are added up at the end.

use inkwell::module::Linkage;
use inkwell::types::BasicMetadataTypeEnum;
use inkwell::values::{FunctionValue, InstructionOpcode, IntValue, PointerValue};

use crate::ir::expr::Window2d;
use crate::ir::types::{Dtype, Scalar};
use crate::lower::asm::{Asm, FAST, Reg, element_bytes, lanes as lanes_of};

/// `[channels, rows, columns]` of a batch of images.
#[derive(Clone, Copy)]
pub struct Images {
    pub channels: i64,
    pub rows: i64,
    pub columns: i64,
}

/// The parts that all convolutions have in common.
#[derive(Clone, Copy)]
pub struct Batch {
    pub dtype: Dtype,
    /// Images.
    pub count: u64,
}

impl Batch {
    /// Lanes of a vector of the batch.
    pub fn lanes(&self, asm: &Asm<'_>) -> u32 {
        asm.target.vector_bits / 8 / element_bytes(self.dtype)
    }
    /// Images, padded to whole vectors.
    pub fn padded(&self, asm: &Asm<'_>) -> u64 {
        self.count.next_multiple_of(u64::from(self.lanes(asm)))
    }
    /// Bytes of all images with so many elements.
    pub fn bytes(&self, asm: &Asm<'_>, elements: usize) -> u64 {
        self.padded(asm) * elements as u64 * u64::from(element_bytes(self.dtype))
    }
}

/// Which elements of the second operand a pixel sums up, along one axis: with the pixel's index `i` and
/// `base = i·step + offset`, those from `base + first` to before `base + end` that exist; the tap of element `r` is
/// `direction·(r − base)`.
#[derive(Clone, Copy)]
struct Reach {
    step: i64,
    offset: i64,
    first: i64,
    end: i64,
    direction: i64,
    /// Elements that exist.
    length: i64,
}

impl Reach {
    /// Base, first element and end for a pixel, of `pixels`.
    fn at<'c>(&self, asm: &Asm<'c>, pixel: IntValue<'c>, pixels: i64) -> [IntValue<'c>; 3] {
        let base = asm.index_add(asm.index_mul(pixel, self.step), asm.int(self.offset));
        let (mut from, mut to) =
            (asm.index_add(base, asm.int(self.first)), asm.index_add(base, asm.int(self.end)));
        if self.offset + self.first < 0 {
            from = asm.int_intrinsic("llvm.smax", from, asm.int(0));
        }
        if (pixels - 1) * self.step + self.offset + self.end > self.length {
            to = asm.int_intrinsic("llvm.smin", to, asm.int(self.length));
        }
        [base, from, to]
    }
}

/// `y[m, pixel, n] = Σ w[m, channel, tap]·x[channel, element, n]`: a convolution, or the gradient of its image.
pub struct TapSum {
    batch: Batch,
    x: Images,
    y: Images,
    /// Distances in the kernel between the `m`s, and between the channels of `x`.
    strides: [i64; 2],
    /// Columns of the kernel.
    taps: i64,
    reach: [Reach; 2],
}

impl TapSum {
    /// The convolution itself.
    pub fn convolution(batch: Batch, x: Images, y: Images, kernel: [i64; 2], window: Window2d) -> TapSum {
        let reach = [(0, x.rows), (1, x.columns)].map(|(axis, length)| Reach {
            step: window.stride[axis] as i64,
            offset: -(window.padding[axis] as i64),
            first: 0,
            end: kernel[axis],
            direction: 1,
            length,
        });
        let area = kernel[0] * kernel[1];
        TapSum { batch, x, y, strides: [x.channels * area, area], taps: kernel[1], reach }
    }
    /// The gradient of the image, for windows at neighbouring places.
    pub fn image(batch: Batch, y_bar: Images, x_bar: Images, kernel: [i64; 2], window: Window2d) -> TapSum {
        let reach = [(0, y_bar.rows), (1, y_bar.columns)].map(|(axis, length)| Reach {
            step: 1,
            offset: window.padding[axis] as i64,
            first: 1 - kernel[axis],
            end: 1,
            direction: -1,
            length,
        });
        let area = kernel[0] * kernel[1];
        TapSum { batch, x: y_bar, y: x_bar, strides: [area, x_bar.channels * area], taps: kernel[1], reach }
    }

    /// A function of `x`, the kernel and `y`, by rows of `y`.
    pub fn emit<'c>(&self, asm: &Asm<'c>) -> Lines<'c> {
        function(asm, "conv2d", self.y.rows as u64, |asm, [x, w, y], [from, end]| {
            let padded = self.batch.padded(asm) as i64;
            let vectors = padded as u64 / u64::from(self.batch.lanes(asm));
            let (most_rows, most_vectors) = if asm.target.vector_registers >= 32 { (6, 4) } else { (6, 2) };
            let m = self.y.channels as u64;
            let rows = m.div_ceil(m.div_ceil(most_rows));
            let across = vectors.div_ceil(vectors.div_ceil(most_vectors));
            let at_row = asm.begin_loop_to(from, end, 1, &[]);
            let at_column = asm.begin_loop(0, self.y.columns as u64, 1, &[]);
            let pixel = [at_row.counter, at_column.counter];
            blocks(asm, m, rows, |channel, rows| {
                blocks(asm, vectors, across, |vector, vectors| {
                    self.block(asm, [x, w, y], pixel, [channel, vector], [rows, vectors]);
                });
            });
            asm.end_loop(at_column, vec![]);
            asm.end_loop(at_row, vec![]);
        })
    }

    fn block<'c>(
        &self,
        asm: &Asm<'c>,
        [x, w, y]: [PointerValue<'c>; 3],
        pixel: [IntValue<'c>; 2],
        [channel, vector]: [IntValue<'c>; 2],
        [rows, vectors]: [u64; 2],
    ) {
        let (dtype, lanes) = (self.batch.dtype, self.batch.lanes(asm));
        let (element, padded) = (asm.memory_ty(dtype, 1), self.batch.padded(asm) as i64);
        let [row_base, row_from, row_to] = self.reach[0].at(asm, pixel[0], self.y.rows);
        let [column_base, column_from, column_to] = self.reach[1].at(asm, pixel[1], self.y.columns);
        let lane = asm.index_mul(vector, i64::from(lanes));
        let x = asm.at(element, x, lane);
        let w = asm.at(element, w, asm.index_mul(channel, self.strides[0]));
        let zero = asm.constant(Scalar::of(dtype, 0.0), lanes);
        let sums = vec![zero; (rows * vectors) as usize];
        let of_channels = asm.begin_loop(0, self.x.channels as u64, 1, &sums);
        let of_rows = asm.begin_loop_to(row_from, row_to, 1, &of_channels.carried);
        let of_columns = asm.begin_loop_to(column_from, column_to, 1, &of_rows.carried);
        let mut sums = of_columns.carried.clone();
        let (i, r, c) = (of_channels.counter, of_rows.counter, of_columns.counter);
        let line = asm.index_add(asm.index_mul(i, self.x.rows), r);
        let place = asm.index_add(asm.index_mul(line, self.x.columns), c);
        let x = asm.at(element, x, asm.index_mul(place, padded));
        let tap = |at: IntValue<'c>, base: IntValue<'c>, direction: i64| {
            if direction > 0 { asm.index_sub(at, base) } else { asm.index_sub(base, at) }
        };
        let u = tap(r, row_base, self.reach[0].direction);
        let v = tap(c, column_base, self.reach[1].direction);
        let tap = asm.index_add(asm.index_mul(u, self.taps), v);
        let w = asm.at(element, w, asm.index_add(asm.index_mul(i, self.strides[1]), tap));
        let bytes = i64::from(lanes * element_bytes(dtype));
        let of_x: Vec<Reg<'c>> =
            (0..vectors as i64).map(|j| asm.load(dtype, lanes, asm.bytes(x, j * bytes))).collect();
        for m in 0..rows as usize {
            let at = asm.at(element, w, asm.int(m as i64 * self.strides[0]));
            let weight = asm.splat(asm.load(dtype, 1, at), lanes);
            for (j, &x) in of_x.iter().enumerate() {
                let sum = &mut sums[m * of_x.len() + j];
                *sum = asm.fma(weight, x, *sum);
            }
        }
        let sums = asm.end_loop(of_columns, sums);
        let sums = asm.end_loop(of_rows, sums);
        let sums = asm.end_loop(of_channels, sums);
        let plane = self.y.rows * self.y.columns;
        let place = asm.index_add(asm.index_mul(pixel[0], self.y.columns), pixel[1]);
        let place = asm.index_add(asm.index_mul(channel, plane), place);
        let y = asm.at(element, y, asm.index_add(asm.index_mul(place, padded), lane));
        for m in 0..rows as usize {
            let y = asm.at(element, y, asm.int(m as i64 * plane * padded));
            for j in 0..vectors as usize {
                asm.store(dtype, sums[m * vectors as usize + j], asm.bytes(y, j as i64 * bytes));
            }
        }
    }
}

/// `w_bar[o, i, u, v] = Σ x[i, r·stride + u, c·stride + v, n]·y_bar[o, r, c, n]`, without padding.
pub struct KernelGradient {
    pub batch: Batch,
    pub x: Images,
    pub y: Images,
    pub kernel: [i64; 2],
    pub stride: [i64; 2],
}

impl KernelGradient {
    /// A function of `x`, `y_bar` and `w_bar`, by channels of `x` and rows of the kernel.
    pub fn emit<'c>(&self, asm: &Asm<'c>) -> Lines<'c> {
        let lines = (self.x.channels * self.kernel[0]) as u64;
        function(asm, "conv2d_kernel", lines, |asm, [x, y, w], [from, end]| {
            let most = if asm.target.vector_registers >= 32 { 5 } else { 3 };
            let [out, taps] = [self.y.channels as u64, self.kernel[1] as u64];
            let [rows, across] = [out, taps].map(|n| n.div_ceil(n.div_ceil(most)));
            blocks(asm, out, rows, |channel, rows| {
                let of_lines = asm.begin_loop_to(from, end, 1, &[]);
                let taps_of_line = asm.int(self.kernel[0]).into();
                let [i, u] = [InstructionOpcode::UDiv, InstructionOpcode::URem]
                    .map(|op| asm.op(op, of_lines.counter.into(), taps_of_line).into_int_value());
                blocks(asm, taps, across, |v, taps| {
                    self.block(asm, [x, y, w], [channel, i, u, v], [rows, taps])
                });
                asm.end_loop(of_lines, vec![]);
            });
        })
    }

    fn block<'c>(
        &self,
        asm: &Asm<'c>,
        [x, y, w]: [PointerValue<'c>; 3],
        [channel, i, u, v]: [IntValue<'c>; 4],
        [rows, taps]: [u64; 2],
    ) {
        let (dtype, lanes) = (self.batch.dtype, self.batch.lanes(asm));
        let (element, padded) = (asm.memory_ty(dtype, 1), self.batch.padded(asm) as i64);
        let at =
            |base: PointerValue<'c>, place: IntValue<'c>| asm.at(element, base, asm.index_mul(place, padded));
        let zero = asm.constant(Scalar::of(dtype, 0.0), lanes);
        let plane = self.y.rows * self.y.columns;
        let line = asm.index_add(asm.index_mul(i, self.x.rows), u);
        let x = at(x, asm.index_add(asm.index_mul(line, self.x.columns), v));
        let y = at(y, asm.index_mul(channel, plane));
        let of_rows = asm.begin_loop(0, self.y.rows as u64, 1, &vec![zero; (rows * taps) as usize]);
        let x = at(x, asm.index_mul(of_rows.counter, self.stride[0] * self.x.columns));
        let y = at(y, asm.index_mul(of_rows.counter, self.y.columns));
        // Neighbouring windows, and the vectors of the batch, lie one behind the other.
        let dense = self.stride[1] == 1;
        let columns = if dense { 1 } else { self.y.columns as u64 };
        let of_columns = asm.begin_loop(0, columns, 1, &of_rows.carried);
        let x = at(x, asm.index_mul(of_columns.counter, self.stride[1]));
        let y = at(y, of_columns.counter);
        let length = if dense { self.y.columns * padded } else { padded };
        let of_lanes = asm.begin_loop(0, length as u64, u64::from(lanes), &of_columns.carried);
        let [x, y] = [x, y].map(|start| asm.at(element, start, of_lanes.counter));
        let mut sums = of_lanes.carried.clone();
        let of_y: Vec<Reg<'c>> = (0..rows as i64)
            .map(|o| asm.load(dtype, lanes, asm.at(element, y, asm.int(o * plane * padded))))
            .collect();
        for t in 0..taps as usize {
            let x = asm.load(dtype, lanes, asm.at(element, x, asm.int(t as i64 * padded)));
            for (o, &y) in of_y.iter().enumerate() {
                let sum = &mut sums[o * taps as usize + t];
                *sum = asm.fma(x, y, *sum);
            }
        }
        let sums = asm.end_loop(of_lanes, sums);
        let sums = asm.end_loop(of_columns, sums);
        let sums = asm.end_loop(of_rows, sums);
        let area = self.kernel[0] * self.kernel[1];
        let tap = asm.index_add(asm.index_mul(u, self.kernel[1]), v);
        let channels = asm.index_add(asm.index_mul(channel, self.x.channels), i);
        let w = asm.at(element, w, asm.index_add(asm.index_mul(channels, area), tap));
        for (o, sums) in sums.chunks(taps as usize).enumerate() {
            for (t, &sum) in sums.iter().enumerate() {
                let at = asm.int(o as i64 * self.x.channels * area + t as i64);
                asm.store(dtype, across(asm, sum), asm.at(element, w, at));
            }
        }
    }
}

/// The sum of a vector's lanes.
fn across<'c>(asm: &Asm<'c>, mut x: Reg<'c>) -> Reg<'c> {
    let mut width = lanes_of(x);
    while width > 1 {
        width /= 2;
        x = asm.add(asm.shuffle(x, x, 0..width), asm.shuffle(x, x, width..2 * width));
    }
    asm.lane(x, 0)
}

/// Calls `f` for each block of a range, and for what is left.
fn blocks<'c>(asm: &Asm<'c>, n: u64, block: u64, mut f: impl FnMut(IntValue<'c>, u64)) {
    let whole = n / block * block;
    let of = asm.begin_loop(0, whole, block, &[]);
    f(of.counter, block);
    asm.end_loop(of, vec![]);
    if whole < n {
        f(asm.int(whole as i64), n - whole);
    }
}

/// A function of three addresses that computes some of its lines, none of which reads what another one writes.
pub struct Lines<'c> {
    function: FunctionValue<'c>,
    lines: u64,
}

impl<'c> Lines<'c> {
    /// Has it compute all lines, on several threads if they take so much.
    pub fn call(&self, asm: &Asm<'c>, addresses: [PointerValue<'c>; 3], cost: u64) {
        let args = addresses.map(Reg::from);
        if asm.parts_of(cost) == 1 || self.lines == 1 {
            let [from, end] = [0, self.lines as i64].map(|line| asm.int(line).into());
            asm.call(self.function, &[&args[..], &[from, end]].concat());
            return;
        }
        let key = format!("lines {}", self.function.get_name().to_string_lossy());
        asm.parallel(key, &args, self.lines, |args, line| {
            let end = asm.index_add(line, asm.int(1));
            asm.call(self.function, &[args, &[line.into(), end.into()]].concat());
        });
    }
}

/// A private function of three addresses, and of the lines that it computes.
fn function<'c>(
    asm: &Asm<'c>,
    name: &str,
    lines: u64,
    body: impl FnOnce(&Asm<'c>, [PointerValue<'c>; 3], [IntValue<'c>; 2]),
) -> Lines<'c> {
    let (ptr, int): (BasicMetadataTypeEnum<'c>, BasicMetadataTypeEnum<'c>) =
        (asm.ptr_ty().into(), asm.context.i64_type().into());
    let ty = asm.context.void_type().fn_type(&[ptr, ptr, ptr, int, int], false);
    let function = asm.module.add_function(name, ty, Some(Linkage::Private));
    function.set_call_conventions(FAST);
    asm.attributes(function);
    let here = asm.here();
    asm.go_to(asm.context.append_basic_block(function, "entry"));
    let params = function.get_params();
    let addresses = [0, 1, 2].map(|i: usize| params[i].into_pointer_value());
    body(asm, addresses, [3, 4].map(|i: usize| params[i].into_int_value()));
    asm.ret(None);
    asm.go_to(here);
    Lines { function, lines }
}
