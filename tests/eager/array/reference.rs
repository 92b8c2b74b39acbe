//! Arrays as a list of elements and a shape, and operators as loops over indices: slow and obvious.

use antiphon::{NdArray, Tensor};
use proptest::prelude::*;

/// A row-major array.
#[derive(Clone, Debug, PartialEq)]
pub struct Plain {
    pub shape: Vec<usize>,
    pub data: Vec<f64>,
}

/// All indices of a shape, in row-major order.
pub fn indices(shape: &[usize]) -> Vec<Vec<usize>> {
    let mut all = vec![vec![]];
    for &n in shape {
        all = all.iter().flat_map(|index| (0..n).map(|i| [&index[..], &[i]].concat())).collect();
    }
    all
}

impl Plain {
    pub fn from_fn(shape: &[usize], f: impl FnMut(&Vec<usize>) -> f64) -> Plain {
        Plain { shape: shape.to_vec(), data: indices(shape).iter().map(f).collect() }
    }

    /// The element at an index of a shape that this one broadcasts to.
    pub fn at(&self, index: &[usize]) -> f64 {
        let own = &index[index.len() - self.shape.len()..];
        let offset =
            own.iter().zip(&self.shape).fold(0, |offset, (&i, &n)| offset * n + if n == 1 { 0 } else { i });
        self.data[offset]
    }

    /// Elementwise, by NumPy's broadcasting.
    pub fn zip(&self, other: &Plain, f: impl Fn(f64, f64) -> f64) -> Plain {
        let shape = broadcast(&self.shape, &other.shape);
        Plain::from_fn(&shape, |i| f(self.at(i), other.at(i)))
    }

    /// `f` of the list of elements that each reduction runs over.
    pub fn reduce(&self, axes: &[usize], f: impl Fn(&[f64]) -> f64) -> Plain {
        let kept: Vec<usize> = (0..self.shape.len()).filter(|axis| !axes.contains(axis)).collect();
        let shape: Vec<usize> = kept.iter().map(|&axis| self.shape[axis]).collect();
        Plain::from_fn(&shape, |i| {
            let matches = |j: &Vec<usize>| kept.iter().zip(i).all(|(&axis, &at)| j[axis] == at);
            let part: Vec<f64> =
                indices(&self.shape).iter().filter(|j| matches(j)).map(|j| self.at(j)).collect();
            f(&part)
        })
    }

    pub fn nd(&self) -> NdArray<f64> {
        NdArray::from_elements(&self.shape, &self.data).unwrap()
    }
}

pub fn broadcast(a: &[usize], b: &[usize]) -> Vec<usize> {
    let rank = a.len().max(b.len());
    let dim = |s: &[usize], i: usize| if i + s.len() < rank { 1 } else { s[i + s.len() - rank] };
    (0..rank).map(|i| if dim(a, i) == 1 { dim(b, i) } else { dim(a, i) }).collect()
}

impl From<&NdArray<f64>> for Plain {
    fn from(x: &NdArray<f64>) -> Plain {
        // By `ndarray`'s own iterator: not by any code under test.
        Plain { shape: x.shape().to_vec(), data: x.view().iter().copied().collect() }
    }
}

/// Equal shapes, and elements equal up to rounding; NaN equals NaN.
#[track_caller]
pub fn assert_close(got: &NdArray<f64>, expected: &Plain) {
    let got = Plain::from(got);
    assert_eq!(got.shape, expected.shape);
    for (g, e) in got.data.iter().zip(&expected.data) {
        let close = (g - e).abs() <= 1e-12 * (1.0 + e.abs());
        assert!(close || g == e || (g.is_nan() && e.is_nan()), "{g} is not {e}\n{got:?}\n{expected:?}");
    }
}

/// How an array lies in memory: as it is; or reordered, and cut out of a larger one with steps.
#[derive(Clone, Debug)]
pub struct Layout {
    pub cut: bool,
    pub order: Vec<usize>,
    pub step: usize,
}

/// The same array as a view of this layout of a larger array, whose other elements are conspicuous.
pub fn laid_out(x: &Plain, layout: &Layout) -> NdArray<f64> {
    if !layout.cut {
        return x.nd();
    }
    let order: Vec<usize> = layout.order.iter().copied().filter(|&axis| axis < x.shape.len()).collect();
    // Axis `i` of the larger array is axis `order[i]` of `x`, with a gap before, after and between.
    let step = layout.step;
    let outer: Vec<usize> = order.iter().map(|&axis| 2 + x.shape[axis] * step).collect();
    let larger = Plain::from_fn(&outer, |at| {
        let mut index = vec![0; x.shape.len()];
        for (&axis, &i) in order.iter().zip(at) {
            if i == 0 || (i - 1) % step != 0 || (i - 1) / step >= x.shape[axis] {
                return 1e9;
            }
            index[axis] = (i - 1) / step;
        }
        x.at(&index)
    });
    let mut view = larger.nd();
    for (position, &axis) in order.iter().enumerate() {
        view = view.slice_step(position as isize, 1..1 + x.shape[axis] * step, step);
    }
    let mut inverse = vec![0; order.len()];
    for (position, &axis) in order.iter().enumerate() {
        inverse[axis] = position;
    }
    view.permute(&inverse)
}

pub fn any_layout() -> impl Strategy<Value = Layout> {
    (any::<bool>(), Just((0..6).collect::<Vec<usize>>()).prop_shuffle(), 1..3usize)
        .prop_map(|(cut, order, step)| Layout { cut, order, step })
}

/// Small shapes of rank 0 to 4, empty and size-1 axes among them.
pub fn any_shape() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1 => Just(0), 2 => Just(1), 8 => 2..5usize], 0..5)
}

/// Elements in `[-2, 2)`, mostly distinct, some equal.
pub fn any_plain(shape: Vec<usize>) -> impl Strategy<Value = Plain> {
    prop::collection::vec(-32..32i32, shape.iter().product::<usize>()).prop_map(move |data| Plain {
        shape: shape.clone(),
        data: data.into_iter().map(|i| f64::from(i) / 16.0).collect(),
    })
}

/// An array and a view that shows it.
pub fn any_array() -> impl Strategy<Value = (Plain, NdArray<f64>)> {
    (any_shape().prop_flat_map(any_plain), any_layout()).prop_map(|(x, layout)| {
        let view = laid_out(&x, &layout);
        (x, view)
    })
}

/// An array of a shape that broadcasts against `shape`.
pub fn any_partner(shape: Vec<usize>) -> impl Strategy<Value = (Plain, NdArray<f64>)> {
    let rank = shape.len();
    (0..=rank, prop::collection::vec(any::<bool>(), rank), any_layout()).prop_flat_map(
        move |(lead, stretched, layout)| {
            let partner: Vec<usize> = (lead..rank).map(|i| if stretched[i] { 1 } else { shape[i] }).collect();
            any_plain(partner).prop_map(move |x| {
                let view = laid_out(&x, &layout);
                (x, view)
            })
        },
    )
}

/// Two arrays that broadcast, in either order.
pub fn any_pair() -> impl Strategy<Value = ((Plain, NdArray<f64>), (Plain, NdArray<f64>))> {
    (any_array(), any::<bool>()).prop_flat_map(|(x, swap)| {
        any_partner(x.0.shape.clone()).prop_map(move |y| if swap { (y, x.clone()) } else { (x.clone(), y) })
    })
}
