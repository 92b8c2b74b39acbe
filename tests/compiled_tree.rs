//! Trees of a million nodes: models of them train, eagerly and compiled, whatever the shape; and the end of the stack
//! is an error. One test, since the size of stacks is the process's.

use std::time::Instant;

use antiphon::control::TreeArrays;
use antiphon::recording::{Recorded, RecordedInt};
use antiphon::{
    Control, Error, Int, NdArray, NdInt, OrRaise, Params, Real, Result, Tensor, TrainingStep, Var, compile,
    reset, stack, value_and_grad,
};

type Array = NdArray<f64>;

/// A scalar model: `tanh(w·l + r)` of what comes from the left and from the right, `u·x` at the leaves.
#[derive(Params, Clone, Debug, PartialEq)]
struct Model<T> {
    w: T,
    u: T,
}

fn predict<T: Tensor>(model: &Model<T>, tree: &TreeArrays<T::Int>, xs: &T) -> T {
    let leaf = |node: &T::Int| xs.gather_rows(node) * &model.u;
    T::fold_tree(tree, leaf, |_, left: T, right: T| (left * &model.w + right).tanh())
}

/// The same model over plain numbers, where integers and conditions are Rust's.
fn over_numbers<T>(left: &[i64], right: &[i64], xs: &[f64], [w, u]: &[T; 2]) -> T
where
    T: Control<Int = i64, Bool = bool>,
{
    T::fix(0, |subtree: &dyn Fn(i64) -> T, node: i64| {
        let i = node as usize;
        let inner = || (subtree(left[i]) * w + subtree(right[i])).tanh();
        T::cond(&(left[i] < 0), || T::constant(xs[i]) * u, inner)
    })
}

/// The loss, and the model after a step down its gradient.
fn step<T: Tensor>(model: Model<T>, tree: TreeArrays<T::Int>, xs: T) -> (T, Model<T>) {
    let (loss, gradient) = value_and_grad(
        |model: Model<Var<'_, T>>| predict(&model, &tree, &Var::lift(&xs)).offset(-0.5).square(),
        &model,
    )
    .or_raise();
    (loss, Model { w: model.w - gradient.w.scale(0.1), u: model.u - gradient.u.scale(0.1) })
}

/// A tree of `n` nodes, an odd number, in which each inner node's one child is a leaf.
fn linear(n: usize) -> TreeArrays<NdInt> {
    children(n, |i| if i % 2 == 1 || i + 1 == n { None } else { Some([i + 1, i + 2]) })
}

/// A tree of `n` nodes, an odd number, as balanced as can be.
fn balanced(n: usize) -> TreeArrays<NdInt> {
    children(n, |i| (2 * i + 2 < n).then_some([2 * i + 1, 2 * i + 2]))
}

fn children(n: usize, of: impl Fn(usize) -> Option<[usize; 2]>) -> TreeArrays<NdInt> {
    let side = |side: usize| {
        let numbers: Vec<i64> = (0..n).map(|i| of(i).map_or(-1, |pair| pair[side] as i64)).collect();
        NdInt::from(numbers)
    };
    TreeArrays { left: side(0), right: side(1), root: NdInt::constant(0) }
}

fn leaves(n: usize) -> Array {
    Array::from((0..n).map(|i| (i % 7) as f64 / 7.0 - 0.4).collect::<Vec<f64>>())
}

fn elements(numbers: &NdInt) -> Vec<i64> {
    numbers.view().iter().copied().collect()
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn exhausted<T: std::fmt::Debug>(result: Result<T>) {
    assert!(
        matches!(result, Err(Error::StackExhausted { limit, .. }) if limit == stack::size()),
        "{result:?}"
    );
}

#[test]
fn trees_of_a_million_nodes_train() {
    const NODES: usize = 1_000_001;
    let start = Model { w: Array::scalar(0.7), u: Array::scalar(0.9) };
    let xs = leaves(NODES);
    let numbers: Vec<f64> = xs.view().iter().copied().collect();
    let small = 81;
    let padded = |tree: &TreeArrays<NdInt>| {
        let pad = |side: &NdInt| {
            let mut numbers = elements(side);
            numbers.resize(NODES, -1);
            NdInt::from(numbers)
        };
        TreeArrays { left: pad(&tree.left), right: pad(&tree.right), root: tree.root.clone() }
    };
    let few = padded(&linear(small));
    let example = (start.clone(), few.clone(), xs.clone());
    let mut compiled = compile("tree", |(model, tree, xs)| step(model, tree, xs), &example).unwrap();
    let eagerly = |tree: &TreeArrays<NdInt>, model: &Model<Array>| {
        let run = || step(model.clone(), tree.clone(), xs.clone());
        reset(|_| Ok(run()))
    };

    // One compilation serves both shapes, and gives the numbers of eager training.
    for (shape, tree) in [("linear", linear(NODES)), ("balanced", balanced(NODES))] {
        let (left, right) = (elements(&tree.left), elements(&tree.right));
        let mut model = start.clone();
        let mut weights = [0.7, 0.9];
        let mut losses = Vec::new();
        for _ in 0..3 {
            let (loss, next) = compiled.call(&(model, tree.clone(), xs.clone())).unwrap();
            let (eager_loss, gradient) = value_and_grad(
                |weights: [Var<'_, f64>; 2]| {
                    over_numbers(&left, &right, &numbers, &weights).offset(-0.5).square()
                },
                &weights,
            )
            .unwrap();
            weights = std::array::from_fn(|i| weights[i] - 0.1 * gradient[i]);
            let close = |a: f64, b: f64| (a - b).abs() < 1e-12 * b.abs().max(1.0);
            assert!(close(loss.item(), eager_loss), "{shape}: {loss:?} {eager_loss}");
            assert!(close(next.w.item(), weights[0]), "{shape}: {next:?} {weights:?}");
            assert!(close(next.u.item(), weights[1]), "{shape}: {next:?} {weights:?}");
            losses.push(eager_loss);
            model = next;
        }
        assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{shape}: {losses:?}");
    }

    // A tree of as many nodes takes as long again, and no further memory.
    let deep = (start.clone(), linear(NODES), xs.clone());
    compiled.call(&deep).unwrap();
    let before = resident_bytes();
    let begin = Instant::now();
    (0..5).for_each(|_| drop(compiled.call(&deep).unwrap()));
    assert!(begin.elapsed().as_secs() < 20, "{:?} for five steps", begin.elapsed());
    assert!(resident_bytes() < before + (8 << 20));

    // Each node takes less than 250 bytes of stack.
    stack::configure(250_000_000).unwrap();
    compiled.call(&deep).unwrap();

    // With little stack both modes give an error, whatever the shape, and the next call works.
    stack::configure(1 << 20).unwrap();
    let wide = balanced(NODES);
    let expected = eagerly(&few, &start).unwrap();
    for _ in 0..2 {
        for tree in [&deep.1, &wide] {
            exhausted(compiled.call(&(start.clone(), tree.clone(), xs.clone())));
            exhausted(eagerly(tree, &start));
        }
        let (loss, next) = compiled.call(&example).unwrap();
        assert!((loss.item() - expected.0.item()).abs() < 1e-14);
        assert!((next.w.item() - expected.1.w.item()).abs() < 1e-14);
        assert!((eagerly(&few, &start).unwrap().0.item() - expected.0.item()).abs() == 0.0);
    }
    // A training step's state is then what it was.
    let training = TrainingStep::compiled(
        start.clone(),
        |model: &mut Model<Recorded>, (tree, xs): &(TreeArrays<RecordedInt>, Recorded)| {
            let (loss, next) = step(model.clone(), tree.clone(), *xs);
            *model = next;
            Ok(loss)
        },
    );
    let mut training = training.configure(|options| options.cache = None);
    for steps in 1..3 {
        exhausted(training.call(&(deep.1.clone(), xs.clone())));
        training.call(&(few.clone(), xs.clone())).unwrap();
        let (_, expected) =
            (1..steps).fold(eagerly(&few, &start).unwrap(), |(_, model), _| eagerly(&few, &model).unwrap());
        assert!((training.state().w.item() - expected.w.item()).abs() < 1e-13, "after {steps} steps");
    }
    // So does a loop without an end, of which the gradient keeps something of every round.
    fn endless<T: Tensor>(x: &T) -> Result<T> {
        value_and_grad(|x| Var::while_loop(x, |x| x.less(&Var::constant(2.0)), |x| x.sin()), x)
            .map(|(_, g)| g)
    }
    let mut forever = compile("endless", |x: Recorded| endless(&x).or_raise(), &Array::scalar(3.0)).unwrap();
    for _ in 0..2 {
        exhausted(forever.call(&Array::scalar(1.0)));
        assert_eq!(forever.call(&Array::scalar(3.0)).unwrap().item(), 1.0);
    }
    exhausted(endless(&Array::scalar(1.0)));
    stack::configure(None).unwrap();
    (0..2).for_each(|_| drop(compiled.call(&deep).unwrap()));

    // What deep trees touched can be given back.
    let before = resident_bytes();
    stack::release();
    assert!(resident_bytes() + (32 << 20) < before);
    compiled.call(&deep).unwrap();

    // A child that is not there.
    let mut broken = few.clone();
    let mut numbers = elements(&broken.left);
    numbers[2] = 5_000_000;
    broken.left = NdInt::from(numbers);
    let error = compiled.call(&(start.clone(), broken, xs.clone())).unwrap_err();
    let message = "gather_rows: index 5000000 is out of range for a dimension of length 1000001 \
                   (tests/compiled_tree.rs";
    assert!(error.to_string().starts_with(message), "{error}");
    compiled.call(&example).unwrap();
}
