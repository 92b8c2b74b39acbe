//! What single operators mean.

use antiphon_staging::interpret::evaluate;
use antiphon_staging::*;

fn ids<const N: usize>() -> [Value; N] {
    std::array::from_fn(<Value as ir::ids::EntityRef>::new)
}

fn f64s(shape: &[usize], f: impl Fn(usize) -> f64) -> ConcreteTensor {
    ConcreteTensor::new(shape, (0..shape.iter().product()).map(f).collect::<Vec<f64>>()).unwrap()
}

fn i64s(shape: &[usize], xs: &[i64]) -> ConcreteTensor {
    ConcreteTensor::new(shape, xs.to_vec()).unwrap()
}

fn run(expr: Expr, operands: &[&ConcreteTensor]) -> ConcreteTensor {
    evaluate(&expr, operands).unwrap()
}

fn reals(x: &ConcreteTensor) -> Vec<f64> {
    (0..x.size()).map(|i| x.at(i).real().unwrap()).collect()
}

fn dot(a: &ConcreteTensor, b: &ConcreteTensor) -> f64 {
    assert_eq!(a.shape(), b.shape());
    reals(a).iter().zip(reals(b)).map(|(a, b)| a * b).sum()
}

/// Small integers in no order, so that all sums are exact.
fn scrambled(shape: &[usize], seed: usize) -> ConcreteTensor {
    f64s(shape, |i| ((i * 7 + seed) * 13 % 11) as f64 - 5.0)
}

#[test]
fn no_value_has_more_than_32_axes() {
    let of = |axes: usize| {
        let b = Builder::new("same");
        let x = b.input("x", Type::new(Dtype::F64, &vec![1; axes]));
        b.finish(&[x])
    };
    assert!(of(32).is_ok());
    let error = of(33).unwrap_err().to_string();
    assert!(error.starts_with("a value of f64[1, 1,"), "{error}");
    assert!(error.ends_with("no value has so many elements or axes"), "{error}");
    let b = Builder::new("broadcast");
    let x = b.input("x", Type::scalar(Dtype::F64));
    assert!(b.emit(Expr::Broadcast(x, vec![1; 33].into())).is_err());
    assert!(b.emit(Expr::Broadcast(x, vec![1; 32].into())).is_ok());
}

#[test]
fn products_and_convolutions_have_the_adjoints_that_are_said_to_be_theirs() {
    let [x, y] = ids();
    for (stride, padding) in [([1, 1], [0, 0]), ([2, 1], [1, 0]), ([2, 3], [1, 2])] {
        let window = Window2d { stride, padding };
        let (image, kernel) = (scrambled(&[2, 3, 5, 6], 1), scrambled(&[4, 3, 3, 2], 2));
        let result = run(Expr::Conv2d { image: x, kernel: y, window }, &[&image, &kernel]);
        let y_bar = scrambled(result.shape(), 3);
        let of_image = Expr::Conv2dImage { y_bar: x, kernel: y, size: [5, 6], window };
        let of_kernel = Expr::Conv2dKernel { image: x, y_bar: y, size: [3, 2], window };
        assert_eq!(dot(&result, &y_bar), dot(&image, &run(of_image, &[&y_bar, &kernel])));
        assert_eq!(dot(&result, &y_bar), dot(&kernel, &run(of_kernel, &[&image, &y_bar])));

        let windows = run(Expr::Unfold2d { image: x, kernel: [3, 2], window }, &[&image]);
        let windows_bar = scrambled(windows.shape(), 4);
        let folded = run(Expr::Fold2d { x, size: [5, 6], kernel: [3, 2], window }, &[&windows_bar]);
        assert_eq!(dot(&windows, &windows_bar), dot(&image, &folded));

        // A convolution is the product of the kernels with the windows.
        let [batch, out, rows, columns] = result.shape() else { panic!("four axes") };
        let columns_of = run(Expr::Reshape(x, [2, 18, rows * columns].as_slice().into()), &[&windows]);
        let flat = run(Expr::Reshape(x, [4, 18].as_slice().into()), &[&kernel]);
        let product = run(Expr::Matmul(x, y), &[&flat, &columns_of]);
        let shaped = Expr::Reshape(x, [*batch, *out, *rows, *columns].as_slice().into());
        assert_eq!(run(shaped, &[&product]), result);
    }
}

#[test]
fn gathers_and_scatters_are_adjoint() {
    let [x, y, z] = ids();
    let (table, indices) = (scrambled(&[4, 3], 1), i64s(&[2, 3], &[3, 0, 3, 1, 1, 1]));
    let gathered = run(Expr::GatherRows { x, indices: y }, &[&table, &indices]);
    let g = scrambled(gathered.shape(), 2);
    let scattered = run(Expr::ScatterRows { x, indices: y, rows: 4 }, &[&g, &indices]);
    assert_eq!(dot(&gathered, &g), dot(&table, &scattered));

    // Rows that are added, one after the other, and rows that are set: the last of two stays.
    let rows = scrambled(&[3, 2], 5);
    let places = i64s(&[3], &[5, 0, 5]);
    for (add, last) in [(true, None), (false, Some(2))] {
        let write = Expr::WriteRows { x, indices: y, rows: z, axes: 2, add };
        let written = reals(&run(write, &[&scrambled(&[3, 2, 2], 6), &places, &rows]));
        let before = reals(&scrambled(&[3, 2, 2], 6));
        for i in 0..12 {
            let of = |row: usize| reals(&rows)[row * 2 + i % 2];
            let expected = match (i / 2, last) {
                (5, Some(last)) => of(last),
                (5, None) => before[i] + of(0) + of(2),
                (0, Some(_)) => of(1),
                (0, None) => before[i] + of(1),
                _ => before[i],
            };
            assert_eq!(written[i], expected, "{i}");
        }
    }

    let picks = i64s(&[4], &[2, 0, 1, 1]);
    let gathered = run(Expr::GatherLast { x, indices: y }, &[&table, &picks]);
    let g = scrambled(&[4], 3);
    let scattered = run(Expr::ScatterLast { x, indices: y, length: 3 }, &[&g, &picks]);
    assert_eq!(dot(&gathered, &g), dot(&table, &scattered));

    for bad in [-1, 4] {
        let error = evaluate(&Expr::GatherRows { x, indices: y }, &[&table, &i64s(&[1], &[bad])]);
        assert_eq!(error, Err(Error::Index { op: "gather_rows", index: bad, length: 4, at: None }));
    }
}

#[test]
fn slices_and_pads_undo_each_other() {
    let [x, ..] = ids::<2>();
    let a = scrambled(&[2, 4, 3], 1);
    for (axis, n) in [(0, 2), (1, 4), (2, 3)] {
        let padding = Padding { before: 2, after: 1, interior: 2 };
        let padded = run(Expr::Pad { x, axis, padding }, &[&a]);
        assert_eq!(padded.shape()[axis], 2 + n + 2 * (n - 1) + 1);
        assert_eq!(reals(&padded).iter().sum::<f64>(), reals(&a).iter().sum::<f64>());
        let back = Expr::Slice { x, axis, start: 2, end: 2 + 3 * (n - 1) + 1, step: 3 };
        assert_eq!(run(back, &[&padded]), a);
    }
}

#[test]
fn operands_broadcast_as_in_numpy() {
    let [x, y] = ids();
    let (column, row) = (f64s(&[2, 1], |i| i as f64), f64s(&[3], |i| 10.0 * i as f64));
    let sum = run(Expr::Binary(Binary::Add, x, y), &[&column, &row]);
    assert_eq!(sum, ConcreteTensor::new(&[2, 3], vec![0.0, 10.0, 20.0, 1.0, 11.0, 21.0]).unwrap());
    let refused = evaluate(&Expr::Binary(Binary::Add, x, y), &[&row, &f64s(&[2], |_| 0.0)]).unwrap_err();
    assert_eq!(refused.to_string(), "add of f64[3], f64[2]: they must broadcast and have one fitting dtype");
}

#[test]
fn single_precision_is_single_in_every_step() {
    let [x, y] = ids();
    let (big, small) = (ConcreteTensor::from(16_777_216.0f32), ConcreteTensor::from(1.0f32));
    assert_eq!(run(Expr::Binary(Binary::Add, x, y), &[&big, &small]), big);
    let ones = ConcreteTensor::new(&[3], vec![16_777_216.0f32, 1.0, 1.0]).unwrap();
    assert_eq!(run(Expr::Reduce(Reduction::Sum, x, [0].as_slice().into()), &[&ones]), big);
    assert_eq!(run(Expr::Unary(Unary::Exp, x), &[&small]), 1.0f32.exp().into());
}

#[test]
fn integers_divide_rounded_down_and_reals_become_integers() {
    let [x, y] = ids();
    let ints = |elements: &[i64]| ConcreteTensor::new(&[elements.len()], elements.to_vec()).unwrap();
    let quotient = |a: &[i64], b: &[i64]| run(Expr::Binary(Binary::FloorDivide, x, y), &[&ints(a), &ints(b)]);
    assert_eq!(quotient(&[7, -7, 7, -7, 6], &[2, 2, -2, -2, -3]), ints(&[3, -4, -4, 3, -2]));
    assert_eq!(quotient(&[7, i64::MIN, 0], &[0, -1, 0]), ints(&[0, i64::MIN, 0]));
    let reals = ConcreteTensor::new(&[5], vec![2.9, -2.9, f64::NAN, 1e300, f64::NEG_INFINITY]).unwrap();
    let whole = ints(&[2, -2, 0, i64::MAX, i64::MIN]);
    assert_eq!(run(Expr::Convert(x, Dtype::I64), &[&reals]), whole);
    assert!(evaluate(&Expr::Convert(x, Dtype::Bool), &[&reals]).is_err());
    assert!(evaluate(&Expr::Convert(x, Dtype::I64), &[&whole]).is_err());
    assert!(evaluate(&Expr::Binary(Binary::FloorDivide, x, y), &[&reals, &reals]).is_err());
    assert!(evaluate(&Expr::Binary(Binary::Fmod, x, y), &[&whole, &whole]).is_err());
}

#[test]
fn kinks_infinities_and_nan_follow_the_conventions_of_the_calculus() {
    let [x, y] = ids();
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let unary = |op, v: f64| reals(&run(Expr::Unary(op, x), &[&v.into()]))[0];
    assert_eq!([unary(Unary::Sign, -0.0), unary(Unary::Sign, -3.0)], [0.0, -1.0]);
    assert!(unary(Unary::Relu, nan).is_nan() && unary(Unary::Sign, nan).is_nan());
    assert_eq!([unary(Unary::Softplus, 1e3), unary(Unary::Softplus, -1e3)], [1e3, 0.0]);
    assert_eq!([unary(Unary::Sigmoid, 1e3), unary(Unary::Sigmoid, -1e3)], [1.0, 0.0]);
    for (a, b) in [(nan, 1.0), (1.0, nan)] {
        for op in [Binary::Maximum, Binary::Minimum] {
            assert!(reals(&run(Expr::Binary(op, x, y), &[&a.into(), &b.into()]))[0].is_nan());
        }
    }
    let reduce = |op, xs: &[f64]| {
        let xs = ConcreteTensor::new(&[xs.len()], xs.to_vec()).unwrap();
        reals(&run(Expr::Reduce(op, x, [0].as_slice().into()), &[&xs]))[0]
    };
    assert_eq!(reduce(Reduction::LogSumExp, &[1000.0, 1000.0]), 1000.0 + 2f64.ln());
    assert_eq!(reduce(Reduction::LogSumExp, &[-inf, -inf]), -inf);
    assert_eq!(reduce(Reduction::LogSumExp, &[]), -inf);
    assert_eq!(reduce(Reduction::Sum, &[]), 0.0);
    assert!(reduce(Reduction::Max, &[1.0, nan, 2.0]).is_nan());
    let argmax =
        |xs: [f64; 3]| run(Expr::Argmax(x, 0), &[&ConcreteTensor::new(&[3], xs.to_vec()).unwrap()]).at(0);
    assert_eq!(argmax([1.0, 2.0, 2.0]), Scalar::I64(1));
    assert_eq!(argmax([inf, nan, nan]), Scalar::I64(1));
}

#[test]
fn samples_are_a_function_of_seed_and_position_and_spread_over_the_unit_interval() {
    let [seed, ..] = ids::<2>();
    let sample = |s: i64, n: usize, dtype| {
        run(Expr::Uniform { seed, dtype, shape: [n].as_slice().into() }, &[&s.into()])
    };
    let (long, short) = (reals(&sample(7, 10_000, Dtype::F64)), reals(&sample(7, 10, Dtype::F64)));
    assert_eq!(long[..10], short);
    assert_ne!(short, reals(&sample(8, 10, Dtype::F64)));
    let mut counts = [0; 10];
    for x in reals(&sample(7, 10_000, Dtype::F32)).into_iter().chain(long) {
        assert!((0.0..1.0).contains(&x));
        counts[(x * 10.0) as usize] += 1;
    }
    // 2,000 expected in each; the standard deviation is 42.
    assert!(counts.iter().all(|&count: &i32| (count - 2000).abs() < 250), "{counts:?}");
}

#[test]
fn every_operator_prints_its_constants() {
    let b = Builder::new("f");
    let x = b.input("x", Type::new(Dtype::F32, &[2, 3]));
    let i = b.input("i", Type::new(Dtype::I64, &[2]));
    let shape = |shape: &[usize]| Shape::from_slice(shape);
    let window = Window2d { stride: [1, 2], padding: [0, 1] };
    let image = b.emit(Expr::Reshape(x, shape(&[1, 1, 2, 3]))).unwrap();
    let table = [
        (Expr::Clamp { x, low: Scalar::F32(-1.0), high: Scalar::F32(1.0) }, "clamp(x, -1.0f32, 1.0f32)"),
        (Expr::Permute(x, shape(&[1, 0])), "permute(x, [1, 0])"),
        (Expr::Reduce(Reduction::Sum, x, shape(&[0, 1])), "sum(x, axes [0, 1])"),
        (Expr::Slice { x, axis: 1, start: 0, end: 3, step: 2 }, "slice(x, axis 1, 0..3 by 2)"),
        (Expr::Concat(vec![x, x], 1), "concat(x, x, axis 1)"),
        (Expr::GatherRows { x, indices: i }, "gather_rows(x, i)"),
        (Expr::WriteRows { x, indices: i, rows: x, axes: 1, add: false }, "set_rows(x, i, x)"),
        (Expr::Convert(i, Dtype::F32), "convert(i, f32)"),
        (
            Expr::Unfold2d { image, kernel: [1, 1], window },
            "unfold2d(v0, kernel [1, 1], stride [1, 2], padding [0, 1])",
        ),
        (Expr::Fill { value: Scalar::F32(0.5), shape: shape(&[2]) }, "fill 0.5f32 to [2]"),
    ];
    let results: Vec<Value> = table.iter().map(|(expr, _)| b.emit(expr.clone()).unwrap()).collect();
    let text = b.finish(&results).unwrap().to_string();
    for (_, expected) in table {
        assert!(
            text.lines().any(|line| line.ends_with(&format!(" = {expected}"))),
            "no {expected} in\n{text}"
        );
    }
}
