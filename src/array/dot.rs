//! `A·Bᵀ` where the rows of both are contiguous: dot products of rows, twelve at a time.
//!
//! It is the product of every backward pass, `x̄ = ȳ·Wᵀ`. General kernels first copy `W` into their own order, which
//! for a batch of some ten rows costs as much as the product itself.

use pulp::{Arch, Simd, WithSimd};

/// Element types that have this kernel.
pub trait DotRows: Sized {
    /// From this length on, the sums at the end of the rows cost less than general kernels' copying.
    const WORTHWHILE: usize;
    /// Calls `write(i·n + j, aᵢ·bⱼ)` for the `m` rows of `a` and the `n` rows of `b`, each of length `k` and so many
    /// elements apart.
    fn dot_rows(a: Rows<Self>, b: Rows<Self>, k: usize, write: impl FnMut(usize, Self));
}

/// Rows in memory: how many, and how far apart.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a, E> {
    pub data: &'a [E],
    pub count: usize,
    pub stride: usize,
}

impl<'a, E> Rows<'a, E> {
    #[inline(always)]
    fn row(&self, i: usize, k: usize) -> &'a [E] {
        &self.data[i * self.stride..][..k]
    }
}

macro_rules! dot_rows {
    (
        $E:ident, $worthwhile:literal,
        $as_simd:ident, $splat:ident, $mul_add:ident, $partial_load:ident, $reduce_sum:ident
    ) => {
        impl DotRows for $E {
            const WORTHWHILE: usize = $worthwhile;

            fn dot_rows(a: Rows<$E>, b: Rows<$E>, k: usize, write: impl FnMut(usize, $E)) {
                struct Kernel<'a, W>(Rows<'a, $E>, Rows<'a, $E>, usize, W);

                impl<W: FnMut(usize, $E)> WithSimd for Kernel<'_, W> {
                    type Output = ();
                    #[inline(always)]
                    fn with_simd<S: Simd>(self, simd: S) {
                        let Kernel(a, b, k, mut write) = self;
                        let mut j = 0;
                        while j < b.count {
                            let wide = j + 3 <= b.count;
                            let mut i = 0;
                            while i < a.count {
                                let tall = i + 4 <= a.count;
                                match (tall, wide) {
                                    (true, true) => block::<4, 3, S>(simd, a, b, k, i, j, &mut write),
                                    (true, false) => block::<4, 1, S>(simd, a, b, k, i, j, &mut write),
                                    (false, true) => block::<1, 3, S>(simd, a, b, k, i, j, &mut write),
                                    (false, false) => block::<1, 1, S>(simd, a, b, k, i, j, &mut write),
                                }
                                i += if tall { 4 } else { 1 };
                            }
                            j += if wide { 3 } else { 1 };
                        }
                    }
                }

                /// All dot products of rows `i..i+M` and `j..j+N`: M·N sums in registers, M + N loads for each step.
                #[inline(always)]
                fn block<const M: usize, const N: usize, S: Simd>(
                    simd: S,
                    a: Rows<$E>,
                    b: Rows<$E>,
                    k: usize,
                    i: usize,
                    j: usize,
                    write: &mut impl FnMut(usize, $E),
                ) {
                    let (head, tail) = S::$as_simd(a.row(i, k));
                    let (steps, rest) = (head.len(), k - tail.len());
                    let (mut xs, mut ys) = ([head; M], [head; N]);
                    for (p, x) in xs.iter_mut().enumerate() {
                        *x = &S::$as_simd(a.row(i + p, k)).0[..steps];
                    }
                    for (q, y) in ys.iter_mut().enumerate() {
                        *y = &S::$as_simd(b.row(j + q, k)).0[..steps];
                    }
                    let mut sums = [[simd.$splat(0.0); N]; M];
                    for step in 0..steps {
                        for p in 0..M {
                            for q in 0..N {
                                sums[p][q] = simd.$mul_add(xs[p][step], ys[q][step], sums[p][q]);
                            }
                        }
                    }
                    if rest < k {
                        for p in 0..M {
                            let x = simd.$partial_load(&a.row(i + p, k)[rest..]);
                            for q in 0..N {
                                let y = simd.$partial_load(&b.row(j + q, k)[rest..]);
                                sums[p][q] = simd.$mul_add(x, y, sums[p][q]);
                            }
                        }
                    }
                    for p in 0..M {
                        for q in 0..N {
                            write((i + p) * b.count + j + q, simd.$reduce_sum(sums[p][q]));
                        }
                    }
                }

                Arch::new().dispatch(Kernel(a, b, k, write));
            }
        }
    };
}

dot_rows!(f32, 96, as_simd_f32s, splat_f32s, mul_add_e_f32s, partial_load_f32s, reduce_sum_f32s);
dot_rows!(f64, 48, as_simd_f64s, splat_f64s, mul_add_e_f64s, partial_load_f64s, reduce_sum_f64s);
