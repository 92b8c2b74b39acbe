//! Structures: enums, boxes, maps, tuples, and integers and truth values among their elements.

use std::collections::{BTreeMap, HashMap};

use antiphon::optim::{Adam, OptState, Optimizer, Sgd};
use antiphon::params::Path;
use antiphon::state::Leaf;
use antiphon::{
    Error, Int, IntTensor, Mask, MaskTensor, NdArray, NdBool, NdInt, Params, Real, Result, State, Structure,
    Tensor, TrainingStep, compile, grad, value_and_grad, vmap,
};

use super::reference::{Array, assert_close, ints, numbers};

/// A tree of sums and products, whose leaves are arrays.
#[derive(Clone, Debug, PartialEq, Params)]
enum Tree<T> {
    Leaf(T),
    Sum {
        left: Box<Tree<T>>,
        right: Box<Tree<T>>,
        scale: T,
    },
    #[params(name = "times")]
    Product(Vec<Box<Tree<T>>>, Option<Box<T>>),
    Nothing,
    /// No parameter: copied along.
    Fixed(f64),
}

fn evaluate<T: Tensor>(tree: &Tree<T>) -> T {
    match tree {
        Tree::Leaf(x) => x.clone(),
        Tree::Sum { left, right, scale } => (evaluate(left) + evaluate(right)) * scale,
        Tree::Product(factors, last) => {
            let product = factors.iter().fold(T::constant(1.0), |product, factor| product * evaluate(factor));
            last.as_ref().map_or(product.clone(), |last| product * &**last)
        }
        Tree::Nothing => T::constant(0.0),
        Tree::Fixed(value) => T::constant(*value),
    }
}

fn leaf(seed: f64) -> Box<Tree<Array>> {
    Box::new(Tree::Leaf(numbers(seed, &[2])))
}

fn tree() -> Tree<Array> {
    let product = Tree::Product(
        vec![leaf(1.0), Box::new(Tree::Fixed(2.0)), leaf(2.0)],
        Some(Box::new(numbers(3.0, &[]))),
    );
    let nothing = Tree::Sum { left: leaf(4.0), right: Box::new(Tree::Nothing), scale: numbers(5.0, &[2]) };
    Tree::Sum { left: Box::new(product), right: Box::new(nothing), scale: numbers(6.0, &[2]) }
}

const NAMES: [&str; 6] = [
    "Sum.left.times.0.0.Leaf",
    "Sum.left.times.0.2.Leaf",
    "Sum.left.times.1",
    "Sum.right.Sum.left.Leaf",
    "Sum.right.Sum.scale",
    "Sum.scale",
];

#[test]
fn leaves_of_enums_have_the_names_of_their_variants() {
    assert_eq!(tree().names(), NAMES);
    let mut visited = Vec::new();
    let mut changed = tree();
    changed.visit_mut(&mut Path::default(), &mut |path, leaf| {
        visited.push(path.to_string());
        *leaf = leaf.clone() * 2.0;
    });
    assert_eq!(visited, NAMES);
    assert_eq!(changed, tree().map_leaves(|leaf| leaf.clone() * 2.0));
    assert_eq!(tree().with_leaves(tree().leaves()).unwrap(), tree());
    let other: Tree<Array> = Tree::Leaf(numbers(1.0, &[2]));
    assert!(matches!(tree().zip_leaves(&other, |a, b| a.clone() + b), Err(Error::Structure(_))));
}

#[test]
fn gradients_of_trees_are_trees_eagerly_and_compiled() {
    let loss = |tree: &Tree<Array>| evaluate(tree).square().sum(..);
    let eager = grad(|tree| evaluate(&tree).square().sum(..), &tree()).unwrap();
    let mut compiled =
        compile("tree", |tree| grad(|tree| evaluate(&tree).square().sum(..), &tree).unwrap(), &tree())
            .unwrap();
    let found = compiled.call(&tree()).unwrap();
    for ((name, eager), found) in NAMES.iter().zip(eager.leaves()).zip(found.leaves()) {
        assert_close(&found, &eager, name);
    }
    assert_eq!(found.names(), NAMES);
    // In a direction without pattern the slope is the difference quotient's.
    let moved = |h: f64| {
        let mut seed = 10.0;
        tree().map_leaves(|leaf| {
            seed += 1.0;
            leaf.clone() + numbers(seed, &leaf.shape()) * h
        })
    };
    let quotient = (loss(&moved(1e-5)) - loss(&moved(-1e-5))).item() / 2e-5;
    let slopes = eager
        .leaves()
        .into_iter()
        .zip(11..)
        .map(|(g, seed)| (numbers(f64::from(seed), &g.shape()) * g).sum(..).item());
    let slope: f64 = slopes.sum();
    assert!((slope / quotient - 1.0).abs() < 1e-8, "{slope} but expected {quotient}");
}

type Training<T> = (Tree<T>, OptState<Tree<T>>);

fn step<T: Tensor>((tree, state): &mut Training<T>, target: &T) -> Result<T> {
    let (loss, gradients) =
        value_and_grad(|tree| (evaluate(&tree) - &antiphon::Var::lift(target)).square().sum(..), tree)?;
    Adam::default().update(state, tree, &gradients, &T::constant(0.05))?;
    Ok(loss)
}

#[test]
fn trees_are_trained_and_saved() {
    let begin = (tree(), Adam::default().init(&tree()));
    let eager = TrainingStep::eager(begin.clone(), step);
    let mut compiled = TrainingStep::compiled(begin, step);
    let (mut eager, target) = (eager, Array::from(vec![1.0, -2.0]));
    let mut last = f64::INFINITY;
    for i in 0..100 {
        let (expected, found) = (eager.call(&target).unwrap().item(), compiled.call(&target).unwrap().item());
        assert!((found - expected).abs() < 1e-9 * (1.0 + expected), "step {i}: {found} for {expected}");
        last = found;
    }
    assert!(last < 0.01, "{last}");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tree.safetensors");
    antiphon::io::save_safetensors(&path, &compiled.state().0).unwrap();
    let mut loaded = tree();
    antiphon::io::load_safetensors(&path, &mut loaded).unwrap();
    assert_eq!(loaded, compiled.state().0);
    let mut other: Tree<Array> = Tree::Leaf(numbers(1.0, &[2]));
    assert!(antiphon::io::load_safetensors(&path, &mut other).is_err());
}

/// A list that goes as deep as its length.
#[test]
fn deep_structures_have_gradients() {
    #[derive(Clone, Params)]
    enum List<T> {
        End,
        Item(T, Box<List<T>>),
    }
    let mut list = List::End;
    for i in 0..2000 {
        list = List::Item(f64::from(i), Box::new(list));
    }
    fn sum<T: Real>(list: &List<T>) -> T {
        let (mut sum, mut list) = (T::constant(0.0), list);
        while let List::Item(x, rest) = list {
            sum += &x.square();
            list = rest;
        }
        sum
    }
    let slopes = grad(|list: List<_>| sum(&list), &list).unwrap();
    let leaves = slopes.leaves();
    assert_eq!((leaves.len(), leaves[0], leaves[1999]), (2000, 2.0 * 1999.0, 0.0));
}

/// Data of another variant is another structure, though it has as many leaves.
#[test]
fn variants_are_compiled_apart() {
    #[derive(Clone, Structure)]
    enum Question<T: Real> {
        Double(T),
        Square(T),
        Chosen(Option<T::Int>, Vec<T::Bool>, Vec<Box<(T, T)>>),
    }
    fn answer<T: Tensor>(total: &mut T, question: &Question<T>) -> Result<T> {
        let answer = match question {
            Question::Double(x) => x.clone() * 2.0,
            Question::Square(x) => x.square(),
            Question::Chosen(count, masks, pairs) => {
                let mut sum = T::constant(0.0);
                for (mask, pair) in masks.iter().zip(pairs) {
                    sum += T::select(mask, &pair.0, &pair.1);
                }
                count.as_ref().map_or(sum.clone(), |count| sum * T::from_int(count))
            }
        };
        *total += &answer;
        Ok(answer)
    }
    let eager = TrainingStep::eager(Array::scalar(0.0), answer);
    let compiled = TrainingStep::compiled(Array::scalar(0.0), answer);
    let mask = |x: bool| -> NdBool { ndarray::arr0(x).into_dyn().into() };
    let pairs = || {
        vec![
            Box::new((Array::scalar(1.0), Array::scalar(2.0))),
            Box::new((Array::scalar(4.0), Array::scalar(8.0))),
        ]
    };
    let masks = || vec![mask(true), mask(false)];
    for (mode, mut training) in [("eager", eager), ("compiled", compiled)] {
        let mut ask = |question| training.call(&question).unwrap().item();
        assert_eq!(ask(Question::Double(Array::scalar(3.0))), 6.0, "{mode}");
        assert_eq!(ask(Question::Square(Array::scalar(3.0))), 9.0, "{mode}");
        assert_eq!(ask(Question::Double(Array::scalar(5.0))), 10.0, "{mode}");
        assert_eq!(ask(Question::Chosen(None, masks(), pairs())), 9.0, "{mode}");
        assert_eq!(ask(Question::Chosen(Some(NdInt::scalar(2)), masks(), pairs())), 18.0, "{mode}");
        assert_eq!(ask(Question::Chosen(Some(NdInt::scalar(3)), vec![mask(false)], pairs())), 6.0, "{mode}");
        if mode == "compiled" {
            assert_eq!(training.compilations(), 5);
        }
        assert_eq!(training.state().item(), 58.0);
    }
}

#[test]
fn the_outline_tells_variants_and_keys_apart() {
    fn outline<S: State<Array>>(state: &S) -> Vec<usize> {
        let mut lengths = Vec::new();
        state.outline(&mut lengths);
        lengths
    }
    let x = numbers(1.0, &[2]);
    let outlines = [
        outline(&Tree::Leaf(x.clone())),
        outline(&Tree::<Array>::Nothing),
        outline(&Tree::<Array>::Product(vec![], None)),
        outline(&Tree::Product(vec![leaf(1.0)], None)),
        outline(&Tree::Product(vec![], Some(Box::new(x.clone())))),
    ];
    for (i, one) in outlines.iter().enumerate() {
        assert!(outlines[..i].iter().all(|other| other != one), "{outlines:?}");
    }
    let map = |key: &str| BTreeMap::from([(key.to_string(), x.clone())]);
    assert_ne!(outline(&map("a")), outline(&map("b")));
    assert_eq!(outline(&map("a")), outline(&HashMap::from([("a".to_string(), x.clone())])));
    let mut leaves = Vec::new();
    tree().flatten(&mut leaves);
    assert_eq!(leaves.len(), NAMES.len());
    let doubled = leaves.into_iter().map(|leaf| match leaf {
        Leaf::Real(x) => Leaf::Real(x * 2.0),
        other => other,
    });
    assert_eq!(
        tree().rebuild(&mut doubled.collect::<Vec<_>>().into_iter()),
        tree().map_leaves(|x| x.clone() * 2.0)
    );
}

#[test]
fn maps_are_in_the_order_of_their_keys_whatever_the_hash() {
    let keys = ["w", "bias", "a", "zz", "embedding", "head", "b", "c"];
    let entries = || {
        keys.iter()
            .enumerate()
            .map(|(i, key)| (key.to_string(), (numbers(i as f64, &[2]), numbers(9.0, &[]))))
    };
    let (hashed, sorted): (HashMap<_, _>, BTreeMap<_, _>) = (entries().collect(), entries().collect());
    let mut expected: Vec<String> =
        keys.iter().flat_map(|key| [format!("{key}.0"), format!("{key}.1")]).collect();
    expected.sort();
    // Each map has an order of its own.
    for _ in 0..10 {
        let again: HashMap<String, (Array, Array)> = entries().collect();
        assert_eq!((again.names(), again.leaves()), (expected.clone(), sorted.leaves()));
    }
    assert_eq!((hashed.names(), sorted.names()), (expected.clone(), expected));
    fn loss<T: Tensor>(map: &HashMap<String, (T, T)>) -> T {
        (map["head"].0.clone() * &map["w"].0 * &map["a"].1).sum(..)
    }
    for (mode, slopes) in both!(hashed.clone(), |map| grad(|map| loss(&map), &map).unwrap()) {
        assert_close(&slopes["head"].0, &(hashed["w"].0.clone() * &hashed["a"].1), mode);
        assert_close(&slopes["a"].1, &(hashed["w"].0.clone() * &hashed["head"].0).sum(..), mode);
        assert_eq!(slopes["zz"].0, Array::zeros(&[2]), "{mode}");
    }
    let mut trained = sorted.clone();
    let slopes = sorted.map_leaves(Array::ones_like);
    Sgd::default()
        .update(&mut Sgd::default().init(&sorted), &mut trained, &slopes, &Array::scalar(1.0))
        .unwrap();
    assert_eq!(trained, sorted.map_leaves(|x| x.clone() - 1.0));
}

#[test]
fn tuples_have_up_to_twelve_parts() {
    let x = |i: i32| f64::from(i);
    let twelve = (x(1), x(2), x(3), x(4), x(5), x(6), x(7), x(8), x(9), x(10), x(11), (x(12), [x(13); 2]));
    assert_eq!(twelve.names()[9..], ["9", "10", "11.0", "11.1.0", "11.1.1"]);
    let slopes = grad(|t| t.0 * t.8.square() * t.11.0, &twelve).unwrap();
    assert_eq!((slopes.0, slopes.8, slopes.11.0, slopes.10), (81.0 * 12.0, 18.0 * 12.0, 81.0, 0.0));
    let mut compiled = compile(
        "twelve",
        |t: (_, _, _, _, _, _, _, _, _, _, _, (antiphon::recording::Recorded, [_; 2]))| t.11.0,
        &twelve,
    )
    .unwrap();
    assert_eq!(compiled.call(&twelve).unwrap(), 12.0);
}

/// Integers and truth values of a fixed type are data of a structure of parameters: copied along, without a gradient.
#[test]
fn integers_and_masks_are_data_among_parameters() {
    #[derive(Clone, Debug, PartialEq, Params)]
    struct Sparse<T> {
        values: T,
        places: NdInt,
        kept: Option<NdBool>,
        rounds: u32,
    }
    let mask: NdBool = ndarray::arr1(&[true, false, true]).into_dyn().into();
    let model = Sparse { values: numbers(1.0, &[4]), places: ints(&[3, 0, 3]), kept: Some(mask), rounds: 2 };
    assert_eq!(model.names(), ["values"]);
    let slopes = grad(
        |model: Sparse<antiphon::Var<'_, NdArray<f64>>>| {
            let rows = model.values.gather_rows(&model.places);
            let kept = Real::select(model.kept.as_ref().unwrap(), &rows, &rows.zeros_like());
            kept.sum(..) * f64::from(model.rounds)
        },
        &model,
    )
    .unwrap();
    assert_eq!(slopes.values, Array::from(vec![0.0, 0.0, 0.0, 4.0]));
    assert_eq!((slopes.places, slopes.kept, slopes.rounds), (model.places, model.kept, 2));
}

/// Boxes, integers and truth values in tuples and arrays.
#[test]
fn tuples_and_arrays_of_boxes() {
    #[derive(Clone, Debug, PartialEq, Params)]
    struct Parts<T> {
        pair: (Box<Tree<T>>, Option<Box<T>>),
        row: [Box<T>; 2],
        list: Vec<(T, Box<T>)>,
        plain: ([T; 2], T),
    }
    let boxed = |seed: f64| Box::new(numbers(seed, &[2]));
    let parts = || Parts {
        pair: (leaf(1.0), Some(boxed(2.0))),
        row: [boxed(3.0), boxed(4.0)],
        list: vec![(numbers(5.0, &[2]), boxed(6.0))],
        plain: ([numbers(7.0, &[2]), numbers(8.0, &[2])], numbers(9.0, &[])),
    };
    let names = [
        "pair.0.Leaf",
        "pair.1",
        "row.0",
        "row.1",
        "list.0.0",
        "list.0.1",
        "plain.0.0",
        "plain.0.1",
        "plain.1",
    ];
    assert_eq!(parts().names(), names);
    fn product<T: Tensor>(parts: &Parts<T>) -> T {
        let last = parts.pair.1.as_ref().map_or(T::constant(1.0), |x| (**x).clone());
        let boxes = evaluate(&parts.pair.0) * last * &*parts.row[0] * &*parts.row[1];
        (boxes * &parts.list[0].0 * &*parts.list[0].1 * &parts.plain.0[0] * &parts.plain.1).sum(..)
    }
    let value = product(&parts()).item();
    for (mode, slopes) in both!(parts(), |parts| grad(|parts| product(&parts), &parts).unwrap()) {
        assert_eq!(slopes.names(), names, "{mode}");
        // Of a product, the derivative times the factor is the product.
        let shares = slopes.zip_leaves(&parts(), |g, x| (g.clone() * x).sum(..)).unwrap().leaves();
        for (name, share) in names.iter().zip(&shares) {
            let expected = if *name == "plain.0.1" { 0.0 } else { value };
            assert!((share.item() - expected).abs() < 1e-12, "{mode}, {name}: {share} {expected}");
        }
    }
    let mut trained = parts();
    let slopes = parts().map_leaves(Array::ones_like);
    Sgd::default()
        .update(&mut Sgd::default().init(&parts()), &mut trained, &slopes, &Array::scalar(1.0))
        .unwrap();
    assert_eq!(trained, parts().map_leaves(|x| x.clone() - 1.0));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("parts.safetensors");
    antiphon::io::save_safetensors(&path, &trained).unwrap();
    let mut loaded = parts();
    antiphon::io::load_safetensors(&path, &mut loaded).unwrap();
    assert_eq!(loaded, trained);

    #[derive(Clone, Structure)]
    struct Data<T: Real> {
        counted: (T::Int, Box<T>),
        masks: [T::Bool; 2],
    }
    fn chosen<T: Tensor>(data: &Data<T>) -> T {
        let x = &*data.counted.1;
        let both = data.masks[0].and(&data.masks[1]);
        T::select(&both, x, &x.zeros_like()) * T::from_int(&data.counted.0)
    }
    let mask = |x: [bool; 2]| -> NdBool { ndarray::arr1(&x).into_dyn().into() };
    let data = Data::<Array> {
        counted: (NdInt::scalar(3), Box::new(Array::from(vec![1.0, 2.0]))),
        masks: [mask([true, true]), mask([false, true])],
    };
    for (mode, found) in both!(data, |data| chosen(&data)) {
        assert_eq!(found, Array::from(vec![0.0, 6.0]), "{mode}");
    }
}

/// Masks and integers have what arrays have: parts, elements, whether any or all hold, and plain numbers.
#[test]
fn masks_and_integers_are_arrays() {
    fn parts<T: Tensor>(x: &T, n: &T::Int) -> Vec<T> {
        let mask = x.greater(&T::constant(0.0));
        let (row, column) = (mask.index(0, 1), mask.slice(-1, 1..3));
        let next = (n.clone() + 1) * 2 - 3;
        let truths = [row.any(), row.all(), mask.any(), mask.all(), next.less(&T::Int::constant(5)).all()];
        let mut found: Vec<T> = truths.iter().map(|truth| T::from_mask(truth)).collect();
        found.extend([T::from_mask(&row), T::from_mask(&column), T::from_int(&next)]);
        found.push(T::from_int(&next.index(0, 1)) * T::from_mask(&row.index(0, 2)));
        found
    }
    let x = Array::from_elements(&[2, 3], &[1.0, -1.0, 2.0, 3.0, 0.5, 4.0]).unwrap();
    let data = (x.clone(), ints(&[1, 2, 3]));
    let expected = |truths: [f64; 5]| -> Vec<Array> {
        let mut expected: Vec<Array> = truths.into_iter().map(Array::scalar).collect();
        expected.extend([
            Array::from(vec![1.0; 3]),
            Array::from_elements(&[2, 2], &[0.0, 1.0, 1.0, 1.0]).unwrap(),
            Array::from(vec![1.0, 3.0, 5.0]),
            Array::scalar(3.0),
        ]);
        expected
    };
    for (mode, found) in both!(data.clone(), |data| parts(&data.0, &data.1)) {
        assert_eq!(found, expected([1.0, 1.0, 1.0, 0.0, 0.0]), "{mode}");
    }
    // Of the rows of a batch, each has its own parts.
    let rows =
        (Array::stack(&[x.clone(), -x], 0), NdInt::from_elements(&[2, 3], &[1, 2, 3, 4, 5, 6]).unwrap());
    fn of_row<T: Tensor>(x: &T, n: &T::Int) -> (T, T) {
        let mask = x.greater(&T::constant(0.0)).slice(1, 0..2).index(0, 1);
        let last = T::from_int(&((n.clone() + 1) * 2 - 3).index(0, 2));
        (T::select(&mask, &x.slice(1, 0..2).index(0, 1), &last), last)
    }
    let of_rows = both!(rows, |rows| vmap(|(x, n)| of_row(&x, &n), &rows).unwrap());
    for (mode, (chosen, last)) in of_rows {
        assert_eq!(chosen, Array::from_elements(&[2, 2], &[3.0, 0.5, 11.0, 11.0]).unwrap(), "{mode}");
        assert_eq!(last, Array::from(vec![5.0, 11.0]), "{mode}");
    }
    let out =
        compile("f", |x: antiphon::recording::Recorded| x.greater(&x.zeros_like()).index(0, 7), &data.0);
    let text = out.unwrap_err().to_string();
    assert!(text.contains("structures.rs:"), "{text}");
}
