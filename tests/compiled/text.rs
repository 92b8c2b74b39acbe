//! A recorded program is a document: the derivative of a model, in the names of its source.

use antiphon::control::scan;
use antiphon::recording::{OptimiseOptions, Recorded, RecordedInt, graphviz, optimise, record};
use antiphon::state::Index;
use antiphon::{
    Control, Int, NdArray, NdInt, OrRaise, Params, Real, Tensor, Var, compile, grad, hvp, value_and_grad,
};

type Array = NdArray<f32>;

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
    assert_eq!(compiled.program().to_string(), text);
}

#[test]
fn a_loop_shows_its_passes_and_keeps_its_names() {
    let run = gradient(|model, batch| model.sequence(batch));
    let compiled = compile("run", run, &example()).unwrap();
    let text = compiled.program().to_string();
    // In the order of the text: the loop, forward and backward, and what comes after it.
    let mut rest = text.as_str();
    for line in [
        "fn run(wx: f32[4, 3], wh: f32[3, 3], b: f32[3], h0: f32[2, 3], xs: f32[5, 2, 4])",
        "(i: i64, h",
        "gather_rows(xs, i)",
        "a: f32[2, 3] = ",
        "h: f32[2, 3] = tanh(a)",
        "ys_rows[i] += h",
        "// backward",
        "ys_bar_sum[i]",
        "b_bar_sum += ",
        "wh_bar_sum += matmul(",
        "wx_bar_sum += matmul(",
        "ys: f32[5, 2, 3] = take ys_rows",
        "loss: f32 = sum(",
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
    assert_eq!(program.to_string(), RECORDED);
    optimise(&mut program, &OptimiseOptions::default());
    assert_eq!(program.to_string(), OPTIMISED);
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
            if v7 {
                v8: f32 = v4_bar * x0_1
                // backward
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
        x0_1_bar_sum: cell f32
        if v1 {
            v2: f32 = x0_1 * x0_1
            v2_bar: f32 = f(v2, v0)
            v3: f32 = v2_bar * x0_1
            // backward
            x0_1_bar_sum += v3
            x0_1_bar_sum += v3
        } else {
            x0_1_bar_sum += 1.0f32
        }
        // backward
        x0_1_bar: f32 = take x0_1_bar_sum
        return x0_1_bar
    }
    v4: f32 = f(x0, x1)
    return v4
}
";

#[test]
fn tangents_are_dotted() {
    let second = |x: Recorded| hvp(|x| x.exp().named("y").square(), &x, &x).or_raise().1;
    let compiled = compile("second", second, &Array::scalar(0.0)).unwrap();
    let text = compiled.program().to_string();
    assert!(text.contains("y: f32 = exp(x)") && text.contains("y_dot: f32 = "), "{text}");
}
