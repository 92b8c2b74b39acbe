//! Four programs of one variable, each in six spellings: evaluated and in direct style (the same source), explicit,
//! on a tape, and as the reverse program that one would write by hand: `by_hand` with the values that the backward half
//! needs in a vector, `nested` with them in the frames of nested calls, as the library has them.

pub mod chain {
    //! `y ← y·x + x`.
    use crate::spellings::*;

    pub fn direct<T: Real>(steps: usize, x: &T) -> T {
        let mut y = x.clone();
        for _ in 0..steps {
            y = y * x + x;
        }
        y
    }

    pub fn explicit(steps: usize, y: &Number, x: &Number, k: Return) -> Result<()> {
        match steps {
            0 => k(y),
            _ => cps::mul(y, x, |y| cps::add(y, x, |y| explicit(steps - 1, y, x, k))),
        }
    }

    pub fn tape(steps: usize, x: f64, tape: &mut Tape) -> f64 {
        let x = tape.restart(x);
        let mut y = x;
        for _ in 0..steps {
            y = y * x + x;
        }
        y.gradient()
    }

    pub fn by_hand(steps: usize, x: f64, saved: &mut Vec<f64>) -> f64 {
        saved.clear();
        let mut y = x;
        for _ in 0..steps {
            saved.push(y);
            y = y * x + x;
        }
        let (mut y_bar, mut x_bar) = (1.0, 0.0);
        for y in saved.iter().rev() {
            x_bar += y_bar + y_bar * y;
            y_bar *= x;
        }
        x_bar + y_bar
    }

    pub fn nested(steps: usize, y: f64, x: f64, x_bar: &mut f64) -> f64 {
        if steps == 0 {
            return 1.0;
        }
        let y_bar = nested(steps - 1, y * x + x, x, x_bar);
        *x_bar += y_bar + y_bar * y;
        y_bar * x
    }
}

pub mod recurrence {
    //! `y ← sin(y)·x + y·x`.
    use crate::spellings::*;

    pub fn direct<T: Real>(steps: usize, x: &T) -> T {
        let mut y = x.clone();
        for _ in 0..steps {
            y = y.sin() * x + y * x;
        }
        y
    }

    pub fn explicit(steps: usize, y: &Number, x: &Number, k: Return) -> Result<()> {
        if steps == 0 {
            return k(y);
        }
        cps! {
            let s = cps::sin(y);
            let a = cps::mul(s, x);
            let b = cps::mul(y, x);
            cps::add(a, b, |y| explicit(steps - 1, y, x, k))
        }
    }

    pub fn tape(steps: usize, x: f64, tape: &mut Tape) -> f64 {
        let x = tape.restart(x);
        let mut y = x;
        for _ in 0..steps {
            y = y.sin() * x + y * x;
        }
        y.gradient()
    }

    pub fn by_hand(steps: usize, x: f64, saved: &mut Vec<f64>) -> f64 {
        saved.clear();
        let mut y = x;
        for _ in 0..steps {
            let s = y.sin();
            saved.extend([y, s]);
            y = s * x + y * x;
        }
        let (mut y_bar, mut x_bar) = (1.0, 0.0);
        for pair in saved.chunks_exact(2).rev() {
            let (y, s) = (pair[0], pair[1]);
            x_bar += y_bar * (s + y);
            y_bar *= x * (y.cos() + 1.0);
        }
        x_bar + y_bar
    }

    pub fn nested(steps: usize, y: f64, x: f64, x_bar: &mut f64) -> f64 {
        if steps == 0 {
            return 1.0;
        }
        let s = y.sin();
        let y_bar = nested(steps - 1, s * x + y * x, x, x_bar);
        *x_bar += y_bar * (s + y);
        y_bar * x * (y.cos() + 1.0)
    }
}

pub mod branch {
    //! A loop with a branch on the value: `y ← y·x + x` where `y < 1`, else `y ← y − x`.
    use crate::spellings::*;

    pub fn direct<T: Real>(steps: usize, x: &T) -> T {
        let one = T::constant(1.0);
        let mut y = x.clone();
        for _ in 0..steps {
            y = match y.less(&one).known() {
                Some(true) => y * x + x,
                _ => y - x,
            };
        }
        y
    }

    pub fn explicit(steps: usize, y: &Number, x: &Number, k: Return) -> Result<()> {
        if steps == 0 {
            k(y)
        } else if *y.value() < 1.0 {
            cps::mul(y, x, |y| cps::add(y, x, |y| explicit(steps - 1, y, x, k)))
        } else {
            cps::sub(y, x, |y| explicit(steps - 1, y, x, k))
        }
    }

    pub fn tape(steps: usize, x: f64, tape: &mut Tape) -> f64 {
        let x = tape.restart(x);
        let mut y = x;
        for _ in 0..steps {
            y = if y.value < 1.0 { y * x + x } else { y - x };
        }
        y.gradient()
    }

    pub fn by_hand(steps: usize, x: f64, saved: &mut Vec<f64>) -> f64 {
        saved.clear();
        let mut y = x;
        for _ in 0..steps {
            saved.push(y);
            y = if y < 1.0 { y * x + x } else { y - x };
        }
        let (mut y_bar, mut x_bar) = (1.0, 0.0);
        for &y in saved.iter().rev() {
            if y < 1.0 {
                x_bar += y_bar + y_bar * y;
                y_bar *= x;
            } else {
                x_bar -= y_bar;
            }
        }
        x_bar + y_bar
    }

    pub fn nested(steps: usize, y: f64, x: f64, x_bar: &mut f64) -> f64 {
        if steps == 0 {
            1.0
        } else if y < 1.0 {
            let y_bar = nested(steps - 1, y * x + x, x, x_bar);
            *x_bar += y_bar + y_bar * y;
            y_bar * x
        } else {
            let y_bar = nested(steps - 1, y - x, x, x_bar);
            *x_bar -= y_bar;
            y_bar
        }
    }
}

pub mod tree {
    //! `t(0) = x`, `t(d) = t(d−1)·t(d−1) + x`, both subtrees computed.
    use crate::spellings::*;

    pub fn direct<T: Real>(depth: usize, x: &T) -> T {
        match depth {
            0 => x.clone(),
            _ => direct(depth - 1, x) * &direct(depth - 1, x) + x,
        }
    }

    pub fn explicit(depth: usize, x: &Number, k: Return) -> Result<()> {
        match depth {
            0 => k(x),
            1 => one(x, k),
            2 => two(x, k),
            3 => two(x, |left| two(x, |right| join(left, right, x, k))),
            _ => explicit(depth - 1, x, &mut |left| {
                explicit(depth - 1, x, &mut |right| join(left, right, x, &mut *k))
            }),
        }
    }

    #[inline]
    fn join(
        left: &Number,
        right: &Number,
        x: &Number,
        k: impl for<'k> FnOnce(&Number<'k>) -> Result<()>,
    ) -> Result<()> {
        cps::mul(left, right, |y| cps::add(y, x, k))
    }

    /// Depth one. The continuation is compiled into it: only deeper trees call theirs through a pointer.
    #[inline]
    fn one(x: &Number, k: impl for<'k> FnOnce(&Number<'k>) -> Result<()>) -> Result<()> {
        join(x, x, x, k)
    }

    /// Depth two.
    #[inline]
    fn two(x: &Number, k: impl for<'k> FnOnce(&Number<'k>) -> Result<()>) -> Result<()> {
        one(x, |left| one(x, |right| join(left, right, x, k)))
    }

    /// As [`explicit`], with the lowest levels in one function.
    pub fn tape(depth: usize, x: f64, tape: &mut Tape) -> f64 {
        fn node(depth: usize, x: Entry) -> Entry {
            match depth {
                0 => x,
                1 => one(x),
                2 => two(x),
                3 => two(x) * two(x) + x,
                _ => node(depth - 1, x) * node(depth - 1, x) + x,
            }
        }
        #[inline]
        fn one(x: Entry) -> Entry {
            x * x + x
        }
        #[inline]
        fn two(x: Entry) -> Entry {
            one(x) * one(x) + x
        }
        node(depth, tape.restart(x)).gradient()
    }

    pub fn by_hand(depth: usize, x: f64, saved: &mut Vec<f64>) -> f64 {
        fn forward(depth: usize, x: f64, saved: &mut Vec<f64>) -> f64 {
            if depth == 0 {
                return x;
            }
            let left = forward(depth - 1, x, saved);
            let right = forward(depth - 1, x, saved);
            saved.extend([left, right]);
            left * right + x
        }
        fn backward(depth: usize, y_bar: f64, x_bar: &mut f64, saved: &mut Vec<f64>) {
            *x_bar += y_bar;
            if depth > 0 {
                let (right, left) = (saved.pop().unwrap_or(0.0), saved.pop().unwrap_or(0.0));
                backward(depth - 1, y_bar * left, x_bar, saved);
                backward(depth - 1, y_bar * right, x_bar, saved);
            }
        }
        saved.clear();
        forward(depth, x, saved);
        let mut x_bar = 0.0;
        backward(depth, 1.0, &mut x_bar, saved);
        x_bar
    }

    /// `k` takes the value and returns its adjoint; `x`'s is added to the number that is passed along.
    pub fn nested(depth: usize, x: f64, x_bar: &mut f64, k: &mut dyn FnMut(f64, &mut f64) -> f64) {
        if depth == 0 {
            let y_bar = k(x, x_bar);
            *x_bar += y_bar;
            return;
        }
        nested(depth - 1, x, x_bar, &mut |left, x_bar| {
            let mut left_bar = 0.0;
            nested(depth - 1, x, x_bar, &mut |right, x_bar| {
                let y_bar = k(left * right + x, x_bar);
                *x_bar += y_bar;
                left_bar = y_bar * right;
                y_bar * left
            });
            left_bar
        });
    }
}
