//! What a function of the table is: one program over any interpretation, beside the same on plain numbers.

use antiphon::recording::Recorded;
use antiphon::{Batch, Dual, NdArray, Tensor, Var};

pub type Array = NdArray<f64>;
pub type VarDual<'r> = Var<'r, Dual<Array>>;
pub type DualVar<'r> = Dual<Var<'r, Array>>;
pub type Over2<'r, 's> = Var<'r, Var<'s, Array>>;
pub type DualDual = Dual<Dual<Array>>;
pub type VarBatch<'r> = Var<'r, Batch<Array>>;
pub type VarRecorded<'r> = Var<'r, Recorded>;
pub type VarDualRecorded<'r> = Var<'r, Dual<Recorded>>;

/// The scalars that Tangent tests with.
pub const SCALARS: [f64; 10] = [-2.0, -1.5, -1.0, -0.5, -0.1, 0.1, 0.5, 1.0, 1.5, 2.0];

/// An array as plain data, in row-major order.
#[derive(Clone, Debug)]
pub struct Plain {
    pub shape: Vec<usize>,
    pub elements: Vec<f64>,
}

impl Plain {
    /// Irregular numbers of both signs with sizes in `(0.3, 1.8)`, the same at every run: sizes have equal distances.
    pub fn irregular(shape: &[usize], seed: usize) -> Plain {
        let count: usize = shape.iter().product();
        let places: Vec<f64> = (0..count).map(|i| ((i * 97 + seed * 1009 + 1) as f64).sin()).collect();
        let number = |place: &f64| {
            let rank =
                places.iter().filter(|other| (*other * 437.58).fract() < (place * 437.58).fract()).count();
            let shift = 0.25 + 0.5 * (seed as f64 * 0.618).fract();
            (0.3 + 1.5 * (rank as f64 + shift) / count as f64).copysign(*place)
        };
        Plain { shape: shape.to_vec(), elements: places.iter().map(number).collect() }
    }
    /// The element at this index.
    pub fn at<const N: usize>(&self, index: [usize; N]) -> f64 {
        assert_eq!(N, self.shape.len(), "an index for each axis");
        self.elements[index.iter().zip(&self.shape).fold(0, |at, (i, n)| at * n + i)]
    }
    pub fn array(&self) -> Array {
        Array::from_elements(&self.shape, &self.elements).expect("an element for each place")
    }
}

/// A function in every interpretation that the modes need, as pointers: so that what runs them is compiled once.
#[derive(Clone)]
pub struct Function {
    /// As in Tangent's tests; of a function of NumPy, NumPy's.
    pub name: &'static str,
    /// Lists of operands; those of a group have the same shapes.
    pub groups: Vec<Vec<Vec<Plain>>>,
    /// The elements of the result, computed with plain numbers.
    pub reference: fn(&[Plain]) -> Vec<f64>,
    /// Whether there are derivatives at a place: not at a step.
    pub smooth: fn(&[Plain]) -> bool,
    pub plain: fn(&[Array]) -> Array,
    pub var: for<'r> fn(&[Var<'r, Array>]) -> Var<'r, Array>,
    pub dual: fn(&[Dual<Array>]) -> Dual<Array>,
    pub var_dual: for<'r> fn(&[VarDual<'r>]) -> VarDual<'r>,
    pub dual_var: for<'r> fn(&[DualVar<'r>]) -> DualVar<'r>,
    pub dual_dual: fn(&[DualDual]) -> DualDual,
    pub var_var: for<'r, 's> fn(&[Over2<'r, 's>]) -> Over2<'r, 's>,
    pub batch: fn(&[Batch<Array>]) -> Batch<Array>,
    pub var_batch: for<'r> fn(&[VarBatch<'r>]) -> VarBatch<'r>,
    pub recorded: fn(&[Recorded]) -> Recorded,
    pub var_recorded: for<'r> fn(&[VarRecorded<'r>]) -> VarRecorded<'r>,
    pub var_dual_recorded: for<'r> fn(&[VarDualRecorded<'r>]) -> VarDualRecorded<'r>,
}

/// A function of so many scalars at the places of the grid: all pairs of the first two, with others that go around.
pub fn grid(operands: usize) -> Vec<Vec<Vec<Plain>>> {
    let scalar = |x: f64| Plain { shape: vec![], elements: vec![x] };
    let n = SCALARS.len();
    let places = n.pow(operands.min(2) as u32);
    let place = |i: usize| {
        let number = |k: usize| match k {
            0 => i % n,
            1 => i / n,
            _ => (i % n + i / n + k) % n,
        };
        (0..operands).map(|k| scalar(SCALARS[number(k)])).collect()
    };
    vec![(0..places).map(place).collect()]
}

/// The grid with a number of rounds, 1 to 3, after the scalars: a real number of which the function takes the whole
/// part, as it takes no other inputs.
pub fn grid_with_rounds(operands: usize) -> Vec<Vec<Vec<Plain>>> {
    let mut groups = grid(operands - 1);
    let rounds = |n: f64| Plain { shape: vec![], elements: vec![n + 0.5] };
    groups[0] =
        groups[0].iter().flat_map(|x| (1..=3).map(|n| [&x[..], &[rounds(f64::from(n))]].concat())).collect();
    groups
}

/// Two lists of operands for each choice of their shapes.
pub fn of_shapes(choices: &[&[&[usize]]]) -> Vec<Vec<Vec<Plain>>> {
    let list = |shapes: &&[&[usize]], seed: usize| {
        shapes.iter().zip(seed..).map(|(shape, seed)| Plain::irregular(shape, seed)).collect()
    };
    choices.iter().map(|shapes| vec![list(shapes, 1), list(shapes, 11)]).collect()
}

/// A result in plain numbers: one, several, or many.
pub trait Numbers {
    fn numbers(self) -> Vec<f64>;
}
impl Numbers for f64 {
    fn numbers(self) -> Vec<f64> {
        vec![self]
    }
}
impl<const N: usize> Numbers for [f64; N] {
    fn numbers(self) -> Vec<f64> {
        self.to_vec()
    }
}
impl Numbers for Vec<f64> {
    fn numbers(self) -> Vec<f64> {
        self
    }
}

/// Declares functions of operands `T: Tensor`, and `all`, which lists them:
///
/// ```text
/// numbers:                        // or `arrays:`
/// name(a, b) at grid(2) {
///     f: the function, of a and b of type T,
///     is: its result, of a and b of type f64, or &Plain where it is of arrays,
///     smooth: whether it has derivatives there,      // optional
/// }
/// ```
macro_rules! functions {
    ($kind:ident: $($name:ident ($($x:ident),*) at $groups:expr => {
        f: $f:expr,
        is: $is:expr,
        $(smooth: $smooth:expr,)?
    })*) => {
        mod program {
            #[allow(unused_imports, reason = "not each file's programs use all")]
            use super::*;
            $(
                #[allow(unused_mut, unused_variables, reason = "programs that assign, or leave operands out")]
                pub fn $name<T: antiphon::Tensor>(x: &[T]) -> T {
                    let [$($x),*] = x else { panic!("as many operands as the function has") };
                    $(let mut $x = $x.clone();)*
                    $f
                }
            )*
        }
        /// Every function of this file.
        pub fn all() -> Vec<$crate::function::Function> {
            vec![$($crate::function::Function {
                name: stringify!($name),
                groups: $groups,
                #[allow(unused_variables, reason = "operands that are left out")]
                reference: |x| {
                    functions!(@operands $kind x [$($x),*]);
                    $crate::function::Numbers::numbers($is)
                },
                #[allow(unused_variables, reason = "as above")]
                smooth: |x| {
                    functions!(@operands $kind x [$($x),*]);
                    functions!(@smooth $($smooth)?)
                },
                plain: |x| program::$name(x),
                var: |x| program::$name(x),
                dual: |x| program::$name(x),
                var_dual: |x| program::$name(x),
                dual_var: |x| program::$name(x),
                dual_dual: |x| program::$name(x),
                var_var: |x| program::$name(x),
                batch: |x| program::$name(x),
                var_batch: |x| program::$name(x),
                recorded: |x| program::$name(x),
                var_recorded: |x| program::$name(x),
                var_dual_recorded: |x| program::$name(x),
            },)*]
        }
    };
    (@operands numbers $all:ident [$($x:ident),*]) => {
        let [$($x),*] = $all else { panic!("as many operands as the function has") };
        let ($($x),*,) = ($($x.elements[0]),*,);
    };
    (@operands arrays $all:ident [$($x:ident),*]) => {
        let [$($x),*] = $all else { panic!("as many operands as the function has") };
    };
    (@smooth) => { true };
    (@smooth $smooth:expr) => { $smooth };
}
pub(crate) use functions;
