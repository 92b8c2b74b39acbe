//! Folds over trees: of the user's own, and in arrays, where their shape is data.

use super::{cond_at, fix_at};
use crate::continuation::stack;
use crate::continuation::unwinding::{catch, operator};
use crate::error::{At, Error, Result};
use crate::language::control::continuation_passing::Site;
use crate::language::params::Path;
use crate::language::real::{Int, Real};
use crate::language::shape;
use crate::language::state::{Confined, Index, Leaf, State};
use crate::language::structure::{MapComponent, Structure};
use crate::language::tensor::{IntTensor, Tensor};
use crate::memory;
use std::fmt;

/// A tree of the user's own: what [`fold`] goes down into.
pub trait Tree {
    /// The subtrees of this node; none for a leaf.
    fn children(&self) -> &[Self]
    where
        Self: Sized;
}

/// `f(node, results of its children)`, from the leaves up to the root, by recursion.
///
/// ```
/// use antiphon::{Real, Var, control::{Tree, fold}, grad};
/// struct Node(f64, Vec<Node>);
/// impl Tree for Node {
///     fn children(&self) -> &[Node] {
///         &self.1
///     }
/// }
/// // The sum over all nodes of x to the power of the node's number.
/// fn sum<T: Real>(tree: &Node, x: &T) -> T {
///     fold(tree, &|node, children: Vec<T>| {
///         children.into_iter().fold(x.pow(&T::constant(node.0)), |sum, child| sum + child)
///     })
/// }
/// let tree = Node(1.0, vec![Node(2.0, vec![]), Node(3.0, vec![])]);
/// assert_eq!(sum(&tree, &2.0), 2.0 + 4.0 + 8.0);
/// assert_eq!(grad(|x| sum(&tree, &x), &2.0f64)?, 1.0 + 4.0 + 12.0);
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// Raises [`Error::StackExhausted`] if the tree is too deep for the stack.
pub fn fold<N: Tree, S>(tree: &N, f: &impl Fn(&N, Vec<S>) -> S) -> S {
    fn go<N: Tree, S>(node: &N, f: &impl Fn(&N, Vec<S>) -> S) -> S {
        stack::guard(|| f(node, node.children().iter().map(|child| go(child, f)).collect()))
    }
    stack::on_reserved(|| go(tree, f))
}

/// A binary tree as data, in integers `I` of an interpretation: nodes are numbers, and what they hold is in arrays of
/// the user's, indexed by them. [`Tensor::fold_tree`] is its fold.
///
/// When a model is compiled, the arrays and the root are inputs like any other, so that one compilation serves every
/// tree of up to as many nodes as the arrays have elements. [`NumberedTree`] makes them of a tree of the user's own.
#[derive(Clone, Debug)]
pub struct TreeArrays<I> {
    /// The left child of each node, −1 where it is a leaf: `[nodes]`.
    pub left: I,
    /// The right child of each node; of no account where it is a leaf: `[nodes]`.
    pub right: I,
    /// The number of the root, a scalar; of many trees in the same arrays, `[trees]`, over which [`vmap`](crate::vmap)
    /// goes.
    pub root: I,
}

impl<T: Real> State<T> for TreeArrays<T::Int> {
    fn flatten(&self, leaves: &mut Vec<Leaf<T>>) {
        let ints = [&self.left, &self.right, &self.root];
        leaves.extend(ints.into_iter().cloned().map(Leaf::Int));
    }
    fn rebuild(&self, leaves: &mut dyn Iterator<Item = Leaf<T>>) -> Self {
        let mut next = || Index::<T>(self.root.clone()).rebuild(leaves).0;
        TreeArrays { left: next(), right: next(), root: next() }
    }
}

// SAFETY: components are moved or cloned, and kept nowhere.
unsafe impl<T: Real> Confined<T> for TreeArrays<T::Int> {}

impl<T: Real> Structure<T> for TreeArrays<T::Int> {
    type With<U: Real> = TreeArrays<U::Int>;
    fn map_components<U: Real>(&self, path: &mut Path, f: MapComponent<'_, T, U>) -> TreeArrays<U::Int> {
        let mut map = |name, int: &T::Int| path.descend(name, |path| f(path, Leaf::Int(int.clone())).int());
        let (left, right) = (map("left", &self.left), map("right", &self.right));
        TreeArrays { left, right, root: map("root", &self.root) }
    }
}

/// [`Tensor::fold_tree`]: recursion on the node's number.
pub(crate) fn fold_arrays<T: Tensor, S: State<T>>(
    site: Site,
    tree: &TreeArrays<T::Int>,
    leaf: impl Fn(&T::Int) -> S,
    inner: impl Fn(&T::Int, S, S) -> S,
) -> S {
    fix_at::<T, _, _>(site, Index::<T>(tree.root.clone()), |subtree: &dyn Fn(Index<T>) -> S, Index(node)| {
        let (left, is_leaf) = operator(site.at, || {
            let left = tree.left.gather_rows(&node);
            let is_leaf = left.less(&T::Int::constant(0));
            (left, is_leaf)
        });
        cond_at::<T, _>(
            site,
            &is_leaf,
            || leaf(&node),
            || {
                let right = operator(site.at, || tree.right.gather_rows(&node));
                inner(&node, subtree(Index(left.clone())), subtree(Index(right)))
            },
        )
    })
}

/// Trees of the user's own with their nodes numbered: those of the first tree come first. A tree's root is the first of
/// its nodes, and a node comes before those below it, those on the left first.
pub struct NumberedTree<'t, N> {
    nodes: Vec<&'t N>,
    left: Vec<i64>,
    right: Vec<i64>,
    /// The roots; of one tree by itself, which has a single one, none are needed.
    roots: Option<Vec<i64>>,
}

impl<N> fmt::Debug for NumberedTree<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NumberedTree").field("nodes", &self.nodes.len()).finish_non_exhaustive()
    }
}

impl<'t, N: Tree> NumberedTree<'t, N> {
    fn new() -> Self {
        NumberedTree { nodes: Vec::new(), left: Vec::new(), right: Vec::new(), roots: None }
    }

    /// Numbers the nodes of a binary tree.
    ///
    /// # Errors
    /// [`Error::Argument`] if a node has one child, or more than two.
    #[track_caller]
    pub fn binary(tree: &'t N) -> Result<NumberedTree<'t, N>> {
        let mut numbered = NumberedTree::new();
        numbered.add(tree, At::caller())?;
        Ok(numbered)
    }

    /// Numbers the nodes of several binary trees, one tree after the other, which go into the same
    /// [`arrays`](NumberedTree::arrays). [`vmap`](crate::vmap) over the roots computes a function of one tree for all
    /// of them, and [`fold_tree`](Tensor::fold_tree) in it takes as many nodes at a time as are ready.
    ///
    /// ```
    /// use antiphon::control::{NumberedTree, Tree, TreeArrays};
    /// use antiphon::state::Index;
    /// use antiphon::{Batch, NdArray, NdInt, Tensor, vmap_axes};
    /// struct Node(f64, Vec<Node>);
    /// impl Tree for Node {
    ///     fn children(&self) -> &[Node] {
    ///         &self.1
    ///     }
    /// }
    /// /// The product of a tree's leaves.
    /// fn product<T: Tensor>(tree: &TreeArrays<T::Int>, weights: &T) -> T {
    ///     T::fold_tree(tree, |node| weights.gather_rows(node), |_, left: T, right| left * right)
    /// }
    /// type Array = NdArray<f64>;
    ///
    /// let leaf = |x| Node(x, vec![]);
    /// let trees = [Node(0.0, vec![leaf(2.0), Node(0.0, vec![leaf(3.0), leaf(5.0)])]), leaf(7.0)];
    /// let numbered = NumberedTree::forest(&trees)?;
    /// let weights: Array = numbered.nodes().iter().map(|node| node.0).collect::<Vec<f64>>().into();
    /// let arrays: TreeArrays<NdInt> = numbered.arrays(numbered.nodes().len())?;
    /// let roots = Index::<Array>(arrays.root.clone());
    /// let products = vmap_axes(
    ///     |(mut tree, weights, Index(root)): (TreeArrays<_>, _, Index<Batch<Array>>)| {
    ///         tree.root = root;
    ///         product(&tree, &weights)
    ///     },
    ///     &(arrays, weights, roots),
    ///     &[None, None, Some(0)],
    ///     &[Some(0)],
    /// )?;
    /// assert_eq!(products, Array::from(vec![30.0, 7.0]));
    /// # Ok::<(), antiphon::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`binary`](NumberedTree::binary).
    #[track_caller]
    pub fn forest(trees: impl IntoIterator<Item = &'t N>) -> Result<NumberedTree<'t, N>> {
        let at = At::caller();
        let mut numbered = NumberedTree::new();
        let mut roots = Vec::new();
        for tree in trees {
            roots.push(numbered.nodes.len() as i64);
            numbered.add(tree, at)?;
        }
        numbered.roots = Some(roots);
        Ok(numbered)
    }

    fn add(&mut self, tree: &'t N, at: At) -> Result<()> {
        // Subtrees to come, with the node whose right child each is. Not by recursion: a tree may be as deep as memory.
        let mut pending = vec![(tree, None)];
        while let Some((mut node, mut parent)) = pending.pop() {
            loop {
                let number = self.nodes.len();
                if let Some(parent) = parent.take() {
                    self.right[parent as usize] = number as i64;
                }
                self.nodes.push(node);
                self.right.push(-1);
                match node.children() {
                    [] => break self.left.push(-1),
                    [left, right] => {
                        self.left.push(number as i64 + 1);
                        pending.push((right, Some(number as i64)));
                        node = left;
                    }
                    children => {
                        let reason = format!("a node with {} children in a binary tree", children.len());
                        return Err(Error::Argument { op: "NumberedTree", reason, at });
                    }
                }
            }
        }
        Ok(())
    }

    /// The nodes in the order of their numbers: what arrays of what they hold are made from.
    pub fn nodes(&self) -> &[&'t N] {
        &self.nodes
    }

    /// The tree in arrays with room for `capacity` nodes. Of a [`forest`](NumberedTree::forest), `root` has the root of
    /// each tree: `[trees]`.
    ///
    /// # Errors
    /// [`Error::Argument`] if there are more; [`Error::Operand`] if no array can have so many.
    #[track_caller]
    pub fn arrays<I: IntTensor>(&self, capacity: usize) -> Result<TreeArrays<I>> {
        let len = self.nodes.len();
        if len > capacity {
            let reason = format!("there is room for {capacity} nodes, and there are {len}");
            return Err(Error::Argument { op: "NumberedTree", reason, at: At::caller() });
        }
        let at = At::caller();
        let array = |children: &[i64]| {
            let mut padded: Vec<i64> = memory::room(capacity);
            padded.extend_from_slice(children);
            padded.resize(capacity, -1);
            I::from_elements(&[capacity], &padded)
        };
        shape::elements("NumberedTree", &[capacity])?;
        let [left, right] =
            [&self.left, &self.right].map(|children| catch(|| operator(at, || array(children))));
        let root = match &self.roots {
            None => I::constant(0),
            Some(roots) => I::from_elements(&[roots.len()], roots)?,
        };
        Ok(TreeArrays { left: left?, right: right?, root })
    }
}
