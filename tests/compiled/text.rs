//! A recorded program is a document: the derivative of a model, in the names of its source.

use antiphon::control::scan;
use antiphon::recording::{OptimiseOptions, Program, Recorded, RecordedInt, graphviz, optimise, record};
use antiphon::state::Index;
use antiphon::{
    Control, Int, NdArray, NdInt, OrRaise, Params, Real, Tensor, Var, compile, grad, hvp, value_and_grad,
};

type Array = NdArray<f32>;

/// A program's text without the lines of this file.
fn text(program: &Program) -> String {
    let mut program = program.clone();
    program.forget_lines();
    program.to_string()
}

/// What `f` of one number becomes, with all lines and optimised.
fn optimised(name: &str, f: impl FnOnce(Recorded) -> (Recorded, Recorded)) -> Program {
    let mut program = record(name, f, &NdArray::scalar(0.0f64)).unwrap();
    optimise(&mut program, &OptimiseOptions::default());
    program
}

#[derive(Params, Clone)]
struct Rnn<T> {
    wx: T,
    wh: T,
    b: T,
}

impl<T: Tensor> Rnn<T> {
    fn step(&self, h: &T, x: &T) -> T {
        (x.matmul(&self.wx) + h.matmul(&self.wh) + &self.b).named("a").tanh().named("h")
    }
}

impl<T: Tensor> Rnn<T> {
    fn sequence(&self, batch: Batch<T>) -> T {
        let step = |h: T, x: T| {
            let h = self.step(&h, &x);
            (h.clone(), h)
        };
        scan(batch.h0, &batch.xs, step).or_raise().1
    }
}

#[derive(Params, Clone)]
struct Batch<T> {
    h0: T,
    xs: T,
}

fn example() -> (Rnn<Array>, Batch<Array>) {
    let zeros = |shape: &[usize]| Array::zeros(shape);
    let model = Rnn { wx: zeros(&[4, 3]), wh: zeros(&[3, 3]), b: zeros(&[3]) };
    (model, Batch { h0: zeros(&[2, 3]), xs: zeros(&[5, 2, 4]) })
}

/// Loss and gradient of what `f` makes of a model and data.
fn gradient(
    f: impl for<'r> Fn(&Rnn<Var<'r, Recorded>>, Batch<Var<'r, Recorded>>) -> Var<'r, Recorded>,
) -> impl Fn((Rnn<Recorded>, Batch<Recorded>)) -> (Recorded, Rnn<Recorded>) {
    move |(model, batch)| {
        value_and_grad(
            |model: Rnn<Var<'_, Recorded>>| {
                f(&model, batch.map_leaves(Var::lift)).square().sum(..).named("loss")
            },
            &model,
        )
        .or_raise()
    }
}

#[test]
fn the_derivative_of_a_step() {
    let step = gradient(|model, batch| model.step(&batch.h0, &batch.xs.index(0, 0)));
    let compiled = compile("step", step, &example()).unwrap();
    let text = "\
fn step(wx: f32[4, 3], wh: f32[3, 3], b: f32[3], h0: f32[2, 3], xs: f32[5, 2, 4]) \
-> (f32, f32[4, 3], f32[3, 3], f32[3]) {
    v0: f32[1, 2, 4] = slice(xs, axis 0, 0..1)
    v1: f32[2, 4] = reshape(v0, [2, 4])
    v2: f32[2, 3] = matmul(v1, wx)
    v3: f32[2, 3] = matmul(h0, wh)
    v4: f32[2, 3] = v2 + v3
    a: f32[2, 3] = v4 + b
    h: f32[2, 3] = tanh(a)
    v5: f32[2, 3] = h * h
    loss: f32 = sum(v5, axes [0, 1])
    // backward
    h_bar: f32[2, 3] = h + h
    v6: f32[2, 3] = 1.0f32 - v5
    a_bar: f32[2, 3] = h_bar * v6
    b_bar: f32[3] = sum(a_bar, axes [0])
    v7: f32[3, 2] = permute(h0, [1, 0])
    v8: f32[4, 2] = permute(v1, [1, 0])
    wx_bar: f32[4, 3] = matmul(v8, a_bar)
    wh_bar: f32[3, 3] = matmul(v7, a_bar)
    return loss, wx_bar, wh_bar, b_bar
}
";
    assert_eq!(self::text(compiled.program()), text);
}

#[test]
fn a_loop_shows_its_passes_and_keeps_its_names() {
    let run = gradient(|model, batch| model.sequence(batch));
    let compiled = compile("run", run, &example()).unwrap();
    let text = text(compiled.program());
    // In the order of the text: the loop, forward and backward, and what comes after it.
    let mut rest = text.as_str();
    for line in [
        "fn run(wx: f32[4, 3], wh: f32[3, 3], b: f32[3], h0: f32[2, 3], xs: f32[5, 2, 4])",
        "loop f(i: i64, h",
        "while ",
        "gather_rows(xs, i)",
        "a: f32[2, 3] = ",
        "h: f32[2, 3] = tanh(a)",
        "ys_rows[i] += h",
        "next ",
        "} then {  // after the last round",
        "ys: f32[5, 2, 3] = take ys_rows",
        "loss: f32 = sum(",
        "// backward",
        "} backward ",
        "ys_bar_sum[i]",
        "b_bar_sum += ",
        "wh_bar_sum += matmul(",
        "wx_bar_sum += matmul(",
        "// backward",
        "wx_bar: f32[4, 3] = take wx_bar_sum",
        ", wx_bar, wh_bar, b_bar",
    ] {
        let Some(found) = rest.find(line) else { panic!("no `{line}` where it should be in\n{text}") };
        rest = &rest[found + line.len()..];
    }
    // The same in the other languages.
    let picture = graphviz(compiled.program());
    assert!(picture.starts_with("digraph") && picture.matches('{').count() == picture.matches('}').count());
    for line in ["label=\"then\"", "wx_bar_sum += matmul(", "[style=bold]"] {
        assert!(picture.contains(line), "no `{line}` in\n{picture}");
    }
    assert!(compiled.llvm_ir().unwrap().contains("define void @antiphon_entry"));
    assert!(compiled.assembly().unwrap().contains("antiphon_entry:"));
}

/// `x^(2ⁿ)`, by a function that calls itself.
fn squared<T: Control>(x: &T, n: &T::Int) -> T {
    T::fix((x.clone(), Index::<T>(n.clone())), |again, (y, n): (T, Index<T>)| {
        let fewer = Index(n.0.clone() - T::Int::constant(1));
        T::cond(&T::Int::constant(0).less(&n.0), || again((y.square(), fewer.clone())), || y.clone())
    })
}

#[test]
fn a_recursion_is_recorded_with_its_continuations_and_optimised_without() {
    let slope = |(x, n): (Recorded, RecordedInt)| grad(|x| squared(&x, &n), &x).or_raise();
    let mut program = record("slope", slope, &(Array::scalar(0.0), NdInt::scalar(0))).unwrap();
    assert_eq!(text(&program), RECORDED);
    optimise(&mut program, &OptimiseOptions::default());
    assert_eq!(text(&program), OPTIMISED);
}

/// Both calls pass on what comes after them, and what the function returns is the adjoint of its argument.
const RECORDED: &str = "\
fn slope(x0: f32, x1: i64) -> f32 {
    fn f(x0_1: f32, x1_1: i64, k: fn(f32) -> (f32, bool)) -> (f32, bool) {
        v0: i64 = x1_1 - 1
        v1: bool = 0 < x1_1
        fn join(x0_2: f32) -> (f32, bool) {
            v2: f32, v3: bool = k(x0_2)
            return v2, v3
        }
        x0_1_bar_sum: cell f32
        if v1 {
            v4: f32 = x0_1 * x0_1
            // continuation: what comes after the call that it is passed to
            fn k_1(x0_3: f32) -> (f32, bool) {
                v5: f32, v6: bool = join(x0_3)
                return v5, v6
            }
            v4_bar: f32, v7: bool = f(v4, v0, k_1)
            // backward
            if v7 {
                v8: f32 = v4_bar * x0_1
                x0_1_bar_sum += v8
                v9: f32 = v4_bar * x0_1
                x0_1_bar_sum += v9
            }
        } else {
            v10: f32, v11: bool = join(x0_1)
            // backward
            if v11 {
                x0_1_bar_sum += v10
            }
        }
        // backward
        v12: bool = present x0_1_bar_sum
        x0_1_bar: f32 = take x0_1_bar_sum
        return x0_1_bar, v12
    }
    x0_out: cell f32
    // continuation: what comes after the call that it is passed to
    fn k_2(x0_4: f32) -> (f32, bool) {
        x0_4_bar_sum: cell f32
        // backward
        x0_4_bar_sum += 1.0f32
        x0_out += x0_4
        x0_4_bar: f32 = take x0_4_bar_sum
        return x0_4_bar, true
    }
    v13: f32, v14: bool = f(x0, x1, k_2)
    v15: f32 = take x0_out
    return v13
}
";

/// What comes after a call is always the same, and so are the truth values.
const OPTIMISED: &str = "\
fn slope(x0: f32, x1: i64) -> f32 {
    fn f(x0_1: f32, x1_1: i64) -> f32 {
        v0: i64 = x1_1 - 1
        v1: bool = 0 < x1_1
        x0_1_bar: f32 = if v1 {
            v2: f32 = x0_1 * x0_1
            v2_bar: f32 = f(v2, v0)
            // backward
            v3: f32 = v2_bar * x0_1
            v4: f32 = v3 + v3
            yield v4
        } else {
            yield 1.0f32
        }
        return x0_1_bar
    }
    v5: f32 = f(x0, x1)
    return v5
}
";

#[test]
fn tangents_are_dotted() {
    let second = |x: Recorded| hvp(|x| x.exp().named("y").square(), &x, &x).or_raise().1;
    let compiled = compile("second", second, &Array::scalar(0.0)).unwrap();
    let text = compiled.program().to_string();
    assert!(text.contains("y: f32 = exp(x)") && text.contains("y_dot: f32 = "), "{text}");
}

#[test]
fn a_loop_reads_as_a_loop_and_its_backward_half_as_its_reverse() {
    fn growth<T: Control>(x: T) -> T {
        T::while_loop(x, |x| x.less(&T::constant(100.0)), |x| x.square())
    }
    let slope = |x| value_and_grad(|x: Var<'_, Recorded>| growth(x).sin().named("loss"), &x).or_raise();
    assert_eq!(text(&optimised("slope", slope)), LOOP);
    assert!(include_str!("../../docs/reading-a-program.md").contains(LOOP), "the page shows it");
    let value = |x: Recorded| (growth(x), x);
    let text = text(&optimised("value", value));
    let forward = "\
        v1: f64 = while v0 {
            v2: f64 = x_1 * x_1
            next v2
        } then {  // after the last round
            yield x_1
        }
        return v1
";
    assert!(text.contains(forward), "{text}");
}

/// Each round keeps its `x_1` for the way back.
const LOOP: &str = "\
fn slope(x: f64) -> (f64, f64) {
    loss_out: cell f64
    loop f(x_1: f64) -> f64 {
        v0: bool = x_1 < 100.0
        x_1_bar: f64 = while v0 {
            v1: f64 = x_1 * x_1
            next v1
        } then {  // after the last round
            loss: f64 = sin(x_1)
            loss_out += loss
            // backward
            x_1_bar_1: f64 = cos(x_1)
            yield x_1_bar_1
        } backward v1_bar: f64 {  // the rounds again, the last one first
            v2: f64 = v1_bar * x_1
            v3: f64 = v2 + v2
            yield v3
        }
        return x_1_bar
    }
    v4: f64 = f(x)
    v5: f64 = take loss_out
    return v5, v4
}
";

#[test]
fn each_step_has_the_line_of_the_source() {
    let first = line!() + 2;
    fn model<T: Control>(x: T) -> T {
        let y = x.sin();
        let y = T::while_loop(
            y,
            |y| y.less(&T::constant(100.0)),
            |y| y.square(), //
        );
        y.exp()
    }
    let mut program = record(
        "slope",
        |x: Recorded| value_and_grad(|x: Var<'_, Recorded>| model(x), &x).or_raise(),
        &NdArray::scalar(0.0f64),
    )
    .unwrap();
    let line_of = |program: &Program, step: &str| -> u32 {
        let text = program.to_string();
        let Some(line) = text.lines().find(|line| line.contains(step)) else {
            panic!("no `{step}` in\n{text}");
        };
        let (_, number) = line.split_once("  // tests/compiled/text.rs:").expect("a line of this file");
        number.parse().unwrap()
    };
    for _ in 0..2 {
        for (step, line) in [
            ("= sin(x)", 0),
            ("loop f(", 1),
            ("while ", 3),
            (" < 100.0", 3),
            ("next ", 1),
            ("= exp(", 6),
            ("= cos(x)", 0),
        ] {
            assert_eq!(line_of(&program, step), first + line, "of `{step}` in\n{program}");
        }
        // A step shows a line, whichever half of whatever operator it is.
        for step in program.to_string().lines().filter(|line| line.contains(" = ") && !line.contains("take "))
        {
            assert!(step.contains("  // tests/compiled/text.rs:"), "{step}");
        }
        optimise(&mut program, &OptimiseOptions::default());
    }
}

#[test]
fn the_backward_pass_begins_where_it_does() {
    // The seed of the adjoint is the number that the model adds.
    let slope = |x| value_and_grad(|x: Var<'_, Recorded>| (x + Var::constant(1.0)).sin(), &x).or_raise();
    let shared = "\
fn shared(x: f64) -> (f64, f64) {
    v0: f64 = x + 1.0
    v1: f64 = sin(v0)
    // backward
    v0_bar: f64 = cos(v0)
    return v1, v0_bar
}
";
    assert_eq!(text(&optimised("shared", slope)), shared);
}

#[test]
fn an_adjoint_has_the_name_of_what_it_is_the_adjoint_of() {
    // The derivative of `exp` is its result, which is no adjoint by that.
    let slope = |x| value_and_grad(|x: Var<'_, Recorded>| x.sin().exp().sin(), &x).or_raise();
    let names = "\
fn names(x: f64) -> (f64, f64) {
    v0: f64 = sin(x)
    v1: f64 = exp(v0)
    v2: f64 = sin(v1)
    // backward
    v1_bar: f64 = cos(v1)
    v0_bar: f64 = v1_bar * v1
    v3: f64 = cos(x)
    x_bar: f64 = v0_bar * v3
    return v2, x_bar
}
";
    assert_eq!(text(&optimised("names", slope)), names);
    let slope = |x| value_and_grad(|x: Var<'_, Recorded>| x.sin().exp(), &x).or_raise();
    let text = text(&optimised("names", slope));
    assert!(text.contains("    v1: f64 = exp(v0)\n    // backward\n"), "{text}");
}

#[test]
fn a_branch_yields_the_adjoints_of_both_arms() {
    fn model<T: Control>(x: T) -> T {
        let condition = x.less(&T::constant(0.0));
        T::cond(&condition, || x.square(), || x.clone() * &x * &x).named("y").sin().named("loss")
    }
    let slope = |x| value_and_grad(|x: Var<'_, Recorded>| model(x), &x).or_raise();
    assert_eq!(text(&optimised("slope", slope)), BRANCH);
}

const BRANCH: &str = "\
fn slope(x: f64) -> (f64, f64) {
    v0: bool = x < 0.0
    x_bar: f64, v1: f64 = if v0 {
        y: f64 = x * x
        loss: f64 = sin(y)
        // backward
        y_bar: f64 = cos(y)
        v2: f64 = y_bar * x
        v3: f64 = v2 + v2
        yield v3, loss
    } else {
        v4: f64 = x * x
        y_1: f64 = v4 * x
        loss_1: f64 = sin(y_1)
        // backward
        y_1_bar: f64 = cos(y_1)
        v4_bar: f64 = y_1_bar * x
        v5: f64 = y_1_bar * v4
        v6: f64 = v4_bar * x
        v7: f64 = v5 + v6
        v8: f64 = v7 + v6
        yield v8, loss_1
    }
    return v1, x_bar
}
";

#[test]
fn adding_the_same_twice_reads_as_a_sum() {
    fn model<T: Control>(x: T, w: &T) -> T {
        T::while_loop(x, |x| x.less(&T::constant(100.0)), |x| x.clone() + w.square())
    }
    // What the rounds add up of `w` outlives each of them.
    let slope =
        |x: Recorded| grad(|(x, w): (Var<'_, Recorded>, Var<'_, Recorded>)| model(x, &w), &(x, x)).or_raise();
    let text = text(&optimised("slope", slope));
    assert!(
        text.contains(
            "{  // the rounds again, the last one first\n            x_bar_sum = x_bar_sum + x + x\n"
        ),
        "{text}"
    );
}

/// Each line of a scan and of its way back is one of this file.
#[test]
fn a_scan_has_the_lines_of_the_source() {
    let sums = |xs: Recorded| {
        grad(
            |xs| {
                let (last, rows) = scan(Var::constant(0.0), &xs, |h: Var<'_, Recorded>, x| {
                    let h = (h + x).tanh();
                    (h.clone(), h)
                })
                .or_raise();
                rows.square().sum(..) + last
            },
            &xs,
        )
        .or_raise()
    };
    let program = record("sums", sums, &NdArray::from(vec![1.0f64, 2.0])).unwrap().to_string();
    assert!(program.contains("tests/compiled/text.rs") && !program.contains("src/"), "{program}");
}
