//! [`export`]: a model of one's own as an ONNX network, by way of its recording.

use std::collections::{HashMap, HashSet};

use antiphon_staging::{Comparison, Data, Dtype, Expr, Program, Reduction, Scalar, Stmt, Value, Window2d};
use prost::Message;

use super::builder::{self, Setting, Writer};
use super::counterparts::{self as elementwise, bytes_of, element_type};
use super::known::Outcome;
use crate::array::{Float, NdArray};
use crate::error::{At, Error, Result};
use crate::language::params::Path;
use crate::language::state::{Leaf, State};
use crate::language::structure::Structure;
use crate::recording::{Plain, Recorded, record};

/// The bytes of an ONNX file of a model: `f` is run once with [`Recorded`] for inputs of these shapes, and what it
/// records becomes the nodes. Parameters become initializers, with their names as leaves, and inputs and outputs are
/// called `input` and `output`, with the names of their components behind a point where they have some. The operators
/// are those of opset 17.
///
/// ```
/// use antiphon::onnx::{Model, export};
/// use antiphon::{NdArray, Params, Tensor, Real};
/// #[derive(Clone, Params)]
/// struct Layer<T> {
///     w: T,
///     b: T,
/// }
/// fn apply<T: Tensor>(layer: &Layer<T>, x: &T) -> T {
///     (x.matmul(&layer.w) + &layer.b).tanh()
/// }
/// let layer = Layer { w: NdArray::<f32>::full(&[3, 2], 0.5), b: NdArray::zeros(&[2]) };
/// let x = NdArray::ones(&[4, 3]);
/// let bytes = export("layer", |layer, x| apply(&layer, &x), &layer, &x)?;
/// let model = Model::<NdArray<f32>>::read(bytes)?;
/// assert_eq!(model.names(), ["b", "w"]);
/// assert_eq!(model.predict(&[x.clone()])?, apply(&layer, &x));
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// What the model raises; [`Error::Argument`], with the caller's line, for what has no counterpart: control flow that
/// is recorded, writing by index, random numbers, operators of the host, and a few elementary functions.
#[track_caller]
pub fn export<E, P, X, Y>(
    name: &str,
    f: impl FnOnce(P::With<Recorded>, X::With<Recorded>) -> Y,
    params: &P,
    inputs: &X,
) -> Result<Vec<u8>>
where
    E: Float,
    NdArray<E>: Plain,
    P: Structure<NdArray<E>>,
    X: Structure<NdArray<E>>,
    Y: State<Recorded>,
{
    let at = At::caller();
    let both = (params.clone(), inputs.clone());
    let program = record(name, |(params, inputs)| f(params, inputs), &both)?;
    let (mut given, mut wanted) = (Vec::new(), Vec::new());
    params.map_components::<NdArray<E>>(&mut Path::default(), &mut |path, leaf| {
        let path = path.to_string();
        given.push((if path.is_empty() { "parameter".into() } else { path }, leaf.clone()));
        leaf
    });
    inputs.map_components::<NdArray<E>>(&mut Path::default(), &mut |path, leaf| {
        wanted.push(component("input", &path.to_string()));
        leaf
    });
    let refused = |reason| Error::Argument { op: "export", reason, at };
    let translated = Translation::of(&program, &given, &wanted).map_err(refused)?;
    Ok(translated.finish(name).encode_to_vec())
}

/// The name of a component of the inputs or outputs.
fn component(of: &str, path: &str) -> String {
    if path.is_empty() { of.into() } else { format!("{of}.{path}") }
}

/// A parameter's elements.
fn parameter<E: Float>(writer: &mut Writer, name: &str, leaf: &Leaf<NdArray<E>>, dtype: Dtype) {
    let (shape, bytes): (Vec<usize>, Vec<u8>) = match leaf {
        Leaf::Real(x) => (
            x.view().shape().into(),
            x.view().iter().flat_map(|x| bytes_of(Scalar::of(dtype, x.to_f64()))).collect(),
        ),
        Leaf::Int(x) => (x.view().shape().into(), x.view().iter().flat_map(|x| x.to_le_bytes()).collect()),
        Leaf::Bool(x) => (x.view().shape().into(), x.view().iter().map(|&x| x.into()).collect()),
    };
    writer.array(Some(name), element_type(dtype), &shape, bytes);
}

/// A program on its way to a graph.
struct Translation<'p> {
    program: &'p Program,
    writer: Writer,
    names: HashMap<Value, String>,
}

impl<'p> Translation<'p> {
    fn of<E: Float>(
        program: &'p Program,
        given: &[(String, Leaf<NdArray<E>>)],
        wanted: &[String],
    ) -> Outcome<Writer> {
        let entry = &program.funcs[program.entry];
        let body = &program.blocks[entry.body];
        let mut all = Translation { program, writer: Writer::default(), names: HashMap::new() };
        let mut taken = HashSet::new();
        for (i, &value) in entry.params.iter().enumerate() {
            let ty = program.ty(value);
            let name = match given.get(i) {
                Some((name, leaf)) => {
                    parameter(&mut all.writer, name, leaf, ty.dtype);
                    name
                }
                None => {
                    let name = wanted.get(i - given.len()).ok_or("an input without a name")?;
                    all.writer.graph.input.push(builder::port(name, element_type(ty.dtype), &ty.shape));
                    name
                }
            };
            if !taken.insert(name.clone()) {
                return Err(format!("two parameters or inputs are named {name:?}"));
            }
            all.names.insert(value, name.clone());
        }
        // What no result depends on is left out.
        let mut needed: HashSet<Value> = body.results.iter().copied().collect();
        for stmt in body.stmts.iter().rev() {
            if let Stmt::Let(value, expr) = stmt
                && needed.contains(value)
            {
                needed.extend(expr.operands());
            }
        }
        for stmt in &body.stmts {
            match stmt {
                Stmt::Let(value, _) if !needed.contains(value) => {}
                Stmt::Let(value, expr) => {
                    let name = all.expr(*value, expr)?;
                    all.names.insert(*value, name);
                }
                Stmt::Probe(..) => return Err("what a model ensures or prints has no counterpart".into()),
                _ => {
                    return Err(
                        "control flow that is recorded has no counterpart: loops of Rust are unrolled".into(),
                    );
                }
            }
        }
        for (i, &value) in body.results.iter().enumerate() {
            let name = if body.results.len() == 1 { "output".to_string() } else { format!("output.{i}") };
            let ty = program.ty(value);
            let from = all.name(value)?;
            all.writer.node_to("Identity", &[&from], &name, vec![]);
            all.writer.graph.output.push(builder::port(&name, element_type(ty.dtype), &ty.shape));
        }
        Ok(all.writer)
    }

    fn name(&self, value: Value) -> Outcome<String> {
        self.names.get(&value).cloned().ok_or_else(|| "a value from elsewhere".into())
    }

    fn shape(&self, value: Value) -> &'p [usize] {
        &self.program.ty(value).shape
    }

    fn lengths(&mut self, shape: &[usize]) -> String {
        self.writer.ints(shape.iter().map(|&n| n as i64))
    }

    /// The nodes of an expression.
    fn expr(&mut self, value: Value, expr: &Expr) -> Outcome<String> {
        let ty = self.program.ty(value);
        let operands = expr.operands().into_iter().map(|x| self.name(x)).collect::<Outcome<Vec<_>>>()?;
        let x: Vec<&str> = operands.iter().map(String::as_str).collect();
        let int = |n: usize| Setting::Int(n as i64);
        Ok(match expr {
            Expr::Fill { value, shape } => {
                let number = elementwise::scalar(&mut self.writer, *value);
                if shape.is_empty() {
                    return Ok(number);
                }
                let lengths = self.lengths(shape);
                self.writer.node("Expand", &[&number, &lengths], vec![])
            }
            Expr::Array(array) => {
                let bytes = match array.data() {
                    Data::F32(x) => x.iter().flat_map(|x| x.to_le_bytes()).collect(),
                    Data::F64(x) => x.iter().flat_map(|x| x.to_le_bytes()).collect(),
                    Data::I64(x) => x.iter().flat_map(|x| x.to_le_bytes()).collect(),
                    Data::Bool(x) => x.iter().map(|&x| x.into()).collect(),
                };
                self.writer.array(None, element_type(ty.dtype), &ty.shape, bytes)
            }
            Expr::Unary(op, _) => elementwise::unary(&mut self.writer, *op, x[0], ty.dtype)?,
            Expr::Powi(_, n) => {
                let exponent = elementwise::number(&mut self.writer, ty.dtype, (*n).into());
                self.writer.node("Pow", &[x[0], &exponent], vec![])
            }
            Expr::Clamp { low, high, .. } => {
                let (low, high) = (
                    elementwise::scalar(&mut self.writer, *low),
                    elementwise::scalar(&mut self.writer, *high),
                );
                self.writer.node("Clip", &[x[0], &low, &high], vec![])
            }
            Expr::Binary(op, ..) => elementwise::binary(&mut self.writer, *op, &x)?,
            Expr::Compare(op, ..) => {
                let op = match op {
                    Comparison::Less => "Less",
                    Comparison::LessEqual => "LessOrEqual",
                    Comparison::Equal => "Equal",
                };
                self.writer.node(op, &x, vec![])
            }
            Expr::Select { .. } => self.writer.node("Where", &x, vec![]),
            Expr::Convert(_, dtype) => {
                self.writer.node("Cast", &x, vec![("to", Setting::Int(element_type(*dtype).into()))])
            }
            Expr::Reshape(_, shape) => {
                let lengths = self.lengths(shape);
                // A length of 0 is one, and no sign.
                self.writer.node("Reshape", &[x[0], &lengths], vec![("allowzero", Setting::Int(1))])
            }
            Expr::After(..) => x[0].to_string(),
            Expr::Permute(_, order) => {
                let order = order.iter().map(|&axis| axis as i64).collect();
                self.writer.node("Transpose", &x, vec![("perm", Setting::Ints(order))])
            }
            Expr::Broadcast(_, shape) => {
                let lengths = self.lengths(shape);
                self.writer.node("Expand", &[x[0], &lengths], vec![])
            }
            Expr::Reduce(_, _, axes) if axes.is_empty() => x[0].to_string(),
            Expr::Reduce(op, _, axes) => {
                let list: Vec<i64> = axes.iter().map(|&axis| axis as i64).collect();
                match op {
                    Reduction::Sum => {
                        let list = self.writer.ints(list);
                        self.writer.node("ReduceSum", &[x[0], &list], vec![("keepdims", Setting::Int(0))])
                    }
                    Reduction::Max | Reduction::LogSumExp => {
                        let op = if *op == Reduction::Max { "ReduceMax" } else { "ReduceLogSumExp" };
                        let settings = vec![("axes", Setting::Ints(list)), ("keepdims", Setting::Int(0))];
                        self.writer.node(op, &x, settings)
                    }
                }
            }
            Expr::Argmax(_, axis) => {
                self.writer.node("ArgMax", &x, vec![("axis", int(*axis)), ("keepdims", Setting::Int(0))])
            }
            Expr::Matmul(..) => self.writer.node("MatMul", &x, vec![]),
            Expr::Concat(_, axis) => self.writer.node("Concat", &x, vec![("axis", int(*axis))]),
            Expr::Slice { axis, start, end, step, .. } => {
                let [start, end, axis, step] =
                    [start, end, axis, step].map(|&n| self.writer.ints([n as i64]));
                self.writer.node("Slice", &[x[0], &start, &end, &axis, &step], vec![])
            }
            Expr::Flip(_, axis) => {
                let [start, end, axis, step] =
                    [-1, i64::MIN, *axis as i64, -1].map(|n| self.writer.ints([n]));
                self.writer.node("Slice", &[x[0], &start, &end, &axis, &step], vec![])
            }
            Expr::Pad { x: operand, axis, padding } => {
                if padding.interior > 0 {
                    return Err("zeros between elements have no counterpart".into());
                }
                let rank = self.shape(*operand).len();
                let mut pads = vec![0; 2 * rank];
                (pads[*axis], pads[rank + axis]) = (padding.before as i64, padding.after as i64);
                let pads = self.writer.ints(pads);
                self.writer.node("Pad", &[x[0], &pads], vec![])
            }
            Expr::GatherRows { .. } => self.writer.node("Gather", &x, vec![("axis", Setting::Int(0))]),
            Expr::GatherLast { .. } => {
                let last = self.writer.ints([-1]);
                let indices = self.writer.node("Unsqueeze", &[x[1], &last], vec![]);
                let picked =
                    self.writer.node("GatherElements", &[x[0], &indices], vec![("axis", Setting::Int(-1))]);
                self.writer.node("Squeeze", &[&picked, &last], vec![])
            }
            Expr::Conv2d { window, .. } => self.writer.node("Conv", &x, moves(*window)),
            Expr::Conv2dImage { y_bar, kernel, size, window } => {
                let kernel = [self.shape(*kernel)[2], self.shape(*kernel)[3]];
                let rows = [self.shape(*y_bar)[2], self.shape(*y_bar)[3]];
                self.transposed(&x, rows, kernel, *size, *window)
            }
            Expr::Unfold2d { image, kernel, window } => {
                let [b, c, h, w] = four(self.shape(*image))?;
                let single = self.reshaped(x[0], &[b * c, 1, h, w]);
                let places = self.places(ty.dtype, *kernel);
                let windows = self.writer.node("Conv", &[&single, &places], moves(*window));
                self.reshaped(&windows, &ty.shape)
            }
            Expr::Fold2d { x: operand, size, kernel, window } => {
                let shape = self.shape(*operand);
                let &[b, c, k, rows, columns] = shape else {
                    return Err("windows of other than five axes".into());
                };
                let single = self.reshaped(x[0], &[b * c, k, rows, columns]);
                let places = self.places(ty.dtype, *kernel);
                let image = self.transposed(&[&single, &places], [rows, columns], *kernel, *size, *window);
                self.reshaped(&image, &ty.shape)
            }
            Expr::ScatterRows { .. } | Expr::WriteRows { .. } | Expr::ScatterLast { .. } => {
                return Err("writing by index has no counterpart".into());
            }
            Expr::Conv2dKernel { .. } => {
                return Err("a convolution's adjoint by its kernel has no counterpart".into());
            }
            Expr::Uniform { .. } => return Err("random numbers have no counterpart".into()),
            Expr::Host { .. } => return Err("operators of the host have no counterpart".into()),
        })
    }

    fn reshaped(&mut self, x: &str, shape: &[usize]) -> String {
        let lengths = self.lengths(shape);
        self.writer.node("Reshape", &[x, &lengths], vec![("allowzero", Setting::Int(1))])
    }

    /// Kernels `[kh·kw, 1, kh, kw]`, each of which takes one place of a window.
    fn places(&mut self, dtype: Dtype, [kh, kw]: [usize; 2]) -> String {
        let count = kh * kw;
        let one = |i: usize| f64::from(i.is_multiple_of(count + 1));
        let bytes = (0..count * count).flat_map(|i| bytes_of(Scalar::of(dtype, one(i)))).collect();
        self.writer.array(None, element_type(dtype), &[count, 1, kh, kw], bytes)
    }

    /// A transposed convolution to an image of a size.
    fn transposed(
        &mut self,
        x: &[&str],
        rows: [usize; 2],
        kernel: [usize; 2],
        size: [usize; 2],
        window: Window2d,
    ) -> String {
        let further = |i: usize| {
            let least = (rows[i] as i64 - 1) * window.stride[i] as i64 + kernel[i] as i64;
            size[i] as i64 + 2 * window.padding[i] as i64 - least
        };
        let mut settings = moves(window);
        settings.push(("output_padding", Setting::Ints(vec![further(0), further(1)])));
        self.writer.node("ConvTranspose", x, settings)
    }
}

/// How a convolution moves.
fn moves(window: Window2d) -> Vec<(&'static str, Setting)> {
    let ints = |list: &[usize]| Setting::Ints(list.iter().map(|&n| n as i64).collect());
    let [a, b] = window.padding;
    vec![("strides", ints(&window.stride)), ("pads", ints(&[a, b, a, b]))]
}

fn four(shape: &[usize]) -> Outcome<[usize; 4]> {
    shape.try_into().map_err(|_| "an image of other than four axes".into())
}
