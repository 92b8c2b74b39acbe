//! Numbers that nobody should give an operator, and some that fit.

use std::ops::Range;

use antiphon::{NdArray, Padding, Window2d};

/// Lengths that no array has. (Up to 2⁴⁰ elements are for the system to refuse: see `memory`.)
const IMPOSSIBLE: [usize; 10] = [
    (1 << 40) + 1,
    1 << 41,
    1 << 61,
    1 << 62,
    (1 << 62) + 1,
    1 << 63,
    (1 << 63) + 1,
    isize::MAX as usize,
    usize::MAX - 1,
    usize::MAX,
];
const REALS: [f64; 9] = [0.0, -0.0, 1.0, -1.0, 0.5, 1e300, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];

/// A stream of choices, the same for every interpretation.
#[derive(Clone)]
pub struct Draw(u64);

impl Draw {
    pub fn new(seed: u64) -> Draw {
        Draw(seed)
    }

    /// SplitMix64.
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.word() % n as u64) as usize
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn rarely(&mut self) -> bool {
        self.below(6) == 0
    }

    /// The length of an axis, a step, a stride.
    pub fn length(&mut self) -> usize {
        if self.rarely() { self.one_of(&IMPOSSIBLE) } else { self.below(4) }
    }

    pub fn shape(&mut self) -> Vec<usize> {
        (0..self.below(5)).map(|_| self.length()).collect()
    }

    /// A shape that an array can have.
    pub fn small(&mut self) -> Vec<usize> {
        (0..self.below(5)).map(|_| self.below(4)).collect()
    }

    /// Most often a shape with as many elements as this one.
    pub fn other_shape(&mut self, of: &[usize]) -> Vec<usize> {
        if self.rarely() {
            return self.shape();
        }
        let mut shape = of.to_vec();
        shape.reverse();
        if of.contains(&0) && self.below(2) == 0 {
            shape.push(self.length());
        }
        shape
    }

    pub fn axis(&mut self) -> isize {
        if self.rarely() {
            self.one_of(&[isize::MIN, isize::MAX, -5, 4, 5])
        } else {
            self.below(5) as isize - 2
        }
    }

    /// An axis as an unsigned number.
    pub fn position(&mut self) -> usize {
        if self.rarely() { self.one_of(&IMPOSSIBLE) } else { self.below(3) }
    }

    pub fn range(&mut self) -> Range<usize> {
        self.length()..self.length()
    }

    pub fn padding(&mut self) -> Padding {
        Padding { before: self.length(), after: self.length(), interior: self.length() }
    }

    pub fn pair(&mut self) -> [usize; 2] {
        [self.length(), self.length()]
    }

    pub fn window(&mut self) -> Window2d {
        Window2d { stride: self.pair(), padding: self.pair() }
    }

    pub fn int(&mut self) -> i64 {
        let ends = [i64::MIN, i64::MIN + 1, -(1 << 32), -1, 1 << 32, i64::MAX - 1, i64::MAX];
        if self.rarely() { self.one_of(&ends) } else { self.below(3) as i64 }
    }

    pub fn ints(&mut self, shape: &[usize]) -> Vec<i64> {
        (0..shape.iter().product()).map(|_| self.int()).collect()
    }

    pub fn exponent(&mut self) -> i32 {
        self.one_of(&[i32::MIN, i32::MIN + 1, -2, -1, 0, 1, 2, 3, i32::MAX])
    }

    pub fn real(&mut self) -> f64 {
        self.one_of(&REALS)
    }

    /// An array without ties.
    pub fn array(&mut self, shape: &[usize]) -> NdArray<f64> {
        let n: usize = shape.iter().product();
        let elements: Vec<f64> = (0..n).map(|i| (i as f64 * 0.7).sin() + 0.01 * i as f64).collect();
        NdArray::from(
            ndarray::ArrayD::from_shape_vec(shape, elements).expect("as many elements as the shape has"),
        )
    }

    /// The same with elements that are rarely any of the numbers at the ends, or none.
    pub fn spoilt(&mut self, array: NdArray<f64>) -> NdArray<f64> {
        if !self.rarely() {
            return array;
        }
        NdArray::from(array.into_array().mapv(|x| if self.rarely() { self.real() } else { x }))
    }
}
