//! Programs that write arrays element by element and row by row, which other tests run in every mode.

use antiphon::check::RunsOn;
use antiphon::control::scan;
use antiphon::state::Index;
use antiphon::{Int, IntTensor, Mask, OrRaise, Tensor};

/// One program for all cases, by its name.
pub struct Writing(pub &'static str);

macro_rules! programs {
    ($($name:ident $shapes:expr;)*) => {
        impl<T: Tensor> RunsOn<T> for Writing {
            fn call(&self, x: &[T]) -> T {
                match self.0 {
                    $(stringify!($name) => $name(x),)*
                    name => unreachable!("{name}"),
                }
            }
        }
        /// The programs' names, and the shapes of what they take.
        pub const WRITING: &[(&str, &[&[usize]])] = &[$((stringify!($name), $shapes)),*];
    };
}
programs! {
    filled &[&[]];
    fibonacci &[&[2]];
    products_by_rows &[&[4, 3], &[3, 2]];
    every_other &[&[5]];
    added_or_set &[&[5]];
    edit_distance &[&[3], &[4]];
    carried_by_a_scan &[&[4], &[3]];
    exchanged &[&[3], &[3]];
    read_before_and_after &[&[4]];
    divided &[&[7]];
    overwritten &[&[2]];
    scattered &[&[5], &[8]];
    never_read &[&[3]];
    no_round &[&[3]];
    two_arrays &[&[4]];
    whole_array_each_round &[&[4]];
    sorted &[&[5]];
    integrated &[&[2]];
    sieved_in_an_inner_loop &[&[6]];
    in_a_checkpoint &[&[4]];
}

fn int<T: Tensor>(i: i64) -> T::Int {
    T::Int::constant(i)
}

/// `begin..end`, with a state.
fn count<T: Tensor, S: antiphon::State<T>>(
    [begin, end]: [T::Int; 2],
    state: S,
    body: impl Fn(&T::Int, S) -> S,
) -> S {
    let (_, state) = T::while_loop(
        (Index::<T>(begin), state),
        |(i, _)| i.0.less(&end),
        |(i, state): (Index<T>, S)| {
            let state = body(&i.0, state);
            (Index(i.0 + int::<T>(1)), state)
        },
    );
    state
}
fn repeat<T: Tensor, S: antiphon::State<T>>(n: usize, state: S, body: impl Fn(&T::Int, S) -> S) -> S {
    count([int::<T>(0), int::<T>(n as i64)], state, body)
}

/// `b[i] = x·sin(b[i − 1])`, whose squares are summed.
fn filled<T: Tensor>(x: &[T]) -> T {
    let x = &x[0];
    let (_, b) = repeat::<T, _>(5, (x.clone(), T::zeros(&[5])), |i, (last, b): (T, T)| {
        let next = last.sin() * x;
        (next.clone(), b.at(i).set(&next))
    });
    b.square()
}

/// `b[i] = b[i − 1]·b[i − 2] + sin(b[i − 2])`.
fn fibonacci<T: Tensor>(x: &[T]) -> T {
    let b = T::zeros(&[7]).at(0..2).set(&x[0]);
    count([int::<T>(2), int::<T>(7)], b, |i, b: T| {
        let one = b.get(&(i.clone() - int::<T>(1)));
        let two = b.get(&(i.clone() - int::<T>(2)));
        b.at(i).set(&(one * &two + two.sin()))
    })
}

/// `h[t + 1] = x[t]·W + h[t]`.
fn products_by_rows<T: Tensor>(x: &[T]) -> T {
    let (x, w) = (&x[0], &x[1]);
    let h = repeat::<T, _>(4, T::zeros(&[5, 2]), |t, h: T| {
        let next = x.gather_rows(t).matmul(w) + h.get(t);
        h.at(&(t.clone() + int::<T>(1))).set(&next)
    });
    h.tanh()
}

/// What is written in one arm of a branch only.
fn every_other<T: Tensor>(x: &[T]) -> T {
    repeat::<T, _>(5, x[0].clone(), |i, b: T| {
        let y = b.get(i);
        T::cond(
            &i.remainder(&int::<T>(2)).equal(&int::<T>(0)),
            || b.clone().at(i).set(&y.square()),
            || b.clone(),
        )
    })
    .sin()
}

/// What is written in both.
fn added_or_set<T: Tensor>(x: &[T]) -> T {
    let x = &x[0];
    repeat::<T, _>(5, x.clone(), |i, b: T| {
        let y = b.get(i);
        let next = (i.clone() + int::<T>(1)).remainder(&int::<T>(5));
        T::cond(
            &y.less(&T::constant(0.5)),
            || b.clone().at(&next).add(&y.sin()),
            || b.clone().at(i).set(&(y.clone() * b.get(&next))),
        )
    })
}

/// A table of the smoothed cost of changing one sequence into another, of two loops, one in the other.
fn edit_distance<T: Tensor>(x: &[T]) -> T {
    let (a, b) = (&x[0], &x[1]);
    let (m, n) = (a.size(), b.size());
    let table = T::zeros(&[m + 1, n + 1])
        .at((0, ..))
        .set(&T::from_elements(&[n + 1], &[0.0, 1.0, 2.0, 3.0, 4.0]).or_raise());
    let table = repeat::<T, _>(m, table, |i, table: T| {
        let i = &(i.clone() + int::<T>(1));
        let above = &(i.clone() - int::<T>(1));
        let table = table.at((i, 0)).set(&T::from_int(i));
        count([int::<T>(1), int::<T>(n as i64 + 1)], table, |j, table: T| {
            let before = &(j.clone() - int::<T>(1));
            let costs = [
                table.get((above, j)) + 1.0,
                table.get((i, before)) + 1.0,
                table.get((above, before)) + (a.gather_rows(above) - b.gather_rows(before)).square(),
            ];
            table.at((i, j)).set(&-(-T::stack(&costs, 0)).logsumexp(..))
        })
    });
    table.get((m, n))
}

/// What a scan carries, with rows that are given.
fn carried_by_a_scan<T: Tensor>(x: &[T]) -> T {
    let step = |(i, b): (Index<T>, T), x: T| {
        let y = b.get(&i.0) * &x + x;
        let next = Index(i.0.clone() + int::<T>(1));
        ((next, b.at(&i.0).set(&y)), y)
    };
    let ((_, b), ys) = scan((Index::<T>(int::<T>(0)), x[0].clone()), &x[1], step).or_raise();
    T::concat(&[b, ys], 0)
}

/// Two arrays that change places, and so cannot be in the places that they had.
fn exchanged<T: Tensor>(x: &[T]) -> T {
    let (a, b) = repeat::<T, _>(3, (x[0].clone(), x[1].clone()), |i, (a, b): (T, T)| {
        let y = b.get(i);
        (b, a.at(i).add(&y.square()))
    });
    a * b.sin()
}

/// An array, and what it was before.
fn read_before_and_after<T: Tensor>(x: &[T]) -> T {
    let (b, all) = repeat::<T, _>(4, (x[0].clone(), T::zeros(&[4])), |i, (b, all): (T, T)| {
        let y = b.clone().at(i).set(&T::constant(0.5));
        let all = all + b.square() * y.clone();
        (y.at(0).add(&b.sum(..)), all)
    });
    b * all
}

/// A recursion that is no loop: each half of an array, and then the element between them.
fn divided<T: Tensor>(x: &[T]) -> T {
    let all = (Index::<T>(int::<T>(0)), Index::<T>(int::<T>(7)), x[0].clone());
    T::fix(all, |again, (begin, end, b): (Index<T>, Index<T>, T)| {
        T::cond(
            &begin.0.less(&end.0),
            || {
                let middle = (begin.0.clone() + &end.0).floor_divide(&int::<T>(2));
                let b = again((begin.clone(), Index(middle.clone()), b.clone()));
                let after = middle.clone() + int::<T>(1);
                let b = again((Index(after), end.clone(), b));
                let y = b.get(&middle);
                let neighbour = b.get(&begin.0);
                b.at(&middle).set(&(y.sin() * neighbour))
            },
            || b.clone(),
        )
    })
}

/// `x₀ := x₀·x₁`, and `y₀ := y₁·y₀` with `y = x²`.
fn overwritten<T: Tensor>(x: &[T]) -> T {
    let x = &x[0];
    let product = x.get(0) * x.get(1);
    let z = x.clone().at(0).set(&product);
    let y = x.square();
    let product = y.get(1) * y.get(0);
    (z * x).sum(..) + (y.at(0).set(&product) * x).sum(..)
}

/// Several places at once, some of them the same.
fn scattered<T: Tensor>(x: &[T]) -> T {
    let places = T::Int::from_elements(&[4], &[3, 1, 3, 0]).or_raise();
    repeat::<T, _>(3, x[0].clone(), |i, b: T| {
        let part = x[1].get(&(places.clone() + i));
        let b = b.at(&places).set(&part.sin());
        b.at(&places).add(&part)
    })
}

/// An array that is written and not read again.
fn never_read<T: Tensor>(x: &[T]) -> T {
    let (y, _) =
        repeat::<T, _>(3, (x[0].sum(..), x[0].clone()), |i, (y, b): (T, T)| (y.sin(), b.at(i).set(&y)));
    y
}

/// A loop that is left before its first round.
fn no_round<T: Tensor>(x: &[T]) -> T {
    repeat::<T, _>(0, x[0].clone(), |i, b: T| b.at(i).set(&T::constant(1.0))).square()
}

/// Two arrays at once, each of which goes into the other.
fn two_arrays<T: Tensor>(x: &[T]) -> T {
    let (a, b) = repeat::<T, _>(4, (x[0].clone(), x[0].cos()), |i, (a, b): (T, T)| {
        let y = a.get(i) * b.get(0);
        let z = y.sin();
        (a.at(i).set(&z), b.at(0).add(&y))
    });
    a * b
}

/// All of the array is needed in each round.
fn whole_array_each_round<T: Tensor>(x: &[T]) -> T {
    repeat::<T, _>(4, x[0].clone(), |i, b: T| {
        let sum = b.sin().sum(..);
        b.at(i).set(&sum)
    })
}

/// Sorted by exchanging neighbours, in loops the inner of which is shorter each time.
fn sorted<T: Tensor>(x: &[T]) -> T {
    let n = x[0].size() as i64;
    let sorted = repeat::<T, _>(n as usize - 1, x[0].clone(), |i, b: T| {
        count([int::<T>(0), int::<T>(n - 1) - i], b, |j, b: T| {
            let next = j.clone() + int::<T>(1);
            let (left, right) = (b.get(j), b.get(&next));
            b.at(j).set(&left.minimum(&right)).at(&next).set(&left.maximum(&right))
        })
    });
    sorted * T::from_elements(&[5], &[1.0, 2.0, 3.0, 4.0, 5.0]).or_raise()
}

/// A pendulum's path, as many steps as a condition on the state says.
fn integrated<T: Tensor>(x: &[T]) -> T {
    let begin = (Index::<T>(int::<T>(0)), T::zeros(&[12, 2]).at(0).set(&x[0]));
    let (i, path) = T::while_loop(
        begin,
        |(i, path)| i.0.less(&int::<T>(10)).and(&path.get((&i.0, 0)).greater(&T::constant(-3.0))),
        |(i, path): (Index<T>, T)| {
            let (angle, speed) = (path.get((&i.0, 0)), path.get((&i.0, 1)));
            let speed = speed - angle.sin() * 0.1;
            let angle = angle + speed.clone() * 0.1;
            let next = i.0 + int::<T>(1);
            (Index(next.clone()), path.at(&next).set(&T::stack(&[angle, speed], 0)))
        },
    );
    path.get(&i.0)
}

/// An outer loop that reads, around an inner one that writes places a step apart.
fn sieved_in_an_inner_loop<T: Tensor>(x: &[T]) -> T {
    let n = int::<T>(6);
    count([int::<T>(1), int::<T>(4)], x[0].clone(), |step, b: T| {
        let factor = b.get(step);
        let (_, b) = T::while_loop(
            (Index::<T>(step.clone()), b),
            |(j, _)| j.0.less(&n),
            |(j, b): (Index<T>, T)| {
                let y = b.get(&j.0) * &factor;
                (Index(j.0.clone() + step), b.at(&j.0).set(&y.sin()))
            },
        );
        b
    })
}

/// In a checkpoint, whose rounds are run again on the way back.
fn in_a_checkpoint<T: Tensor>(x: &[T]) -> T {
    T::checkpoint(x[0].clone(), |b: T| {
        repeat::<T, _>(4, b, |i, b: T| {
            let y = b.get(i).sin() + b.get(0);
            b.at(i).set(&y)
        })
    })
}
