//! Processor time to compile programs against their numbers of operators, which is why
//! [`instructions`](antiphon_staging::CompileOptions::instructions) and
//! [`program_instructions`](antiphon_staging::CompileOptions::program_instructions) have limits:
//!
//! ```text
//! cargo bench --package antiphon-staging --features llvm --bench compile_time            # all chains
//! cargo bench --package antiphon-staging --features llvm --bench compile_time -- loops   # those with this name
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

/// Loops as `while_loop` records them, one after another: functions that call themselves.
fn loops(n: usize) -> Result<Program> {
    let b = Builder::new("loops");
    let scalar = Type::scalar(Dtype::F64);
    let x = b.input("x", scalar.clone());
    let one = std::slice::from_ref(&scalar);
    // Four operators each.
    let y = (0..n / 4).try_fold(x, |x, _| {
        let f = b.function(Signature::new("f", one, one), &[], |f, xs, _| {
            let more = b.less(xs[0], b.real(Dtype::F64, 2.0))?;
            let again = || b.call(Target::Func(f), &[b.mul(xs[0], xs[0])?], &[]);
            b.if_else(more, again, || Ok(vec![xs[0]]))
        })?;
        Ok(b.call(Target::Func(f), &[x], &[])?[0])
    })?;
    b.finish(&[y])
}

type Family = (&'static str, fn(usize) -> Result<Program>);

const FAMILIES: [Family; 10] = [
    ("exp", |n| chain(&[], n, |b, y, _| b.unary(Unary::Exp, y))),
    ("sin", |n| chain(&[], n, |b, y, _| b.unary(Unary::Sin, y))),
    ("product", |n| chain(&[], n, |b, y, x| b.mul(b.unary(Unary::Neg, y)?, x))),
    ("sin, derivative", |n| derivative(&[], n)),
    ("sin in functions of 20", functions),
    ("loops of four", loops),
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
    let most = usize::MAX;
    let limits =
        CompileOptions { instructions: most, program_instructions: most, ..CompileOptions::default() };
    let options = CompileOptions { optimise, ..limits };
    println!("{:24} {:>9} {:>9}  phases", "", "operators", "seconds");
    let asked = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    for (name, make) in FAMILIES.into_iter().filter(|(name, _)| name.contains(&asked)) {
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
