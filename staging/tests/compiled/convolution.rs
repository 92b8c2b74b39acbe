//! Compiled convolutions against the interpreter's.

use antiphon_staging::jit::processor::Processor;
use antiphon_staging::*;

/// Small integers in no order, so that all sums are exact.
fn scrambled(ty: &Type, seed: usize) -> ConcreteTensor {
    let xs = (0..ty.size()).map(|i| ((i * 7 + seed) * 13 % 11) as f64 - 5.0);
    match ty.dtype {
        Dtype::F32 => ConcreteTensor::new(&ty.shape, xs.map(|x| x as f32).collect::<Vec<f32>>()).unwrap(),
        _ => ConcreteTensor::new(&ty.shape, xs.collect::<Vec<f64>>()).unwrap(),
    }
}

/// A convolution and its derivative: inputs are the image, the kernel and the adjoint of the result.
fn convolution(batch: usize, [channels, out]: [usize; 2], window: Window2d, dtype: Dtype) -> Program {
    let size = [7, 9];
    let kernel = [3, 2];
    let b = Builder::new("convolution");
    let pixels = [0, 1].map(|i| (size[i] + 2 * window.padding[i] - kernel[i]) / window.stride[i] + 1);
    let input = |name: &str, shape: [usize; 4]| b.input(name, Type::new(dtype, &shape));
    let x = input("x", [batch, channels, size[0], size[1]]);
    let w = input("w", [out, channels, kernel[0], kernel[1]]);
    let y_bar = input("y_bar", [batch, out, pixels[0], pixels[1]]);
    let y = b.emit(Expr::Conv2d { image: x, kernel: w, window }).unwrap();
    let x_bar = b.emit(Expr::Conv2dImage { y_bar, kernel: w, size, window }).unwrap();
    let w_bar = b.emit(Expr::Conv2dKernel { image: x, y_bar, size: kernel, window }).unwrap();
    b.finish(&[y, x_bar, w_bar]).unwrap()
}

#[test]
fn convolutions_and_their_derivatives_are_right_for_every_window_and_batch_on_every_kind_of_processor() {
    let mut processors = vec![Processor::host(), Processor::portable()];
    if cfg!(target_arch = "x86_64") && Processor::host().vector_bits >= 256 {
        let (cpu, features) = ("x86-64-v3".into(), String::new());
        let wide = Processor { cpu, features, vector_bits: 256, vector_registers: 16, ..Processor::host() };
        processors.push(wide);
    }
    let windows = [([1, 1], [0, 0]), ([2, 1], [0, 0]), ([1, 2], [0, 0]), ([1, 1], [2, 1]), ([2, 3], [1, 0])];
    for (stride, padding) in windows {
        for (batch, channels, dtype) in [
            (1, [2, 3], Dtype::F32),
            (8, [1, 10], Dtype::F64),
            (19, [3, 7], Dtype::F32),
            (100, [4, 13], Dtype::F32),
        ] {
            let program = convolution(batch, channels, Window2d { stride, padding }, dtype);
            let inputs: Vec<ConcreteTensor> = program
                .types(&program.funcs[program.entry].params)
                .iter()
                .zip(1..)
                .map(|(ty, seed)| scrambled(ty, seed))
                .collect();
            let expected = interpret(&program, &inputs).unwrap();
            for target in &processors {
                for strict in [false, true] {
                    let options =
                        CompileOptions { strict, target: target.clone(), ..CompileOptions::default() };
                    let found = compile(&program, &options).unwrap().run(&inputs).unwrap();
                    let what = ["y", "x_bar", "w_bar"];
                    for ((expected, found), what) in expected.iter().zip(&found).zip(what) {
                        let cpu = &target.cpu;
                        assert!(
                            expected == found,
                            "{what}: {stride:?} {padding:?} {batch} {channels:?} {cpu} strict: {strict}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_tap_outside_of_the_image_is_skipped_and_not_multiplied_by_zero() {
    let window = Window2d { stride: [1, 1], padding: [2, 1] };
    let program = convolution(32, [1, 1], window, Dtype::F32);
    let mut inputs: Vec<ConcreteTensor> =
        program.types(&program.funcs[program.entry].params).iter().map(|ty| scrambled(ty, 1)).collect();
    for (input, with) in inputs.iter_mut().zip([1.0, f32::INFINITY, 1.0]) {
        *input = ConcreteTensor::fill(input.shape(), Scalar::F32(with));
    }
    let found = compile(&program, &CompileOptions::default()).unwrap().run(&inputs).unwrap();
    // Every window covers some of the image, and every pixel is covered.
    for sums in &found[..2] {
        assert!((0..sums.size()).all(|i| sums.at(i) == Scalar::F32(f32::INFINITY)));
    }
}
