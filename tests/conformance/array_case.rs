//! What an array case of the table is: a function of arrays beside each element of its result in closed form.

use antiphon::{Control, NdArray, OrRaise, Tensor};

/// An array as plain data, in row-major order.
#[derive(Clone, Debug)]
pub struct Plain {
    pub shape: Vec<usize>,
    pub elements: Vec<f64>,
}

/// One input in a closed form: where its elements are found.
pub struct Input<'a> {
    pub number: usize,
    pub array: &'a Plain,
}

/// One element of one input.
#[derive(Clone, Copy)]
pub struct Entry {
    input: usize,
    position: usize,
    value: f64,
}

impl Input<'_> {
    /// The element at this index.
    pub fn at(&self, index: impl AsRef<[usize]>) -> Entry {
        let index = index.as_ref();
        assert_eq!(index.len(), self.array.shape.len(), "an index for each axis");
        let position = index.iter().zip(&self.array.shape).fold(0, |position, (&i, &n)| {
            assert!(i < n, "{index:?} in {:?}", self.array.shape);
            position * n + i
        });
        Entry { input: self.number, position, value: self.array.elements[position] }
    }

    /// The element that broadcasting puts at this index of a result of higher or equal rank.
    pub fn broadcast(&self, index: &[usize]) -> Entry {
        let tail = &index[index.len() - self.array.shape.len()..];
        let index: Vec<usize> = tail.iter().zip(&self.array.shape).map(|(&i, &n)| i.min(n - 1)).collect();
        self.at(index)
    }

    /// All elements, in order.
    pub fn all(&self) -> Vec<Entry> {
        let entry = |(position, &value)| Entry { input: self.number, position, value };
        self.array.elements.iter().enumerate().map(entry).collect()
    }
}

/// One element of a result with its derivatives by the elements that it depends on.
pub struct Local {
    value: f64,
    arguments: Vec<Entry>,
    gradient: Vec<f64>,
    hessian: Vec<Vec<f64>>,
}

/// `φ(arguments)`, from a closed form of value, gradient and Hessian.
pub fn function<V, G: AsRef<[f64]>, H: AsRef<[G]>>(
    arguments: V,
    closed_form: impl Fn(&[f64]) -> (f64, G, H),
) -> Local
where
    V: Into<Vec<Entry>>,
{
    let arguments = arguments.into();
    let values: Vec<f64> = arguments.iter().map(|entry| entry.value).collect();
    let (value, gradient, hessian) = closed_form(&values);
    let hessian: Vec<Vec<f64>> = hessian.as_ref().iter().map(|row| row.as_ref().to_vec()).collect();
    let gradient = gradient.as_ref().to_vec();
    assert!(gradient.len() == values.len() && hessian.iter().all(|row| row.len() == values.len()));
    Local { value, arguments, gradient, hessian }
}

/// `φ` of one element, with its two derivatives.
pub fn univariate(argument: Entry, closed_form: impl Fn(f64) -> [f64; 3]) -> Local {
    function([argument], |x| {
        let [value, first, second] = closed_form(x[0]);
        (value, [first], [[second]])
    })
}

/// A sum of monomials, each a coefficient times a product of elements (which may repeat).
pub fn polynomial(monomials: impl IntoIterator<Item = (f64, Vec<Entry>)>) -> Local {
    let mut sum = Local { value: 0.0, arguments: Vec::new(), gradient: Vec::new(), hessian: Vec::new() };
    for (coefficient, factors) in monomials {
        // ∂ᵢ drops the i-th factor, ∂ᵢⱼ the i-th and the j-th: repeated elements are so many arguments.
        let without = |i: usize, j: usize| -> f64 {
            let kept = factors.iter().enumerate().filter(|(k, _)| *k != i && *k != j);
            coefficient * kept.map(|(_, entry)| entry.value).product::<f64>()
        };
        let (before, count) = (sum.arguments.len(), factors.len());
        sum.value += without(count, count);
        for i in 0..count {
            sum.gradient.push(without(i, i));
            let row = (0..count).map(|j| if i == j { 0.0 } else { without(i, j) });
            sum.hessian.push([0.0].repeat(before).into_iter().chain(row).collect());
        }
        sum.arguments.extend(factors);
    }
    let size = sum.arguments.len();
    sum.hessian.iter_mut().for_each(|row| row.resize(size, 0.0));
    sum
}

/// A weighted sum of elements.
pub fn linear(terms: impl IntoIterator<Item = (f64, Entry)>) -> Local {
    polynomial(terms.into_iter().map(|(coefficient, entry)| (coefficient, vec![entry])))
}

/// An element moved to another place.
pub fn moved(entry: Entry) -> Local {
    linear([(1.0, entry)])
}

/// A constant.
pub fn constant(value: f64) -> Local {
    polynomial([(value, vec![])])
}

impl Local {
    /// `φ` of this value, by the chain rule.
    pub fn then(self, closed_form: impl Fn(f64) -> [f64; 3]) -> Local {
        let [value, first, second] = closed_form(self.value);
        let g = &self.gradient;
        let entry = |i: usize, j: usize| first * self.hessian[i][j] + second * g[i] * g[j];
        let hessian = (0..g.len()).map(|i| (0..g.len()).map(|j| entry(i, j)).collect()).collect();
        let gradient = g.iter().map(|g| first * g).collect();
        Local { value, gradient, hessian, arguments: self.arguments }
    }
}

/// A result in closed form.
pub struct Expected {
    pub shape: Vec<usize>,
    pub elements: Vec<Local>,
}

impl Expected {
    /// Evaluates a closed form at every index of the result.
    pub fn new(shape: &[usize], element: &dyn Fn(&[usize]) -> Local) -> Expected {
        let index = |mut position: usize| -> Vec<usize> {
            let mut index = vec![0; shape.len()];
            for axis in (0..shape.len()).rev() {
                (index[axis], position) = (position % shape[axis], position / shape[axis]);
            }
            index
        };
        let elements = (0..shape.iter().product()).map(|position| element(&index(position))).collect();
        Expected { shape: shape.to_vec(), elements }
    }

    /// The elements of the result.
    pub fn value(&self) -> Vec<f64> {
        self.elements.iter().map(|local| local.value).collect()
    }

    /// The gradient of `Σ wᵢ·yᵢ` by each input.
    pub fn gradient(&self, w: &[f64], x: &[Plain]) -> Vec<Vec<f64>> {
        let mut gradient: Vec<Vec<f64>> = x.iter().map(|x| vec![0.0; x.elements.len()]).collect();
        for (local, w) in self.elements.iter().zip(w) {
            for (entry, g) in local.arguments.iter().zip(&local.gradient) {
                gradient[entry.input][entry.position] += w * g;
            }
        }
        gradient
    }

    /// The derivative of each element of the result along the direction `v`.
    pub fn tangent(&self, v: &[Plain]) -> Vec<f64> {
        let along = |(entry, g): (&Entry, &f64)| g * v[entry.input].elements[entry.position];
        self.elements
            .iter()
            .map(|local| local.arguments.iter().zip(&local.gradient).map(along).sum())
            .collect()
    }

    /// The derivative of that gradient along the direction `v`.
    pub fn hvp(&self, w: &[f64], v: &[Plain]) -> Vec<Vec<f64>> {
        let mut hvp: Vec<Vec<f64>> = v.iter().map(|v| vec![0.0; v.elements.len()]).collect();
        for (local, w) in self.elements.iter().zip(w) {
            for (entry, row) in local.arguments.iter().zip(&local.hessian) {
                let along = |(other, h): (&Entry, &f64)| h * v[other.input].elements[other.position];
                let sum: f64 = local.arguments.iter().zip(row).map(along).sum();
                hvp[entry.input][entry.position] += w * sum;
            }
        }
        hvp
    }
}

/// A function of arrays.
pub trait ArrayCase {
    const NAME: &'static str;
    /// Whether the function is smooth where it is evaluated, so that differences can check the formulas.
    const SMOOTH: bool;
    /// Where it is evaluated.
    fn inputs() -> Vec<Plain>;
    /// The function, in the language that models are written in.
    fn call<T: Tensor + Control>(x: &[T]) -> T;
    /// Its result in closed form.
    fn expected(x: &[Plain]) -> Expected;
}

/// What a harness does with each array case.
pub trait ArrayVisitor {
    fn visit<C: ArrayCase>(&mut self);
}

/// Irregular numbers of both signs with sizes in `[0.4, 1.4)`, the same at every run: no two are equal.
pub fn irregular(count: usize, seed: usize) -> Vec<f64> {
    let golden = 0.5 * (5f64.sqrt() - 1.0);
    let number = |i: usize| {
        let place = (i + 1) as f64 * golden + seed as f64 * 0.237;
        let sign = if (place * 2.5).fract() < 0.5 { 1.0 } else { -1.0 };
        sign * (0.4 + place.fract())
    };
    (0..count).map(number).collect()
}

/// Their absolute values.
pub fn positive(count: usize, seed: usize) -> Vec<f64> {
    irregular(count, seed).into_iter().map(f64::abs).collect()
}

/// The weights of a scalar function `Σ wᵢ·yᵢ` of a result of this size.
pub fn weights(count: usize) -> Vec<f64> {
    irregular(count, 5)
}

/// `Σ wᵢ·yᵢ`.
pub fn weighted<T: Tensor>(y: T) -> T {
    let w = T::from_elements(&y.shape(), &weights(y.size())).or_raise();
    (y * w).sum(..)
}

/// A direction for inputs like these.
pub fn direction(x: &[Plain]) -> Vec<Plain> {
    let like = |(i, x): (usize, &Plain)| Plain {
        shape: x.shape.clone(),
        elements: irregular(x.elements.len(), 7 + i),
    };
    x.iter().enumerate().map(like).collect()
}

/// The same numbers as arrays of the library.
pub fn arrays<T: Tensor>(x: &[Plain]) -> Vec<T> {
    x.iter().map(|x| T::from_elements(&x.shape, &x.elements).expect("an element for each place")).collect()
}

/// The elements of an array of the library, in row-major order.
pub fn elements(x: &NdArray<f64>) -> Vec<f64> {
    x.view().iter().copied().collect()
}

/// Declares cases and `for_each`, which shows them to a visitor:
///
/// ```text
/// name(a: [2, 3], b: [3] = [1.0, 2.0, 3.0]) {    // irregular numbers unless elements are given
///     f: the function; a and b are values of type T: Tensor + Control,
///     shape: [2, 3],
///     element: |i| closed form of the element at index i; a and b are `Input`s,
///     kink,                                      // optional: a convention that differences cannot see
/// }
/// ```
macro_rules! array_cases {
    ($($name:ident ($($x:ident: [$($n:expr),*] $(= $elements:expr)?),+) {
        f: $f:expr,
        shape: $shape:expr,
        element: $element:expr,
        $($kink:ident,)?
    })+) => {
        /// Shows every case of this file to the visitor.
        pub fn for_each(visitor: &mut impl $crate::array_case::ArrayVisitor) {
            $({
                struct Case;
                #[allow(unused_variables, reason = "a constant function uses none of its inputs")]
                impl $crate::array_case::ArrayCase for Case {
                    const NAME: &'static str = concat!(module_path!(), "::", stringify!($name));
                    const SMOOTH: bool = {
                        let kinks: &[&str] = &[$(stringify!($kink))?];
                        kinks.is_empty()
                    };
                    fn inputs() -> Vec<$crate::array_case::Plain> {
                        let mut inputs = Vec::new();
                        $({
                            let shape: Vec<usize> = vec![$($n),*];
                            let size: usize = shape.iter().product();
                            let elements: Vec<f64> =
                                array_cases!(@elements size, inputs.len() $(, $elements.to_vec())?);
                            assert_eq!(elements.len(), size, "an element for each place of {shape:?}");
                            inputs.push($crate::array_case::Plain { shape, elements });
                        })+
                        inputs
                    }
                    fn call<T: antiphon::Tensor + antiphon::Control>(x: &[T]) -> T {
                        let [$($x),+] = x else { panic!("as many inputs as the case has names") };
                        $(let $x = $x.clone();)+
                        $f
                    }
                    fn expected(x: &[$crate::array_case::Plain]) -> $crate::array_case::Expected {
                        let inputs: Vec<_> = x
                            .iter()
                            .enumerate()
                            .map(|(number, array)| $crate::array_case::Input { number, array })
                            .collect();
                        let [$($x),+] = &inputs[..] else { panic!("as many inputs as the case has names") };
                        let element: &dyn Fn(&[usize]) -> $crate::array_case::Local = &$element;
                        $crate::array_case::Expected::new(&$shape, element)
                    }
                }
                visitor.visit::<Case>();
            })+
        }
    };
    (@elements $size:expr, $seed:expr) => { $crate::array_case::irregular($size, $seed) };
    (@elements $size:expr, $seed:expr, $elements:expr) => { $elements };
}
pub(crate) use array_cases;
