//! The ways to run a random model, and whether they agree.

use std::ops::Add;

use antiphon::recording::{
    OptimiseOptions, Plain, Program, Recorded, RecordedBool, RecordedInt, interpret as interpret_program,
    optimise, record,
};
use antiphon::state::{Flag, Index};
use antiphon::{
    Batch, BatchBool, BatchInt, Control, Float, Int, IntTensor, NdArray, NdBool, NdInt, OrRaise, Real,
    Result, Tensor, Var, grad, hvp, jvp, value_and_grad, vmap,
};
use antiphon_staging::jit::{CompileOptions, compile};
use antiphon_staging::{Data, interpret};

use crate::arrays::ArrayOp;
use crate::evaluate::{Inputs, Noise, Run, no_arrays};
use crate::generate::{Kind, generate};
use crate::model::Model;

/// What to run a model on, as plain data.
#[derive(Clone, Debug)]
pub struct Point {
    reals: Vec<Vec<f64>>,
    ints: Vec<i64>,
    flags: Vec<bool>,
    indices: [i64; 2],
}

/// What is computed besides value and gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    Nothing,
    /// The value without any derivative.
    Value,
    /// A derivative forward.
    Forward,
    /// A product with the Hessian, forward over reverse.
    Product,
    /// The same, reverse over reverse.
    Twice,
}

/// A model, what to compute of it and where.
pub struct Case {
    pub kind: Kind,
    pub model: Model,
    pub extra: Extra,
    /// Whether it is compiled for speed, too: compiling takes longer than all else.
    pub fast: bool,
    pub points: Vec<Point>,
}

/// Elements of inputs: few are special, or nearly all results would be NaN.
const ELEMENTS: [f64; 16] =
    [0.5, -1.25, 2.0, 0.0, 1.75, 1e-3, -0.1, 0.7, 1.1, -1.5, 0.3, 0.9, -0.6, 1.0, -0.0, 0.25];

impl Case {
    /// The case that a stream of choices stands for.
    pub fn new(choices: &[u32], kind: Kind) -> Case {
        let (model, mut rest) = generate(choices, kind);
        let mut below = |n: usize| match rest.split_first() {
            Some((&first, others)) => {
                rest = others;
                first as usize % n
            }
            None => 0,
        };
        let extras = [Extra::Nothing, Extra::Twice, Extra::Value, Extra::Forward, Extra::Product];
        let (extra, fast) = (extras[below(5)], below(4) == 1);
        let mut element = |i: usize| {
            let (x, fine) = (ELEMENTS[below(ELEMENTS.len())], below(2) == 0);
            // Elements that differ, but for some that do not.
            if fine { x + 0.015 * (1 + i) as f64 } else { x }
        };
        let reals = |element: &mut dyn FnMut(usize) -> f64| -> Vec<Vec<f64>> {
            let sizes = model.reals.iter().map(|shape| shape.iter().product());
            sizes.map(|size: usize| (0..size).map(&mut *element).collect()).collect()
        };
        let points: Vec<Vec<Vec<f64>>> = (0..3).map(|_| reals(&mut element)).collect();
        let point = |reals| Point {
            reals,
            ints: (0..model.ints).map(|_| below(5) as i64).collect(),
            flags: (0..model.flags).map(|_| below(2) == 1).collect(),
            indices: [below(2) as i64, below(2) as i64],
        };
        let points = points.into_iter().map(point).collect();
        Case { kind, model, extra, fast, points }
    }

    fn inputs<T: Control>(
        &self,
        point: &Point,
        indices: T::Int,
        real: impl Fn(&[usize], &[f64]) -> T,
    ) -> Inputs<T> {
        let shapes = self.model.reals.iter().zip(&point.reals);
        let int = T::Int::constant;
        Inputs {
            reals: shapes.map(|(shape, elements)| real(shape, elements)).collect(),
            ints: point.ints.iter().map(|&n| int(n)).collect(),
            flags: point.flags.iter().map(|&flag| int(0).less(&int(i64::from(flag)))).collect(),
            indices,
        }
    }

    fn scalars(&self, point: &Point) -> Inputs<f64> {
        self.inputs(point, 0, |_, elements| elements[0])
    }

    pub fn arrays<T: Tensor>(&self, point: &Point) -> Inputs<T> {
        let indices = T::Int::from_elements(&[2], &point.indices).or_raise();
        self.inputs(point, indices, |shape, elements| T::from_elements(shape, elements).or_raise())
    }
}

impl<T: Real> Inputs<T> {
    /// The same, with other reals.
    pub fn with<U: Real<Int = T::Int, Bool = T::Bool>>(&self, reals: Vec<U>) -> Inputs<U> {
        Inputs { reals, ints: self.ints.clone(), flags: self.flags.clone(), indices: self.indices.clone() }
    }
}

macro_rules! results {
    ($($name:ident $Bound:ident $arrays:expr, $sum:expr;)*) => { $(
        /// Value, gradient and what else there is of a case, in an interpretation: eagerly, or recorded.
        fn $name<T: $Bound>(case: &Case, x: &Inputs<T>, noise: Noise) -> Result<Vec<T>> {
            let model = &case.model;
            let v: Vec<T> = x.reals.iter().zip(1..).map(|(x, i)| x.full_like(0.6 / f64::from(i))).collect();
            let (y, gradient) =
                value_and_grad(|reals| Run { model, arrays: $arrays, noise }.call(x.with(reals)), &x.reals)?;
            let mut results = vec![y];
            results.extend(gradient);
            match case.extra {
                Extra::Nothing => {}
                Extra::Value => results.push(Run { model, arrays: $arrays, noise }.call(x.clone())),
                Extra::Forward => {
                    let run = |reals| Run { model, arrays: $arrays, noise }.call(x.with(reals));
                    results.push(jvp(run, &x.reals, &v)?.1);
                }
                Extra::Product => {
                    let product = hvp(
                        |reals| Run { model, arrays: $arrays, noise }.call(x.with(reals)),
                        &x.reals,
                        &v,
                    );
                    results.extend(product?.1);
                }
                Extra::Twice => {
                    let product = grad(
                        |reals| {
                            let outer = x.with(reals);
                            let slopes = grad(
                                |reals| Run { model, arrays: $arrays, noise }.call(outer.with(reals)),
                                &outer.reals,
                            );
                            let along = slopes.or_raise().into_iter().zip(&v);
                            along.map(|(slope, v)| $sum(slope * &Var::lift(v))).reduce(Add::add).unwrap_or_else(zero)
                        },
                        &x.reals,
                    );
                    results.extend(product?);
                }
            }
            Ok(results)
        }
    )* };
}
results! {
    of_scalars Control no_arrays, std::convert::identity;
    of_arrays Tensor ArrayOp::apply, |x| Tensor::sum(&x, ..);
}

fn zero<T: Real>() -> T {
    T::constant(0.0)
}

/// A run's results, each as the list of its elements.
type Results = Vec<Vec<f64>>;

/// An element type: how a case is run eagerly with it.
pub trait Precision: Sized {
    /// How far results may lie apart that are computed in another order, relative to the largest numbers around.
    const TOLERANCE: f64;
    fn record(case: &Case) -> Result<Program>;
    fn eager(case: &Case, point: &Point, noise: Noise) -> Result<Results>;
    /// All points as the rows of a batch: the results of each.
    fn batched(case: &Case) -> Result<Vec<Results>>;
    /// The same recorded and interpreted; see [`recorded_rows`].
    fn batch_recorded(case: &Case, alike: bool) -> Result<Vec<Results>>;
    fn tensor(shape: &[usize], elements: &[f64]) -> antiphon_staging::ConcreteTensor;
}

fn recorded<A: Tensor<Int = NdInt, Bool = NdBool> + Plain>(case: &Case) -> Result<Program> {
    let Inputs { reals, ints, flags, indices } = case.arrays::<A>(&case.points[0]);
    let model =
        |(reals, ints, flags, indices): (Vec<Recorded>, Vec<RecordedInt>, Vec<RecordedBool>, RecordedInt)| {
            let x = Inputs { reals, ints, flags, indices };
            let results = match case.kind {
                Kind::Scalars => of_scalars(case, &x, Noise::default()),
                Kind::Arrays | Kind::Operators => of_arrays(case, &x, Noise::default()),
            };
            results.or_raise()
        };
    record("model", model, &(reals, ints, flags, indices))
}

/// The inputs of all points, as the rows of a batch.
type Rows<T> = (Vec<T>, Vec<Index<T>>, Vec<Flag<T>>, Index<T>);

/// As a structure.
fn structure<T: Real>(x: Inputs<T>) -> Rows<T> {
    let (ints, flags) = (x.ints.into_iter().map(Index), x.flags.into_iter().map(Flag));
    (x.reals, ints.collect(), flags.collect(), Index(x.indices))
}

fn inputs<T: Real>((reals, ints, flags, indices): Rows<T>) -> Inputs<T> {
    let (ints, flags) = (ints.into_iter().map(|i| i.0), flags.into_iter().map(|b| b.0));
    Inputs { reals, ints: ints.collect(), flags: flags.collect(), indices: indices.0 }
}

impl Case {
    fn rows<A: Tensor<Int = NdInt, Bool = NdBool>>(&self) -> Result<Rows<A>> {
        let inputs: Vec<Inputs<A>> = self.points.iter().map(|point| self.arrays(point)).collect();
        let real = |i: usize| A::stack(&inputs.iter().map(|x| x.reals[i].clone()).collect::<Vec<_>>(), 0);
        let column = |of: &dyn Fn(&Point) -> i64| NdInt::from(self.points.iter().map(of).collect::<Vec<_>>());
        let flag = |i: usize| NdInt::constant(0).less(&column(&|point| i64::from(point.flags[i])));
        let indices: Vec<i64> = self.points.iter().flat_map(|point| point.indices).collect();
        Ok(structure(Inputs {
            reals: (0..self.model.reals.len()).map(real).collect(),
            ints: (0..self.model.ints).map(|i| column(&|point| point.ints[i])).collect(),
            flags: (0..self.model.flags).map(flag).collect(),
            indices: NdInt::from_elements(&[self.points.len(), 2], &indices)?,
        }))
    }

    /// The same with the integers and truth values of the first point.
    fn like_rows<A: Tensor<Int = NdInt, Bool = NdBool>>(&self) -> Result<Rows<A>> {
        Ok(structure(Inputs { reals: self.rows::<A>()?.0, ..self.arrays(&self.points[0]) }))
    }

    /// The case with one point's integers and truth values at all points.
    fn alike(&self) -> Case {
        let first = &self.points[0];
        let points = self.points.iter().map(|point| Point { reals: point.reals.clone(), ..first.clone() });
        Case { model: self.model.clone(), points: points.collect(), ..*self }
    }
}

/// The results of the rows of a batch, eagerly or recorded.
fn of_rows<T: Tensor>(case: &Case, x: Rows<T>) -> Result<Vec<T>> {
    vmap(|x: Rows<Batch<T>>| of_case(case, &inputs(x)).or_raise(), &x)
}

/// Likewise, of rows whose integers and truth values are the same.
fn of_like_rows<T: Tensor>(case: &Case, x: Rows<T>) -> Result<Vec<T>> {
    let Inputs { reals, ints, flags, indices } = inputs(x);
    let row = |reals: Vec<Batch<T>>| {
        let x = Inputs {
            reals,
            ints: ints.iter().map(BatchInt::lift).collect(),
            flags: flags.iter().map(BatchBool::lift).collect(),
            indices: BatchInt::lift(&indices),
        };
        of_case(case, &x).or_raise()
    };
    vmap(row, &reals)
}

/// The results of a case of its kind.
fn of_case<T: Tensor>(case: &Case, x: &Inputs<T>) -> Result<Vec<T>> {
    match case.kind {
        Kind::Scalars => of_scalars(case, x, Noise::default()),
        Kind::Arrays | Kind::Operators => of_arrays(case, x, Noise::default()),
    }
}

/// The results of a recorded batch.
fn recorded_rows<A>(case: &Case, alike: bool) -> Result<Vec<A>>
where
    A: Tensor<Int = NdInt, Bool = NdBool> + Plain,
{
    let x = if alike { case.like_rows::<A>()? } else { case.rows::<A>()? };
    let of = if alike { of_like_rows::<Recorded> } else { of_rows::<Recorded> };
    interpret_program(&record("rows", |x: Rows<Recorded>| of(case, x).or_raise(), &x)?, &x)
}

/// The rows of results.
fn rows<E: Float + Into<f64>>(results: &[NdArray<E>], rows: usize) -> Vec<Results> {
    let row = |i| results.iter().map(|y| y.index(0, i).view().iter().map(|&x| x.into()).collect()).collect();
    (0..rows).map(row).collect()
}

impl Precision for f64 {
    const TOLERANCE: f64 = 1e-11;
    fn record(case: &Case) -> Result<Program> {
        recorded::<NdArray<f64>>(case)
    }
    fn eager(case: &Case, point: &Point, noise: Noise) -> Result<Results> {
        Ok(match case.kind {
            Kind::Scalars => {
                of_scalars(case, &case.scalars(point), noise)?.into_iter().map(|y| vec![y]).collect()
            }
            Kind::Arrays | Kind::Operators => {
                let results = of_arrays::<NdArray<f64>>(case, &case.arrays(point), noise)?;
                results.iter().map(|y| y.view().iter().copied().collect()).collect()
            }
        })
    }
    fn batched(case: &Case) -> Result<Vec<Results>> {
        Ok(rows(&of_rows(case, case.rows::<NdArray<f64>>()?)?, case.points.len()))
    }
    fn batch_recorded(case: &Case, alike: bool) -> Result<Vec<Results>> {
        Ok(rows(&recorded_rows::<NdArray<f64>>(case, alike)?, case.points.len()))
    }
    fn tensor(shape: &[usize], elements: &[f64]) -> antiphon_staging::ConcreteTensor {
        antiphon_staging::ConcreteTensor::new(shape, elements.to_vec()).expect("all elements")
    }
}

impl Precision for f32 {
    const TOLERANCE: f64 = 1e-4;
    fn record(case: &Case) -> Result<Program> {
        recorded::<NdArray<f32>>(case)
    }
    fn eager(case: &Case, point: &Point, noise: Noise) -> Result<Results> {
        let results = of_arrays::<NdArray<f32>>(case, &case.arrays(point), noise)?;
        Ok(results.iter().map(|y| y.view().iter().copied().map(f64::from).collect()).collect())
    }
    fn batched(case: &Case) -> Result<Vec<Results>> {
        Ok(rows(&of_rows(case, case.rows::<NdArray<f32>>()?)?, case.points.len()))
    }
    fn batch_recorded(case: &Case, alike: bool) -> Result<Vec<Results>> {
        Ok(rows(&recorded_rows::<NdArray<f32>>(case, alike)?, case.points.len()))
    }
    fn tensor(shape: &[usize], elements: &[f64]) -> antiphon_staging::ConcreteTensor {
        let elements: Vec<f32> = elements.iter().map(|&x| x as f32).collect();
        antiphon_staging::ConcreteTensor::new(shape, elements).expect("all elements")
    }
}

/// What was seen of a case in which all ways agree.
pub struct Agreement {
    /// Whether rounding changes its results so much that comparing them says nothing.
    pub magnifies: bool,
    /// Whether a forward derivative is excused; see [`excuse`].
    pub excused: bool,
    /// How many of its values are finite, of how many.
    pub finite: [usize; 2],
}

/// Runs a case eagerly, in the interpreter and compiled, at each of its points.
///
/// The interpreter, the optimised program and strictly compiled code give the same bits. So does an eager run on
/// scalars without control flow, but for the signs of zeros, where an adjoint is absent eagerly and recorded as zeros.
/// Through branches and functions adjoints add up in another order, and eager kernels of arrays, as code that is
/// compiled for speed, round differently: there results agree to [`Precision::TOLERANCE`], unless rounding errors alone
/// move them.
///
/// # Errors
/// Says what does not agree.
pub fn check<E: Precision>(case: &Case) -> std::result::Result<Agreement, String> {
    let program = E::record(case).map_err(|error| format!("recording: {error}"))?;
    let mut optimised = program.clone();
    optimise(&mut optimised, &OptimiseOptions::default());
    let options = |strict: bool| CompileOptions { strict, ..CompileOptions::default() };
    let compiled =
        |strict: bool| compile(&optimised, &options(strict)).map_err(|error| format!("compiling: {error}"));
    let mut strict = compiled(true)?;
    let mut fast = if case.fast { Some(compiled(false)?) } else { None };
    let mut agreement = Agreement { magnifies: false, excused: false, finite: [0, 0] };
    agreement.excused |= check_batches::<E>(case)?;
    for point in &case.points {
        let eager = E::eager(case, point, Noise::default()).map_err(|error| format!("eagerly: {error}"))?;
        agreement.finite[0] += usize::from(eager.iter().flatten().all(|x| x.is_finite()));
        agreement.finite[1] += 1;
        let x = tensors::<E>(case, point);
        let results =
            |way: &str, results: antiphon_staging::Result<Vec<antiphon_staging::ConcreteTensor>>| {
                let results = results.map_err(|error| format!("{way} at {point:?}: {error}"))?;
                Ok::<Results, String>(results.iter().map(numbers).collect())
            };
        let reference = results("interpreted", interpret(&program, &x))?;
        let differ =
            |way: &str, found: &Results| format!("{way} at {point:?}:\n{found:?}\nnot\n{reference:?}");
        for (way, found) in [("optimised", interpret(&optimised, &x)), ("compiled", strict.run(&x))] {
            let found = results(way, found)?;
            if !same_results(&found, &reference) {
                return Err(differ(way, &found));
            }
        }
        let mut eager = eager;
        agreement.excused |= excuse(case, &mut eager, &reference);
        let exact = case.kind == Kind::Scalars && !case.model.has_control_flow();
        let mut rounded = vec![("eagerly", eager.clone(), exact)];
        if let Some(fast) = &mut fast {
            rounded.push(("compiled for speed", results("compiled for speed", fast.run(&x))?, false));
        }
        for (way, found, exact) in &rounded {
            let distance = apart(found, &reference, if *exact { 0.0 } else { E::TOLERANCE });
            if distance > 1.0 {
                if *exact || !magnifies::<E>(case, point, &eager, distance) {
                    return Err(differ(way, found));
                }
                agreement.magnifies = true;
            }
        }
    }
    Ok(agreement)
}

/// Runs all points of a case as the rows of a batch, eagerly and recorded, also with integers and truth values that are
/// the same for all rows. Whether anything was excused; see [`excuse`].
fn check_batches<E: Precision>(case: &Case) -> std::result::Result<bool, String> {
    let mut excused = false;
    let alike = case.alike();
    let ways = [
        ("in a batch", case, E::batched(case)),
        ("in a recorded batch", case, E::batch_recorded(case, false)),
        ("in a recorded batch of like rows", &alike, E::batch_recorded(case, true)),
    ];
    for (way, case, found) in ways {
        let found = found.map_err(|error| format!("{way}: {error}"))?;
        for (point, found) in case.points.iter().zip(found) {
            let mut eager =
                E::eager(case, point, Noise::default()).map_err(|error| format!("eagerly: {error}"))?;
            excused |= excuse(case, &mut eager, &found);
            let distance = apart(&found, &eager, E::TOLERANCE);
            if distance > 1.0 && !magnifies::<E>(case, point, &eager, distance) {
                return Err(format!("{way} at {point:?}:\n{found:?}\nnot\n{eager:?}"));
            }
        }
    }
    Ok(excused)
}

/// Puts NaN where control flow gave a forward derivative (twice in reverse takes one, of a region) a tangent that is
/// absent eagerly: recorded, values flow
/// through it with tangents, which may be zeros, and in a product zero times infinity is NaN. Whether it did so
/// anywhere.
fn excuse(case: &Case, eager: &mut Results, recorded: &Results) -> bool {
    let forward =
        matches!(case.extra, Extra::Forward | Extra::Product | Extra::Twice) && case.model.has_control_flow();
    let first = if forward { 1 + case.model.reals.len() } else { eager.len() };
    let mut excused = false;
    for (x, y) in eager[first..].iter_mut().flatten().zip(recorded[first..].iter().flatten()) {
        if y.is_nan() && !x.is_nan() {
            (*x, excused) = (f64::NAN, true);
        }
    }
    excused
}

/// Whether errors as small as rounding's move the results of an eager run as far apart as two ways are.
fn magnifies<E: Precision>(case: &Case, point: &Point, eager: &Results, distance: f64) -> bool {
    let relative = E::TOLERANCE * 1e-2;
    (0..16).any(|seed| match E::eager(case, point, Noise { relative, seed }) {
        Ok(noisy) => apart(&noisy, eager, E::TOLERANCE) >= distance / 10.0,
        Err(_) => false,
    })
}

fn tensors<E: Precision>(case: &Case, point: &Point) -> Vec<antiphon_staging::ConcreteTensor> {
    let reals = case.model.reals.iter().zip(&point.reals).map(|(shape, elements)| E::tensor(shape, elements));
    let indices = antiphon_staging::ConcreteTensor::new(&[2], point.indices.to_vec()).expect("two elements");
    reals
        .chain(point.ints.iter().map(|&n| n.into()))
        .chain(point.flags.iter().map(|&flag| flag.into()))
        .chain([indices])
        .collect()
}

fn numbers(x: &antiphon_staging::ConcreteTensor) -> Vec<f64> {
    match x.data() {
        Data::F64(x) => x.clone(),
        Data::F32(x) => x.iter().copied().map(f64::from).collect(),
        data => panic!("results are real, and not {data:?}"),
    }
}

fn pairs<'a>(a: &'a Results, b: &'a Results) -> impl Iterator<Item = (f64, f64)> {
    assert!(a.iter().map(Vec::len).eq(b.iter().map(Vec::len)), "results of the same shapes");
    a.iter().flatten().copied().zip(b.iter().flatten().copied())
}

/// The same bits, or both NaN.
fn same_results(a: &Results, b: &Results) -> bool {
    pairs(a, b).all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()))
}

/// The largest difference in units of `tolerance`, relative to numbers or to one.
fn apart(a: &Results, b: &Results, tolerance: f64) -> f64 {
    let far = |(a, b): (f64, f64)| {
        if a == b || (a.is_nan() && b.is_nan()) {
            return 0.0;
        }
        let distance = (a - b).abs() / (tolerance * (1.0 + a.abs().max(b.abs())));
        if distance.is_nan() { f64::INFINITY } else { distance }
    };
    pairs(a, b).map(far).fold(0.0, f64::max)
}
