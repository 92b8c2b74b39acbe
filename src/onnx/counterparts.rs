//! Elementwise functions and types of elements, as ONNX has them.

use antiphon_staging::{Binary, Dtype, Scalar, Unary};

use super::builder::{Setting, Writer};
use super::known::Outcome;
use super::proto::data_type;

/// The type of elements in a file.
pub fn element_type(dtype: Dtype) -> i32 {
    match dtype {
        Dtype::F32 => data_type::FLOAT,
        Dtype::F64 => data_type::DOUBLE,
        Dtype::I64 => data_type::INT64,
        Dtype::Bool => data_type::BOOL,
    }
}

/// An element's bytes.
pub fn bytes_of(x: Scalar) -> Vec<u8> {
    match x {
        Scalar::F32(x) => x.to_le_bytes().into(),
        Scalar::F64(x) => x.to_le_bytes().into(),
        Scalar::I64(x) => x.to_le_bytes().into(),
        Scalar::Bool(x) => vec![x.into()],
    }
}

/// A single number of a type.
pub fn number(writer: &mut Writer, dtype: Dtype, x: f64) -> String {
    scalar(writer, Scalar::of(dtype, x))
}

/// A single element.
pub fn scalar(writer: &mut Writer, x: Scalar) -> String {
    writer.array(None, element_type(x.dtype()), &[], bytes_of(x))
}

/// An elementwise function.
pub fn unary(writer: &mut Writer, op: Unary, x: &str, dtype: Dtype) -> Outcome<String> {
    let name = match op {
        Unary::Neg => "Neg",
        Unary::Recip => "Reciprocal",
        Unary::Abs => "Abs",
        Unary::Sign => "Sign",
        Unary::Exp => "Exp",
        Unary::Log => "Log",
        Unary::Sqrt => "Sqrt",
        Unary::Sin => "Sin",
        Unary::Cos => "Cos",
        Unary::Tan => "Tan",
        Unary::Tanh => "Tanh",
        Unary::Sigmoid => "Sigmoid",
        Unary::Softplus => "Softplus",
        Unary::Relu => "Relu",
        Unary::Erf => "Erf",
        Unary::Sinh => "Sinh",
        Unary::Cosh => "Cosh",
        Unary::Asin => "Asin",
        Unary::Acos => "Acos",
        Unary::Atan => "Atan",
        Unary::Asinh => "Asinh",
        Unary::Acosh => "Acosh",
        Unary::Atanh => "Atanh",
        Unary::Floor => "Floor",
        Unary::Ceil => "Ceil",
        Unary::Round => "Round",
        Unary::Not => "Not",
        Unary::Exp2 => {
            let two = number(writer, dtype, 2.0);
            return Ok(writer.node("Pow", &[&two, x], vec![]));
        }
        Unary::Log2 | Unary::Log10 => {
            let base = if op == Unary::Log2 { std::f64::consts::LN_2 } else { std::f64::consts::LN_10 };
            let (log, base) = (writer.node("Log", &[x], vec![]), number(writer, dtype, base));
            return Ok(writer.node("Div", &[&log, &base], vec![]));
        }
        Unary::Trunc => {
            let size = writer.node("Abs", &[x], vec![]);
            let whole = writer.node("Floor", &[&size], vec![]);
            let sign = writer.node("Sign", &[x], vec![]);
            return Ok(writer.node("Mul", &[&sign, &whole], vec![]));
        }
        Unary::Expm1 | Unary::Log1p | Unary::Erfc | Unary::Cbrt | Unary::Lgamma | Unary::I0 | Unary::I1 => {
            return Err(format!("{} has no counterpart that is as exact", op.name()));
        }
    };
    Ok(writer.node(name, &[x], vec![]))
}

/// An elementwise function of two.
pub fn binary(writer: &mut Writer, op: Binary, x: &[&str]) -> Outcome<String> {
    let name = match op {
        Binary::Add => "Add",
        Binary::Sub => "Sub",
        Binary::Mul => "Mul",
        Binary::Div => "Div",
        Binary::Pow => "Pow",
        Binary::Maximum => "Max",
        Binary::Minimum => "Min",
        Binary::And => "And",
        Binary::Or => "Or",
        Binary::Fmod => return Ok(writer.node("Mod", x, vec![("fmod", Setting::Int(1))])),
        Binary::Atan2 | Binary::Hypot | Binary::FloorDivide => {
            return Err(format!("{} has no counterpart", op.name()));
        }
    };
    Ok(writer.node(name, x, vec![]))
}
