//! Which operators there are, with the attributes and the numbers of operands and results that are accepted.

/// The oldest and the newest version of ONNX's own operators that is read.
pub const OPSETS: std::ops::RangeInclusive<i64> = 6..=28;

/// What is known of an operator before it is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    /// The fewest and the most operands.
    pub inputs: (usize, usize),
    /// The most results.
    pub outputs: usize,
    /// The names of its attributes.
    pub attributes: &'static [&'static str],
    /// Operands that are no parameters where a file gives their elements.
    pub constants: &'static [usize],
}

/// Operands without end.
const ANY: usize = usize::MAX;

macro_rules! operators {
    ($(
        $Op:ident($least:expr, $most:expr) -> $outputs:literal [$($attribute:literal)*] $({$($constant:literal)*})?;
    )*) => {
        /// The operators of ONNX that are evaluated, by their names there.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(clippy::upper_case_acronyms, reason = "these are ONNX's names")]
        pub enum Op { $($Op),* }

        impl Op {
            /// All of them.
            pub const ALL: &'static [Op] = &[$(Op::$Op),*];
            /// The operator of a name.
            pub fn of(name: &str) -> Option<Op> {
                match name {
                    $(stringify!($Op) => Some(Op::$Op),)*
                    _ => None,
                }
            }
            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Op::$Op => stringify!($Op),)*
                }
            }
            /// What it takes and gives.
            pub fn signature(self) -> Signature {
                match self {
                    $(Op::$Op => Signature {
                        inputs: ($least, $most),
                        outputs: $outputs,
                        attributes: &[$($attribute),*],
                        constants: &[$($($constant),*)?],
                    },)*
                }
            }
        }
    };
}

operators! {
    // Elementwise, of one operand.
    Abs(1, 1) -> 1 [];
    Neg(1, 1) -> 1 [];
    Exp(1, 1) -> 1 [];
    Log(1, 1) -> 1 [];
    Sqrt(1, 1) -> 1 [];
    Sin(1, 1) -> 1 [];
    Cos(1, 1) -> 1 [];
    Tan(1, 1) -> 1 [];
    Asin(1, 1) -> 1 [];
    Acos(1, 1) -> 1 [];
    Atan(1, 1) -> 1 [];
    Sinh(1, 1) -> 1 [];
    Cosh(1, 1) -> 1 [];
    Tanh(1, 1) -> 1 [];
    Asinh(1, 1) -> 1 [];
    Acosh(1, 1) -> 1 [];
    Atanh(1, 1) -> 1 [];
    Erf(1, 1) -> 1 [];
    Floor(1, 1) -> 1 [];
    Ceil(1, 1) -> 1 [];
    Round(1, 1) -> 1 [];
    Sign(1, 1) -> 1 [];
    Reciprocal(1, 1) -> 1 [];
    IsNaN(1, 1) -> 1 [];
    IsInf(1, 1) -> 1 ["detect_negative" "detect_positive"];
    Not(1, 1) -> 1 [];
    // Activations.
    Sigmoid(1, 1) -> 1 [];
    Softplus(1, 1) -> 1 [];
    Softsign(1, 1) -> 1 [];
    Relu(1, 1) -> 1 [];
    LeakyRelu(1, 1) -> 1 ["alpha"];
    Elu(1, 1) -> 1 ["alpha"];
    Selu(1, 1) -> 1 ["alpha" "gamma"];
    Celu(1, 1) -> 1 ["alpha"];
    ThresholdedRelu(1, 1) -> 1 ["alpha"];
    HardSigmoid(1, 1) -> 1 ["alpha" "beta"];
    HardSwish(1, 1) -> 1 [];
    Gelu(1, 1) -> 1 ["approximate"];
    Mish(1, 1) -> 1 [];
    Swish(1, 1) -> 1 ["alpha"];
    Shrink(1, 1) -> 1 ["bias" "lambd"];
    PRelu(2, 2) -> 1 [];
    Clip(1, 3) -> 1 ["min" "max"] {1 2};
    Dropout(1, 3) -> 2 ["is_test" "ratio" "seed"] {1 2};
    Softmax(1, 1) -> 1 ["axis"];
    LogSoftmax(1, 1) -> 1 ["axis"];
    Hardmax(1, 1) -> 1 ["axis"];
    // Elementwise, of several operands.
    Add(2, 2) -> 1 ["axis" "broadcast"];
    Sub(2, 2) -> 1 ["axis" "broadcast"];
    Mul(2, 2) -> 1 ["axis" "broadcast"];
    Div(2, 2) -> 1 ["axis" "broadcast"];
    Pow(2, 2) -> 1 ["axis" "broadcast"] {1};
    Mod(2, 2) -> 1 ["fmod"];
    Max(1, ANY) -> 1 [];
    Min(1, ANY) -> 1 [];
    Mean(1, ANY) -> 1 [];
    Sum(1, ANY) -> 1 [];
    And(2, 2) -> 1 ["axis" "broadcast"];
    Or(2, 2) -> 1 ["axis" "broadcast"];
    Xor(2, 2) -> 1 ["axis" "broadcast"];
    Equal(2, 2) -> 1 ["axis" "broadcast"];
    Less(2, 2) -> 1 ["axis" "broadcast"];
    LessOrEqual(2, 2) -> 1 [];
    Greater(2, 2) -> 1 ["axis" "broadcast"];
    GreaterOrEqual(2, 2) -> 1 [];
    Where(3, 3) -> 1 [];
    // Reductions.
    ReduceSum(1, 2) -> 1 ["axes" "keepdims" "noop_with_empty_axes"];
    ReduceMean(1, 2) -> 1 ["axes" "keepdims" "noop_with_empty_axes"];
    ReduceMax(1, 2) -> 1 ["axes" "keepdims" "noop_with_empty_axes"];
    ReduceMin(1, 2) -> 1 ["axes" "keepdims" "noop_with_empty_axes"];
    ReduceProd(1, 2) -> 1 ["axes" "keepdims" "noop_with_empty_axes"];
    ReduceL1(1, 2) -> 1 ["axes" "keepdims" "noop_with_empty_axes"];
    ReduceL2(1, 2) -> 1 ["axes" "keepdims" "noop_with_empty_axes"];
    ReduceLogSum(1, 2) -> 1 ["axes" "keepdims" "noop_with_empty_axes"];
    ReduceLogSumExp(1, 2) -> 1 ["axes" "keepdims" "noop_with_empty_axes"];
    ReduceSumSquare(1, 2) -> 1 ["axes" "keepdims" "noop_with_empty_axes"];
    ArgMax(1, 1) -> 1 ["axis" "keepdims" "select_last_index"];
    ArgMin(1, 1) -> 1 ["axis" "keepdims" "select_last_index"];
    CumSum(2, 2) -> 1 ["exclusive" "reverse"];
    TopK(1, 2) -> 2 ["axis" "k" "largest" "sorted"];
    // Shapes and layouts.
    Identity(1, 1) -> 1 [];
    Constant(0, 0) -> 1 ["value" "value_float" "value_floats" "value_int" "value_ints"];
    ConstantOfShape(1, 1) -> 1 ["value"];
    Shape(1, 1) -> 1 ["start" "end"];
    Size(1, 1) -> 1 [];
    Range(3, 3) -> 1 [] {0 1 2};
    EyeLike(1, 1) -> 1 ["dtype" "k"];
    Cast(1, 1) -> 1 ["to" "saturate" "round_mode"];
    CastLike(2, 2) -> 1 ["saturate" "round_mode"];
    Reshape(2, 2) -> 1 ["allowzero"];
    Flatten(1, 1) -> 1 ["axis"];
    Transpose(1, 1) -> 1 ["perm"];
    Squeeze(1, 2) -> 1 ["axes"];
    Unsqueeze(1, 2) -> 1 ["axes"];
    Concat(1, ANY) -> 1 ["axis"];
    Split(1, 2) -> 1024 ["axis" "split" "num_outputs"];
    Slice(1, 5) -> 1 ["axes" "starts" "ends"];
    Expand(2, 2) -> 1 [];
    Tile(2, 2) -> 1 [];
    Pad(1, 4) -> 1 ["mode" "pads" "value"] {2};
    Trilu(1, 2) -> 1 ["upper"];
    DepthToSpace(1, 1) -> 1 ["blocksize" "mode"];
    SpaceToDepth(1, 1) -> 1 ["blocksize" "mode"];
    Resize(1, 4) -> 1 ["antialias" "axes" "coordinate_transformation_mode" "cubic_coeff_a" "exclude_outside"
        "extrapolation_value" "keep_aspect_ratio_policy" "mode" "nearest_mode"] {1 2};
    Upsample(1, 2) -> 1 ["mode" "scales"] {1};
    // Indices.
    Gather(2, 2) -> 1 ["axis"];
    GatherElements(2, 2) -> 1 ["axis"];
    GatherND(2, 2) -> 1 ["batch_dims"];
    ScatterND(3, 3) -> 1 ["reduction"];
    OneHot(3, 3) -> 1 ["axis"] {1};
    // Products and windows.
    MatMul(2, 2) -> 1 [];
    Gemm(2, 3) -> 1 ["alpha" "beta" "broadcast" "transA" "transB"];
    Einsum(1, ANY) -> 1 ["equation"];
    Conv(2, 3) -> 1 ["auto_pad" "dilations" "group" "kernel_shape" "pads" "strides"];
    ConvTranspose(2, 3) -> 1 ["auto_pad" "dilations" "group" "kernel_shape" "output_padding" "output_shape" "pads"
        "strides"];
    MaxPool(1, 1) -> 1 ["auto_pad" "ceil_mode" "dilations" "kernel_shape" "pads" "storage_order" "strides"];
    AveragePool(1, 1) -> 1 ["auto_pad" "ceil_mode" "count_include_pad" "dilations" "kernel_shape" "pads" "strides"];
    LpPool(1, 1) -> 1 ["auto_pad" "ceil_mode" "dilations" "kernel_shape" "p" "pads" "strides"];
    GlobalAveragePool(1, 1) -> 1 [];
    GlobalMaxPool(1, 1) -> 1 [];
    // Normalisation.
    BatchNormalization(5, 5) -> 5 ["epsilon" "is_test" "momentum" "spatial" "training_mode"];
    InstanceNormalization(3, 3) -> 1 ["epsilon"];
    LayerNormalization(2, 3) -> 3 ["axis" "epsilon" "stash_type"];
    GroupNormalization(3, 3) -> 1 ["epsilon" "num_groups" "stash_type"];
    RMSNormalization(2, 2) -> 1 ["axis" "epsilon" "stash_type"];
    MeanVarianceNormalization(1, 1) -> 1 ["axes"];
    LpNormalization(1, 1) -> 1 ["axis" "p"];
    LRN(1, 1) -> 1 ["alpha" "beta" "bias" "size"];
    // Recurrent layers.
    RNN(3, 6) -> 2 ["activations" "direction" "hidden_size" "layout"];
    GRU(3, 6) -> 2 ["activations" "direction" "hidden_size" "layout" "linear_before_reset"];
    LSTM(3, 8) -> 3 ["activations" "direction" "hidden_size" "input_forget" "layout"];
    // Losses.
    NegativeLogLikelihoodLoss(2, 3) -> 1 ["ignore_index" "reduction"];
    SoftmaxCrossEntropyLoss(2, 3) -> 2 ["ignore_index" "reduction"];
}
