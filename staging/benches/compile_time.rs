//! Processor time to record, to compile and to run programs, against their numbers of operators, which is why
//! [`instructions`](antiphon_staging::CompileOptions::instructions) and
//! [`program_instructions`](antiphon_staging::CompileOptions::program_instructions) have limits:
//!
//! ```text
//! cargo bench --package antiphon-staging --features llvm --bench compile_time            # all chains
//! cargo bench --package antiphon-staging --features llvm --bench compile_time -- loops   # those with this name
//! ```

use antiphon_staging::*;

/// How often a program is run, of which the fastest run counts.
const RUNS: usize = 30;
/// How often a loop runs whose body is large.
const ROUNDS: i64 = 10;

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

/// A function of one, and its slope, by argument and value.
type Link1 = (fn(&Builder, Value) -> Result<Value>, fn(&Builder, Value, Value) -> Result<Value>);

const SIN: Link1 = (|b, x| b.unary(Unary::Sin, x), |b, x, _| b.unary(Unary::Cos, x));
const EXP: Link1 = (|b, x| b.unary(Unary::Exp, x), |_, _, y| Ok(y));

/// The backward half of a chain of values, each a function of the one before, from the adjoint of the last.
fn backward(b: &Builder, values: &[Value], (_, slope): Link1, g: Value) -> Result<Value> {
    let cells: Vec<Cell> = values.iter().map(|&x| b.cell(b.ty(x))).collect();
    b.accumulate(cells[values.len() - 1], g)?;
    for i in (0..values.len() - 1).rev() {
        let g = b.take(cells[i + 1]);
        b.accumulate(cells[i], b.mul(g, slope(b, values[i], values[i + 1])?)?)?;
    }
    Ok(b.take(cells[0]))
}

fn forward(b: &Builder, x: Value, n: usize, (f, _): Link1) -> Result<Vec<Value>> {
    let mut values = vec![x];
    for i in 0..n {
        values.push(f(b, values[i])?);
    }
    Ok(values)
}

/// The derivative of a chain of `n` functions, as reverse mode records it.
fn derivative(shape: &[usize], n: usize, link: Link1) -> Result<Program> {
    let b = Builder::new("derivative");
    let x = b.input("x", Type::new(Dtype::F64, shape));
    let values = forward(&b, x, n, link)?;
    let g = backward(&b, &values, link, values[n])?;
    b.finish(&[g])
}

/// The gradient of `Σ e^(x·i)`, a sum of `n` terms.
fn wide(n: usize) -> Result<Program> {
    let b = Builder::new("wide");
    let x = b.input("x", Type::scalar(Dtype::F64));
    let x_bar = b.cell(Type::scalar(Dtype::F64));
    let mut terms = Vec::new();
    for i in 0..n {
        let factor = b.real(Dtype::F64, i as f64 / n as f64);
        terms.push((factor, b.unary(Unary::Exp, b.mul(x, factor)?)?));
    }
    let sum = terms.iter().skip(1).try_fold(terms[0].1, |sum, &(_, term)| b.add(sum, term))?;
    for &(factor, term) in terms.iter().rev() {
        b.accumulate(x_bar, b.mul(term, factor)?)?;
    }
    let g = b.take(x_bar);
    b.finish(&[sum, g])
}

/// A loop whose body is `n` functions one after another, and its derivative: a function that goes on by calling itself,
/// and goes back when that returns.
fn looped(n: usize, link: Link1) -> Result<Program> {
    let b = Builder::new("looped");
    let [scalar, integer] = [Dtype::F64, Dtype::I64].map(Type::scalar);
    let x = b.input("x", scalar.clone());
    let signature = Signature::new("f", &[scalar.clone(), integer], &[scalar]);
    let f = b.function(signature, &[], |f, params, _| {
        let &[x, i] = params else { unreachable!("two parameters") };
        let more = b.less(i, b.literal(Scalar::I64(ROUNDS)))?;
        b.if_else(
            more,
            || {
                let values = forward(&b, x, n, link)?;
                let next = b.add(i, b.literal(Scalar::I64(1)))?;
                let g = b.call(Target::Func(f), &[values[n], next], &[])?[0];
                Ok(vec![backward(&b, &values, link, g)?])
            },
            || Ok(vec![b.real(Dtype::F64, 1.0)]),
        )
    })?;
    let first = b.literal(Scalar::I64(0));
    let results = b.call(Target::Func(f), &[x, first], &[])?;
    b.finish(&results)
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
            let again = || b.call(Target::Func(f), &[b.add(xs[0], xs[0])?], &[]);
            b.if_else(more, again, || Ok(vec![xs[0]]))
        })?;
        Ok(b.call(Target::Func(f), &[x], &[])?[0])
    })?;
    b.finish(&[y])
}

/// Branches inside of each other, ten deep, all over again: in each of them something is added to a cell, which is taken
/// after the outermost. A loop comes before them, so that the program has more than one function.
fn branches(n: usize) -> Result<Program> {
    fn nested(b: &Builder, x: Value, cell: Cell, depth: usize) -> Result<()> {
        let limit = b.real(Dtype::F64, depth as f64);
        let then = || {
            b.accumulate(cell, b.unary(Unary::Sin, b.mul(x, limit)?)?)?;
            if depth > 1 {
                nested(b, x, cell, depth - 1)?
            };
            Ok(vec![])
        };
        b.if_else(b.less(x, limit)?, then, || Ok(vec![])).map(drop)
    }
    let b = Builder::new("branches");
    let scalar = Type::scalar(Dtype::F64);
    let x = b.input("x", scalar.clone());
    let one = std::slice::from_ref(&scalar);
    let f = b.function(Signature::new("f", one, one), &[], |f, xs, _| {
        let more = b.less(xs[0], b.real(Dtype::F64, 2.0))?;
        b.if_else(more, || b.call(Target::Func(f), &[b.add(xs[0], xs[0])?], &[]), || Ok(vec![xs[0]]))
    })?;
    let x = b.call(Target::Func(f), &[x], &[])?[0];
    let y = (0..n / 10).try_fold(x, |y, _| {
        let cell = b.cell(scalar.clone());
        nested(&b, y, cell, 10)?;
        Ok(b.take(cell))
    })?;
    b.finish(&[y])
}

type Family = (&'static str, fn(usize) -> Result<Program>);

const FAMILIES: [Family; 15] = [
    ("exp", |n| chain(&[], n, |b, y, _| b.unary(Unary::Exp, y))),
    ("exp, derivative", |n| derivative(&[], n, EXP)),
    ("sin", |n| chain(&[], n, |b, y, _| b.unary(Unary::Sin, y))),
    ("product", |n| chain(&[], n, |b, y, x| b.mul(b.unary(Unary::Neg, y)?, x))),
    ("sin, derivative", |n| derivative(&[], n, SIN)),
    ("wide sum", wide),
    ("body of exp, derivative", |n| looped(n, EXP)),
    ("body of sin, derivative", |n| looped(n, SIN)),
    ("sin in functions of 20", functions),
    ("loops of four", loops),
    ("branches, ten deep", branches),
    ("sin of 64", |n| chain(&[64], n, |b, y, _| b.unary(Unary::Sin, y))),
    ("sin of 64, derivative", |n| derivative(&[64], n, SIN)),
    ("sin of the sum of 64", |n| {
        chain(&[64], n / 3, |b, y, _| {
            let sum = b.emit(Expr::Reduce(Reduction::Sum, y, [0].as_slice().into()))?;
            b.mul(y, b.unary(Unary::Sin, sum)?)
        })
    }),
    ("product of 16 by 16", |n| chain(&[16, 16], n, |b, y, x| b.emit(Expr::Matmul(y, x)))),
];

/// Seconds of the fastest of many runs.
fn run(compiled: &mut CompiledProgram, program: &Program) -> f64 {
    let types = program.types(&program.funcs[program.entry].params);
    let fill = |ty: &Type| {
        ConcreteTensor::new(&ty.shape, vec![0.5; ty.size()]).expect("as many elements as the shape has")
    };
    let inputs: Vec<ConcreteTensor> = types.iter().map(fill).collect();
    let mut least = f64::INFINITY;
    for _ in 0..RUNS {
        let start = seconds();
        compiled.run(&inputs).expect("a program that does not fail");
        least = least.min(seconds() - start);
    }
    least
}

fn main() {
    let optimise = Some(OptimiseOptions { reassociate: true });
    let most = usize::MAX;
    let limits =
        CompileOptions { instructions: most, program_instructions: most, ..CompileOptions::default() };
    let options = CompileOptions { optimise, ..limits };
    println!("{:24} {:>9} {:>9} {:>9} {:>9}  phases", "", "operators", "recording", "compiling", "run, µs");
    let asked = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    for (name, make) in FAMILIES.into_iter().filter(|(name, _)| name.contains(&asked)) {
        for n in [100, 300, 1000, 3000, 10_000, 30_000, 100_000] {
            let start = seconds();
            let program = make(n).expect("a well-formed program");
            let recorded = seconds() - start;
            let start = seconds();
            let mut compiled = compile(&program, &options).expect("a program that can be compiled");
            let took = seconds() - start;
            let us = run(&mut compiled, &program) * 1e6;
            let count = program.exprs().len();
            println!("{name:24} {count:9} {recorded:9.3} {took:9.2} {us:9.2}  {}", compiled.phases());
            if took > LONG {
                break;
            }
        }
    }
}
