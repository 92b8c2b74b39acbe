//! Models from streams of choices, so that whatever shrinks a stream shrinks its model.

use antiphon::{Int, IntTensor, NdArray, NdInt, Tensor, reset};

use crate::arrays::ArrayOp;
use crate::choices::below;
use crate::model::{Binary, Block, Comparison, Model, Place, Step, Unary};
use crate::operators::More;

/// Largest number of elements of a value.
const LARGEST: usize = 100;
/// How deep blocks are nested.
const NESTING: usize = 3;
/// How often a recursive function calls itself at most.
const CALLS: usize = 2;

/// What kind of values the reals of a model are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Scalars,
    Arrays,
    /// Of arrays, with [more operators](More).
    Operators,
}

/// A value of a shape, which stands for all of them.
type Like = NdArray<f64>;

/// A recursive function whose body this is.
#[derive(Clone)]
struct Func {
    depth: Place,
    state: Vec<Like>,
    results: Vec<Like>,
    /// How often it may yet be called.
    calls: usize,
    /// How many blocks there are around it.
    nesting: usize,
}

#[derive(Clone, Default)]
struct Scope {
    reals: Vec<Like>,
    ints: usize,
    flags: usize,
}

pub struct Generator<'a> {
    choices: &'a [u32],
    kind: Kind,
    scope: Scope,
    funcs: Vec<Func>,
    /// How many loops there are around.
    loops: usize,
    nesting: usize,
    steps: Vec<Step>,
}

/// The model that a stream of choices stands for, and the rest of the stream. Any stream will do; zeros and short
/// streams give simple models.
pub fn generate(choices: &[u32], kind: Kind) -> (Model, &[u32]) {
    let mut generator = Generator {
        choices,
        kind,
        scope: Scope { reals: Vec::new(), ints: 2, flags: 1 },
        funcs: Vec::new(),
        loops: 0,
        nesting: 0,
        steps: Vec::new(),
    };
    let reals = generator.inputs();
    let most = if generator.below(4) == 3 { 16 } else { 7 };
    generator.statements(most);
    let results = generator.total();
    let body = Block { steps: generator.steps, results };
    (Model { reals, ints: 2, flags: 1, body }, generator.choices)
}

impl Generator<'_> {
    fn below(&mut self, n: usize) -> usize {
        below(&mut self.choices, n)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn inputs(&mut self) -> Vec<Vec<usize>> {
        let shapes = match self.kind {
            Kind::Scalars => vec![vec![]; 1 + self.below(3)],
            Kind::Arrays | Kind::Operators => {
                // Some wider than a vector register, and not a multiple of it.
                let (rows, columns) = (self.pick(&[2, 2, 3, 1, 5]), self.pick(&[3, 2, 5, 9, 17, 1, 8]));
                let all =
                    [vec![], vec![rows, columns], vec![columns], vec![columns, rows], vec![rows, columns]];
                all[..2 + self.below(4)].to_vec()
            }
        };
        self.scope.reals = shapes.iter().map(|shape| Like::zeros(shape)).collect();
        shapes
    }

    /// A real in scope that fits, with a bias to recent ones.
    fn real(&mut self, fits: impl Fn(&Like) -> bool) -> Option<Place> {
        let reals = &self.scope.reals;
        let fitting: Vec<Place> = (0..reals.len()).rev().filter(|&place| fits(&reals[place])).collect();
        let recent = if self.below(3) == 0 { fitting.len() } else { fitting.len().min(4) };
        (recent > 0).then(|| self.pick(&fitting[..recent]))
    }

    fn any(&mut self) -> Place {
        self.real(|_| true).expect("a model has inputs")
    }

    fn scalar(&mut self) -> Place {
        self.real(|x| x.rank() == 0).expect("a model's first input is a scalar")
    }

    fn int(&mut self) -> Place {
        self.below(self.scope.ints)
    }

    fn flag(&mut self) -> Place {
        self.scope.flags - 1 - self.below(self.scope.flags)
    }

    /// Appends a statement that gives a real, if its operands fit: that is, if it runs.
    fn put(&mut self, step: Step, run: impl FnOnce(&[Like]) -> Like) -> Option<Place> {
        let reals = &self.scope.reals;
        let like = reset(|_| Ok(run(reals))).ok()?;
        if like.size() > LARGEST || like.size() == 0 || like.rank() > 4 {
            return None;
        }
        self.steps.push(step);
        self.scope.reals.push(Like::zeros(&like.shape()));
        Some(self.scope.reals.len() - 1)
    }

    fn unary(&mut self, op: Unary, x: Place) -> Option<Place> {
        self.put(Step::Unary(op, x), |reals| reals[x].clone())
    }

    fn array(&mut self, op: ArrayOp, x: Vec<Place>) -> Option<Place> {
        let indices = NdInt::from_elements(&[2], &[0, 1]).expect("two elements");
        let applied = op.clone();
        self.put(Step::Array(op, x.clone()), |reals| {
            let operands: Vec<&Like> = x.iter().map(|&place| &reals[place]).collect();
            applied.apply(&operands, &indices, &NdInt::constant(0))
        })
    }

    fn statements(&mut self, most: usize) {
        for _ in 0..=self.below(most) {
            self.statement();
        }
    }

    fn statement(&mut self) {
        match self.below(20) {
            0..=5 => _ = self.elementwise(),
            6..=9 => _ = self.operation(),
            10 => self.integer(),
            11..=12 => self.condition(),
            13..=14 => self.branch(),
            15..=16 => self.repetition(),
            17 => self.recursion(),
            _ => self.call(),
        }
    }

    fn elementwise(&mut self) -> Option<Place> {
        match self.below(8) {
            0 => {
                let c = self.pick(&[0.5, 2.0, -1.0, 0.0, 1.0, 0.3, -0.7, 3.0]);
                self.put(Step::Constant(c), |_| Like::scalar(0.0))
            }
            1 => {
                let (x, n) = (self.any(), self.below(5) as i32);
                self.put(Step::Powi(x, n), |reals| reals[x].clone())
            }
            2 => {
                let x = self.any();
                let limits = self.pick(&[[-1.0, 1.5], [0.0, 0.5], [-0.25, 4.0]]);
                self.put(Step::Clamp(x, limits), |reals| reals[x].clone())
            }
            3 => {
                let (x, c) = (self.any(), self.pick(&[0.5, -1.0, 0.9, 1.5, 0.0]));
                self.put(Step::Scale(x, c), |reals| reals[x].clone())
            }
            4 => {
                let n = self.int();
                self.put(Step::Real(n), |_| Like::scalar(0.0))
            }
            _ => self.function(),
        }
    }

    /// A function of one real: a bounded one as often as all others, which are mostly applied where they are smooth.
    fn function(&mut self) -> Option<Place> {
        let (mut x, all) = (self.any(), Unary::ALL);
        let op = if self.below(2) == 0 { self.pick(&all[..5]) } else { self.pick(all) };
        let safe = self.below(4) > 0;
        use Unary::*;
        // Bounded; and within ±1, or positive, where they have smooth values.
        if matches!(op, Exp2 | Sinh | Cosh | I0 | I1) || (safe && matches!(op, Exp | Expm1 | Tan)) {
            x = self.unary(Sin, x)?;
        }
        // Where these are no numbers, so are derivatives of what comes after, but for those that are absent.
        if matches!(op, Asin | Acos | Atanh) {
            x = self.unary(Sin, x)?;
            x = self.put(Step::Scale(x, 0.5), |reals| reals[x].clone())?;
        }
        if safe && matches!(op, Recip | Log | Log1p | Sqrt | Log2 | Log10 | Cbrt | Lgamma | Digamma) {
            x = self.unary(Softplus, x)?;
        }
        if op == Acosh {
            x = self.unary(Sin, x)?;
            x = self.unary(Cosh, x)?;
            x = self.put(Step::Scale(x, 1.5), |reals| reals[x].clone())?;
        }
        self.unary(op, x)
    }

    fn operation(&mut self) -> Option<Place> {
        if self.kind != Kind::Scalars && self.below(2) == 0 {
            return self.structural();
        }
        let (mut x, mut y) = (self.any(), self.any());
        if self.below(5) == 0 {
            let op = self.pick(&Comparison::ALL);
            let compared = [self.any(), self.any()];
            return self.put(Step::Select(op, compared, [x, y]), |reals| {
                let sum = |places: [Place; 2]| reals[places[0]].clone() + &reals[places[1]];
                sum(compared) + sum([x, y])
            });
        }
        let op = if self.below(3) == 0 { self.pick(Binary::ALL) } else { self.pick(&Binary::ALL[..3]) };
        let safe = self.below(4) > 0;
        if safe && matches!(op, Binary::Xlogy | Binary::Remainder) {
            y = self.unary(Unary::Softplus, y)?;
        }
        if safe && op == Binary::Div {
            y = self.unary(Unary::Softplus, y)?;
        }
        if safe && matches!(op, Binary::Atan2 | Binary::Hypot) {
            x = self.unary(Unary::Softplus, x)?;
        }
        if safe && op == Binary::Pow {
            (x, y) = (self.unary(Unary::Softplus, x)?, self.unary(Unary::Tanh, y)?);
        }
        self.put(Step::Binary(op, [x, y]), |reals| reals[x].clone() + &reals[y])
    }

    fn structural(&mut self) -> Option<Place> {
        let x = self.any();
        let axis = self.below(self.scope.reals[x].rank().max(1));
        if self.kind == Kind::Operators && self.below(2) == 0 {
            let which = self.below(More::COUNT);
            let more = More::of(which, axis, |n| self.below(n));
            return self.array(ArrayOp::More(more), vec![x]);
        }
        let op = match self.below(27) {
            0 => ArrayOp::Total,
            1 => ArrayOp::Sum(axis),
            2 => ArrayOp::Mean(axis),
            3 => ArrayOp::Max(axis),
            4 => ArrayOp::Min(axis),
            5 => ArrayOp::LogSumExp(axis),
            6 => ArrayOp::Softmax(axis),
            7 => ArrayOp::Variance(axis),
            8 => ArrayOp::Transpose,
            9 => ArrayOp::Flatten,
            10 => ArrayOp::Stand,
            11 => ArrayOp::Broadcast(1 + self.below(3)),
            12 => ArrayOp::Flip(axis),
            13 => ArrayOp::Slice { axis, start: self.below(2), step: 1 + self.below(2) },
            14 => ArrayOp::Pad(axis, [self.below(2), self.below(2), self.below(2)]),
            15 => ArrayOp::GatherRows,
            16 => ArrayOp::ScatterRows,
            17 => ArrayOp::PickLargest,
            18 => ArrayOp::ScatterLast,
            19 => ArrayOp::Pool,
            20 => ArrayOp::Noise,
            21 => {
                let other = self.any();
                return self.array(ArrayOp::Concat(axis), vec![x, other]);
            }
            22 => {
                let kernel = self.any();
                let padding = [self.below(2), self.below(2)];
                return self.array(ArrayOp::Convolve(padding), vec![x, kernel]);
            }
            23 => ArrayOp::SetRows,
            24 => ArrayOp::AddRows,
            _ => return self.product(),
        };
        let rows = self.scope.reals[x].shape().first().copied();
        // Indices are 0 or 1.
        if matches!(op, ArrayOp::GatherRows | ArrayOp::SetRows | ArrayOp::AddRows)
            && rows.is_none_or(|rows| rows < 2)
        {
            return None;
        }
        self.array(op, vec![x])
    }

    /// A product of two arrays, one transposed if they do not fit otherwise.
    fn product(&mut self) -> Option<Place> {
        let a = self.real(|x| x.rank() > 0)?;
        let b = self.real(|x| x.rank() > 0)?;
        let straight = self.array(ArrayOp::Matmul, vec![a, b]);
        straight.or_else(|| self.array(ArrayOp::MatmulTransposed, vec![a, b]))
    }

    fn integer(&mut self) {
        let step = match self.below(3) {
            0 => Step::Int(self.below(5) as i64),
            1 => Step::IntAdd([self.int(), self.int()]),
            _ => Step::IntSub([self.int(), self.int()]),
        };
        self.steps.push(step);
        self.scope.ints += 1;
    }

    fn condition(&mut self) {
        let step = match self.below(8) {
            0 => Step::IntLess([self.int(), self.int()]),
            1 => Step::IntEqual([self.int(), self.int()]),
            2 => Step::And([self.flag(), self.flag()]),
            3 => Step::Or([self.flag(), self.flag()]),
            4 => Step::Not(self.flag()),
            _ => {
                let op = self.pick(&Comparison::ALL);
                Step::Compare(op, [self.scalar(), self.scalar()])
            }
        };
        self.steps.push(step);
        self.scope.flags += 1;
    }

    /// A block in a scope of its own that leaves reals of the given shapes.
    fn block(&mut self, most: usize, leaves: &[Like]) -> Block {
        let (scope, outer) = (self.scope.clone(), std::mem::take(&mut self.steps));
        self.nesting += 1;
        self.statements(most);
        let results = leaves.iter().map(|like| self.result(like)).collect();
        self.nesting -= 1;
        self.scope = scope;
        Block { steps: std::mem::replace(&mut self.steps, outer), results }
    }

    /// A real of a shape that some real in scope has.
    fn result(&mut self, like: &Like) -> Place {
        let place = self.real(|x| x.shape() == like.shape()).expect("there was one outside");
        // Half of them are kept from growing.
        if self.below(2) == 1 { self.unary(Unary::Tanh, place).unwrap_or(place) } else { place }
    }

    /// One to three reals in scope.
    fn some(&mut self) -> (Vec<Place>, Vec<Like>) {
        let places: Vec<Place> = (0..1 + self.below(3)).map(|_| self.any()).collect();
        let like = places.iter().map(|&place| self.scope.reals[place].clone()).collect();
        (places, like)
    }

    fn branch(&mut self) {
        if self.nesting >= NESTING {
            return;
        }
        let flag = self.flag();
        let (_, like) = self.some();
        let arms = [self.block(4, &like), self.block(4, &like)];
        self.steps.push(Step::Cond { flag, arms });
        self.scope.reals.extend(like);
    }

    fn repetition(&mut self) {
        if self.nesting >= NESTING || self.loops > 1 {
            return;
        }
        let trips = self.int();
        let (mut state, mut like) = self.some();
        let mut until = None;
        if self.below(3) == 0 {
            state[0] = self.scalar();
            like[0] = Like::scalar(0.0);
            until = Some(self.pick(&[[-1.0, 1.0], [0.0, 3.0], [-2.0, 0.5]]));
        }
        let (scope, loops) = (self.scope.clone(), self.loops);
        self.scope.reals.extend(like.iter().cloned());
        self.scope.ints += 1;
        self.loops += 1;
        let body = self.block(5, &like);
        (self.scope, self.loops) = (scope, loops);
        self.steps.push(Step::Loop { trips, until, state, body });
        self.scope.reals.extend(like);
    }

    fn recursion(&mut self) {
        if self.nesting > 1 || self.loops > 0 {
            return;
        }
        let depth = self.int();
        let (state, like) = self.some();
        let (_, results) = self.some();
        let scope = self.scope.clone();
        self.scope.reals.extend(like.iter().cloned());
        self.scope.ints += 1;
        let base = self.block(3, &results);
        self.funcs.push(Func {
            depth: self.scope.ints - 1,
            state: like,
            results: results.clone(),
            calls: CALLS,
            nesting: self.nesting,
        });
        let deep = self.block_that_calls(&results);
        self.funcs.pop();
        self.scope = scope;
        self.steps.push(Step::Fix { depth, state, deep, base });
        self.scope.reals.extend(results);
    }

    /// A block with statements before, between and after calls of the innermost function.
    fn block_that_calls(&mut self, leaves: &[Like]) -> Block {
        let (scope, outer) = (self.scope.clone(), std::mem::take(&mut self.steps));
        self.nesting += 1;
        for _ in 0..1 + self.below(2) {
            self.statements(3);
            self.call();
        }
        self.statements(3);
        let results = leaves.iter().map(|like| self.result(like)).collect();
        self.nesting -= 1;
        self.scope = scope;
        Block { steps: std::mem::replace(&mut self.steps, outer), results }
    }

    /// A call of a function that this is in the body of: mostly the innermost one.
    fn call(&mut self) {
        if self.funcs.is_empty() {
            _ = self.elementwise();
            return;
        }
        let func = self.funcs.len() - 1 - self.below(3).saturating_sub(1).min(self.funcs.len() - 1);
        let Func { depth, state, results, calls, nesting } = self.funcs[func].clone();
        // From a loop or from another function in its body it is called many times over.
        let often = self.loops > 0 || func + 1 < self.funcs.len();
        let cost = if often { CALLS } else { 1 };
        if calls < cost || self.nesting <= nesting {
            return;
        }
        if func + 1 < self.funcs.len() && self.funcs.iter().skip(func + 1).any(|inner| inner.calls == 0) {
            return;
        }
        self.funcs[func].calls -= cost;
        for inner in &mut self.funcs[func + 1..] {
            inner.calls = inner.calls.min(1);
        }
        let state = state.iter().map(|like| self.result(like)).collect();
        self.steps.push(Step::Recurse { func, depth, state, results: results.len() });
        self.scope.reals.extend(results);
    }

    /// A few of the reals in scope, each as one number.
    fn total(&mut self) -> Vec<Place> {
        let mut results = Vec::new();
        for _ in 0..1 + self.below(3) {
            let x = self.any();
            let scalar = self.scope.reals[x].rank() == 0;
            results.extend(if scalar { Some(x) } else { self.array(ArrayOp::Total, vec![x]) });
        }
        results
    }
}
