//! Every kind of kernel against the sum that it stands for.

use inkwell::context::Context;
use inkwell::passes::PassBuilderOptions;
use inkwell::targets::FileType;

use crate::ir::types::Dtype;
use crate::jit::orc::Linked;
use crate::lower::asm::Asm;
use crate::lower::asm::processor::Processor;
use crate::lower::products::contract::{Kernel, Length, Operands, Products, Strides, Sum};

/// `f(a, b, c, k, add)`, and scratch memory.
type Entry = unsafe extern "C" fn(*const u8, *const u8, *mut u8, i64, bool, *mut u8);

#[derive(Clone, Copy, Debug)]
struct Case {
    kernel: Kernel,
    strict: bool,
}

fn compiled(case: Case, target: &Processor) -> (Linked, Entry, u64) {
    let context = Context::create();
    let (asm, products) = (Asm::new(&context, "kernel", target.clone(), 1), Products::new(case.strict));
    let (ptr, kernel) = (asm.ptr_ty().into(), case.kernel);
    let params = [ptr, ptr, ptr, context.i64_type().into(), context.bool_type().into(), ptr];
    let function = asm.module.add_function("f", context.void_type().fn_type(&params, false), None);
    asm.attributes(function);
    asm.go_to(context.append_basic_block(function, "entry"));
    let args = function.get_params();
    let [a, b, c, scratch] = [0, 1, 2, 5].map(|i| args[i].into_pointer_value());
    let size = products.scratch_bytes(&asm, &kernel);
    let scratch = (size > 0).then_some(scratch);
    let k = (kernel.k == Length::Given).then(|| args[3].into_int_value());
    let add = (kernel.sum == Sum::Asked).then_some(args[4]);
    products.call(&asm, kernel, Operands { a, b, c, scratch, k, add });
    asm.ret(None);
    let machine = target.machine().unwrap();
    asm.module.set_triple(&machine.get_triple());
    asm.module.set_data_layout(&machine.get_target_data().get_data_layout());
    asm.module.verify().unwrap();
    asm.module.run_passes(crate::jit::PASSES, &machine, PassBuilderOptions::create()).unwrap();
    let object = machine.write_to_memory_buffer(&asm.module, FileType::Object).unwrap();
    let linked = Linked::new(object.as_slice()).unwrap();
    // SAFETY: the function was declared with these parameters.
    let entry = unsafe { std::mem::transmute::<u64, Entry>(linked.address("f").unwrap()) };
    (linked, entry, size)
}

/// Small integers, so that every sum is exact in any order.
fn element(i: usize, seed: usize) -> f64 {
    ((i * 7 + seed * 5 + i / 11) % 9) as f64 - 4.0
}

fn bytes_of(xs: &[f64], dtype: Dtype) -> Vec<u8> {
    match dtype {
        Dtype::F32 => xs.iter().flat_map(|&x| (x as f32).to_ne_bytes()).collect(),
        _ => xs.iter().flat_map(|x| x.to_ne_bytes()).collect(),
    }
}

/// Sixty-four-byte aligned room for so many bytes, filled with NaN.
fn room(bytes: u64) -> (Vec<u8>, usize) {
    let room = vec![0xff; bytes as usize + 8192];
    let skip = room.as_ptr().align_offset(64);
    (room, skip)
}

fn check(case: Case, target: &Processor, lengths: &[u64]) {
    let (_linked, entry, size) = compiled(case, target);
    let kernel = case.kernel;
    let adds: &[bool] = match kernel.sum {
        Sum::Stored => &[false],
        Sum::Added => &[true],
        Sum::Asked => &[false, true],
    };
    for (&k, &add) in lengths.iter().flat_map(|k| adds.iter().map(move |add| (k, add))) {
        let (m, n) = (kernel.m as usize, kernel.n as usize);
        let most = *lengths.iter().max().unwrap() as usize;
        let a: Vec<f64> = (0..m * most).map(|i| element(i, 1)).collect();
        let b: Vec<f64> = (0..n * most).map(|i| element(i, 2)).collect();
        // One column more than the product has, which must stay as it is.
        let c: Vec<f64> = (0..m * (n + 1)).map(|i| element(i, 3)).collect();
        let mut expected = c.clone();
        for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
            let term = |l: usize| {
                let at_a = i as i64 * kernel.a.row + l as i64 * kernel.a.column;
                let at_b = l as i64 * kernel.b.row + j as i64 * kernel.b.column;
                a[at_a as usize] * b[at_b as usize]
            };
            let old = if add { c[i * (n + 1) + j] } else { 0.0 };
            expected[i * (n + 1) + j] = old + (0..k as usize).map(term).sum::<f64>();
        }
        let [a, b, mut found] = [a, b, c].map(|xs| bytes_of(&xs, kernel.dtype));
        let (mut scratch, at) = room(size);
        // SAFETY: all arrays are of the sizes that the kernel was made for.
        unsafe {
            let scratch = scratch.as_mut_ptr().add(at);
            entry(a.as_ptr(), b.as_ptr(), found.as_mut_ptr(), k as i64, add, scratch);
        }
        assert!(found == bytes_of(&expected, kernel.dtype), "{case:?}, k = {k}, add: {add}, {target:?}");
        assert!(
            scratch[at + size as usize..].iter().all(|&x| x == 0xff),
            "{case:?} writes beyond its scratch memory"
        );
    }
}

/// Processors of all kinds that this machine can run code for.
fn targets() -> Vec<Processor> {
    let mut targets = vec![Processor::host(), Processor::portable()];
    if cfg!(target_arch = "x86_64") && Processor::host().vector_bits >= 256 {
        let wide = Processor {
            cpu: "x86-64-v3".into(),
            features: String::new(),
            vector_bits: 256,
            vector_registers: 16,
            ..Processor::host()
        };
        targets.push(wide);
    }
    targets
}

const SHAPES: [(u64, u64, u64); 9] = [
    (1, 1, 1),
    (1, 150, 37),
    (2, 300, 5),
    (5, 7, 3),
    (6, 64, 16),
    (13, 50, 70),
    (20, 33, 50),
    (31, 129, 65),
    (26, 70, 600),
];

#[test]
fn products_are_right_in_every_orientation_size_and_precision_on_every_kind_of_processor() {
    for target in targets() {
        for (at, &(m, n, k)) in SHAPES.iter().enumerate() {
            let [of_a, of_b] = [(m, k), (k, n)].map(|(rows, columns)| {
                [Strides { row: columns as i64, column: 1 }, Strides { row: 1, column: rows as i64 }]
            });
            // Twice, so that each orientation comes with more than one kind of sum.
            for choice in 0..8usize {
                let (a, b) = (of_a[choice & 1], of_b[choice >> 1 & 1]);
                let turn = choice + at;
                let sum = [Sum::Stored, Sum::Added, Sum::Asked][turn % 3];
                let dtype = if turn % 2 == 0 { Dtype::F32 } else { Dtype::F64 };
                let kernel = Kernel { dtype, m, n, k: Length::Fixed(k), a, b, c: n as i64 + 1, sum };
                check(Case { kernel, strict: turn % 4 == 3 }, &target, &[k]);
            }
        }
    }
}

#[test]
fn a_contraction_whose_length_is_known_at_run_time_may_be_of_nothing_or_longer_than_what_is_packed_at_once() {
    for target in targets() {
        for (m, n) in [(1, 40), (50, 70), (13, 200)] {
            for (sum, strict) in
                [(Sum::Stored, false), (Sum::Added, false), (Sum::Asked, false), (Sum::Asked, true)]
            {
                let a = Strides { row: 1, column: m };
                let b = Strides { row: n, column: 1 };
                let (m, n) = (m as u64, n as u64);
                let kernel = Kernel { dtype: Dtype::F32, m, n, k: Length::Given, a, b, c: n as i64 + 1, sum };
                check(Case { kernel, strict }, &target, &[0, 1, 255, 256, 257, 700]);
            }
        }
    }
}
