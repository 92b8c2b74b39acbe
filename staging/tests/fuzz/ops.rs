//! Random operators and cells.

use std::sync::Arc;

use super::{Generator, LARGEST};
use antiphon_staging::ir::Update;
use antiphon_staging::ir::expr::{Binary, Comparison, Expr, Padding, Reduction, Unary, Window2d};
use antiphon_staging::ir::ids::{Cell, Value};
use antiphon_staging::ir::tensor::ConcreteTensor;
use antiphon_staging::ir::types::{AxisList, Dtype, Scalar, Shape, Type};

/// Reals on which identities go wrong that look right.
const REALS: [f64; 12] = [1.0, 0.0, 2.0, -1.0, -0.0, 0.5, 3.0, 0.1, f64::INFINITY, f64::NAN, 1e-40, 1e300];

impl Generator<'_> {
    /// Tries a random operator on random operands: if they do not fit, nothing is recorded.
    pub(super) fn operator(&mut self) {
        let expr = match self.below(if self.scalars { 3 } else { 4 }) {
            0 => Some(self.constant()),
            1 => self.unary(),
            2 => self.binary(),
            _ => self.structural(),
        };
        if let Some(expr) = expr
            && let Ok(value) = self.builder.emit(expr)
            && self.builder.ty(value).size() <= LARGEST
        {
            self.see([value]);
        }
    }

    fn constant(&mut self) -> Expr {
        let dtype = [Dtype::F64, Dtype::F32, Dtype::I64, Dtype::Bool][self.below(4)];
        let real = REALS[self.below(REALS.len())];
        let value = Scalar::of(dtype, if dtype == Dtype::I64 { self.below(3) as f64 } else { real });
        match self.below(4) {
            _ if self.scalars => Expr::literal(value),
            0 => Expr::Fill { value, shape: Shape::from_slice(&[2, 3]) },
            1 => {
                let elements = vec![real, 1.0, -2.0];
                Expr::Array(Arc::new(ConcreteTensor::new(&[3], elements).expect("three elements")))
            }
            _ => Expr::literal(value),
        }
    }

    fn unary(&mut self) -> Option<Expr> {
        let op = Unary::ALL[self.below(Unary::ALL.len())];
        Some(match self.below(8) {
            0 => Expr::Unary(Unary::Not, self.value(|ty| ty.dtype == Dtype::Bool)?),
            1 => Expr::Unary(Unary::Neg, self.value(|ty| ty.dtype != Dtype::Bool)?),
            2 => Expr::Powi(self.real()?, self.below(5) as i32 - 1),
            3 => {
                let x = self.real()?;
                let dtype = self.builder.ty(x).dtype;
                let [low, high] = [Scalar::of(dtype, -1.0), Scalar::of(dtype, 1.5)];
                Expr::Clamp { x, low, high }
            }
            4 if self.below(3) == 0 => Expr::Convert(self.real()?, Dtype::I64),
            4 => {
                let dtype = [Dtype::F64, Dtype::F32][self.below(2)];
                Expr::Convert(self.value(|ty| !ty.dtype.is_float())?, dtype)
            }
            5 => {
                let seed = self.value(|ty| *ty == Type::scalar(Dtype::I64))?;
                let dtype = [Dtype::F64, Dtype::F32][self.below(2)];
                Expr::Uniform { seed, dtype, shape: Shape::from_slice(&[3]) }
            }
            _ => Expr::Unary(op, self.real()?),
        })
    }

    /// A second operand of the same dtype, often the first again.
    fn partner(&mut self, x: Value) -> Option<Value> {
        let dtype = self.builder.ty(x).dtype;
        if self.below(4) == 0 { Some(x) } else { self.value(|ty| ty.dtype == dtype && ty.size() <= LARGEST) }
    }

    fn binary(&mut self) -> Option<Expr> {
        let x = self.value(|ty| ty.size() <= LARGEST)?;
        let y = self.partner(x)?;
        let op = match self.below(3) {
            0 => Binary::ALL[self.below(Binary::ALL.len())],
            1 => Binary::Add,
            _ => Binary::Mul,
        };
        Some(match self.below(6) {
            0 => {
                let op = Comparison::ALL[self.below(Comparison::ALL.len())];
                Expr::Compare(op, x, y)
            }
            1 => {
                let mask = self.value(|ty| ty.dtype == Dtype::Bool)?;
                Expr::Select { mask, then: x, otherwise: y }
            }
            2 => {
                let (a, b) = self.factors()?;
                Expr::Matmul(a, b)
            }
            _ => Expr::Binary(op, x, y),
        })
    }

    /// Two matrices that can be multiplied.
    fn factors(&mut self) -> Option<(Value, Value)> {
        let a = self.value(|ty| ty.dtype.is_float() && ty.shape.len() == 2)?;
        let ty = self.builder.ty(a);
        let right = self.value(|t| t.dtype == ty.dtype && t.shape.len() == 2 && t.shape[0] == ty.shape[1]);
        let transposed = || self.builder.emit(Expr::Permute(a, AxisList::from_slice(&[1, 0]))).ok();
        Some((a, right.or_else(transposed)?))
    }

    fn structural(&mut self) -> Option<Expr> {
        let x = self.real()?;
        let ty = self.builder.ty(x);
        let rank = ty.shape.len();
        let axis = self.below(rank.max(1));
        let window = Window2d { stride: [1, 1 + self.below(2)], padding: [self.below(2), 0] };
        Some(match self.below(21) {
            0 => Expr::Reshape(x, ty.shape.iter().rev().copied().collect()),
            1 => Expr::Permute(x, (0..rank).rev().collect()),
            2 => Expr::Broadcast(x, [2].into_iter().chain(ty.shape).collect()),
            3 => Expr::Reduce(Reduction::ALL[self.below(3)], x, AxisList::from_slice(&[axis])),
            4 => Expr::Reduce(Reduction::ALL[self.below(3)], x, (0..rank).collect()),
            5 => Expr::Argmax(x, axis),
            6 => Expr::Concat(vec![x, self.partner(x)?], axis),
            7 => Expr::Slice {
                x,
                axis,
                start: self.below(2),
                end: *ty.shape.get(axis)?,
                step: 1 + self.below(2),
            },
            8 => {
                let padding =
                    Padding { before: self.below(2), after: self.below(2), interior: self.below(2) };
                Expr::Pad { x, axis, padding }
            }
            9 => Expr::Flip(x, axis),
            10 => Expr::GatherRows { x: self.rows()?, indices: self.indices()? },
            11 => Expr::ScatterRows { x: self.rows()?, indices: self.indices()?, rows: 2 + self.below(2) },
            12 => {
                let x = self.value(|ty| ty.dtype.is_float() && matches!(ty.shape[..], [2, n] if n > 1))?;
                Expr::GatherLast { x, indices: self.indices()? }
            }
            13 => Expr::ScatterLast {
                x: self.value(|ty| ty.shape[..] == [2])?,
                indices: self.indices()?,
                length: 2,
            },
            14 => {
                let shape = [&[1, 1][..], &[1; 2][..ty.shape.len().abs_diff(2).min(2)], &ty.shape].concat();
                Expr::Reshape(x, shape.into())
            }
            15 => {
                let image = self.value(|ty| ty.shape.len() == 4)?;
                Expr::Conv2d { image, kernel: self.value(|ty| ty.shape.len() == 4)?, window }
            }
            18..=20 => {
                let x = self.rows()?;
                let ty = self.builder.ty(x);
                let rows = self.value(|t| *t == ty)?;
                Expr::WriteRows { x, indices: self.indices()?, rows, axes: 1, add: self.below(3) == 0 }
            }
            16 => {
                let (image, kernel) = (self.value(|ty| ty.shape.len() == 4)?, [1, 2]);
                if self.below(2) == 0 {
                    Expr::Unfold2d { image, kernel, window }
                } else {
                    let x = self.builder.emit(Expr::Unfold2d { image, kernel, window }).ok()?;
                    let of_image = self.builder.ty(image).shape;
                    Expr::Fold2d { x, size: [of_image[2], of_image[3]], kernel, window }
                }
            }
            _ => {
                let (image, kernel) =
                    (self.value(|ty| ty.shape.len() == 4)?, self.value(|ty| ty.shape.len() == 4)?);
                let y = self.builder.emit(Expr::Conv2d { image, kernel, window }).ok()?;
                let (of_image, of_kernel) = (self.builder.ty(image).shape, self.builder.ty(kernel).shape);
                if self.below(2) == 0 {
                    Expr::Conv2dImage { y_bar: y, kernel, size: [of_image[2], of_image[3]], window }
                } else {
                    Expr::Conv2dKernel { image, y_bar: y, size: [of_kernel[2], of_kernel[3]], window }
                }
            }
        })
    }

    fn rows(&mut self) -> Option<Value> {
        self.value(|ty| ty.dtype.is_float() && ty.shape.first() == Some(&2) && ty.size() <= LARGEST)
    }

    /// The only integers that are used as indices are in range.
    fn indices(&mut self) -> Option<Value> {
        self.visible.values.iter().copied().find(|&v| self.builder.ty(v) == Type::new(Dtype::I64, &[2]))
    }

    /// A new cell, or something done to one.
    pub(super) fn on_cell(&mut self) {
        let Some(g) = self.real() else { return };
        let ty = self.builder.ty(g);
        let cells: Vec<_> = self.visible.cells.iter().rev().copied().collect();
        let fitting: Vec<_> = cells.iter().copied().filter(|&c| self.builder.cell_ty(c) == ty).collect();
        match (self.below(10), self.pick(&fitting), self.pick(&cells)) {
            (0..=1, _, Some(cell)) => {
                let taken = self.builder.take(cell);
                self.see([taken]);
            }
            (2, _, Some(cell)) => {
                let present = self.builder.present(cell);
                self.see([present]);
            }
            (3, _, Some(cell)) => self.partial(cell, g),
            (4, _, _) => {
                if let Some((a, b)) = self.factors()
                    && let Ok(product) = self.builder.emit(Expr::Matmul(a, b))
                {
                    let cell = self.builder.cell(self.builder.ty(product));
                    self.visible.cells.push(cell);
                    let _ = self.builder.update(cell, Update::Matmul(a, b));
                }
            }
            (5..=8, Some(cell), _) => drop(self.builder.accumulate(cell, g)),
            _ => {
                let cell = self.builder.cell(ty);
                self.visible.cells.push(cell);
                if self.below(2) == 0 {
                    let _ = self.builder.accumulate(cell, g);
                }
            }
        }
    }

    fn partial(&mut self, cell: Cell, g: Value) {
        let ty = self.builder.cell_ty(cell);
        let g = self.value(|t| *t == ty).unwrap_or(g);
        let update = match self.below(3) {
            0 => self.indices().map(|indices| Update::Rows { indices, g }),
            1 => self.factors().map(|(a, b)| Update::Matmul(a, b)),
            _ => self.builder.ty(g).shape.first().map(|&count| {
                let step = 1 + self.below(2);
                Update::Slice { axis: 0, start: self.below(2), step, count, g }
            }),
        };
        if let Some(update) = update {
            let _ = self.builder.update(cell, update);
        }
    }
}
