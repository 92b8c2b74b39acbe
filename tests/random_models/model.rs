//! What a random model is: statements over the values in scope, and how it reads.

use std::fmt::{self, Display, Formatter};

use antiphon::Real;

use crate::arrays::ArrayOp;

/// A place in the list of the reals, of the integers, of the truth values or of the functions in scope.
pub type Place = usize;

/// A scalar function of the reals, integers and truth values in scope when it begins.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Shapes of the reals, which it is differentiated by.
    pub reals: Vec<Vec<usize>>,
    /// Number of scalar integers.
    pub ints: usize,
    /// Number of scalar truth values.
    pub flags: usize,
    /// The results are summed up.
    pub body: Block,
}

/// Statements, each of which puts its results in scope, and the reals that they leave.
#[derive(Clone, Debug, Default)]
pub struct Block {
    pub steps: Vec<Step>,
    pub results: Vec<Place>,
}

macro_rules! elementwise {
    ($(#[$about:meta])* $Op:ident($($x:ident),*) { $($Name:ident $method:ident $call:expr;)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Op { $($Name),* }

        impl $Op {
            pub const ALL: &'static [$Op] = &[$($Op::$Name),*];

            pub fn name(self) -> &'static str {
                match self { $($Op::$Name => stringify!($method)),* }
            }

            pub fn apply<T: Real>(self, $($x: &T),*) -> T {
                match self { $($Op::$Name => $call),* }
            }
        }
    };
}

elementwise! {
    /// Functions of one real. The first ones are bounded and smooth.
    Unary(x) {
        Tanh tanh x.tanh();
        Sin sin x.sin();
        Sigmoid sigmoid x.sigmoid();
        Erf erf x.erf();
        Cos cos x.cos();
        Neg neg -x.clone();
        Abs abs x.abs();
        Sign sign x.sign();
        Relu relu x.relu();
        Softplus softplus x.softplus();
        Square square x.square();
        Detach detach x.detach();
        Exp exp x.exp();
        Expm1 expm1 x.expm1();
        Tan tan x.tan();
        Recip recip x.recip();
        Log log x.log();
        Log1p log1p x.log1p();
        Sqrt sqrt x.sqrt();
        Erfc erfc x.erfc();
        Atan atan x.atan();
        Asinh asinh x.asinh();
        Sinc sinc x.sinc();
        Exp2 exp2 x.exp2();
        Sinh sinh x.sinh();
        Cosh cosh x.cosh();
        I0 i0 x.i0();
        I1 i1 x.i1();
        Asin asin x.asin();
        Acos acos x.acos();
        Atanh atanh x.atanh();
        Acosh acosh x.acosh();
        Log2 log2 x.log2();
        Log10 log10 x.log10();
        Cbrt cbrt x.cbrt();
        Lgamma lgamma x.lgamma();
        Digamma digamma x.digamma();
        Floor floor x.floor();
        Round round x.round();
    }
}

elementwise! {
    /// Functions of two reals, which broadcast.
    Binary(x, y) {
        Add add x.clone() + y;
        Mul mul x.clone() * y;
        Sub sub x.clone() - y;
        Maximum maximum x.maximum(y);
        Minimum minimum x.minimum(y);
        Div div x.clone() / y;
        Pow pow x.pow(y);
        StrongMul strong_mul x.strong_mul(y);
        Atan2 atan2 x.atan2(y);
        Hypot hypot x.hypot(y);
        Logaddexp logaddexp x.logaddexp(y);
        Xlogy xlogy x.xlogy(y);
        Remainder remainder x.remainder(y);
    }
}

/// Comparisons of reals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
}

impl Comparison {
    pub const ALL: [Comparison; 6] = [
        Comparison::Less,
        Comparison::LessEqual,
        Comparison::Greater,
        Comparison::GreaterEqual,
        Comparison::Equal,
        Comparison::NotEqual,
    ];

    pub fn apply<T: Real>(self, x: &T, y: &T) -> T::Bool {
        match self {
            Comparison::Less => x.less(y),
            Comparison::LessEqual => x.less_equal(y),
            Comparison::Greater => x.greater(y),
            Comparison::GreaterEqual => x.greater_equal(y),
            Comparison::Equal => x.equal(y),
            Comparison::NotEqual => x.not_equal(y),
        }
    }
}

/// One statement.
#[derive(Clone, Debug)]
pub enum Step {
    /// A real: a scalar constant.
    Constant(f64),
    /// A real.
    Unary(Unary, Place),
    /// A real: `xⁿ`.
    Powi(Place, i32),
    /// A real: `x` limited to an interval.
    Clamp(Place, [f64; 2]),
    /// A real: `x` times a number.
    Scale(Place, f64),
    /// A real.
    Binary(Binary, [Place; 2]),
    /// A real: elementwise `x` where `a` compares to `b`, else `y`.
    Select(Comparison, [Place; 2], [Place; 2]),
    /// A real: an integer as one.
    Real(Place),
    /// A real, by an operator on arrays.
    Array(ArrayOp, Vec<Place>),
    /// An integer constant.
    Int(i64),
    /// An integer: the sum of two.
    IntAdd([Place; 2]),
    /// An integer: the difference of two.
    IntSub([Place; 2]),
    /// A truth value, of scalar reals.
    Compare(Comparison, [Place; 2]),
    /// A truth value: whether one integer is less than another.
    IntLess([Place; 2]),
    /// A truth value: whether two integers are the same.
    IntEqual([Place; 2]),
    /// A truth value.
    And([Place; 2]),
    /// A truth value.
    Or([Place; 2]),
    /// A truth value.
    Not(Place),
    /// Reals: those of one arm or of the other, which see all that is in scope.
    Cond { flag: Place, arms: [Block; 2] },
    /// Reals: `state` after as many runs of the body as the integer says, but not more than [`TRIPS`], nor after the
    /// first of them has left an interval. The body sees all that is in scope, the number of runs before and the state.
    Loop { trips: Place, until: Option<[f64; 2]>, state: Vec<Place>, body: Block },
    /// Reals: a recursive function of an integer and reals, applied. While the integer is from 1 to [`DEPTH`] it is
    /// `deep`, else `base`; both see all that is in scope and the argument, and `deep` the function too.
    Fix { depth: Place, state: Vec<Place>, deep: Block, base: Block },
    /// Reals: a call of a recursive function that this is in the body of, with its integer less one.
    Recurse { func: Place, depth: Place, state: Vec<Place>, results: usize },
}

/// The most runs of the body of a loop.
pub const TRIPS: i64 = 5;
/// The deepest recursion.
pub const DEPTH: i64 = 3;

impl Model {
    pub fn has_control_flow(&self) -> bool {
        self.body
            .steps
            .iter()
            .any(|step| matches!(step, Step::Cond { .. } | Step::Loop { .. } | Step::Fix { .. }))
    }
}

impl Block {
    /// Calls `f` with each statement, outer ones first.
    pub fn each(&self, f: &mut dyn FnMut(&Step)) {
        for step in &self.steps {
            f(step);
            match step {
                Step::Cond { arms: [a, b], .. } | Step::Fix { deep: a, base: b, .. } => {
                    a.each(f);
                    b.each(f);
                }
                Step::Loop { body, .. } => body.each(f),
                _ => {}
            }
        }
    }
}

/// How many there are in scope of each kind.
#[derive(Clone, Copy)]
struct Count {
    reals: usize,
    ints: usize,
    flags: usize,
    funcs: usize,
}

fn list(name: &str, places: impl IntoIterator<Item = Place>) -> String {
    let names: Vec<String> = places.into_iter().map(|place| format!("{name}{place}")).collect();
    names.join(", ")
}

fn reals(places: &[Place]) -> String {
    list("x", places.iter().copied())
}

impl Display for Model {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let count = Count { reals: self.reals.len(), ints: self.ints, flags: self.flags, funcs: 0 };
        for (i, shape) in self.reals.iter().enumerate() {
            writeln!(f, "x{i}: {shape:?}")?;
        }
        writeln!(f, "{}; {}", list("n", 0..self.ints), list("p", 0..self.flags))?;
        self.body.write(f, 0, count)
    }
}

impl Block {
    fn write(&self, f: &mut Formatter<'_>, indent: usize, mut count: Count) -> fmt::Result {
        for step in &self.steps {
            step.write(f, indent, &mut count)?;
        }
        writeln!(f, "{:indent$}({})", "", reals(&self.results))
    }
}

impl Step {
    fn write(&self, f: &mut Formatter<'_>, indent: usize, count: &mut Count) -> fmt::Result {
        let Count { reals: x, ints: n, flags: p, funcs } = *count;
        let deeper = indent + 4;
        write!(f, "{:indent$}", "")?;
        let of_reals = |count: &mut Count, how_many: usize| {
            count.reals += how_many;
            list("x", x..x + how_many)
        };
        match self {
            Step::Cond { flag, arms: [then, otherwise] } => {
                let results = of_reals(count, then.results.len());
                let outer = Count { reals: x, ..*count };
                writeln!(f, "({results}) = if p{flag} {{")?;
                then.write(f, deeper, outer)?;
                writeln!(f, "{:indent$}}} else {{", "")?;
                otherwise.write(f, deeper, outer)?;
                return writeln!(f, "{:indent$}}}", "");
            }
            Step::Loop { trips, until, state, body } => {
                let results = of_reals(count, state.len());
                let params = list("x", x..x + state.len());
                write!(f, "({results}) = loop ({params}) from ({}), n{n} < n{trips}", reals(state))?;
                if let Some([low, high]) = until {
                    write!(f, " while {low} < x{x} < {high}")?;
                }
                writeln!(f, " {{")?;
                body.write(f, deeper, Count { reals: x + state.len(), ints: n + 1, ..*count })?;
                return writeln!(f, "{:indent$}}}", "");
            }
            Step::Fix { depth, state, deep, base } => {
                let results = of_reals(count, base.results.len());
                let params = list("x", x..x + state.len());
                let inner = Count { reals: x + state.len(), ints: n + 1, flags: p, funcs };
                writeln!(f, "fn f{funcs}(n{n}, {params}) {{ if 0 < n{n} <= {DEPTH} {{")?;
                deep.write(f, deeper, Count { funcs: funcs + 1, ..inner })?;
                writeln!(f, "{:indent$}}} else {{", "")?;
                base.write(f, deeper, inner)?;
                writeln!(f, "{:indent$}}} }}", "")?;
                return writeln!(f, "{:indent$}({results}) = f{funcs}(n{depth}, {})", "", reals(state));
            }
            Step::Recurse { func, depth, state, results } => {
                let results = of_reals(count, *results);
                return writeln!(f, "({results}) = f{func}(n{depth} - 1, {})", reals(state));
            }
            Step::Int(_) | Step::IntAdd(_) | Step::IntSub(_) => {
                count.ints += 1;
                write!(f, "n{n} = ")?;
            }
            Step::Compare(..)
            | Step::IntLess(_)
            | Step::IntEqual(_)
            | Step::And(_)
            | Step::Or(_)
            | Step::Not(_) => {
                count.flags += 1;
                write!(f, "p{p} = ")?;
            }
            _ => {
                count.reals += 1;
                write!(f, "x{x} = ")?;
            }
        }
        match self {
            Step::Constant(c) => writeln!(f, "{c:?}"),
            Step::Unary(op, x) => writeln!(f, "{}(x{x})", op.name()),
            Step::Powi(x, n) => writeln!(f, "x{x} ^ {n}"),
            Step::Clamp(x, [low, high]) => writeln!(f, "clamp(x{x}, {low:?}, {high:?})"),
            Step::Scale(x, c) => writeln!(f, "x{x} * {c:?}"),
            Step::Binary(op, xs) => writeln!(f, "{}({})", op.name(), reals(xs)),
            Step::Select(op, [a, b], [x, y]) => writeln!(f, "select({op:?}(x{a}, x{b}), x{x}, x{y})"),
            Step::Real(n) => writeln!(f, "real(n{n})"),
            Step::Array(op, xs) => writeln!(f, "{op:?}({})", reals(xs)),
            Step::Int(c) => writeln!(f, "{c}"),
            Step::IntAdd([a, b]) => writeln!(f, "n{a} + n{b}"),
            Step::IntSub([a, b]) => writeln!(f, "n{a} - n{b}"),
            Step::Compare(op, xs) => writeln!(f, "{op:?}({})", reals(xs)),
            Step::IntLess([a, b]) => writeln!(f, "n{a} < n{b}"),
            Step::IntEqual([a, b]) => writeln!(f, "n{a} = n{b}"),
            Step::And([a, b]) => writeln!(f, "p{a} and p{b}"),
            Step::Or([a, b]) => writeln!(f, "p{a} or p{b}"),
            Step::Not(a) => writeln!(f, "not p{a}"),
            Step::Cond { .. } | Step::Loop { .. } | Step::Fix { .. } | Step::Recurse { .. } => {
                unreachable!("written above")
            }
        }
    }
}
