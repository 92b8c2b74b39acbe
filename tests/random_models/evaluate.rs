//! What a model means: one function, generic over the interpretation.

use antiphon::state::Index;
use antiphon::{Control, Int, Mask, Real};

use crate::arrays::ArrayOp;
use crate::model::{Block, Comparison, DEPTH, Model, Step, TRIPS};

/// What a model is run on.
#[derive(Clone)]
pub struct Inputs<T: Real> {
    pub reals: Vec<T>,
    pub ints: Vec<T::Int>,
    pub flags: Vec<T::Bool>,
    /// Two indices, each 0 or 1.
    pub indices: T::Int,
}

/// The argument of a recursive function.
type Argument<T> = (Index<T>, Vec<T>);

/// How an operator is applied to arrays; see [`ArrayOp::apply`].
pub type ApplyArrays<T> = fn(&ArrayOp, &[&T], &<T as Real>::Int, &<T as Real>::Int) -> T;

/// Where there are only scalars.
pub fn no_arrays<T: Real>(op: &ArrayOp, _: &[&T], _: &T::Int, _: &T::Int) -> T {
    unreachable!("{op:?} in a model of scalars")
}

/// Errors that are made on purpose, to see which results they change: each real that a statement gives is multiplied
/// by one of `1 ± relative`.
#[derive(Clone, Copy, Default)]
pub struct Noise {
    pub relative: f64,
    pub seed: u64,
}

impl Noise {
    fn factor(self, place: usize) -> f64 {
        let bits = (self.seed << 32 | place as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        if (bits ^ bits >> 31) & 4 == 0 { 1.0 + self.relative } else { 1.0 - self.relative }
    }
}

/// A model to be run in one interpretation.
pub struct Run<'m, T: Real> {
    pub model: &'m Model,
    pub arrays: ApplyArrays<T>,
    pub noise: Noise,
}

#[derive(Clone)]
struct Scope<'f, T: Real> {
    reals: Vec<T>,
    ints: Vec<T::Int>,
    flags: Vec<T::Bool>,
    indices: T::Int,
    funcs: Vec<&'f dyn Fn(Argument<T>) -> Vec<T>>,
}

impl<T: Control> Run<'_, T> {
    /// The sum of the results of the model's body.
    pub fn call(&self, inputs: Inputs<T>) -> T {
        let Inputs { reals, ints, flags, indices } = inputs;
        let results = self.block(&self.model.body, Scope { reals, ints, flags, indices, funcs: Vec::new() });
        results.into_iter().reduce(|sum, x| sum + x).expect("a model has results")
    }

    fn block(&self, block: &Block, mut scope: Scope<'_, T>) -> Vec<T> {
        for step in &block.steps {
            self.step(step, &mut scope);
        }
        block.results.iter().map(|&x| scope.reals[x].clone()).collect()
    }

    fn step(&self, step: &Step, scope: &mut Scope<'_, T>) {
        let x = |place: usize| &scope.reals[place];
        let xs = |places: &[usize]| -> Vec<T> { places.iter().map(|&place| x(place).clone()).collect() };
        let (n, p) = (|place: usize| &scope.ints[place], |place: usize| &scope.flags[place]);
        let real = match step {
            Step::Constant(c) => T::constant(*c),
            Step::Unary(op, a) => op.apply(x(*a)),
            Step::Powi(a, n) => x(*a).powi(*n),
            Step::Clamp(a, [low, high]) => x(*a).clamp(*low, *high),
            Step::Scale(a, c) => x(*a).clone().scale(*c),
            Step::Binary(op, [a, b]) => op.apply(x(*a), x(*b)),
            Step::Select(op, [a, b], [then, otherwise]) => {
                T::select(&op.apply(x(*a), x(*b)), x(*then), x(*otherwise))
            }
            Step::Real(a) => T::from_int(n(*a)),
            Step::Array(op, operands) => {
                let operands: Vec<&T> = operands.iter().map(|&place| x(place)).collect();
                (self.arrays)(op, &operands, &scope.indices, n(0))
            }
            Step::Int(c) => return scope.ints.push(T::Int::constant(*c)),
            Step::IntAdd([a, b]) => return scope.ints.push(n(*a).clone() + n(*b)),
            Step::IntSub([a, b]) => return scope.ints.push(n(*a).clone() - n(*b)),
            Step::Compare(op, [a, b]) => return scope.flags.push(op.apply(x(*a), x(*b))),
            Step::IntLess([a, b]) => return scope.flags.push(n(*a).less(n(*b))),
            Step::IntEqual([a, b]) => return scope.flags.push(n(*a).equal(n(*b))),
            Step::And([a, b]) => return scope.flags.push(p(*a).and(p(*b))),
            Step::Or([a, b]) => return scope.flags.push(p(*a).or(p(*b))),
            Step::Not(a) => return scope.flags.push(p(*a).not()),
            Step::Cond { flag, arms: [then, otherwise] } => {
                let results = T::cond(
                    p(*flag),
                    || self.block(then, scope.clone()),
                    || self.block(otherwise, scope.clone()),
                );
                return scope.reals.extend(results);
            }
            Step::Loop { trips, until, state, body } => {
                let state = self.repeat(n(*trips), *until, xs(state), body, scope);
                return scope.reals.extend(state);
            }
            Step::Fix { depth, state, deep, base } => {
                let argument = (Index(n(*depth).clone()), xs(state));
                let results = self.fix(argument, deep, base, scope);
                return scope.reals.extend(results);
            }
            Step::Recurse { func, depth, state, .. } => {
                let fewer = n(*depth).clone() - T::Int::constant(1);
                let results = scope.funcs[*func]((Index(fewer), xs(state)));
                return scope.reals.extend(results);
            }
        };
        let noisy = self.noise.relative != 0.0;
        let real = if noisy { real.scale(self.noise.factor(scope.reals.len())) } else { real };
        scope.reals.push(real);
    }

    fn repeat(
        &self,
        trips: &T::Int,
        until: Option<[f64; 2]>,
        state: Vec<T>,
        body: &Block,
        scope: &Scope<'_, T>,
    ) -> Vec<T> {
        let going_on = |(i, state): &Argument<T>| {
            let counted = i.0.less(trips).and(&i.0.less(&T::Int::constant(TRIPS)));
            let Some([low, high]) = until else { return counted };
            let above = Comparison::Greater.apply(&state[0], &T::constant(low));
            counted.and(&above.and(&state[0].less(&T::constant(high))))
        };
        let once = |(i, state): Argument<T>| {
            let mut scope = scope.clone();
            scope.reals.extend(state);
            scope.ints.push(i.0.clone());
            (Index(i.0 + T::Int::constant(1)), self.block(body, scope))
        };
        T::while_loop((Index(T::Int::constant(0)), state), going_on, once).1
    }

    fn fix(&self, argument: Argument<T>, deep: &Block, base: &Block, scope: &Scope<'_, T>) -> Vec<T> {
        T::fix(argument, |f: &dyn Fn(Argument<T>) -> Vec<T>, (depth, state): Argument<T>| {
            let zero = T::Int::constant(0);
            let goes_on = zero.less(&depth.0).and(&depth.0.less(&T::Int::constant(DEPTH + 1)));
            let inner = || {
                let mut inner = scope.clone();
                inner.reals.extend(state.iter().cloned());
                inner.ints.push(depth.0.clone());
                inner
            };
            T::cond(
                &goes_on,
                || {
                    let mut scope = inner();
                    scope.funcs.push(f);
                    self.block(deep, scope)
                },
                || self.block(base, inner()),
            )
        })
    }
}
