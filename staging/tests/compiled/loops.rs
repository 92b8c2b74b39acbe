//! Loops whose state are arrays, of which nothing is kept: functions that come to their end by calling themselves.

use crate::common::f64s;
use antiphon_staging::*;

/// What a loop is made of.
struct Loop {
    builder: Builder,
    /// Arrays from outside: `[16]` and two indices.
    w: Value,
    indices: Value,
    sum: Cell,
}

impl Loop {
    fn emit(&self, expr: Expr) -> Value {
        self.builder.emit(expr).unwrap()
    }
    /// Half of an array, and some of `w`.
    fn halved(&self, x: Value) -> Value {
        let b = &self.builder;
        b.add(b.mul(x, b.real(Dtype::F64, 0.5)).unwrap(), self.w).unwrap()
    }
    fn shaped(&self, x: Value, shape: &[usize]) -> Value {
        self.emit(Expr::Reshape(x, shape.into()))
    }
    fn flipped(&self, x: Value) -> Value {
        self.emit(Expr::Flip(x, 0))
    }
    /// `then` where the first element is below a half, `otherwise` elsewhere.
    fn if_small(
        &self,
        x: Value,
        then: impl FnOnce() -> Result<Vec<Value>>,
        otherwise: impl FnOnce() -> Result<Vec<Value>>,
    ) -> Vec<Value> {
        let b = &self.builder;
        let first = self.emit(Expr::Slice { x, axis: 0, start: 0, end: 1, step: 1 });
        let small = b.less(self.shaped(first, &[]), b.real(Dtype::F64, 0.5)).unwrap();
        b.if_else(small, then, otherwise).unwrap()
    }
}

/// What a round makes of the state.
type Next = fn(&Loop, &[Value]) -> Vec<Value>;

/// `n` rounds of a state of `arrays` arrays of type `[16]`.
fn rounds(name: &str, arrays: usize, next: Next) -> Program {
    let (integer, array) = (Type::scalar(Dtype::I64), f64s(&[16]));
    let builder = Builder::new(name);
    let n = builder.input("n", integer.clone());
    let state: Vec<Value> = (0..arrays).map(|i| builder.input(&format!("x{i}"), array.clone())).collect();
    let w = builder.input("w", array.clone());
    let indices =
        builder.emit(Expr::Array(ConcreteTensor::new(&[2], vec![3i64, 11]).unwrap().into())).unwrap();
    let sum = builder.cell(array.clone());
    let it = Loop { builder, w, indices, sum };
    let b = &it.builder;
    let types = vec![array; arrays];
    let signature = Signature::new("rounds", &[vec![integer], types.clone()].concat(), &types);
    let func = b.function(signature, &[], |func, params, _| {
        b.if_else(
            b.less(b.literal(Scalar::I64(0)), params[0])?,
            || {
                let fewer = b.binary(Binary::Sub, params[0], b.literal(Scalar::I64(1)))?;
                let args = [vec![fewer], next(&it, &params[1..])].concat();
                b.call(Target::Func(func), &args, &[])
            },
            || Ok(params[1..].to_vec()),
        )
    });
    let mut results = b.call(Target::Func(func.unwrap()), &[vec![n], state].concat(), &[]).unwrap();
    results.push(b.take(it.sum));
    it.builder.finish(&results).unwrap()
}

/// Some of each way in which a round can hand on arrays.
const LOOPS: &[(&str, usize, Next)] = &[
    ("computed", 1, |it, x| vec![it.halved(x[0])]),
    ("unchanged", 2, |it, x| vec![x[0], it.builder.add(it.halved(x[1]), x[0]).unwrap()]),
    ("exchanged", 2, |_, x| vec![x[1], x[0]]),
    ("one computed, and exchanged now and then", 2, |it, x| {
        let y = it.halved(x[0]);
        it.if_small(y, || Ok(vec![x[1], y]), || Ok(vec![y, x[1]]))
    }),
    ("moved up", 3, |it, x| vec![it.halved(it.builder.add(x[0], x[2]).unwrap()), x[0], x[1]]),
    ("turned round", 3, |_, x| vec![x[1], x[2], x[0]]),
    ("from outside", 2, |it, x| vec![it.w, it.halved(it.builder.add(x[0], x[1]).unwrap())]),
    ("constant", 2, |it, x| {
        let elements = (0..16).map(f64::from).collect::<Vec<f64>>();
        let array = ConcreteTensor::new(&[16], elements).unwrap();
        vec![it.emit(Expr::Array(array.into())), it.halved(it.builder.add(x[0], x[1]).unwrap())]
    }),
    ("views", 3, |it, x| {
        let square = it.shaped(x[1], &[4, 4]);
        vec![
            it.shaped(square, &[16]),
            it.flipped(x[0]),
            it.shaped(it.shaped(it.halved(x[2]), &[2, 8]), &[16]),
        ]
    }),
    ("the same twice", 2, |it, x| {
        let y = it.halved(it.builder.mul(x[0], x[1]).unwrap());
        vec![y, y]
    }),
    ("read after the next one is computed", 2, |it, x| {
        let y = it.halved(x[0]);
        let z = it.emit(Expr::Reduce(Reduction::Sum, y, vec![0].into()));
        vec![y, it.builder.mul(it.flipped(x[0]), it.builder.unary(Unary::Tanh, z).unwrap()).unwrap()]
    }),
    ("parts of both", 2, |it, x| {
        let part = |x, start| Expr::Slice { x, axis: 0, start, end: start + 8, step: 1 };
        let [a, b] = [it.emit(part(it.halved(x[0]), 8)), it.emit(part(x[1], 0))];
        vec![it.emit(Expr::Concat(vec![b, a], 0)), it.emit(Expr::Concat(vec![a, b], 0))]
    }),
    ("products", 2, |it, x| {
        let [a, b] =
            [it.shaped(it.builder.unary(Unary::Tanh, x[0]).unwrap(), &[4, 4]), it.shaped(x[1], &[4, 4])];
        let product = it.shaped(it.emit(Expr::Matmul(a, b)), &[16]);
        vec![it.builder.unary(Unary::Sin, product).unwrap(), it.halved(x[0])]
    }),
    ("written", 1, |it, x| {
        let rows = it.emit(Expr::GatherRows { x: it.halved(x[0]), indices: it.indices });
        vec![it.emit(Expr::WriteRows { x: it.flipped(x[0]), indices: it.indices, rows, axes: 1, add: false })]
    }),
    ("of a branch", 2, |it, x| {
        let y = it.halved(x[0]);
        let z = it.if_small(x[1], || Ok(vec![x[0]]), || Ok(vec![it.flipped(y)]));
        vec![z[0], y]
    }),
    ("of a function, and of one that captures them", 2, |it, x| {
        let (b, array) = (&it.builder, f64s(&[16]));
        let y = it.halved(x[0]);
        let signature = Signature::new("inner", std::slice::from_ref(&array), std::slice::from_ref(&array));
        let inner = b.function(signature, &[], |_, z, _| Ok(vec![b.mul(b.add(z[0], y)?, x[1])?])).unwrap();
        let call = |z| b.call(Target::Func(inner), &[z], &[]).unwrap()[0];
        vec![b.unary(Unary::Sin, call(call(x[0]))).unwrap(), y]
    }),
    ("of an accumulator", 2, |it, x| {
        let b = &it.builder;
        let own = b.cell(f64s(&[16]));
        b.accumulate(own, x[1]).unwrap();
        b.accumulate(own, it.flipped(x[0])).unwrap();
        b.accumulate(it.sum, x[0]).unwrap();
        vec![b.unary(Unary::Tanh, b.take(own)).unwrap(), x[0]]
    }),
    ("of an accumulator outside", 2, |it, x| {
        let b = &it.builder;
        b.accumulate(it.sum, it.halved(x[0])).unwrap();
        let sum = b.take(it.sum);
        b.accumulate(it.sum, b.unary(Unary::Tanh, sum).unwrap()).unwrap();
        vec![sum, x[0]]
    }),
    ("of another loop", 2, |it, x| {
        let (b, array, integer) = (&it.builder, f64s(&[16]), Type::scalar(Dtype::I64));
        let types = [array.clone(), array.clone()];
        let inner = Signature::new("inner", &[integer, array.clone(), array], &types);
        let inner = b.function(inner, &[], |inner, p, _| {
            b.if_else(
                b.less(b.literal(Scalar::I64(0)), p[0])?,
                || {
                    let fewer = b.binary(Binary::Sub, p[0], b.literal(Scalar::I64(1)))?;
                    b.call(Target::Func(inner), &[fewer, b.mul(it.halved(p[2]), x[0])?, p[1]], &[])
                },
                || Ok(p[1..].to_vec()),
            )
        });
        b.call(Target::Func(inner.unwrap()), &[b.literal(Scalar::I64(3)), x[1], it.flipped(x[0])], &[])
            .unwrap()
    }),
];

/// The inputs, the state given or made up.
fn inputs(program: &Program, n: i64, state: &[ConcreteTensor]) -> Vec<ConcreteTensor> {
    let count = program.funcs[program.entry].params.len() - 1;
    let made_up = (0..count).map(|k| {
        let elements = (0..16).map(|i| ((i * 7 + k * 5) % 13) as f64 * 0.1 - 0.6).collect::<Vec<f64>>();
        ConcreteTensor::new(&[16], elements).unwrap()
    });
    let given = state.iter().cloned().chain(made_up.skip(state.len()));
    std::iter::once(ConcreteTensor::from(n)).chain(given).collect()
}

/// No room for frames of recursion, and a stack of a few.
fn tight() -> CompileOptions {
    CompileOptions {
        strict: true,
        stack_bytes: Some(64 << 10),
        arena_bytes: Some(0),
        ..CompileOptions::default()
    }
}

#[test]
fn rounds_hand_on_arrays_in_every_way_and_take_no_room() {
    for &(name, arrays, next) in LOOPS {
        let recorded = rounds(name, arrays, next);
        let mut optimised = recorded.clone();
        optimise(&mut optimised, &OptimiseOptions::default());
        for program in [recorded, optimised] {
            let mut compiled = compile(&program, &tight()).unwrap();
            for n in 0..8 {
                let inputs = inputs(&program, n, &[]);
                assert_eq!(
                    compiled.run(&inputs),
                    interpret(&program, &inputs),
                    "{name}, {n} rounds\n{program}"
                );
            }
            // Two hundred thousand rounds, and as many in two hundred runs.
            let long = compiled.run(&inputs(&program, 200_000, &[])).unwrap();
            let mut state = Vec::new();
            for _ in 0..200 {
                state = compiled.run(&inputs(&program, 1000, &state)).unwrap();
                state.truncate(arrays);
            }
            let same = long.iter().zip(&state).all(|(a, b)| a.same(b));
            assert!(same || name == "of an accumulator outside", "{name}: {long:?} {state:?}");
        }
    }
}

#[test]
fn a_million_rounds_of_arrays_and_a_number_take_no_room() {
    let (integer, small, large) = (Type::scalar(Dtype::I64), f64s(&[16]), f64s(&[64, 64]));
    let b = Builder::new("million");
    let n = b.input("n", integer.clone());
    let [x, y] = [b.input("x", small.clone()), b.input("y", large.clone())];
    let state = [integer.clone(), small, large, integer];
    let func = b.function(Signature::new("rounds", &state, &state[1..]), &[], |func, p, _| {
        b.if_else(
            b.less(p[3], p[0])?,
            || {
                let one = b.emit(Expr::Convert(p[3], Dtype::F64))?;
                let one = b.emit(Expr::Clamp { x: one, low: Scalar::F64(1.0), high: Scalar::F64(1.0) })?;
                let next = [b.add(p[1], one)?, b.add(p[2], one)?];
                let more = b.add(p[3], b.literal(Scalar::I64(1)))?;
                b.call(Target::Func(func), &[p[0], next[0], next[1], more], &[])
            },
            || Ok(p[1..].to_vec()),
        )
    });
    let zero = b.literal(Scalar::I64(0));
    let results = b.call(Target::Func(func.unwrap()), &[n, x, y, zero], &[]).unwrap();
    let program = b.finish(&results).unwrap();
    let mut compiled = compile(&program, &tight()).unwrap();
    let arena = compiled.arena_bytes();
    // Two buffers of each, and what the entry has.
    assert!(arena <= 4 * 8 * (16 + 64 * 64), "{arena}");
    let zeros = |shape: &[usize]| ConcreteTensor::zeros(&f64s(shape));
    for n in [100_000i64, 1_000_000] {
        let found = compiled.run(&[n.into(), zeros(&[16]), zeros(&[64, 64])]).unwrap();
        let all = |x: &ConcreteTensor| (0..x.size()).all(|i| x.at(i).real() == Some(n as f64));
        assert!(all(&found[0]) && all(&found[1]) && found[2] == ConcreteTensor::from(n), "{n}");
    }
}

/// `Σ k(x·2⁻ⁱ)`, by a function that hands on its continuation as it was given.
#[test]
fn a_continuation_that_is_handed_on_is_no_obstacle() {
    let (integer, array) = (Type::scalar(Dtype::I64), f64s(&[16]));
    let b = Builder::new("handed");
    let [n, x] = [b.input("n", integer.clone()), b.input("x", array.clone())];
    let one = std::slice::from_ref(&array);
    let (k, f) = (Signature::new("k", one, one), Signature::new("f", &[integer, array.clone()], one));
    let f = b.function(f, std::slice::from_ref(&k), |f, p, k| {
        b.if_else(
            b.less(b.literal(Scalar::I64(0)), p[0])?,
            || {
                let fewer = b.binary(Binary::Sub, p[0], b.literal(Scalar::I64(1)))?;
                b.call(Target::Func(f), &[fewer, b.unary(Unary::Sin, p[1])?], &[Target::Cont(k[0])])
            },
            || b.call(Target::Cont(k[0]), &[p[1]], &[]),
        )
    });
    let k = b.function(k, &[], |_, p, _| Ok(vec![b.add(p[0], x)?])).unwrap();
    let results = b.call(Target::Func(f.unwrap()), &[n, x], &[Target::Func(k)]).unwrap();
    let program = b.finish(&results).unwrap();
    let mut compiled = compile(&program, &CompileOptions { optimise: None, ..tight() }).unwrap();
    for n in [0i64, 1, 2, 5] {
        let inputs = [n.into(), inputs(&program, n, &[]).remove(1)];
        assert_eq!(compiled.run(&inputs), interpret(&program, &inputs), "{n}");
    }
    let found = compiled.run(&[100_000i64.into(), inputs(&program, 0, &[]).remove(1)]);
    assert!(found.is_ok(), "{found:?}");
}

/// `1 + f(i − 1)` of a function of one number, whose last statement is a call of one of three arrays.
#[test]
fn a_function_of_numbers_may_end_with_a_call_of_another() {
    let (number, array) = (Type::scalar(Dtype::I64), f64s(&[16]));
    let b = Builder::new("ends");
    let [n, x] = [b.input("n", number.clone()), b.input("x", array.clone())];
    let sum = b.cell(array.clone());
    let add =
        b.function(Signature::new("add", &[array.clone(), array.clone(), array], &[]), &[], |_, p, _| {
            b.accumulate(sum, b.mul(p[0], b.add(p[1], p[2])?)?)?;
            Ok(vec![])
        });
    let add = add.unwrap();
    let f = Signature::new("f", std::slice::from_ref(&number), &[]);
    let f = b.function(f, &[], |f, p, _| {
        b.if_else(
            b.less(b.literal(Scalar::I64(0)), p[0])?,
            || {
                let fewer = b.binary(Binary::Sub, p[0], b.literal(Scalar::I64(1)))?;
                b.call(Target::Func(f), &[fewer], &[])?;
                b.call(Target::Func(add), &[x, x, x], &[])
            },
            || Ok(vec![]),
        )
    });
    b.call(Target::Func(f.unwrap()), &[n], &[]).unwrap();
    let total = b.take(sum);
    let program = b.finish(&[total]).unwrap();
    let options = CompileOptions { strict: true, ..CompileOptions::default() };
    let mut compiled = compile(&program, &options).unwrap();
    for n in [0i64, 1, 5] {
        let inputs = [n.into(), inputs(&program, n, &[]).remove(1)];
        assert_eq!(compiled.run(&inputs), interpret(&program, &inputs), "{n}");
    }
}
