//! Elementary functions of compiled code, against the C library's in double precision.

use antiphon_elementary::numbers;
use antiphon_staging::ir::ids::Value;
use antiphon_staging::jit::processor::Processor;
use antiphon_staging::*;

/// Distance in units of the last place of the reference, in double precision for single.
fn ulps(found: f64, exact: f64, single: bool) -> f64 {
    if found == exact || (found.is_nan() && exact.is_nan()) {
        return 0.0;
    }
    if !found.is_finite() || !exact.is_finite() {
        return f64::INFINITY;
    }
    let ulp = if single {
        let x = (exact.abs() as f32).max(f32::MIN_POSITIVE);
        f64::from(x.next_up() - x)
    } else {
        let x = exact.abs().max(f64::MIN_POSITIVE);
        x.next_up() - x
    };
    (found - exact).abs() / ulp
}

/// Arguments of all magnitudes, and the special ones.
fn arguments(range: f64) -> Vec<f64> {
    let mut xs =
        vec![0.0, -0.0, 1.0, -1.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e-310, -1e-310, 1e-40];
    let n = 4000;
    for i in 1..=n {
        let t = f64::from(i) / f64::from(n);
        for x in [t * range, t.powi(7) * range, 1e-30 * 1e30f64.powf(t), range * 1e-9f64.powf(t)] {
            xs.extend([x, -x]);
        }
    }
    xs
}

/// Of one operand, or two, on a processor.
fn compiled(
    target: &Processor,
    operands: &[ConcreteTensor],
    op: impl Fn(&Builder, &[Value]) -> Value,
) -> Vec<f64> {
    let b = Builder::new("f");
    let inputs: Vec<Value> = operands.iter().map(|x| b.input("x", x.ty())).collect();
    let y = op(&b, &inputs);
    let program = b.finish(&[y]).unwrap();
    let options = CompileOptions { target: target.clone(), ..CompileOptions::default() };
    let y = compile(&program, &options).unwrap().run(operands).unwrap();
    (0..y[0].size()).map(|i| y[0].at(i).real().unwrap()).collect()
}

/// Numbers in one precision, and as they are then.
fn rounded(xs: Vec<f64>, single: bool) -> (Vec<f64>, ConcreteTensor) {
    let n = xs.len();
    if !single {
        return (xs.clone(), ConcreteTensor::new(&[n], xs).unwrap());
    }
    let xs: Vec<f32> = xs.into_iter().map(|x| x as f32).collect();
    (xs.iter().map(|&x| x.into()).collect(), ConcreteTensor::new(&[n], xs).unwrap())
}

fn reference(op: Unary, x: f64) -> f64 {
    match op {
        Unary::Exp => x.exp(),
        Unary::Expm1 => x.exp_m1(),
        Unary::Log => x.ln(),
        Unary::Log1p => x.ln_1p(),
        Unary::Sin => x.sin(),
        Unary::Cos => x.cos(),
        Unary::Tanh => x.tanh(),
        Unary::Erf => libm::erf(x),
        Unary::Erfc => libm::erfc(x),
        Unary::Exp2 => x.exp2(),
        Unary::Log2 => x.log2(),
        Unary::Log10 => x.log10(),
        Unary::Cbrt => x.cbrt(),
        Unary::Sinh => x.sinh(),
        Unary::Cosh => x.cosh(),
        Unary::Asin => x.asin(),
        Unary::Acos => x.acos(),
        Unary::Atan => x.atan(),
        Unary::Asinh => libm::asinh(x),
        Unary::Acosh => libm::acosh(x),
        Unary::Atanh => libm::atanh(x),
        Unary::Lgamma => libm::lgamma(x),
        Unary::I0 => numbers::f64::i0(x),
        Unary::I1 => numbers::f64::i1(x),
        Unary::Floor => x.floor(),
        Unary::Ceil => x.ceil(),
        Unary::Round => x.round_ties_even(),
        Unary::Trunc => x.trunc(),
        Unary::Sigmoid if x < 0.0 => x.exp() / (1.0 + x.exp()),
        Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Unary::Softplus => (if x < 0.0 { 0.0 } else { x }) + (-x.abs()).exp().ln_1p(),
        _ => unreachable!("not among the functions under test"),
    }
}

#[test]
fn elementary_functions_are_right_to_a_few_units_in_the_last_place() {
    // Range of arguments; largest error in single and in double precision.
    let table = [
        (Unary::Exp, 760.0, 1.5, 1.5),
        (Unary::Expm1, 760.0, 2.5, 2.5),
        (Unary::Log, 1e30, 1.5, 1.5),
        (Unary::Log1p, 1e30, 3.0, 3.0),
        (Unary::Sin, 8e3, 2.0, 2.0),
        (Unary::Cos, 8e3, 2.0, 2.0),
        (Unary::Tanh, 25.0, 3.5, 3.5),
        (Unary::Erf, 7.0, 1.5, 1.5),
        // The references of the following have errors of up to two units themselves, those of Bessel's up to four.
        (Unary::Erfc, 28.0, 4.0, 4.5),
        (Unary::Exp2, 1100.0, 1.5, 1.5),
        (Unary::Log2, 1e30, 1.5, 2.0),
        (Unary::Log10, 1e30, 1.5, 2.5),
        (Unary::Cbrt, 1e30, 1.0, 1.5),
        (Unary::Sinh, 712.0, 2.0, 2.5),
        (Unary::Cosh, 712.0, 2.0, 2.5),
        (Unary::Asin, 1.01, 2.0, 2.0),
        (Unary::Acos, 1.01, 1.5, 1.5),
        (Unary::Atan, 1e3, 2.0, 2.5),
        (Unary::Asinh, 1e30, 2.5, 3.5),
        (Unary::Acosh, 1e30, 2.5, 3.5),
        (Unary::Atanh, 1.01, 2.5, 3.0),
        // Around its zeros the error is absolute, in units of the last place of 1.
        (Unary::Lgamma, 1e5, 3.0, 4.5),
        (Unary::I0, 712.0, 5.0, 8.0),
        (Unary::I1, 712.0, 5.0, 8.0),
        (Unary::Floor, 1e12, 0.0, 0.0),
        (Unary::Ceil, 1e12, 0.0, 0.0),
        (Unary::Round, 1e12, 0.0, 0.0),
        (Unary::Trunc, 1e12, 0.0, 0.0),
        (Unary::Sigmoid, 760.0, 3.0, 3.0),
        (Unary::Softplus, 100.0, 3.5, 3.5),
    ];
    let mut wrong = Vec::new();
    for (op, range, most_single, most_double) in table {
        for (single, most) in [(true, most_single), (false, most_double)] {
            let (xs, tensor) = rounded(arguments(range), single);
            let operands = [tensor];
            let of = |target: &Processor| compiled(target, &operands, |b, x| b.unary(op, x[0]).unwrap());
            // One that cannot fuse products with sums, and this one.
            let found = of(&Processor::portable()).into_iter().chain(of(&Processor::host()));
            let mut worst = (0.0, 0.0, 0.0, 0.0);
            for (&x, y) in xs.iter().chain(&xs).zip(found) {
                let exact = reference(op, x);
                let exact = if single && f64::from(exact as f32).is_infinite() {
                    f64::from(exact as f32)
                } else {
                    exact
                };
                let error = match op {
                    Unary::Lgamma if exact.abs() < 1.0 => {
                        (y - exact).abs() / if single { f64::from(f32::EPSILON) } else { f64::EPSILON }
                    }
                    _ => ulps(y, exact, single),
                };
                if error > worst.0 {
                    worst = (error, x, y, exact);
                }
            }
            println!("{op:?} {} {:.2} at {:e}", if single { "f32" } else { "f64" }, worst.0, worst.1);
            if worst.0 > most {
                wrong.push((op, single, worst));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn functions_of_two_are_right_to_a_few_units_in_the_last_place() {
    let coarse = arguments(1e6).into_iter().step_by(97).chain([1e300, -1e300, 1e-300, 3e38, 1e-44]);
    let coarse: Vec<f64> = coarse.collect();
    let (xs, ys) =
        coarse.iter().flat_map(|&x| coarse.iter().map(move |&y| (x, y))).unzip::<_, _, Vec<_>, Vec<_>>();
    for single in [true, false] {
        let ((xs, x), (ys, y)) = (rounded(xs.clone(), single), rounded(ys.clone(), single));
        let operands = [x, y];
        for (op, exact) in [
            (Binary::Atan2, f64::atan2 as fn(f64, f64) -> f64),
            (Binary::Hypot, f64::hypot),
            (Binary::Fmod, |x, y| x % y),
        ] {
            let of =
                |target: &Processor| compiled(target, &operands, |b, x| b.binary(op, x[0], x[1]).unwrap());
            for target in [Processor::portable(), Processor::host()] {
                for ((&x, &y), found) in xs.iter().zip(&ys).zip(of(&target)) {
                    let exact = exact(x, y);
                    let exact =
                        if single && (exact as f32).is_infinite() { (exact as f32).into() } else { exact };
                    let error = ulps(found, exact, single);
                    // The references are right to one unit themselves.
                    assert!(error <= 3.0, "{op:?} of {x:e} and {y:e} is {found:e}, not {exact:e}: {error}");
                    assert!(
                        exact != 0.0 || exact.is_sign_negative() == found.is_sign_negative(),
                        "{op:?} {x:e} {y:e}"
                    );
                }
            }
        }
    }
}
