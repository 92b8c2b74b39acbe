//! Arrangements of elements, `einsum` and convolutions: values against plain loops, and errors.

use antiphon::{Border, Convolution, NdArray, Result, Tensor, Window2d, einsum, grad};

use crate::array::reference::{Plain, assert_close, indices};

type Array = NdArray<f64>;

/// Numbers that tell places apart.
fn numbers(shape: &[usize], seed: usize) -> Plain {
    let mut n = seed;
    Plain::from_fn(shape, |_| {
        n = (n * 5741 + 2129) % 7919;
        n as f64 / 1000.0 - 4.0
    })
}

#[test]
fn arrangements() {
    for shape in [&[2, 3][..], &[3], &[2, 1, 4], &[0, 2], &[4, 4]] {
        let x = numbers(shape, 1);
        let last = shape.len() - 1;
        let of = |lengths: &[usize], from: &dyn Fn(&[usize]) -> Vec<usize>| {
            Plain::from_fn(lengths, |at| x.at(&from(at)))
        };
        let mut longer = shape.to_vec();
        longer[last] *= 3;
        let modulo = |at: &[usize]| [&at[..last], &[at[last] % shape[last]]].concat();
        assert_close(&x.nd().tile(&[3]), &of(&longer, &modulo));
        let divided = |at: &[usize]| [&at[..last], &[at[last] / 3]].concat();
        assert_close(&x.nd().repeat(3, -1), &of(&longer, &divided));
        for shift in [-7, -1, 0, 1, 2, 9] {
            let rolled = |at: &[usize]| {
                let from = (at[last] as isize - shift).rem_euclid(shape[last] as isize);
                [&at[..last], &[from as usize]].concat()
            };
            assert_close(&x.nd().roll(shift, -1), &of(shape, &rolled));
        }
        let Some(above) = last.checked_sub(1) else { continue };
        for k in -4isize..=4 {
            let offset = |at: &[usize]| at[last] as isize - at[above] as isize;
            let kept = |keep: &dyn Fn(isize) -> bool| {
                Plain::from_fn(shape, |at| if keep(offset(at)) { x.at(at) } else { 0.0 })
            };
            assert_close(&x.nd().tril(k), &kept(&|d| d <= k));
            assert_close(&x.nd().triu(k), &kept(&|d| d >= k));
            let places: Vec<usize> = (0..shape[above])
                .filter(|&i| (0..shape[last] as isize).contains(&(i as isize + k)))
                .collect();
            let along = [&shape[..above], &[places.len()]].concat();
            let diagonal = Plain::from_fn(&along, |at| {
                let i = places[at[above]];
                x.at(&[&at[..above], &[i, (i as isize + k) as usize]].concat())
            });
            assert_close(&x.nd().diagonal(k), &diagonal);
            let side = diagonal.shape[above] + k.unsigned_abs();
            let square = Plain::from_fn(&[&shape[..above], &[side, side]].concat(), |at| {
                let i = at[above].min(at[last]);
                if offset(at) == k { diagonal.at(&[&at[..above], &[i]].concat()) } else { 0.0 }
            });
            assert_close(&diagonal.nd().diag(k), &square);
        }
    }
    let (a, b) = (numbers(&[2, 3], 1), numbers(&[3, 2], 2));
    assert_close(
        &a.nd().kron(&b.nd()),
        &Plain::from_fn(&[6, 6], |i| a.at(&[i[0] / 3, i[1] / 2]) * b.at(&[i[0] % 3, i[1] % 2])),
    );
    assert_close(&a.nd().outer(&b.nd()), &Plain::from_fn(&[6, 6], |i| a.data[i[0]] * b.data[i[1]]));
    assert_eq!(Array::ones(&[2, 3, 3]).trace(), Array::full(&[2], 3.0));
    // What is left out may be anything.
    let infinite = Array::full(&[2, 2], f64::INFINITY).tril(-1);
    assert_eq!(infinite, Array::from_elements(&[2, 2], &[0.0, 0.0, f64::INFINITY, 0.0]).unwrap());
}

/// Sums over all values of all names.
fn by_definition(inputs: &[&str], output: &str, operands: &[&Plain]) -> Plain {
    let mut names: Vec<(char, usize)> = Vec::new();
    for (input, x) in inputs.iter().zip(operands) {
        for (name, &length) in input.chars().zip(&x.shape) {
            match names.iter_mut().find(|known| known.0 == name) {
                Some(known) => known.1 = known.1.max(length),
                None => names.push((name, length)),
            }
        }
    }
    let length = |name: char| names.iter().find(|known| known.0 == name).unwrap().1;
    let lengths: Vec<usize> = names.iter().map(|name| name.1).collect();
    let shape: Vec<usize> = output.chars().map(length).collect();
    let all = indices(&lengths);
    Plain::from_fn(&shape, |at| {
        let value =
            |name: char, index: &[usize]| index[names.iter().position(|known| known.0 == name).unwrap()];
        let here = |index: &&Vec<usize>| output.chars().zip(at).all(|(name, &i)| value(name, index) == i);
        let product = |index: &Vec<usize>| -> f64 {
            let one = |(input, x): (&&str, &&Plain)| {
                let own: Vec<usize> = input.chars().map(|name| value(name, index)).collect();
                x.at(&own)
            };
            inputs.iter().zip(operands).map(one).product()
        };
        all.iter().filter(here).map(product).sum()
    })
}

#[test]
fn einsum_by_its_definition() {
    let cases: &[(&str, &[&[usize]])] = &[
        ("ij,jk->ik", &[&[2, 3], &[3, 4]]),
        ("ij,jk->ki", &[&[2, 3], &[3, 4]]),
        ("ij->ji", &[&[2, 3]]),
        ("iji->j", &[&[2, 3, 2]]),
        ("iiii->i", &[&[2, 2, 2, 2]]),
        ("i,i->", &[&[3], &[3]]),
        ("i,j,k->kij", &[&[3], &[2], &[4]]),
        ("bij,bkj->bik", &[&[2, 3, 4], &[2, 5, 4]]),
        ("bhqd,bhkd->bhqk", &[&[2, 3, 4, 2], &[2, 3, 5, 2]]),
        ("ij,ij,ij->ij", &[&[2, 3], &[2, 3], &[2, 3]]),
        ("ij,k->", &[&[2, 3], &[4]]),
        ("i,->i", &[&[2], &[]]),
        ("ab,bc,cd,de->ae", &[&[2, 3], &[3, 4], &[4, 2], &[2, 3]]),
        ("ab,cb,cd,ad,a->bd", &[&[2, 3], &[4, 3], &[4, 2], &[2, 2], &[2]]),
        ("a,b,c,d,e,f,g,ab->cg", &[&[2], &[2], &[2], &[2], &[2], &[2], &[2], &[2, 2]]),
        ("ij,jk->ik", &[&[2, 0], &[0, 4]]),
        ("ij,jk->ik", &[&[1, 1], &[1, 1]]),
        ("aab,bcc->ac", &[&[2, 2, 3], &[3, 2, 2]]),
    ];
    for &(subscripts, shapes) in cases {
        let (inputs, output) = subscripts.split_once("->").unwrap();
        let inputs: Vec<&str> = inputs.split(',').collect();
        let operands: Vec<Plain> = shapes.iter().zip(1..).map(|(shape, seed)| numbers(shape, seed)).collect();
        let arrays: Vec<Array> = operands.iter().map(Plain::nd).collect();
        let found = einsum(subscripts, &arrays.iter().collect::<Vec<_>>());
        assert_close(&found, &by_definition(&inputs, output, &operands.iter().collect::<Vec<_>>()));
    }
    let (x, y) = (numbers(&[2, 1, 3], 1), numbers(&[4, 3], 2));
    let (a, b) = (x.nd(), y.nd());
    let broadcast = a.clone() * &b;
    assert_eq!(einsum("...,...->...", &[&a, &b]), broadcast);
    assert_eq!(einsum("...", &[&a]), a);
    assert_close(&einsum("...i,...i", &[&a, &b]), &Plain::from(&broadcast.sum(-1)));
    assert_close(&einsum("...i,...i->i", &[&a, &b]), &Plain::from(&broadcast.sum([0, 1])));
    assert_close(&einsum("i...->...i", &[&a]), &Plain::from(&a.permute(&[1, 2, 0])));
    assert_close(&einsum("ba", &[&b]), &Plain::from(&b.transpose()));
}

/// The order of products matters: from the left, this one would take 2·10⁹ multiplications, and memory for 10⁶ numbers.
#[test]
fn einsum_takes_the_cheapest_order() {
    let n = 1000;
    let column = Array::ones(&[n, 1]);
    let row = Array::ones(&[1, n]);
    let x = Array::ones(&[n]);
    assert_eq!(einsum("ij,jk,kl,lm,m->i", &[&column, &row, &column, &row, &x]), Array::full(&[n], 1e6));
}

/// Sums over the places of each window that are inside of the image.
fn convolved(
    x: &Plain,
    w: &Plain,
    size: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    before: [usize; 2],
    groups: usize,
) -> Plain {
    let (&[batch, channels, height, width], &[out, inner, kh, kw]) = (&x.shape[..], &w.shape[..]) else {
        panic!("four axes")
    };
    assert_eq!(inner, channels / groups);
    Plain::from_fn(&[batch, out, size[0], size[1]], |at| {
        let first = at[1] / (out / groups) * inner;
        let mut sum = 0.0;
        for place in indices(&[inner, kh, kw]) {
            let row = (at[2] * stride[0] + place[1] * dilation[0]).wrapping_sub(before[0]);
            let column = (at[3] * stride[1] + place[2] * dilation[1]).wrapping_sub(before[1]);
            if row < height && column < width {
                sum += x.at(&[at[0], first + place[0], row, column])
                    * w.at(&[at[1], place[0], place[1], place[2]]);
            }
        }
        sum
    })
}

#[test]
fn convolutions_of_all_kinds() {
    for stride in [[1, 1], [2, 3]] {
        for dilation in [[1, 1], [2, 1], [2, 3]] {
            for groups in [1, 2] {
                for (border, before, after) in [
                    (Border::Both([0, 0]), [0, 0], [0, 0]),
                    (Border::Both([2, 1]), [2, 1], [2, 1]),
                    (Border::Each([(1, 0), (0, 3)]), [1, 0], [0, 3]),
                ] {
                    let (x, w) = (numbers(&[2, 4, 7, 9], 1), numbers(&[6, 4 / groups, 3, 2], 2));
                    let options = Convolution { stride, dilation, groups, border };
                    let size = [0, 1].map(|i| {
                        let span = ([3, 2][i] - 1) * dilation[i] + 1;
                        ([7, 9][i] + before[i] + after[i] - span) / stride[i] + 1
                    });
                    let y = convolved(&x, &w, size, stride, dilation, before, groups);
                    assert_close(&x.nd().convolve2d(&w.nd(), &options), &y);
                    // ⟨y, conv(x)⟩ = ⟨convᵀ(y), x⟩, for images that leave no rest.
                    let rest = [0, 1].map(|i| {
                        let span = ([3, 2][i] - 1) * dilation[i] + 1;
                        ([7, 9][i] + before[i] + after[i] - span) % stride[i]
                    });
                    let bar = numbers(&y.shape, 3);
                    let back = bar.nd().conv_transpose2d(&w.nd(), &options, rest);
                    let slope = grad(
                        |x| {
                            let (w, bar) = (antiphon::Var::lift(&w.nd()), antiphon::Var::lift(&bar.nd()));
                            (x.convolve2d(&w, &options) * bar).sum(..)
                        },
                        &x.nd(),
                    );
                    assert_close(&back, &Plain::from(&slope.unwrap()));
                }
                let same = Convolution { stride, dilation, groups, border: Border::Same };
                let (x, w) = (numbers(&[1, 2, 7, 8], 1), numbers(&[2, 2 / groups, 3, 4], 2));
                let size = [7usize.div_ceil(stride[0]), 8usize.div_ceil(stride[1])];
                let before = [0, 1].map(|i| {
                    let reach = (size[i] - 1) * stride[i] + ([3, 4][i] - 1) * dilation[i] + 1;
                    reach.saturating_sub([7, 8][i]) / 2
                });
                let y = convolved(&x, &w, size, stride, dilation, before, groups);
                assert_close(&x.nd().convolve2d(&w.nd(), &same), &y);
                let (row, line) = (numbers(&[1, 2, 1, 9], 4), numbers(&[2, 2 / groups, 1, 3], 5));
                let options = Convolution {
                    stride: [stride[1]],
                    dilation: [dilation[0]],
                    groups,
                    border: Border::Both([1]),
                };
                let length = (9 + 2 - 2 * dilation[0] - 1) / stride[1] + 1;
                let y = convolved(&row, &line, [1, length], [1, stride[1]], [1, dilation[0]], [0, 1], groups);
                let found =
                    row.nd().reshape(&[1, 2, 9]).conv1d(&line.nd().reshape(&[2, 2 / groups, 3]), &options);
                assert_close(&found.reshape(&[1, 2, 1, length]), &y);
            }
        }
    }
    let (x, w) = (numbers(&[1, 2, 5, 5], 1).nd(), numbers(&[3, 2, 3, 3], 2).nd());
    let plain = x.conv2d(&w, Window2d { stride: [2, 2], padding: [1, 1] });
    let options = Convolution { stride: [2, 2], border: Border::Both([1, 1]), ..Convolution::default() };
    assert_eq!(x.convolve2d(&w, &options), plain);
}

#[test]
fn adaptive_pools() {
    for (size, into) in
        [([4, 6], [2, 3]), ([5, 7], [3, 2]), ([3, 5], [3, 4]), ([1, 1], [1, 1]), ([4, 5], [4, 1])]
    {
        let x = numbers(&[2, 2, size[0], size[1]], 7);
        let over = |f: fn(&[f64]) -> f64| {
            Plain::from_fn(&[2, 2, into[0], into[1]], |at| {
                let window = [0, 1].map(|i| {
                    let (from, to) = (size[i], into[i]);
                    at[i + 2] * from / to..((at[i + 2] + 1) * from).div_ceil(to)
                });
                let [rows, columns] = window;
                let of = |r: usize| columns.clone().map(move |c| (r, c));
                let all: Vec<f64> = rows.flat_map(of).map(|(r, c)| x.at(&[at[0], at[1], r, c])).collect();
                f(&all)
            })
        };
        assert_close(&x.nd().adaptive_avg_pool2d(into), &over(|w| w.iter().sum::<f64>() / w.len() as f64));
        assert_close(
            &x.nd().adaptive_max_pool2d(into),
            &over(|w| w.iter().copied().fold(f64::MIN, f64::max)),
        );
    }
}

/// The message begins so, and names the line of the macro's call.
macro_rules! refuses {
    ($expected:literal, $f:expr, $x:expr) => {{
        let line = line!();
        let found: Result<Array> = grad($f, &$x);
        let message = found.map(drop).unwrap_err().to_string();
        assert!(message.starts_with($expected), "{message}");
        let place = message.rsplit_once("contractions.rs:").expect(&message).1.split(':').next().unwrap();
        assert!((line..line + 6).contains(&place.parse().unwrap()), "{message}, expected at line {line}");
    }};
}

#[test]
fn mistakes() {
    let x = Array::ones(&[2, 3]);
    refuses!("einsum: 1 operands for 2 subscripts, in \"ij,j\"", |x| einsum("ij,j", &[&x]).sum(..), x);
    refuses!(
        "einsum: \"ijk\" names 3 axes of operand 0, which is [2, 3]",
        |x| einsum("ijk", &[&x]).sum(..),
        x
    );
    refuses!("einsum: \"i...jk\" names 3 axes of operand 0", |x| einsum("i...jk", &[&x]).sum(..), x);
    refuses!("einsum: \"i\" names 1 axes of operand 0, which is [2, 3]", |x| einsum("i", &[&x]).sum(..), x);
    refuses!("einsum: '1' is no letter", |x| einsum("i1", &[&x]).sum(..), x);
    refuses!("einsum: '.' is no letter", |x| einsum("i..", &[&x]).sum(..), x);
    refuses!("einsum: '-' is no letter", |x| einsum("ij->i->j", &[&x]).sum(..), x);
    refuses!("einsum: the result names 'i' twice", |x| einsum("ij->ii", &[&x]).sum(..), x);
    refuses!("einsum: the result has 'k', which no operand has", |x| einsum("ij->k", &[&x]).sum(..), x);
    refuses!("einsum: 'i' has length 3 in operand 0, and 2 before", |x| einsum("ii", &[&x]).sum(..), x);
    refuses!(
        "einsum: 'j' has length 2 in operand 1, and 3 before",
        |x| einsum("ij,jk", &[&x, &x]).sum(..),
        x
    );
    refuses!(
        "tensordot: axis 1 of [2, 3] has length 3, and axis 0",
        |x| x.tensordot(&x, &[1], &[0]).sum(..),
        x
    );
    refuses!("tensordot: 2 axes of the left operand with 1", |x| x.tensordot(&x, &[0, 1], &[0]).sum(..), x);
    refuses!("tensordot: ", |x| x.tensordot(&x, &[0, -2], &[0, 1]).sum(..), x);
    refuses!("roll: ", |x| x.roll(1, 2).sum(..), x);
    refuses!("tile: ", |x| x.tile(&[usize::MAX]).sum(..), x);
    refuses!("repeat: ", |x| x.repeat(1 << 50, 0).sum(..), x);
    refuses!("diag: ", |x| x.diag(isize::MIN).sum(..), x);
    refuses!("diagonal: an array [3]", |x| x.index(0, 0).diagonal(0).sum(..), x);
    let image = Array::ones(&[4, 4, 3, 3]);
    let two = Convolution { groups: 2, ..Convolution::default() };
    refuses!("convolve2d: a kernel of 4 channels, where", |x| x.convolve2d(&x, &two).sum(..), image);
    let three = Convolution { groups: 3, ..Convolution::default() };
    refuses!("convolve2d: 4 channels do not divide into 3", |x| x.convolve2d(&x, &three).sum(..), image);
    let still = Convolution { stride: [0, 1], ..Convolution::default() };
    refuses!("convolve2d: stride 0, dilation 1", |x| x.convolve2d(&x, &still).sum(..), image);
    let wide = Convolution { dilation: [1, 2], ..Convolution::default() };
    refuses!("convolve2d: a window of 5 does not fit in 3", |x| x.convolve2d(&x, &wide).sum(..), image);
    refuses!("conv1d: an image [4, 4, 3, 3]", |x| x.conv1d(&x, &Convolution::default()).sum(..), image);
    refuses!("adaptive_avg_pool2d: [3, 3] to [0, 1]", |x| x.adaptive_avg_pool2d([0, 1]).sum(..), image);
    refuses!("adaptive_max_pool2d: an image [2, 3]", |x| x.adaptive_max_pool2d([1, 1]).sum(..), x);
    let same = Convolution { border: Border::Same, ..Convolution::default() };
    refuses!("conv_transpose2d: the border `Same`", |x| x.conv_transpose2d(&x, &same, [0, 0]).sum(..), image);
    let plain = Convolution::default();
    refuses!("conv_transpose2d: 1 further", |x| x.conv_transpose2d(&x, &plain, [1, 0]).sum(..), image);
    let one = image.slice(0, 0..1);
    refuses!("conv_transpose2d: a kernel for 1", |x| x.conv_transpose2d(&x, &plain, [0, 0]).sum(..), one);
}
