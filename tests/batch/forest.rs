//! Folds of many trees at once, in steps of as many nodes as are ready: against the same recursive function of one tree
//! after the other.

use antiphon::control::TreeArrays;
use antiphon::nn::Rng;
use antiphon::state::Index;
use antiphon::{
    Batch, Dual, Error, Int, IntTensor, NdArray, NdInt, OrRaise, Params, Real, Result, Tensor, Var, grad,
    hvp, jvp, vmap_axes,
};
#[cfg(feature = "staging")]
use antiphon::{
    compile,
    recording::{Recorded, RecordedInt},
};

type Array = NdArray<f64>;
type Trees = TreeArrays<NdInt>;

const SIZE: usize = 3;

/// Weights of leaves, `[2, 3]`, of inner nodes, `[6, 3]`, and of what is counted, `[3]`.
#[derive(Clone, Debug, Params)]
struct Model<T> {
    leaf: T,
    inner: T,
    count: T,
}

fn model(seed: u64) -> Model<Array> {
    let rng = &mut Rng::new(seed);
    let mut weights =
        |shape: &[usize]| antiphon::nn::Init::Uniform { low: -0.8, high: 0.8 }.sample(shape, rng);
    Model { leaf: weights(&[2, SIZE]), inner: weights(&[2 * SIZE, SIZE]), count: weights(&[SIZE]) }
}

/// `h = tanh(x·leaf)` of a leaf and `tanh([hl hr]·inner)` of an inner node, and a sum over all nodes of √(1 + h·count):
/// the sum, and the root's first `h` with it.
fn value<T: Tensor>(model: &Model<T>, tree: &TreeArrays<T::Int>, xs: &T) -> T {
    let with_sum = |h: T, below: Option<T>| {
        let counted = (h.matmul(&model.count).square() + 1.0).sqrt();
        (h, below.map_or(counted.clone(), |below| below + counted))
    };
    let leaf = |node: &T::Int| with_sum(xs.gather_rows(node).matmul(&model.leaf).tanh(), None);
    let inner = |_: &T::Int, left: (T, T), right: (T, T)| {
        let h = T::concat(&[left.0, right.0], -1).matmul(&model.inner).tanh();
        // An arm that only some nodes of a step take.
        let h = T::cond(&h.get(0).greater(&T::constant(0.1)), || h.clone() * 1.5, || h.sin());
        with_sum(h, Some(left.1 * right.1.log()))
    };
    let (h, sum) = T::fold_tree(tree, leaf, inner);
    sum + h.get(0)
}

/// The values of all trees.
#[track_caller]
fn values<T: Tensor>(model: &Model<T>, trees: &TreeArrays<T::Int>, xs: &T) -> T {
    try_values(model, trees, xs).or_raise()
}

fn try_values<T: Tensor>(model: &Model<T>, trees: &TreeArrays<T::Int>, xs: &T) -> Result<T> {
    type Given<T> = (Model<T>, T, TreeArrays<<T as Real>::Int>, Index<T>);
    vmap_axes(
        |(model, xs, mut tree, Index(root)): Given<Batch<T>>| {
            tree.root = root;
            value(&model, &tree, &xs)
        },
        &(model.clone(), xs.clone(), trees.clone(), Index(trees.root.clone())),
        &[None, None, None, Some(0)],
        &[Some(0)],
    )
}

/// Trees grown from a root by making leaves inner nodes, in arrays with room for more nodes.
fn forest(sizes: &[usize], room: usize, seed: u64) -> Trees {
    let mut rng = Rng::new(seed);
    let (mut left, mut right, mut roots) = (Vec::new(), Vec::new(), Vec::new());
    for &leaves in sizes {
        roots.push(left.len() as i64);
        let mut those = vec![left.len()];
        left.push(-1);
        right.push(-1);
        while those.len() < leaves {
            let i = those.swap_remove((rng.uniform() * those.len() as f64) as usize);
            let new = left.len();
            (left[i], right[i]) = (new as i64, new as i64 + 1);
            left.extend([-1, -1]);
            right.extend([-1, -1]);
            those.extend([new, new + 1]);
        }
    }
    let padded = |mut numbers: Vec<i64>| {
        assert!(numbers.len() <= room);
        numbers.resize(room, -1);
        NdInt::from(numbers)
    };
    TreeArrays { left: padded(left), right: padded(right), root: roots.into() }
}

fn leaves(room: usize, seed: u64) -> Array {
    antiphon::nn::Init::Normal { mean: 0.0, std: 1.0 }.sample(&[room, 2], &mut Rng::new(seed))
}

/// Each tree by itself.
fn each(trees: &Trees) -> impl Iterator<Item = Trees> {
    let roots = trees.root.elements().expect("they are known");
    roots.into_iter().map(|root| TreeArrays { root: NdInt::constant(root), ..trees.clone() })
}

#[track_caller]
fn assert_near(what: &str, found: &impl Params<Leaf = Array>, expected: &impl Params<Leaf = Array>) {
    for (found, expected) in found.leaves().iter().zip(expected.leaves()) {
        assert_eq!(found.shape(), expected.shape(), "{what}");
        for (a, b) in found.view().iter().zip(expected.view().iter()) {
            assert!((a - b).abs() <= 1e-12 * (1.0 + b.abs()), "{what}: {found:?} instead of {expected:?}");
        }
    }
}

/// What is differentiated: weights, and what leaves hold.
type Point<T> = (Model<T>, T);

fn sum<T: Tensor>((model, xs): &Point<T>, trees: &TreeArrays<T::Int>) -> T {
    values(model, trees, xs).sum(..)
}

/// The same, one tree after the other.
fn sum_of_each<T: Tensor<Int = NdInt>>((model, xs): &Point<T>, trees: &Trees) -> T {
    each(trees).map(|tree| value(model, &tree, xs)).reduce(|a, b| a + b).expect("a tree")
}

fn gradient<T: Tensor>(x: &Point<T>, trees: &TreeArrays<T::Int>) -> Point<T> {
    grad(|x: Point<Var<'_, T>>| sum(&x, trees), x).or_raise()
}

/// The gradients of each tree's value: by the recursion of all of them together.
fn gradients<T: Tensor>(x: &Point<T>, trees: &TreeArrays<T::Int>) -> Point<T> {
    type Given<T> = (Point<T>, TreeArrays<<T as Real>::Int>, Index<T>);
    vmap_axes(
        |(x, mut tree, Index(root)): Given<Batch<T>>| {
            tree.root = root;
            grad(|(model, xs): Point<Var<'_, Batch<T>>>| value(&model, &tree, &xs), &x).or_raise()
        },
        &(x.clone(), trees.clone(), Index(trees.root.clone())),
        &[None, None, Some(0)],
        &[Some(0)],
    )
    .or_raise()
}

/// The value, its derivative in a direction, and the gradient's.
fn second<T: Tensor>(x: &Point<T>, v: &Point<T>, trees: &TreeArrays<T::Int>) -> ((T, T), Point<T>) {
    let forward = jvp(|x: Point<Dual<T>>| sum(&x, trees), x, v).or_raise();
    (forward, hvp(|x: Point<Var<'_, Dual<T>>>| sum(&x, trees), x, v).or_raise().1)
}

const ROOM: usize = 120;
const SIZES: [&[usize]; 5] = [
    &[1, 1],
    &[4, 1, 7],
    &[30, 2],
    &[5, 6, 7, 8, 9, 10, 11, 1, 1],
    &[2, 3, 1, 2, 2, 3, 1, 2, 2, 3, 1, 2, 2, 3, 1, 2, 2, 3, 1, 2, 2, 3, 1, 2, 2],
];

fn point(seed: u64) -> Point<Array> {
    (model(seed), leaves(ROOM, seed))
}

#[test]
fn values_and_derivatives_are_those_of_one_tree_after_the_other() {
    for (seed, sizes) in SIZES.iter().enumerate() {
        let (x, v) = (point(seed as u64), point(99));
        let trees = forest(sizes, ROOM, seed as u64);
        let expected: Vec<Array> = each(&trees).map(|tree| value(&x.0, &tree, &x.1)).collect();
        assert_near("values", &values(&x.0, &trees, &x.1), &Array::stack(&expected, 0));
        let of_each = grad(|x| sum_of_each(&x, &trees), &x).unwrap();
        assert_near("gradient", &gradient(&x, &trees), &of_each);
        let (forward, curved) = second(&x, &v, &trees);
        assert_near("forward", &forward, &jvp(|x| sum_of_each(&x, &trees), &x, &v).unwrap());
        assert_near("second", &curved, &hvp(|x| sum_of_each(&x, &trees), &x, &v).unwrap().1);
    }
}

#[test]
fn gradients_of_each_tree_sum_up_to_that_of_all() {
    let (x, trees) = (point(5), forest(&[4, 1, 7], ROOM, 5));
    let of_each = gradients(&x, &trees);
    let summed = of_each.with_leaves(of_each.leaves().iter().map(|g| g.sum(0)).collect()).unwrap();
    assert_near("gradients", &summed, &gradient(&x, &trees));
    let of_second = grad(|(model, xs)| value(&model, &each(&trees).nth(1).unwrap(), &xs), &x).unwrap();
    let second = of_each.with_leaves(of_each.leaves().iter().map(|g| g.index(0, 1)).collect()).unwrap();
    assert_near("the second", &second, &of_second);
}

/// What each of some models gives of all trees.
fn of_each_model<T: Tensor>(models: &Model<T>, trees: &TreeArrays<T::Int>, xs: &T) -> T {
    vmap_axes(
        |(model, trees, xs): (Model<Batch<T>>, TreeArrays<_>, _)| values(&model, &trees, &xs),
        &(models.clone(), trees.clone(), xs.clone()),
        &[Some(0), None, None],
        &[Some(0)],
    )
    .or_raise()
}

#[test]
fn a_batch_of_models_reads_the_same_trees() {
    let (trees, xs, models) = (forest(&[4, 1, 7], ROOM, 6), leaves(ROOM, 6), [model(7), model(8)]);
    let stacked = models[0].zip_leaves(&models[1], |a, b| Array::stack(&[a.clone(), b.clone()], 0)).unwrap();
    let expected = Array::stack(&models.map(|model| values(&model, &trees, &xs)), 0);
    assert_near("values", &of_each_model(&stacked, &trees, &xs), &expected);
    #[cfg(feature = "staging")]
    {
        let like = (stacked, trees, xs);
        let f = |(models, trees, xs): (Model<Recorded>, TreeArrays<RecordedInt>, Recorded)| {
            of_each_model(&models, &trees, &xs)
        };
        assert_near("compiled", &compile("each", f, &like).unwrap().call(&like).unwrap(), &expected);
    }
}

/// The functions are called once for each step, of all nodes that are ready in it, and once to see what they give.
#[test]
fn a_step_takes_all_nodes_that_are_ready() {
    let calls = std::cell::Cell::new((0, 0));
    let trees = forest(&[7, 7, 7, 7], ROOM, 2);
    let height = |root: i64| {
        fn below(trees: &[Vec<i64>; 2], node: i64) -> usize {
            let child = |side: usize| trees[side][node as usize];
            if child(0) < 0 { 0 } else { 1 + below(trees, child(0)).max(below(trees, child(1))) }
        }
        below(&[trees.left.elements().unwrap(), trees.right.elements().unwrap()], root)
    };
    let highest = trees.root.elements().unwrap().into_iter().map(height).max().unwrap();
    let xs = leaves(ROOM, 2);
    let sums = vmap_axes(
        |(mut tree, Index(root)): (TreeArrays<_>, Index<Batch<Array>>)| {
            tree.root = root;
            let (xs, calls) = (Batch::lift(&xs), &calls);
            let leaf = |node: &_| {
                calls.set((calls.get().0 + 1, calls.get().1));
                xs.gather_rows(node).sum(..)
            };
            Batch::fold_tree(&tree, leaf, |_, left: Batch<Array>, right| {
                calls.set((calls.get().0, calls.get().1 + 1));
                left + right
            })
        },
        &(trees.clone(), Index(trees.root.clone())),
        &[None, Some(0)],
        &[Some(0)],
    );
    assert_eq!(*sums.unwrap().shape(), [4]);
    assert_eq!(calls.get(), (1 + 1, 1 + highest));
}

/// Where something that each tree has of its own is used in a node, all trees are gone through by recursion.
#[test]
fn what_nodes_use_may_differ_from_tree_to_tree() {
    fn scaled<T: Tensor>(tree: &TreeArrays<T::Int>, xs: &T, by: &T) -> T {
        let leaf = |node: &T::Int| xs.gather_rows(node).get(0) * by;
        T::fold_tree(tree, leaf, |_, left: T, right| (left * right).sin() + by)
    }
    for sizes in SIZES {
        let (trees, xs) = (forest(sizes, ROOM, 9), leaves(ROOM, 9));
        let by: Array = (0..sizes.len()).map(|i| i as f64 * 0.1 + 0.5).collect::<Vec<f64>>().into();
        let found = vmap_axes(
            |(mut tree, Index(root), by): (TreeArrays<_>, Index<Batch<Array>>, _)| {
                tree.root = root;
                scaled(&tree, &Batch::lift(&xs), &by)
            },
            &(trees.clone(), Index(trees.root.clone()), by.clone()),
            &[None, Some(0), Some(0)],
            &[Some(0)],
        )
        .unwrap();
        let expected: Vec<Array> =
            each(&trees).enumerate().map(|(i, tree)| scaled(&tree, &xs, &by.index(0, i))).collect();
        assert_near("values", &found, &Array::stack(&expected, 0));
    }
}

/// In an arm that only some trees take, the others are not gone through: theirs would have no end.
#[test]
fn trees_of_no_account_are_not_looked_at() {
    fn guarded<T: Tensor>(tree: &TreeArrays<T::Int>, xs: &T) -> T {
        T::cond(
            &tree.root.less(&T::Int::constant(3)),
            || T::fold_tree(tree, |node| xs.gather_rows(node), |_, left: T, right| left * right),
            || T::constant(-1.0),
        )
    }
    // (1 · 2), a leaf, and a node that is its own child.
    let ints = |x: [i64; 4]| NdInt::from(x.to_vec());
    let trees = TreeArrays {
        left: ints([1, -1, -1, 3]),
        right: ints([2, -1, -1, 3]),
        root: NdInt::from(vec![0, 2, 3, 0, 3]),
    };
    let xs = Array::from(vec![0.0, 2.0, 3.0, 4.0]);
    let given = (trees.clone(), xs.clone(), Index(trees.root.clone()));
    let axes = [None, None, Some(0)];
    let expected = Array::from(vec![6.0, 3.0, -1.0, 6.0, -1.0]);
    let found = vmap_axes(
        |(mut tree, xs, Index(root)): (TreeArrays<_>, _, Index<Batch<Array>>)| {
            tree.root = root;
            guarded(&tree, &xs)
        },
        &given,
        &axes,
        &[Some(0)],
    );
    assert_eq!(found.unwrap(), expected);
}

fn error_of(left: &[i64], right: &[i64], roots: &[i64]) -> Error {
    let ints = |x: &[i64]| NdInt::from(x.to_vec());
    let trees = TreeArrays { left: ints(left), right: ints(right), root: ints(roots) };
    let xs = Array::zeros(&[left.len(), 2]);
    try_values(&model(1), &trees, &xs).expect_err("these are no trees")
}

#[test]
fn arrays_that_are_no_trees_are_errors_with_the_users_line() {
    for (left, right, roots, reason) in [
        (&[1, 0][..], &[1, 0][..], [0, 0], "node 0 is below itself"),
        (&[1, -1], &[2, -1], [0, 0], "the right child of node 0 is 2, of 2 nodes"),
        (&[-1, -1], &[-1, -1], [0, 2], "the root of tree 1 is 2, of 2 nodes"),
    ] {
        let error = error_of(left, right, &roots);
        assert!(matches!(error, Error::Argument { op: "fold_tree", .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.contains(reason) && message.contains("forest.rs:"), "{message}");
    }
    let negative = error_of(&[-1, -1], &[-1, -1], &[0, -1]).to_string();
    assert!(negative.contains("-1") && negative.contains("forest.rs:"), "{negative}");
}

#[cfg(feature = "staging")]
mod compiled {
    use super::*;

    type RecordedTrees = TreeArrays<RecordedInt>;

    /// The gradient of the square of the gradient's size.
    fn twice<T: Tensor>(x: &Point<T>, trees: &TreeArrays<T::Int>) -> Point<T> {
        grad(
            |x: Point<Var<'_, T>>| {
                let squares = gradient(&x, trees).leaves().into_iter().map(|bar| bar.square().sum(..));
                squares.reduce(|a, b| a + b).expect("there are weights")
            },
            x,
        )
        .or_raise()
    }

    /// One compilation of each derivative serves forests of all shapes, as many as it has trees.
    #[test]
    fn code_for_some_trees_is_that_for_other_ones() {
        let like = (point(0), point(1), forest(SIZES[3], ROOM, 0));
        let of_values = |((model, xs), _, trees): (Point<Recorded>, Point<Recorded>, RecordedTrees)| {
            values(&model, &trees, &xs)
        };
        let mut of_values = compile("values", of_values, &like).unwrap();
        let mut of_gradient = compile("gradient", |(x, _, trees)| gradient(&x, &trees), &like).unwrap();
        let mut of_second = compile("second", |(x, v, trees)| second(&x, &v, &trees), &like).unwrap();
        let mut of_each = compile("each", |(x, _, trees)| gradients(&x, &trees), &like).unwrap();
        for seed in 0..6 {
            let sizes: Vec<usize> = (0..9).map(|i| 1 + (i * 7 + seed as usize * 5) % 11).collect();
            let trees = forest(if seed == 0 { SIZES[3] } else { &sizes }, ROOM, seed);
            let given = (point(seed), point(seed + 50), trees);
            let (x, v, trees) = &given;
            assert_near("values", &of_values.call(&given).unwrap(), &values(&x.0, trees, &x.1));
            assert_near("gradient", &of_gradient.call(&given).unwrap(), &gradient(x, trees));
            assert_near("second", &of_second.call(&given).unwrap(), &second(x, v, trees));
            assert_near("of each", &of_each.call(&given).unwrap(), &gradients(x, trees));
        }
    }

    #[test]
    fn a_gradient_of_a_gradient_is_compiled() {
        let like = (point(3), forest(&[4, 1, 5], 24, 3));
        let like = ((like.0.0, leaves(24, 3)), like.1);
        let mut code = compile("twice", |(x, trees)| twice(&x, &trees), &like).unwrap();
        assert_near("twice", &code.call(&like).unwrap(), &twice(&like.0, &like.1));
    }

    #[test]
    fn errors_are_those_of_the_model() {
        let like = (model(1), forest(&[3, 2, 2], 16, 1), leaves(16, 1));
        let f = |(model, trees, xs): (Model<Recorded>, RecordedTrees, Recorded)| values(&model, &trees, &xs);
        let mut code = compile("values", f, &like).unwrap();
        let mut error_of = |node: usize, child: i64, roots: [i64; 3]| {
            let mut left = like.1.left.elements().unwrap();
            left[node] = child;
            let trees = TreeArrays { left: left.into(), root: roots.to_vec().into(), ..like.1.clone() };
            code.call(&(like.0.clone(), trees, like.2.clone())).expect_err("these are no trees").to_string()
        };
        let roots = [0, 5, 8];
        for (message, reason) in [
            (error_of(0, 0, roots), "node 0 is below itself"),
            (error_of(0, 16, roots), "the left child of node 0 is 16, of 16 nodes"),
            (error_of(0, 1, [0, 99, 8]), "the root of tree 1 is 99, of 16 nodes"),
        ] {
            assert!(message.contains(reason) && message.contains("forest.rs:"), "{message}");
        }
    }
}
