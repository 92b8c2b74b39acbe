//! Pure operators on values: what a `let` binds.

pub use antiphon_shape::{Padding, Window2d};

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use crate::ir::ids::{Host, Value};
use crate::ir::tensor::ConcreteTensor;
use crate::ir::types::{AxisList, Dtype, Scalar, Shape, Type};

macro_rules! operators {
    ($(#[$doc:meta])* $Enum:ident { $($(#[$each:meta])* $Name:ident $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $Enum { $($(#[$each])* $Name,)* }

        impl $Enum {
            /// All of them.
            pub const ALL: &'static [$Enum] = &[$($Enum::$Name,)*];
            /// The name that the calculus knows it by.
            pub fn name(self) -> &'static str {
                match self { $($Enum::$Name => $text,)* }
            }
        }
    };
}

operators! {
    /// Elementwise functions of one real (negation of integers too; `Not` of truth values).
    Unary {
        /// `−x`.
        Neg "neg",
        /// `1/x`.
        Recip "recip",
        /// `|x|`.
        Abs "abs",
        /// −1, 0 or 1; zeros of either sign give 0; NaN for NaN.
        Sign "sign",
        /// `eˣ`.
        Exp "exp",
        /// `eˣ − 1`.
        Expm1 "expm1",
        /// Natural logarithm.
        Log "log",
        /// `ln(1 + x)`.
        Log1p "log1p",
        /// Square root.
        Sqrt "sqrt",
        /// Sine.
        Sin "sin",
        /// Cosine.
        Cos "cos",
        /// Tangent.
        Tan "tan",
        /// Hyperbolic tangent.
        Tanh "tanh",
        /// `1/(1 + e⁻ˣ)`, without overflow.
        Sigmoid "sigmoid",
        /// `ln(1 + eˣ)`, without overflow.
        Softplus "softplus",
        /// `max(x, 0)`; NaN for NaN.
        Relu "relu",
        /// Gauss error function.
        Erf "erf",
        /// `1 − erf x`.
        Erfc "erfc",
        /// `2ˣ`.
        Exp2 "exp2",
        /// Logarithm in base 2.
        Log2 "log2",
        /// Logarithm in base 10.
        Log10 "log10",
        /// Cube root.
        Cbrt "cbrt",
        /// Hyperbolic sine.
        Sinh "sinh",
        /// Hyperbolic cosine.
        Cosh "cosh",
        /// Inverse sine.
        Asin "asin",
        /// Inverse cosine.
        Acos "acos",
        /// Inverse tangent.
        Atan "atan",
        /// Inverse hyperbolic sine.
        Asinh "asinh",
        /// Inverse hyperbolic cosine.
        Acosh "acosh",
        /// Inverse hyperbolic tangent.
        Atanh "atanh",
        /// `ln |Γ(x)|`.
        Lgamma "lgamma",
        /// Modified Bessel function of order 0.
        I0 "i0",
        /// Modified Bessel function of order 1.
        I1 "i1",
        /// The largest integer that is not greater.
        Floor "floor",
        /// The smallest integer that is not less.
        Ceil "ceil",
        /// The nearest integer; of two, the even one.
        Round "round",
        /// The integer towards zero.
        Trunc "trunc",
        /// Negation of truth values.
        Not "not",
    }
}

operators! {
    /// Elementwise functions of two operands of one dtype, which broadcast.
    Binary {
        /// Sum of reals or integers.
        Add "add",
        /// Difference of reals or integers.
        Sub "sub",
        /// Product of reals or integers.
        Mul "mul",
        /// Quotient of reals.
        Div "div",
        /// `xʸ` of reals.
        Pow "pow",
        /// The angle of the point `(second, first)`.
        Atan2 "atan2",
        /// `√(x² + y²)`.
        Hypot "hypot",
        /// Remainder of a quotient of reals, with the sign of the dividend.
        Fmod "fmod",
        /// Quotient of integers, rounded down; 0 where the divisor is 0. It wraps around on overflow.
        FloorDivide "floor_divide",
        /// The larger of two reals, NaN if either is.
        Maximum "maximum",
        /// The smaller of two reals, NaN if either is.
        Minimum "minimum",
        /// Conjunction of truth values.
        And "and",
        /// Disjunction of truth values.
        Or "or",
    }
}

impl Binary {
    /// Whether the operands may be exchanged, bit for bit: not those of `maximum` and `minimum`, which tell −0 from 0
    /// by position.
    pub fn commutes(self) -> bool {
        match self {
            Binary::Add | Binary::Mul | Binary::And | Binary::Or => true,
            Binary::Sub
            | Binary::Div
            | Binary::Pow
            | Binary::Atan2
            | Binary::Hypot
            | Binary::Fmod
            | Binary::FloorDivide
            | Binary::Maximum
            | Binary::Minimum => false,
        }
    }
}

operators! {
    /// Elementwise comparisons of two reals or integers, which broadcast.
    Comparison {
        /// `x < y`.
        Less "less",
        /// `x ≤ y`.
        LessEqual "less_equal",
        /// `x = y`.
        Equal "equal",
    }
}

impl Comparison {
    /// Whether the operands may be exchanged.
    pub fn commutes(self) -> bool {
        match self {
            Comparison::Equal => true,
            Comparison::Less | Comparison::LessEqual => false,
        }
    }
}

operators! {
    /// Reductions of reals over axes, which disappear.
    Reduction {
        /// Sum, in row-major order; 0 over nothing.
        Sum "sum",
        /// Maximum; NaN if any is. Not over nothing.
        Max "max",
        /// `ln Σ eˣ`, without overflow; −∞ over nothing.
        LogSumExp "logsumexp",
    }
}

/// A pure operator applied to values. Axes are positions `0..rank`; elementwise operators broadcast as NumPy's do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the fields are the operands and constants that each variant's line names")]
pub enum Expr {
    /// An array filled with one constant; a literal, at rank 0.
    Fill { value: Scalar, shape: Shape },
    /// A constant array.
    Array(Arc<ConcreteTensor>),
    /// An elementwise function.
    Unary(Unary, Value),
    /// `xⁿ` by repeated multiplication.
    Powi(Value, i32),
    /// `x` limited to `low ..= high`; NaN for NaN.
    Clamp { x: Value, low: Scalar, high: Scalar },
    /// An elementwise function of two.
    Binary(Binary, Value, Value),
    /// An elementwise comparison.
    Compare(Comparison, Value, Value),
    /// `then` where the mask holds, `otherwise` elsewhere.
    Select { mask: Value, then: Value, otherwise: Value },
    /// Integers or truth values (one and zero) as reals.
    /// And reals as integers: towards zero, the nearest there is, 0 for NaN.
    Convert(Value, Dtype),
    /// The same elements in another shape.
    Reshape(Value, Shape),
    /// The first value, which is not known before the second one is: what is computed of it is not what was computed of
    /// the value itself.
    After(Value, Value),
    /// Axis `i` of the result is axis `order[i]` of the operand.
    Permute(Value, AxisList),
    /// Axes of length one repeated and leading ones added, up to a shape.
    Broadcast(Value, Shape),
    /// A reduction over axes (ascending).
    Reduce(Reduction, Value, AxisList),
    /// Index of the first maximum along an axis; NaN counts as the largest.
    Argmax(Value, usize),
    /// `[.., m, k] × [.., k, n] → [.., m, n]`, leading axes broadcasting.
    Matmul(Value, Value),
    /// Joins along an axis.
    Concat(Vec<Value>, usize),
    /// Every `step`-th element of `start..end` of an axis.
    Slice { x: Value, axis: usize, start: usize, end: usize, step: usize },
    /// Zeros before, after and between the elements of an axis.
    Pad { x: Value, axis: usize, padding: Padding },
    /// The order along an axis reversed.
    Flip(Value, usize),
    /// `[rows, rest..]` by `[indices..]` gives `[indices.., rest..]`.
    GatherRows { x: Value, indices: Value },
    /// The adjoint of `GatherRows`: rows added up in an array of `rows`.
    ScatterRows { x: Value, indices: Value, rows: usize },
    /// `x` with rows in place of those that indices name, of equal ones the last, or added to them. Its first `axes`
    /// axes count as one: `[n.., rest..]` by `[indices..]` and `[indices.., rest..]`.
    WriteRows { x: Value, indices: Value, rows: Value, axes: usize, add: bool },
    /// `[.., n]` by `[..]` gives `[..]`.
    GatherLast { x: Value, indices: Value },
    /// The adjoint of `GatherLast`: `[..]` gives `[.., length]`.
    ScatterLast { x: Value, indices: Value, length: usize },
    /// Cross-correlation of `[batch, channels, h, w]` with `[out, channels, kh, kw]`.
    Conv2d { image: Value, kernel: Value, window: Window2d },
    /// The image's adjoint in `Conv2d`; `size` is the image's.
    Conv2dImage { y_bar: Value, kernel: Value, size: [usize; 2], window: Window2d },
    /// The kernel's adjoint in `Conv2d`; `size` is the kernel's.
    Conv2dKernel { image: Value, y_bar: Value, size: [usize; 2], window: Window2d },
    /// All windows: `[batch, channels, h, w]` gives `[batch, channels, kh·kw, rows, columns]`.
    Unfold2d { image: Value, kernel: [usize; 2], window: Window2d },
    /// The adjoint of `Unfold2d`.
    Fold2d { x: Value, size: [usize; 2], kernel: [usize; 2], window: Window2d },
    /// Samples of the uniform distribution on `[0, 1)`, a function of seed and position.
    Uniform { seed: Value, dtype: Dtype, shape: Shape },
    /// What a function of the host computes; `ty` is the result's type.
    Host { host: Host, operands: Vec<Value>, ty: Type },
}

/// How the elements of an operator's result come about: what passes and lowering ask of an operator before they look
/// at which it is. A new operator has to have a class, or [`Expr::class`] does not compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Each is computed from the elements at its own index, after broadcasting.
    Elementwise,
    /// Each is one of the operand's, or zero.
    Movement,
    /// They are in memory already: a constant array, or the operand in another shape.
    InMemory,
    /// They are written to their places in a larger array.
    Placement,
    /// Each is found, or added to, by an index that is data and may be out of range: the operator can fail.
    Indexed,
    /// Each sums up, or otherwise combines, elements along axes.
    Reduction,
    /// Products along axes.
    Product,
    /// Convolutions, windows of images, and their adjoints.
    Convolution,
    /// A function of the host writes them, or fails.
    Host,
}

/// Elements that are known without computing anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constant<'a> {
    /// All are this.
    Fill(Scalar),
    /// They are those of an array.
    Array(&'a ConcreteTensor),
}

macro_rules! operands {
    ($expr:expr, $iter:ident) => {
        match $expr {
            Expr::Fill { .. } | Expr::Array(_) => smallvec![],
            Expr::Unary(_, x)
            | Expr::Powi(x, _)
            | Expr::Clamp { x, .. }
            | Expr::Convert(x, _)
            | Expr::Reshape(x, _)
            | Expr::Permute(x, _)
            | Expr::Broadcast(x, _)
            | Expr::Reduce(_, x, _)
            | Expr::Argmax(x, _)
            | Expr::Slice { x, .. }
            | Expr::Pad { x, .. }
            | Expr::Flip(x, _)
            | Expr::Unfold2d { image: x, .. }
            | Expr::Fold2d { x, .. }
            | Expr::Uniform { seed: x, .. } => smallvec![x],
            Expr::Binary(_, a, b)
            | Expr::Compare(_, a, b)
            | Expr::Matmul(a, b)
            | Expr::After(a, b)
            | Expr::GatherRows { x: a, indices: b }
            | Expr::ScatterRows { x: a, indices: b, .. }
            | Expr::GatherLast { x: a, indices: b }
            | Expr::ScatterLast { x: a, indices: b, .. }
            | Expr::Conv2d { image: a, kernel: b, .. }
            | Expr::Conv2dImage { y_bar: a, kernel: b, .. }
            | Expr::Conv2dKernel { image: a, y_bar: b, .. } => smallvec![a, b],
            Expr::Select { mask, then, otherwise } => smallvec![mask, then, otherwise],
            Expr::Concat(parts, _) => parts.$iter().collect(),
            Expr::WriteRows { x, indices, rows, .. } => smallvec![x, indices, rows],
            Expr::Host { operands, .. } => operands.$iter().collect(),
        }
    };
}

impl Expr {
    /// A literal: a constant of rank 0.
    pub fn literal(value: Scalar) -> Expr {
        Expr::Fill { value, shape: Shape::new() }
    }
    /// How the elements of the result come about.
    pub fn class(&self) -> Class {
        match self {
            Expr::Fill { .. }
            | Expr::Unary(..)
            | Expr::Powi(..)
            | Expr::Clamp { .. }
            | Expr::Binary(..)
            | Expr::Compare(..)
            | Expr::Select { .. }
            | Expr::Convert(..)
            | Expr::Uniform { .. } => Class::Elementwise,
            Expr::Permute(..)
            | Expr::Broadcast(..)
            | Expr::Slice { .. }
            | Expr::Flip(..)
            | Expr::Pad { padding: Padding { interior: 0, .. }, .. } => Class::Movement,
            Expr::Array(_) | Expr::Reshape(..) | Expr::After(..) => Class::InMemory,
            Expr::Concat(..) | Expr::Pad { .. } => Class::Placement,
            Expr::GatherRows { .. }
            | Expr::ScatterRows { .. }
            | Expr::WriteRows { .. }
            | Expr::GatherLast { .. }
            | Expr::ScatterLast { .. } => Class::Indexed,
            Expr::Reduce(..) | Expr::Argmax(..) => Class::Reduction,
            Expr::Matmul(..) => Class::Product,
            Expr::Conv2d { .. }
            | Expr::Conv2dImage { .. }
            | Expr::Conv2dKernel { .. }
            | Expr::Unfold2d { .. }
            | Expr::Fold2d { .. } => Class::Convolution,
            Expr::Host { .. } => Class::Host,
        }
    }
    /// What the elements are, if that is known without computing anything.
    pub fn constant(&self) -> Option<Constant<'_>> {
        match self {
            Expr::Fill { value, .. } => Some(Constant::Fill(*value)),
            Expr::Array(tensor) => Some(Constant::Array(tensor)),
            Expr::Unary(..)
            | Expr::Powi(..)
            | Expr::Clamp { .. }
            | Expr::Binary(..)
            | Expr::Compare(..)
            | Expr::Select { .. }
            | Expr::Convert(..)
            | Expr::Reshape(..)
            | Expr::After(..)
            | Expr::Permute(..)
            | Expr::Broadcast(..)
            | Expr::Reduce(..)
            | Expr::Argmax(..)
            | Expr::Matmul(..)
            | Expr::Concat(..)
            | Expr::Slice { .. }
            | Expr::Pad { .. }
            | Expr::Flip(..)
            | Expr::GatherRows { .. }
            | Expr::ScatterRows { .. }
            | Expr::WriteRows { .. }
            | Expr::GatherLast { .. }
            | Expr::ScatterLast { .. }
            | Expr::Conv2d { .. }
            | Expr::Conv2dImage { .. }
            | Expr::Conv2dKernel { .. }
            | Expr::Unfold2d { .. }
            | Expr::Fold2d { .. }
            | Expr::Uniform { .. }
            | Expr::Host { .. } => None,
        }
    }
    /// The operand, if each element of the result is one of its elements, whatever these are.
    pub fn rearranged(&self) -> Option<Value> {
        match *self {
            Expr::Reshape(x, _)
            | Expr::Permute(x, _)
            | Expr::Broadcast(x, _)
            | Expr::Slice { x, .. }
            | Expr::Flip(x, _) => Some(x),
            // It is not to be looked through.
            Expr::After(..) => None,
            // Elements of several operands, or at indices that may be an error, or zeros among them.
            Expr::Concat(..)
            | Expr::GatherRows { .. }
            | Expr::WriteRows { .. }
            | Expr::GatherLast { .. }
            | Expr::Pad { .. }
            | Expr::ScatterLast { .. }
            | Expr::Unfold2d { .. } => None,
            Expr::Fill { .. }
            | Expr::Array(_)
            | Expr::Unary(..)
            | Expr::Powi(..)
            | Expr::Clamp { .. }
            | Expr::Binary(..)
            | Expr::Compare(..)
            | Expr::Select { .. }
            | Expr::Convert(..)
            | Expr::Reduce(..)
            | Expr::Argmax(..)
            | Expr::Matmul(..)
            | Expr::ScatterRows { .. }
            | Expr::Conv2d { .. }
            | Expr::Conv2dImage { .. }
            | Expr::Conv2dKernel { .. }
            | Expr::Fold2d { .. }
            | Expr::Uniform { .. }
            | Expr::Host { .. } => None,
        }
    }
    /// The values that it reads, in order.
    pub fn operands(&self) -> SmallVec<[Value; 4]> {
        let operands: SmallVec<[&Value; 4]> = operands!(self, iter);
        operands.into_iter().copied().collect()
    }
    /// The values that it reads, in order, to be exchanged.
    pub fn operands_mut(&mut self) -> SmallVec<[&mut Value; 4]> {
        operands!(self, iter_mut)
    }
    /// The operator's name.
    pub fn name(&self) -> &'static str {
        match self {
            Expr::Fill { .. } => "fill",
            Expr::Array(_) => "array",
            Expr::Unary(op, _) => op.name(),
            Expr::Powi(..) => "powi",
            Expr::Clamp { .. } => "clamp",
            Expr::Binary(op, ..) => op.name(),
            Expr::Compare(op, ..) => op.name(),
            Expr::Select { .. } => "select",
            Expr::Convert(..) => "convert",
            Expr::Reshape(..) => "reshape",
            Expr::After(..) => "after",
            Expr::Permute(..) => "permute",
            Expr::Broadcast(..) => "broadcast_to",
            Expr::Reduce(op, ..) => op.name(),
            Expr::Argmax(..) => "argmax",
            Expr::Matmul(..) => "matmul",
            Expr::Concat(..) => "concat",
            Expr::Slice { .. } => "slice",
            Expr::Pad { .. } => "pad",
            Expr::Flip(..) => "flip",
            Expr::GatherRows { .. } => "gather_rows",
            Expr::ScatterRows { .. } => "scatter_rows",
            Expr::WriteRows { add: false, .. } => "set_rows",
            Expr::WriteRows { add: true, .. } => "add_rows",
            Expr::GatherLast { .. } => "gather_last",
            Expr::ScatterLast { .. } => "scatter_last",
            Expr::Conv2d { .. } => "conv2d",
            Expr::Conv2dImage { .. } => "conv2d_image",
            Expr::Conv2dKernel { .. } => "conv2d_kernel",
            Expr::Unfold2d { .. } => "unfold2d",
            Expr::Fold2d { .. } => "fold2d",
            Expr::Uniform { .. } => "uniform",
            Expr::Host { .. } => "host",
        }
    }
}
