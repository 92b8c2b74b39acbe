//! What `#[derive(Params)]` gives, and what it refuses.

use antiphon::params::Path;
use antiphon::state::Leaf;
use antiphon::{Control, Error, NdArray, Params, Real, Shape, State, Tensor, grad};

#[derive(Clone, Debug, PartialEq, Params)]
struct Linear<T> {
    w: T,
    b: Option<T>,
}

#[derive(Clone, Debug, PartialEq, Params)]
struct Pair<T>(T, #[params(name = "second")] T);

/// A name of the user's own, and one that does not implement `Debug` or `Default`.
#[derive(Clone, PartialEq)]
struct Settings {
    rate: f64,
}

#[derive(Clone, Params)]
struct Model<'a, T, const N: usize>
where
    T: Clone,
{
    label: &'a str,
    #[params(name = "Wx")]
    wx: T,
    r#type: T,
    layers: Vec<Linear<T>>,
    pair: Pair<T>,
    #[params(flatten)]
    inner: Linear<T>,
    array: [T; N],
    tuple: (T, Option<Vec<T>>),
    settings: Settings,
}

fn model() -> Model<'static, f64, 2> {
    Model {
        label: "a model",
        wx: 1.0,
        r#type: 2.0,
        layers: vec![Linear { w: 3.0, b: Some(4.0) }, Linear { w: 5.0, b: None }],
        pair: Pair(6.0, 7.0),
        inner: Linear { w: 8.0, b: Some(9.0) },
        array: [10.0, 11.0],
        tuple: (12.0, Some(vec![13.0, 14.0])),
        settings: Settings { rate: 0.5 },
    }
}

const NAMES: [&str; 14] = [
    "Wx",
    "type",
    "layers.0.w",
    "layers.0.b",
    "layers.1.w",
    "pair.0",
    "pair.second",
    "w",
    "b",
    "array.0",
    "array.1",
    "tuple.0",
    "tuple.1.0",
    "tuple.1.1",
];

#[test]
fn leaves_have_the_names_and_the_order_of_the_declaration() {
    assert_eq!(model().names(), NAMES);
    assert_eq!(model().leaves(), (1..=14).map(f64::from).collect::<Vec<_>>());
}

#[test]
fn arrays_are_counted_with_their_shapes() {
    let (w, b) = (NdArray::<f32>::zeros(&[2, 3]), Some(NdArray::scalar(1.0)));
    let layers = vec![Linear { w: w.clone(), b }, Linear { w, b: None }];
    let shapes = [&[2, 3][..], &[], &[2, 3]].map(Shape::from_slice);
    assert_eq!((layers.shapes(), layers.count()), (shapes.to_vec(), 13));
}

#[test]
fn map_changes_the_leaves_type_and_copies_configuration() {
    let mapped: Model<'static, f32, 2> = model().map_leaves(|x| 2.0 * *x as f32);
    assert_eq!(mapped.leaves(), (1..=14).map(|x| 2.0 * x as f32).collect::<Vec<_>>());
    assert_eq!((mapped.label, mapped.settings.rate), ("a model", 0.5));
    assert_eq!(mapped.layers[1], Linear { w: 10.0, b: None });
}

#[test]
fn visiting_reaches_the_leaves_under_the_same_names() {
    let mut visited = Vec::new();
    let mut changed = model();
    changed.visit_mut(&mut Path::default(), &mut |path, leaf| {
        visited.push(path.to_string());
        *leaf = -*leaf;
    });
    assert_eq!(visited, NAMES);
    assert_eq!(changed.leaves(), (1..=14).map(|x| -f64::from(x)).collect::<Vec<_>>());
}

#[test]
fn zip_and_with_leaves_want_like_structures() {
    let sum = model().zip_leaves(&model(), |a, b| a + b).unwrap();
    assert_eq!(sum.leaves(), (1..=14).map(|x| 2.0 * f64::from(x)).collect::<Vec<_>>());
    assert!(matches!(model().zip_leaves(&Pair(1.0, 2.0), |a, b| a + b), Err(Error::Structure(_))));
    assert!(matches!(model().with_leaves(vec![1.0; 13]), Err(Error::Structure(_))));
    assert_eq!(model().with_leaves(vec![1.0f32; 14]).unwrap().leaves(), [1.0; 14]);
}

#[test]
fn a_structure_flows_through_control() {
    let mut leaves: Vec<Leaf<f64>> = Vec::new();
    model().flatten(&mut leaves);
    let doubled = leaves.into_iter().map(|leaf| match leaf {
        Leaf::Real(x) => Leaf::Real(2.0 * x),
        other => other,
    });
    let rebuilt = model().rebuild(&mut doubled.into_iter());
    assert_eq!(rebuilt.leaves(), model().map_leaves(|x| 2.0 * x).leaves());
    assert_eq!(rebuilt.label, "a model");
}

#[test]
fn generic_code_knows_what_with_is() {
    fn halved<T: Real>(x: &Linear<T>) -> Linear<T> {
        x.map_leaves(|leaf| leaf.clone().scale(0.5))
    }
    fn leaf<T: Real>(x: T) -> T {
        x.map_leaves(|leaf| leaf.clone() + leaf)
    }
    assert_eq!(halved(&Linear { w: 2.0, b: None }), Linear { w: 1.0, b: None });
    assert_eq!(leaf(2.0), 4.0);
}

#[test]
fn recursive_structures_are_structures() {
    #[derive(Clone, Params)]
    struct Tree<T> {
        value: T,
        children: Vec<Tree<T>>,
    }
    let leaf = |value| Tree { value, children: vec![] };
    let tree = Tree { value: 1.0, children: vec![leaf(2.0), leaf(3.0)] };
    assert_eq!(tree.names(), ["value", "children.0.value", "children.1.value"]);
}

#[test]
fn what_cannot_be_derived_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/ui/derive_*.rs");
}

macro_rules! wrapper {
    ($Name:ident, $Inner:ident) => {
        #[derive(Clone, Params)]
        struct $Name<T> {
            #[params(flatten)]
            inner: $Inner<T>,
            scale: T,
        }
    };
}
wrapper!(Scaled, Linear);

#[test]
fn a_macro_may_write_the_struct() {
    let scaled = Scaled { inner: Linear { w: 1.0, b: Some(2.0) }, scale: 3.0 };
    assert_eq!(scaled.names(), ["w", "b", "scale"]);
    assert_eq!(
        State::<f64>::rebuild(&scaled, &mut [4.0, 5.0, 6.0].map(Leaf::Real).into_iter()).leaves(),
        [4.0, 5.0, 6.0]
    );
}

/// A derived structure goes into a checkpoint, and an enum of itself.
#[test]
fn structures_in_checkpoints() {
    #[derive(Clone, Params)]
    enum Chain<T> {
        End(T),
        Times(T, Box<Chain<T>>),
    }
    #[derive(Clone, Params)]
    struct Model<T> {
        chain: Chain<T>,
        weights: Vec<T>,
        rounds: usize,
    }
    fn product<T: Real>(chain: &Chain<T>) -> T {
        match chain {
            Chain::End(x) => x.clone(),
            Chain::Times(x, rest) => x.clone() * product(rest),
        }
    }
    fn model<T: Control>(model: Model<T>) -> T {
        T::checkpoint(model, |model: Model<T>| {
            let sum = model.weights.iter().fold(T::constant(0.0), |sum, w| sum + w);
            (0..model.rounds).fold(product(&model.chain), |x, _| x * &sum)
        })
    }
    let chain = Chain::Times(2.0, Box::new(Chain::End(3.0)));
    let slope = grad(|m| model(m), &Model { chain, weights: vec![0.5, 1.0], rounds: 2 }).unwrap();
    // 6·s² with s = 1.5.
    assert_eq!(slope.weights, [18.0, 18.0]);
    let Chain::Times(by_first, rest) = slope.chain else { panic!("the same variant") };
    let Chain::End(by_second) = *rest else { panic!("the same variant") };
    assert_eq!((by_first, by_second), (3.0 * 2.25, 2.0 * 2.25));
}

/// What fields are called is no matter, also where it is what the derive calls things of its own.
#[test]
fn fields_of_every_name() {
    #[derive(Clone, Debug, PartialEq, Params)]
    struct Named<T> {
        list: Vec<Box<T>>,
        each: Option<Box<T>>,
        number: [Box<T>; 2],
        path: T,
        f: T,
        leaves: T,
    }
    let boxed = |x: f64| Box::new(x);
    let named = Named {
        list: vec![boxed(1.0), boxed(2.0)],
        each: Some(boxed(3.0)),
        number: [boxed(4.0), boxed(5.0)],
        path: 6.0,
        f: 7.0,
        leaves: 8.0,
    };
    assert_eq!(named.names(), ["list.0", "list.1", "each", "number.0", "number.1", "path", "f", "leaves"]);
    assert_eq!(named.leaves(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    assert_eq!(named.map_leaves(|x| 2.0 * x).leaves(), [2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0]);
    let mut leaves: Vec<Leaf<f64>> = Vec::new();
    named.flatten(&mut leaves);
    assert_eq!(named.rebuild(&mut leaves.into_iter()), named);
}
