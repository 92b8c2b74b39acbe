//! `scan` recorded: a loop whose code does not grow with the length, and the values and derivatives that it has
//! eagerly.

use antiphon::control::scan;
use antiphon::nn::{Gru, Lstm, Recurrent, Rnn};
use antiphon::recording::{OptimiseOptions, Recorded, interpret, optimise, record};
use antiphon::state::Index;
use antiphon::{
    Dual, NdArray, NdInt, OrRaise, Real, Structure, Tensor, Var, compile, compile_with, grad, hvp, jvp,
    value_and_grad,
};
use antiphon_staging::jit::{self, CompileOptions};
use antiphon_staging::{ConcreteTensor, Data, Program};

type Array = NdArray<f64>;

fn array(shape: &[usize], seed: usize) -> Array {
    let n: usize = shape.iter().product();
    let elements: Vec<f64> = (0..n).map(|i| (((i * 7 + seed * 13) % 19) as f64 - 9.0) / 11.0).collect();
    Array::from_elements(shape, &elements).unwrap()
}

/// A function in every interpretation that the checks below need.
trait Model {
    fn call<T: Tensor>(x: &[T]) -> T;
}

/// Runs a program in every way there is and compares with what its model gives eagerly.
fn compare(what: &str, program: &Program, x: &[Array], expected: &[Array]) {
    let mut optimised = program.clone();
    optimise(&mut optimised, &OptimiseOptions::default());
    let near = |way: &str, found: &[Array]| {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found.shape(), expected.shape(), "{what}, {way}");
            let error = (found.clone() - expected).abs().sum(..).item();
            assert!(
                error <= 1e-11 * (1.0 + expected.abs().sum(..).item()),
                "{what}, {way}: {found} {expected}"
            );
        }
    };
    for (way, program) in [("recorded", program), ("optimised", &optimised)] {
        near(way, &interpret(program, &x.to_vec()).unwrap());
        let inputs: Vec<ConcreteTensor> = x
            .iter()
            .map(|x| ConcreteTensor::new(&x.shape(), x.view().iter().copied().collect::<Vec<f64>>()).unwrap())
            .collect();
        let found = jit::compile(program, &CompileOptions::default()).unwrap().run(&inputs).unwrap();
        let found: Vec<Array> = found
            .iter()
            .map(|y| match y.data() {
                Data::F64(data) => Array::from_elements(y.shape(), data).unwrap(),
                other => panic!("{other:?}"),
            })
            .collect();
        near(&format!("{way} and compiled"), &found);
    }
}

/// Holds value, gradient, tangent and Hessian-vector product of `Σ y²` to the eager ones.
fn agree<M: Model>(x: &[Array]) {
    fn loss<M: Model, T: Tensor>(x: &[T]) -> T {
        M::call(x).square().sum(..)
    }
    let x = x.to_vec();
    let v: Vec<Array> = x.iter().enumerate().map(|(i, x)| array(&x.shape(), 20 + i)).collect();
    let along = |v: &[Array]| -> Vec<Recorded> {
        v.iter()
            .map(|v| {
                Recorded::from_elements(&v.shape(), &v.view().iter().copied().collect::<Vec<_>>()).unwrap()
            })
            .collect()
    };
    let program = record("value", |x: Vec<Recorded>| M::call(&x), &x).unwrap();
    compare("value", &program, &x, &[M::call(&x)]);
    let (y, gradient) = value_and_grad(|x: Vec<Var<'_, Array>>| loss::<M, _>(&x), &x).unwrap();
    let recorded =
        |x: Vec<Recorded>| value_and_grad(|x: Vec<Var<'_, Recorded>>| loss::<M, _>(&x), &x).or_raise();
    let program = record("gradient", recorded, &x).unwrap();
    let expected: Vec<Array> = std::iter::once(y).chain(gradient).collect();
    compare("gradient", &program, &x, &expected);
    let slope = jvp(|x: Vec<Dual<Array>>| loss::<M, _>(&x), &x, &v).unwrap().1;
    let recorded =
        |x: Vec<Recorded>| jvp(|x: Vec<Dual<Recorded>>| loss::<M, _>(&x), &x, &along(&v)).or_raise().1;
    compare("tangent", &record("tangent", recorded, &x).unwrap(), &x, &[slope]);
    let product = hvp(|x: Vec<Var<'_, Dual<Array>>>| loss::<M, _>(&x), &x, &v).unwrap().1;
    let recorded = |x: Vec<Recorded>| {
        hvp(|x: Vec<Var<'_, Dual<Recorded>>>| loss::<M, _>(&x), &x, &along(&v)).or_raise().1
    };
    compare("hvp", &record("hvp", recorded, &x).unwrap(), &x, &product);
    let recorded = |x: Vec<Recorded>| {
        grad(
            |x: Vec<Var<'_, Recorded>>| {
                let slopes = grad(|x| loss::<M, _>(&x), &x).or_raise();
                let along =
                    slopes.into_iter().zip(along(&v)).map(|(slope, v)| (slope * &Var::lift(&v)).sum(..));
                along.reduce(|a, b| a + b).expect("there are inputs")
            },
            &x,
        )
        .or_raise()
    };
    compare("reverse over reverse", &record("twice", recorded, &x).unwrap(), &x, &product);
}

#[test]
fn a_recurrent_network() {
    struct Network;
    impl Model for Network {
        fn call<T: Tensor>(x: &[T]) -> T {
            let [wx, wh, h, xs] = x else { panic!() };
            let step = |h: T, x: T| {
                let h = (x.matmul(wx) + h.matmul(wh)).tanh();
                (h.clone(), h)
            };
            let (last, hs) = scan(h.clone(), xs, step).or_raise();
            T::concat(&[hs.reshape(&[15, 2]), last], 0)
        }
    }
    agree::<Network>(&[array(&[4, 2], 1), array(&[2, 2], 2), array(&[3, 2], 3), array(&[5, 3, 4], 4)]);
}

#[test]
fn rows_of_several_arrays_and_results_of_any_structure_either_way() {
    struct Forward;
    impl Model for Forward {
        fn call<T: Tensor>(x: &[T]) -> T {
            let [a, b, h] = x else { panic!() };
            let (last, (ys, [zs, ws])) =
                T::scan_rows(h.clone(), &(a.clone(), vec![b.clone()]), |h: T, (a, b): (T, Vec<T>)| {
                    let h = (h * &a + &b[0]).tanh();
                    (h.clone(), (h.sum(..), [h.square(), b[0].clone()]))
                })
                .or_raise();
            ys.unsqueeze(1) * zs + ws * last
        }
    }
    agree::<Forward>(&[array(&[4, 1], 1), array(&[4, 3], 2), array(&[3], 3)]);
    // The states of a recurrence from its end, with those from its beginning.
    struct Back;
    impl Model for Back {
        fn call<T: Tensor>(x: &[T]) -> T {
            let [a, h] = x else { panic!() };
            let step = |h: T, a: T| {
                let h = (h + a).sin();
                (h.clone(), h)
            };
            let (first, fs) = T::scan_rows(h.clone(), a, step).or_raise();
            let (last, bs) = T::scan_rows_back(h.clone(), a, step).or_raise();
            fs * bs + first * last
        }
    }
    agree::<Back>(&[array(&[5, 2], 1), array(&[2], 2)]);
    let xs = Array::from(vec![1.0, 2.0, 3.0]);
    let (_, sums) = Array::scan_rows_back(Array::scalar(0.0), &xs, |sum: Array, x: Array| {
        let sum = sum + x;
        (sum.clone(), sum)
    })
    .unwrap();
    assert_eq!(sums, Array::from(vec![6.0, 5.0, 3.0]));
}

#[test]
fn no_rows_give_the_first_carry_and_no_results() {
    fn empty<T: Tensor>(init: &T) -> (T, T) {
        T::scan_rows(init.clone(), &(T::zeros(&[0, 3]), T::zeros(&[0])), |h: T, (x, y): (T, T)| {
            (h.clone() + &y, x * h + y)
        })
        .or_raise()
    }
    let init = Array::scalar(2.0);
    let (last, none) = empty(&init);
    assert_eq!((last, none.shape().as_slice()), (init.clone(), &[0, 3][..]));
    let mut compiled = compile("empty", |x: Recorded| empty(&x), &init).unwrap();
    let (last, none) = compiled.call(&init).unwrap();
    assert_eq!((last, none.shape().as_slice()), (init.clone(), &[0, 3][..]));
    let slope = value_and_grad(|x| empty(&x).0, &init).unwrap().1;
    assert_eq!(slope.item(), 1.0);
}

#[test]
fn rows_of_integers() {
    fn embedded<T: Tensor>(table: &T, tokens: &T::Int) -> T {
        let (_, (ys,)) =
            T::scan_rows(T::constant(0.0), &Index::<T>(tokens.clone()), |sum: T, Index(token): Index<T>| {
                let sum = sum + table.gather_rows(&token);
                (sum.clone(), (sum.square(),))
            })
            .or_raise();
        ys.sum(..)
    }
    let (table, tokens) = (array(&[4], 3), NdInt::from(vec![2, 0, 2]));
    let (y, slope) = value_and_grad(|table| embedded(&table, &tokens), &table).unwrap();
    let input = (table, tokens);
    let mut compiled = compile(
        "embedded",
        |(table, tokens): (Recorded, _)| value_and_grad(|table| embedded(&table, &tokens), &table).or_raise(),
        &input,
    )
    .unwrap();
    let (found, found_slope) = compiled.call(&input).unwrap();
    assert!((y - found).abs().item() < 1e-14);
    assert!((slope - found_slope).abs().sum(..).item() < 1e-14);
    let error = Array::scan_rows(
        Array::scalar(0.0),
        &(array(&[2], 1), array(&[3], 1)),
        |h: Array, (x, _): (Array, Array)| (h, x),
    );
    assert!(error.unwrap_err().to_string().contains("[2]"));
}

#[test]
fn scalars_unused_results_and_constants() {
    // Rows that are scalars; only the last row of the results is read; the carry is a tuple.
    struct Sums;
    impl Model for Sums {
        fn call<T: Tensor>(x: &[T]) -> T {
            let init = (x[1].clone(), T::constant(1.0));
            let step = |(sum, product): (T, T), x: T| {
                let (sum, product) = (sum + &x, product * &x);
                ((sum.clone(), product.clone()), sum * &product)
            };
            let ((_, product), ys) = scan(init, &x[0], step).or_raise();
            ys.index(0, 3) * product
        }
    }
    agree::<Sums>(&[array(&[4], 1), array(&[], 2)]);
    // The results are not read at all, then only they are; and rows that do not depend on anything.
    struct Carry;
    impl Model for Carry {
        fn call<T: Tensor>(x: &[T]) -> T {
            scan(x[1].clone(), &x[0], |sum: T, x| (sum.clone() * &x, sum)).or_raise().0
        }
    }
    agree::<Carry>(&[array(&[3, 2], 1), array(&[2], 2)]);
    struct Rows;
    impl Model for Rows {
        fn call<T: Tensor>(x: &[T]) -> T {
            let (_, ys) =
                scan(T::constant(0.0), &x[0], |c: T, x| (c.clone() + T::constant(1.0), x * &c)).or_raise();
            let (_, constants) =
                scan(T::constant(0.0), &x[0], |c: T, _| (c.clone() + T::constant(1.0), c)).or_raise();
            ys * constants.unsqueeze(1)
        }
    }
    agree::<Rows>(&[array(&[3, 2], 1)]);
}

#[test]
fn scans_inside_of_scans_branches_and_recursion() {
    struct Nested;
    impl Model for Nested {
        fn call<T: Tensor>(x: &[T]) -> T {
            let inner = |start: &T, row: &T| {
                let (end, ys) = scan(start.clone(), row, |a: T, x| {
                    let a = T::cond(&a.less(&T::constant(0.3)), || a.clone() + &x, || a.clone() * &x);
                    (a.clone(), a.sin())
                })
                .or_raise();
                (end, ys)
            };
            let (end, ys) = scan(x[1].clone(), &x[0], |c: T, row: T| inner(&c, &row)).or_raise();
            let many = T::while_loop(
                ys,
                |ys| ys.square().sum(..).less(&T::constant(4.0)),
                |ys| {
                    scan(end.clone(), &ys, |a: T, row: T| (a.clone() + row.sum(..), row * 1.5 + &a))
                        .or_raise()
                        .1
                },
            );
            let f = T::fix(many, |f: &dyn Fn(T) -> T, y: T| {
                T::cond(
                    &y.sum(..).less(&T::constant(1.0)),
                    || scan(x[1].clone(), &y, |a: T, row: T| (a.clone() * 0.5, row * &a)).or_raise().1,
                    || f(y.clone() * 0.5) + &y,
                )
            });
            f * &end
        }
    }
    agree::<Nested>(&[array(&[3, 2], 1), array(&[], 5)]);
}

#[test]
fn cells_of_the_library_as_loops() {
    fn check<C, M>(cell: C, xs: &Array)
    where
        C: Recurrent<Array> + Structure<Array, With<Recorded> = M>,
        M: Recurrent<Recorded>,
    {
        let projected = cell.project(xs);
        let (expected, _) = cell.unroll(cell.initial(3), &projected);
        let recorded = |(cell, xs): (M, Recorded)| {
            let projected = cell.project(&xs);
            cell.scan(cell.initial(3), &projected).0
        };
        let program = record("cell", recorded, &(cell.clone(), xs.clone())).unwrap();
        let found = interpret(&program, &(cell, xs.clone())).unwrap().remove(0);
        assert!((found.clone() - &expected).abs().max(..).item() < 1e-14, "{found} {expected}");
    }
    let mut rng = antiphon::nn::Rng::new(1);
    let xs = array(&[5, 3, 4], 1);
    check(Rnn::<Array>::new(&mut rng, 4, 2), &xs);
    check(Gru::<Array>::new(&mut rng, 4, 2), &xs);
    check(Lstm::<Array>::new(&mut rng, 4, 2), &xs);
}

/// The gradient of a recurrent network over so many steps.
fn network(steps: usize) -> Program {
    fn loss<T: Tensor>(x: &[T]) -> T {
        let [wh, h, xs] = x else { panic!() };
        let step = |h: T, x: T| {
            let h = (h.matmul(wh) + &x).tanh();
            (h.clone(), h)
        };
        scan(h.clone(), xs, step).or_raise().1.square().sum(..)
    }
    let model = |x: Vec<Recorded>| value_and_grad(|x| loss(&x), &x).or_raise();
    record("network", model, &vec![array(&[2, 2], 1), array(&[3, 2], 2), array(&[steps, 3, 2], 3)]).unwrap()
}

#[test]
fn code_does_not_grow_with_the_length() {
    let [short, long] = [4, 400].map(network);
    assert_eq!(short.len(), long.len());
    let [short, long] = [short, long].map(|mut program| {
        optimise(&mut program, &OptimiseOptions::default());
        let ir = jit::compile(&program, &CompileOptions::default()).unwrap().llvm_ir().unwrap();
        (program.len(), ir.lines().count())
    });
    assert_eq!(short.0, long.0);
    // Loops over arrays of other lengths are not the same code, but nearly.
    assert!(long.1 < short.1 + short.1 / 2, "{} lines of LLVM's language, then {}", short.1, long.1);
}

#[test]
fn what_does_not_fit_is_found() {
    let x = array(&[3, 2], 1);
    let none = |x: Recorded| scan(x, &x.sum(..), |c: Recorded, x| (c, x)).or_raise().1;
    assert!(record("f", none, &x).unwrap_err().to_string().contains("a scalar has no rows"));
    // A carry of another shape.
    let wrong = |x: Recorded| scan(x.index(0, 0), &x, |c: Recorded, x| (c.sum(..), x)).or_raise().1;
    let error = record("f", wrong, &x).unwrap_err().to_string();
    assert!(error.contains("different types"), "{error}");
}

/// Rows are written and read where they are: copying the results, or the adjoint of `xs`, at each of these steps would
/// be to move 2·10⁸ rows.
#[test]
fn a_long_sequence_takes_time_in_proportion() {
    fn loss<T: Tensor>(xs: &T) -> T {
        let step = |c: T, x: T| {
            let c = (c * 0.5 + &x).sin();
            (c.clone(), c)
        };
        scan(T::zeros(&[64]), xs, step).or_raise().1.square().sum(..)
    }
    let xs = array(&[10_000, 64], 1);
    let eager = value_and_grad(|xs| loss(&xs), &xs).unwrap();
    let model = |xs: Recorded| value_and_grad(|xs| loss(&xs), &xs).or_raise();
    let mut compiled = compile("long", model, &xs).unwrap();
    let start = std::time::Instant::now();
    let (y, gradient) = compiled.call(&xs).unwrap();
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    assert!((y - &eager.0).abs().item() < 1e-9 * eager.0.item());
    assert!((gradient - &eager.1).abs().max(..).item() < 1e-12);
}

/// A loop whose rounds keep a few numbers for the way back, and arrays of a megabyte after it, with accumulators: these
/// are there once, and not in each round.
#[test]
fn what_comes_after_a_loop_takes_no_room_in_its_rounds() {
    fn loss<T: Tensor>((w, x, a): &(T, T, T)) -> T {
        let step = |h: T, x: T| {
            let h = (h * w + x).tanh();
            (h.clone(), h)
        };
        let (h, ys) = scan(T::zeros(&[4]), x, step).or_raise();
        // Another loop, so that adjoints of large arrays are accumulated in what comes after the first.
        let step = |b: T, y: T| ((b.clone() * y.sum(..)).sin() + a, y);
        let (b, _) = scan(a.clone(), &ys.slice(0, 0..3), step).or_raise();
        b.matmul(a).square().mean(..) + h.square().sum(..)
    }
    let (w, x, a) = (array(&[4], 1), array(&[1000, 4], 2), array(&[360, 360], 3));
    let data = (w, x, a);
    let options = CompileOptions { arena_bytes: Some(64 << 20), ..Default::default() };
    let mut code =
        compile_with("loss", |data| grad(|data| loss(&data), &data).or_raise(), &data, &options).unwrap();
    let found: (Array, Array, Array) = code.call(&data).unwrap();
    let expected = grad(|data| loss(&data), &data).unwrap();
    for (found, expected) in [(found.0, expected.0), (found.1, expected.1), (found.2, expected.2)] {
        let off = (found - &expected).abs().max(..).item();
        assert!(off < 1e-10 * (1.0 + expected.abs().max(..).item()), "{off:e}");
    }
}
