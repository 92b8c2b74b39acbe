//! `#[derive(Params)]` and `#[derive(Structure)]`: see the documentation of `antiphon`, which re-exports them.

mod expand;
mod field;
mod kind;

use proc_macro::TokenStream;

/// Makes a struct or an enum that is generic in one type parameter a structure of parameters: implements
/// `antiphon::Params`, `antiphon::State` and `antiphon::Structure`.
///
/// ```
/// use antiphon::Params;
///
/// #[derive(Clone, Params)]
/// struct Rnn<T> {
///     #[params(name = "Wx")] // the leaf's name, in place of the field's
///     wx: T,
///     layers: Vec<(T, Option<T>)>, // any structure of parameters
///     hidden: usize, // configuration: copied along, not a parameter
/// }
///
/// let rnn = Rnn { wx: 1.0, layers: vec![(2.0, None), (3.0, Some(4.0))], hidden: 7 };
/// assert_eq!(rnn.names(), ["Wx", "layers.0.0", "layers.1.0", "layers.1.1"]);
/// let doubled: Rnn<f32> = rnn.map_leaves(|x| 2.0 * *x as f32);
/// assert_eq!((doubled.leaves(), doubled.hidden), (vec![2.0, 4.0, 6.0, 8.0], 7));
/// ```
///
/// * A field whose type mentions the type parameter holds parameters: its type has to be a structure of
///   parameters itself. Any other field is configuration; its type has to be `Clone`.
/// * The struct has to be `Clone`, and is best declared without a bound on its type parameter: the structure has
///   to exist over every interpretation (`With<U: Real>`), so no bound beyond `Real` can be met. Bounds belong to
///   the functions that use it.
/// * Of an enum the variant's name comes before the field's, which a field without a name that is alone has not; so
///   derivatives are of the same variant. The same attributes may stand before a variant.
/// * What is in a `Box` is as if there were none, also within `Option`, `Vec`, arrays and tuples, so that a structure
///   may be of itself:
///
/// ```
/// use antiphon::{Params, grad};
///
/// #[derive(Clone, Debug, PartialEq, Params)]
/// enum Tree<T> {
///     Leaf(T),
///     Node { left: Box<Tree<T>>, right: Box<Tree<T>> },
/// }
///
/// fn product<T: antiphon::Real>(tree: &Tree<T>) -> T {
///     match tree {
///         Tree::Leaf(x) => x.clone(),
///         Tree::Node { left, right } => product(left) * product(right),
///     }
/// }
///
/// let tree = Tree::Node { left: Box::new(Tree::Leaf(2.0)), right: Box::new(Tree::Leaf(3.0)) };
/// assert_eq!(tree.names(), ["Node.left.Leaf", "Node.right.Leaf"]);
/// let slopes = grad(|tree| product(&tree), &tree)?;
/// assert_eq!(slopes, Tree::Node { left: Box::new(Tree::Leaf(3.0)), right: Box::new(Tree::Leaf(2.0)) });
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// * Lifetimes, constants and `where` clauses pass through.
/// * `#[params(name = "Wx")]` on a field names it so; `#[params(flatten)]` leaves its name out of the path, so
///   that the leaves of a nested structure are named as if they were declared here.
///
/// # Errors
/// Unions, enums without variants, and what has no type parameter or several do not compile. Integers and truth values
/// of the interpretation, `T::Int` and `T::Bool`, have no gradient, and are no parameters: what has such fields is a
/// `Structure`, and those of a fixed type, `NdInt` say, are configuration, which a compiled model has as it was when it
/// was recorded.
#[proc_macro_derive(Params, attributes(params))]
pub fn derive_params(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    expand::params(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Makes a struct or an enum that is generic in an interpretation a structure of reals, integers and truth values:
/// implements `antiphon::State` and `antiphon::Structure`.
///
/// ```
/// use antiphon::{NdArray, NdInt, Real, Structure};
///
/// #[derive(Clone, Structure)]
/// struct Batch<T: Real> {
///     images: T,
///     labels: T::Int,
///     weights: Option<Vec<T>>, // any structure
///     hard: Vec<T::Bool>,
///     classes: usize, // configuration: copied along
/// }
///
/// fn is_one_over<T: Real>(_: &impl Structure<T>) {}
/// let images = NdArray::from(vec![0.5f32, 1.0]);
/// is_one_over(&Batch { images, labels: NdInt::from(vec![3, 1]), weights: None, hard: vec![], classes: 10 });
/// ```
///
/// It follows the rules of `#[derive(Params)]`, its attributes included, and knows `T::Int` and `T::Bool` as types of
/// fields, also within `Option`, `Vec`, `Box`, arrays and tuples. Elsewhere, in maps say, `antiphon::state::Index<T>`
/// and
/// `antiphon::state::Flag<T>` take their places.
#[proc_macro_derive(Structure, attributes(params))]
pub fn derive_structure(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    expand::structure(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}
