//! Processor time to compile programs against their numbers of operators, which is why
//! [`CompileOptions::instructions`](antiphon_staging::CompileOptions::instructions) has a limit:
//!
//! ```text
//! cargo bench --package antiphon-staging --features llvm --bench compile_time
//! ```

use antiphon_staging::*;

/// A chain grows no further when compiling it took so many seconds.
const LONG: f64 = 5.0;

/// Seconds that processors have spent on this process, whatever else they did.
fn seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time lives as long as the call, which writes nothing else.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

type Link = fn(&Builder, Value, Value) -> Result<Value>;

/// `n` times the same operators, one after another.
fn chain(shape: &[usize], n: usize, link: Link) -> Result<Program> {
    let b = Builder::new("chain");
    let x = b.input("x", Type::new(Dtype::F64, shape));
    let y = (0..n).try_fold(x, |y, _| link(&b, y, x))?;
    b.finish(&[y])
}

/// The derivative of a chain of `n` sines, as reverse mode records it.
fn derivative(shape: &[usize], n: usize) -> Result<Program> {
    let b = Builder::new("derivative");
    let ty = Type::new(Dtype::F64, shape);
    let mut values = vec![b.input("x", ty.clone())];
    let mut cells = vec![b.cell(ty.clone())];
    for i in 0..n {
        values.push(b.unary(Unary::Sin, values[i])?);
        cells.push(b.cell(ty.clone()));
    }
    b.accumulate(cells[n], values[n])?;
    for i in (0..n).rev() {
        let g = b.take(cells[i + 1]);
        b.accumulate(cells[i], b.mul(g, b.unary(Unary::Cos, values[i])?)?)?;
    }
    let g = b.take(cells[0]);
    b.finish(&[g])
}

/// Functions of twenty sines, each called twice, so that none is inlined.
fn functions(n: usize) -> Result<Program> {
    let b = Builder::new("functions");
    let scalar = Type::scalar(Dtype::F64);
    let x = b.input("x", scalar.clone());
    let mut y = x;
    for _ in 0..n / 20 {
        let one = std::slice::from_ref(&scalar);
        let f = b.function(Signature::new("f", one, one), &[], |_, xs, _| {
            Ok(vec![(0..20).try_fold(xs[0], |y, _| b.unary(Unary::Sin, y))?])
        })?;
        for _ in 0..2 {
            y = b.call(Target::Func(f), &[y], &[])?[0];
        }
    }
    b.finish(&[y])
}

type Family = (&'static str, fn(usize) -> Result<Program>);

const FAMILIES: [Family; 9] = [
    ("exp", |n| chain(&[], n, |b, y, _| b.unary(Unary::Exp, y))),
    ("sin", |n| chain(&[], n, |b, y, _| b.unary(Unary::Sin, y))),
    ("product", |n| chain(&[], n, |b, y, x| b.mul(b.unary(Unary::Neg, y)?, x))),
    ("sin, derivative", |n| derivative(&[], n)),
    ("sin in functions of 20", functions),
    ("sin of 64", |n| chain(&[64], n, |b, y, _| b.unary(Unary::Sin, y))),
    ("sin of 64, derivative", |n| derivative(&[64], n)),
    ("sin of the sum of 64", |n| {
        chain(&[64], n / 3, |b, y, _| {
            let sum = b.emit(Expr::Reduce(Reduction::Sum, y, [0].as_slice().into()))?;
            b.mul(y, b.unary(Unary::Sin, sum)?)
        })
    }),
    ("product of 16 by 16", |n| chain(&[16, 16], n, |b, y, x| b.emit(Expr::Matmul(y, x)))),
];

fn main() {
    let optimise = Some(Options { reassociate: true });
    let options = CompileOptions { optimise, instructions: usize::MAX, ..CompileOptions::default() };
    println!("{:24} {:>9} {:>9}  phases", "", "operators", "seconds");
    for (name, make) in FAMILIES {
        for n in [250, 500, 1000, 2000, 4000, 8000, 16000] {
            let program = make(n).expect("a well-formed program");
            let start = seconds();
            let compiled = compile(&program, &options).expect("a program that can be compiled");
            let took = seconds() - start;
            println!("{name:24} {:9} {took:9.2}  {}", program.exprs().len(), compiled.phases());
            if took > LONG {
                break;
            }
        }
    }
}
