//! Control flow in which the rows of a batch go different ways.

use antiphon::control::{TreeArrays, scan};
use antiphon::state::{Flag, Index};
use antiphon::{Int, IntTensor, OrRaise, Tensor};

use crate::case::cases;

fn c<T: Tensor>(value: f64) -> T {
    T::constant(value)
}

fn counter<T: Tensor>(value: i64) -> Index<T> {
    Index(T::Int::constant(value))
}

fn next<T: Tensor>(i: Index<T>) -> Index<T> {
    Index(i.0 + T::Int::constant(1))
}

/// `x`, `x − 0.9` where that is positive and zero elsewhere: in some rows exactly zero.
fn some_zero<T: Tensor>(x: &T) -> T {
    (x.clone() - 0.9).relu()
}

cases! {
    twice: bare;
    cond [&[], &[]], |x| T::cond(&x[0].less(&c(0.9)), || x[0].square() * &x[1], || x[1].exp() * &x[0]);
    cond_of_arrays [&[], &[3], &[2, 3]], |x| {
        T::cond(&x[0].less(&c(0.9)), || x[1].square() * &x[2], || x[2].clone() + x[2].sin())
    };
    cond_of_a_single_element [&[1, 1], &[3]], |x| {
        T::cond(&x[0].less(&c(0.9)), || x[1].square(), || x[1].clone() * x[0].sum(..))
    };
    cond_nested [&[], &[2]], |x| {
        T::cond(
            &x[0].less(&c(0.6)),
            || x[1].square(),
            || T::cond(&x[0].less(&c(1.2)), || x[1].sin(), || x[1].clone() * &x[0]),
        )
    };
    cond_of_a_structure [&[], &[2, 3], &[2]], |x| {
        let below = x[0].less(&c(0.9));
        let (y, (Index(i), Flag(b))) = T::cond(
            &below,
            || (x[1].square(), (Index::<T>(x[1].argmax(-1)), Flag::<T>(x[2].less(&c(1.0))))),
            || (x[1].clone(), (Index::<T>(x[1].argmax(-1) + T::Int::constant(3)), Flag::<T>(x[2].less(&c(0.5))))),
        );
        y.sum(1) * T::from_int(&i) + T::from_mask(&b) * &x[2]
    };
    // Arms whose operators are not finite in the rows that take the other one.
    root_of_what_is_positive [&[]], |x| {
        let z = some_zero(&x[0]);
        T::cond(&z.greater(&c(0.0)), || z.sqrt() * &z, || z.square() + &z)
    };
    root_of_what_is_negative_elsewhere [&[], &[]], |x| {
        let z = x[0].clone() - 0.9;
        T::cond(&z.greater(&c(0.0)), || z.sqrt() * z.log() * &x[1] / &z, || x[1].square() * &z)
    };
    quotients [&[], &[2]], |x| {
        let z = some_zero(&x[0]);
        T::cond(&z.equal(&c(0.0)), || x[1].square(), || (x[1].clone() / &z) * z.recip() * &x[1] + z.pow(&c(-1.5)))
    };
    exponentials [&[], &[]], |x| {
        let z = some_zero(&x[0]) * 1e4;
        T::cond(&z.greater(&c(0.0)), || x[1].square(), || z.exp() * (z.expm1() + &x[1]))
    };
    indices_that_are_out_of_range_elsewhere [&[3], &[2], &[]], |x| {
        let i = x[0].argmax(0);
        let inside = i.less(&T::Int::constant(2));
        T::cond(&inside, || x[1].gather_rows(&i) * &x[2], || x[2].square())
    };
    while_loop [&[], &[]], |x| T::while_loop(x[0].clone(), |y| y.less(&c(3.0)), |y| y.clone() + 0.5 + y * &x[1] * 0.1);
    while_of_a_pair [&[], &[2]], |x| {
        let start = (x[0].clone(), (x[1].clone(), counter::<T>(0)));
        let (y, (z, Index(n))) = T::while_loop(
            start,
            |(y, _)| y.less(&c(3.0)),
            |(y, (z, n))| (y.clone() + 0.4 + y * 0.3, (z.sin() * &x[0], next(n))),
        );
        z * y + T::from_int(&n)
    };
    while_that_counts [&[2], &[]], |x| {
        let start = (counter::<T>(0), x[0].clone());
        T::while_loop(start, |(i, _)| i.0.less(&T::Int::constant(3)), |(i, y)| (next(i), y.sin() * &x[1])).1
    };
    while_to_a_count_of_the_row [&[3], &[]], |x| {
        let n = x[0].argmax(0) + T::Int::constant(1);
        T::while_loop((counter::<T>(0), x[1].clone()), |(i, _)| i.0.less(&n), |(i, y)| (next(i), y.sin() * 2.0)).1
    };
    // What a round computes is not finite in rows that have come to their end.
    while_with_roots [&[], &[]], |x| {
        let rest = |y: &T| c::<T>(2.0) - y;
        T::while_loop(
            x[0].clone(),
            |y| rest(y).greater(&c(0.0)),
            |y| y.clone() + 0.6 + rest(&y).sqrt() * rest(&y).log1p() * &x[1] * 0.1,
        )
    };
    while_never [&[], &[2]], |x| T::while_loop(x[1].clone(), |_| x[0].less(&c(0.0)), |y| y.log() * &x[0]);
    while_in_cond [&[], &[]], |x| {
        T::cond(
            &x[0].less(&c(0.9)),
            || T::while_loop(x[0].clone(), |y| y.less(&c(2.0)), |y| y.clone() + y * &x[1] * 0.3 + 0.4),
            || x[0].sqrt(),
        )
    };
    cond_in_while [&[], &[]], |x| {
        T::while_loop(
            x[0].clone(),
            |y| y.less(&c(4.0)),
            |y| T::cond(&y.less(&x[1]), || y.clone() * &x[1] + 1.0, || y.clone() + y.log1p() + 0.3),
        )
    };
    while_in_while [&[], &[]], |x| {
        T::while_loop(
            x[0].clone(),
            |y| y.less(&c(6.0)),
            |y| T::while_loop(y.clone(), |z| z.less(&(y.clone() + &x[1])), |z| z.clone() + z * 0.5) + 0.1,
        )
    };
    scan_of_rows [&[4, 2], &[2]], |x| {
        let (last, ys) = scan(x[1].clone(), &x[0], |h: T, x| {
            let h = (h + x).tanh();
            (h.clone(), h.square())
        })
        .or_raise();
        ys.sum(0) + last
    };
    scan_with_cond [&[4, 2], &[2]], |x| {
        let (last, ys) = scan(x[1].clone(), &x[0], |h: T, row| {
            let h = T::cond(&row.sum(..).less(&c(2.0)), || (h.clone() * &row).sin(), || h.clone() + &row);
            (h.clone(), h.sum(..))
        })
        .or_raise();
        last * ys.sum(..)
    };
    // A number that is the same for all rows at first, and not later.
    while_that_counts_some_rounds [&[], &[]], |x| {
        let start = ((counter::<T>(0), counter::<T>(1)), x[0].clone());
        let ((_, Index(n)), y) = T::while_loop(
            start,
            |((i, _), _)| i.0.less(&T::Int::constant(4)),
            |((i, Index(n)), y)| {
                let one = T::Int::constant(1);
                let n = T::Int::select(&y.less(&x[1]), &(n.clone() + &one), &n);
                ((next(i), Index(n.clone())), y.sin() * T::from_int(&n) + &x[1])
            },
        );
        y * T::from_int(&n)
    };
    recursion_to_a_depth_of_all [&[], &[2]], |x| {
        T::fix((counter::<T>(0), x[1].clone()), |again, (i, y): (Index<T>, T)| {
            T::cond(
                &i.0.less(&T::Int::constant(3)),
                || again((next(i.clone()), y.sin() * &x[0])) * &y,
                || y.square() * &x[0],
            )
        })
    };
    fold_of_a_tree [&[], &[3]], |x| {
        let ints = |x: [i64; 3]| T::Int::from_elements(&[3], &x).or_raise();
        let tree = TreeArrays { left: ints([1, -1, -1]), right: ints([2, -1, -1]), root: T::Int::constant(0) };
        T::fold_tree(&tree, |node| x[1].gather_rows(node) * &x[0], |_, a: T, b| (a * b).sin() + &x[0])
    };
    scan_of_several_arrays [&[3, 2], &[3], &[]], |x| {
        let rows = (x[0].clone(), x[1].clone());
        let ((_, Index(n)), (ys, zs)) = T::scan_rows(
            (x[2].clone(), counter::<T>(0)),
            &rows,
            |(h, n): (T, Index<T>), (row, number): (T, T)| {
                let h = (h * &number).sin() + row.sum(..);
                ((h.clone(), next(n)), (row * &h, h * number))
            },
        )
        .or_raise();
        ys.sum(1) * zs * T::from_int(&n)
    };
}

/// Recursion of which each row has its own depth, which runs until all have come to their end.
mod recursion {
    use super::*;

    cases! {
        twice: bare;
        to_a_depth_of_the_row [&[], &[2]], |x| {
            T::fix((x[0].clone(), x[1].clone()), |again, (y, z): (T, T)| {
                T::cond(&y.less(&c(3.0)), || again((y.clone() * 2.0, z.sin() * &y)), || z.clone() * &y)
            })
        };
        two_calls [&[3], &[]], |x| {
            // Fibonacci's numbers as exponents: f(n) = f(n − 1)·f(n − 2).
            let n = Index::<T>(x[0].argmax(0) + T::Int::constant(2));
            T::fix(n, |f: &dyn Fn(Index<T>) -> T, n: Index<T>| {
                let less = |by: i64| Index(n.0.clone() - T::Int::constant(by));
                T::cond(&n.0.less(&T::Int::constant(2)), || x[1].clone(), || f(less(1)) * f(less(2)))
            })
        };
        // Of another depth for each number, behind an arm of which no row may come out with infinity.
        where_it_is_finite [&[], &[]], |x| {
            T::fix(x[0].clone(), |again, y: T| {
                T::cond(
                    &y.greater(&c(0.4)),
                    || again(y.clone() - 0.4) * (y.clone() - 0.4).sqrt() * y.clone().log1p() + &y,
                    || T::cond(&y.greater(&c(0.2)), || again(y.clone() * 0.4) + y.recip(), || y.square() * &x[1]),
                )
            })
        };
        from_a_node_of_the_row [&[5], &[]], |x| {
            let ints = |x: [i64; 5]| T::Int::from_elements(&[5], &x).or_raise();
            let root = x[0].argmax(0);
            let tree = TreeArrays { left: ints([1, 3, -1, -1, -1]), right: ints([2, 4, -1, -1, -1]), root };
            T::fold_tree(&tree, |node| x[0].gather_rows(node), |_, a: T, b| (a * b).sin() + &x[1])
        };
        in_a_loop_of_the_row [&[], &[]], |x| {
            T::fix((x[0].clone(), x[1].clone()), |again, (y, z): (T, T)| {
                let halved = |(y, z): (T, T)| (y.clone() * 0.5, again((y * 0.3, z.sin())) + 0.1);
                let small = T::while_loop((y.clone(), z.clone()), |(y, _)| y.greater(&c(0.5)), halved);
                small.1 * (y + 1.0).log()
            })
        };
        after_a_call_of_all [&[], &[]], |x| {
            T::fix((counter::<T>(0), x[0].clone()), |again, (i, y): (Index<T>, T)| {
                T::cond(
                    &i.0.less(&T::Int::constant(2)),
                    || {
                        let z: T = again((next(i.clone()), y.sin()));
                        let less = z.less(&(x[1].clone() * 0.5));
                        T::cond(&less, || again((next(i.clone()), z.clone() + &y)), || z.clone())
                    },
                    || y.clone() * &x[1],
                )
            })
        };
        // The number that decides is the same for all rows at first.
        that_parts_later [&[], &[]], |x| {
            T::fix((counter::<T>(0), x[0].clone()), |again, (i, y): (Index<T>, T)| {
                let by = T::Int::select(&y.less(&x[1]), &T::Int::constant(1), &T::Int::constant(2));
                T::cond(
                    &i.0.less(&T::Int::constant(4)),
                    || again((Index(i.0.clone() + by.clone()), y.sin() + 0.2)) * &y,
                    || y.square() * T::from_int(&i.0),
                )
            })
        };
        of_a_structure [&[], &[2]], |x| {
            let start = (x[0].clone(), x[1].clone());
            let (y, (Index(n), Flag(b))) = T::fix(start, |again, (y, z): (T, T)| {
                T::cond(
                    &y.less(&c(2.0)),
                    || {
                        let (r, (Index(n), flag)) = again((y.clone() * 1.5, z.sin() * &y));
                        (r * &y, (Index::<T>(n + T::Int::constant(1)), flag))
                    },
                    || (z.clone(), (Index::<T>(z.argmax(0)), Flag::<T>(z.less(&y)))),
                )
            });
            y.clone() * T::from_int(&n) + T::from_mask(&b) * &y
        };
        in_recursion [&[], &[]], |x| {
            T::fix(x[0].clone(), |outer, y: T| {
                let inner = T::fix(y.clone(), |inner, z: T| {
                    T::cond(&z.greater(&c(0.7)), || inner(z.clone() - 0.5) * &z, || z.cos())
                });
                T::cond(&y.greater(&c(0.5)), || outer(y.clone() - 0.6) * &inner, || inner.clone() * &x[1])
            })
        };
        whose_inner_function_calls_the_outer [&[], &[]], |x| {
            T::fix((counter::<T>(0), x[0].clone()), |outer, (i, y): (Index<T>, T)| {
                T::fix(y.clone(), |inner, z: T| {
                    T::cond(
                        &z.greater(&c(0.6)),
                        || inner(z.clone() - 0.5) * &z,
                        || {
                            T::cond(
                                &i.0.less(&T::Int::constant(2)),
                                || outer((next(i.clone()), z.clone() + 0.8)) * &x[1],
                                || z.square(),
                            )
                        },
                    )
                })
            })
        };
    }
}
