//! Convex quadratic programs, by a primal–dual interior-point method.

use crate::Params;
use crate::continuation::unwinding::{OrRaise, catch, raise};
use crate::error::{At, Error, Result};
use crate::language::real::{Mask, Real};
use crate::language::tensor::Tensor;
use crate::linalg::{Asked, Factors, Triangle, cholesky_in_step, solve_triangular};
use crate::sealed::INTERNAL;
use crate::solve::converged::Named;
use crate::solve::iteration::{Iteration, Newtonian, iterate};
use crate::solve::linear::LinearMethod;
use crate::solve::newton::newton_correction;
use crate::solve::options::{Info, Options};
use crate::solve::system::{System, epsilon, norm};

/// `min ½xᵀQx + qᵀx` subject to `Ax = b` and `Gx ≤ h`, with a symmetric positive semidefinite `Q`.
#[derive(Clone, Debug, Params)]
pub struct QuadraticProgram<T: Real> {
    /// `Q`: `[n, n]`.
    pub quadratic: T,
    /// `q`: `[n]`.
    pub linear: T,
    /// `A`, `[m, n]`, and `b`, `[m]`, if there are any.
    pub equalities: Option<(T, T)>,
    /// `G`, `[p, n]`, and `h`, `[p]`, if there are any.
    pub inequalities: Option<(T, T)>,
}

/// The solution of a [`QuadraticProgram`], with its multipliers: of which all have derivatives.
#[derive(Clone, Debug)]
pub struct QuadraticSolution<T: Real> {
    /// `x`: `[n]`.
    pub x: T,
    /// The multipliers `y` of the equalities, `[m]`: `Qx + q + Aᵀy + Gᵀλ = 0`.
    pub equality: T,
    /// The multipliers `λ ≥ 0` of the inequalities: `[p]`.
    pub inequality: T,
    /// The slack `h − Gx ≥ 0`: `[p]`.
    pub slack: T,
    /// How it was found.
    pub info: Info<T>,
}

/// The least value of a [`QuadraticProgram`], by Mehrotra's predictor and corrector (*On the implementation of a
/// primal–dual interior point method*, 1992; Nocedal & Wright, *Numerical optimization*, 2nd ed. 2006, algorithm 16.4).
/// The residual is the norm of all four of `Qx + q + Aᵀy + Gᵀλ`, `Ax − b`, `Gx + s − h` and `λ∘s`. The step that is
/// differentiated is Newton's, neither damped nor centred: so the one-step derivative has no error of the ratio test's
/// factor, and is that of the conditions of Karush, Kuhn and Tucker (Amos & Kolter, *OptNet*, 2017).
///
/// `linear` is [`LinearMethod::Cholesky`], for a positive definite `Q` (or one that is together with what the
/// inequalities add), or [`LinearMethod::Direct`]. A solution nearby is a warm start.
///
/// ```
/// use antiphon::solve::{LinearMethod, Options, QuadraticProgram, quadratic_program};
/// use antiphon::{NdArray, Real, Tensor};
/// // ½‖x‖² − cᵀx with x₁ + x₂ = 1 and x₁ ≤ ½, for c = (1, 0.2).
/// let program = QuadraticProgram {
///     quadratic: NdArray::from_elements(&[2, 2], &[1.0, 0.0, 0.0, 1.0])?,
///     linear: NdArray::from(vec![-1.0, -0.2]),
///     equalities: Some((NdArray::from_elements(&[1, 2], &[1.0, 1.0])?, NdArray::from(vec![1.0]))),
///     inequalities: Some((NdArray::from_elements(&[1, 2], &[1.0, 0.0])?, NdArray::from(vec![0.5]))),
/// };
/// let found = quadratic_program(&program, &LinearMethod::Cholesky, None, &Options::default().max_steps(50))?;
/// let near = |x: &NdArray<f64>, y: Vec<f64>| (x.clone() - &NdArray::from(y)).square().sum(..).item() < 1e-18;
/// assert!(near(&found.x, vec![0.5, 0.5]));
/// assert!(near(&found.equality, vec![-0.3]) && near(&found.inequality, vec![0.8]));
/// # Ok::<(), antiphon::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] if the dimensions do not fit, where the equations of a step have no solution, and where the
/// iteration does not converge, as it does not if no `x` satisfies all constraints.
#[track_caller]
pub fn quadratic_program<T: Tensor>(
    program: &QuadraticProgram<T>,
    linear: &LinearMethod,
    warm: Option<&QuadraticSolution<T>>,
    options: &Options,
) -> Result<QuadraticSolution<T>> {
    let at = At::caller();
    catch(|| {
        let sizes = Sizes::of(program, at);
        let Sizes { n, m, p } = sizes;
        let Some(kind) = linear.factors() else {
            let reason = format!("{linear:?}: the equations of a step are solved by Direct or Cholesky");
            raise(Error::Argument { op: NAME, reason, at });
        };
        let begin = match warm {
            Some(found) => {
                let parts = [&found.x, &found.equality, &found.inequality, &found.slack];
                T::concat(&parts.map(Clone::clone), 0)
            }
            None => T::zeros(&[n + m + 2 * p]),
        };
        if begin.shape().as_slice() != [n + m + 2 * p] {
            let reason = "a warm start of a program of another size".into();
            raise(Error::Argument { op: NAME, reason, at });
        }
        ensure_symmetric(&program.quadratic, at);
        let method = InteriorPoint { sizes, linear: linear.clone(), kind, is_warm: warm.is_some() };
        let (z, info) = iterate(&method, options, at, &begin, &program.leaves());
        let [x, equality, inequality, slack] = sizes.split(&z);
        Ok(QuadraticSolution { x, equality, inequality, slack, info })
    })
}

const NAME: &str = "interior point";

/// Raises unless a matrix is symmetric but for rounding, by its products with one vector from both sides.
fn ensure_symmetric<T: Tensor>(matrix: &T, at: At) {
    let matrix = matrix.detach();
    let n = matrix.shape()[0];
    let some = T::from_elements(&[n], &(1..=n).map(|i| (i as f64).sqrt().fract() - 0.5).collect::<Vec<_>>());
    let some = some.or_raise();
    let (right, left) = (matrix.matmul(&some), some.matmul(&matrix));
    // Of a positive semidefinite matrix no element is larger than one on the diagonal.
    let size = norm(&right) + norm(&matrix.diagonal(0)) * norm(&some);
    let is_symmetric = norm(&(right - left)).less_equal(&(size * epsilon::<T>().sqrt()));
    let unknown = matrix.sum(..).is_finite().not();
    T::ensure_at(INTERNAL, at, &is_symmetric.or(&unknown), "interior point: Q has to be symmetric");
}

/// How many unknowns, equalities and inequalities there are.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    n: usize,
    m: usize,
    p: usize,
}

/// The arrays of a program; what it has none of has no rows.
struct Arrays<'t, T> {
    quadratic: &'t T,
    linear: &'t T,
    equalities: Option<(&'t T, &'t T)>,
    inequalities: Option<(&'t T, &'t T)>,
}

impl Sizes {
    fn of<T: Tensor>(program: &QuadraticProgram<T>, at: At) -> Sizes {
        let refuse = |reason| raise(Error::Argument { op: NAME, reason, at });
        let shape = program.linear.shape();
        let [n] = shape[..] else { refuse(format!("q is {shape:?}, and has to be a vector")) };
        let quadratic = program.quadratic.shape();
        if quadratic.as_slice() != [n, n] {
            refuse(format!("Q is {quadratic:?} for q of {n} elements"));
        }
        let rows = |names: [&str; 2], constraints: &Option<(T, T)>| {
            let Some((matrix, right)) = constraints else { return 0 };
            let (matrix, right) = (matrix.shape(), right.shape());
            match (&matrix[..], &right[..]) {
                (&[rows, columns], &[length]) if columns == n && rows == length && rows > 0 => rows,
                _ => {
                    let [a, b] = names;
                    refuse(format!("{a} is {matrix:?} and {b} {right:?} for {n} unknowns"))
                }
            }
        };
        let (m, p) = (rows(["A", "b"], &program.equalities), rows(["G", "h"], &program.inequalities));
        Sizes { n, m, p }
    }
    fn split<T: Tensor>(self, z: &T) -> [T; 4] {
        let ends = [0, self.n, self.n + self.m, self.n + self.m + self.p, self.n + self.m + 2 * self.p];
        [0, 1, 2, 3].map(|i| z.slice(0, ends[i]..ends[i + 1]))
    }
    fn arrays<T>(self, theta: &[T]) -> Arrays<'_, T> {
        let pair = |start: usize| (&theta[start], &theta[start + 1]);
        Arrays {
            quadratic: &theta[0],
            linear: &theta[1],
            equalities: (self.m > 0).then(|| pair(2)),
            inequalities: (self.p > 0).then(|| pair(if self.m > 0 { 4 } else { 2 })),
        }
    }
}

/// The method: its unknown is `(x, y, λ, s)`.
#[derive(Clone, Debug)]
struct InteriorPoint {
    sizes: Sizes,
    linear: LinearMethod,
    kind: Factors,
    is_warm: bool,
}

impl Named for InteriorPoint {
    const NAME: &'static str = NAME;
}

impl System for InteriorPoint {
    fn residual<T: Tensor>(&self, z: &T, theta: &[T]) -> T {
        let [x, y, multipliers, slack] = self.sizes.split(z);
        let of = self.sizes.arrays(theta);
        let mut stationary = of.quadratic.matmul(&x) + of.linear;
        let mut parts = Vec::new();
        if let Some((a, b)) = of.equalities {
            stationary += y.matmul(a);
            parts.push(a.matmul(&x) - b);
        }
        if let Some((g, h)) = of.inequalities {
            stationary += multipliers.matmul(g);
            parts.push(g.matmul(&x) + &slack - h);
            parts.push(multipliers * slack);
        }
        parts.insert(0, stationary);
        T::concat(&parts, 0)
    }

    /// `λ`, `s`, and factors of what is left of the matrix without the slack and, for Cholesky's, without `λ`.
    ///
    /// By elimination it is `[[Q, Aᵀ, Gᵀ], [A, 0, 0], [c·G, 0, −d]]` with `c = λ/(λ + s)` and `d = s/(λ + s)`, in which
    /// nothing is large or small that does not have to be. Cholesky's factors are of `H = Q + Gᵀ·diag(λ/s)·G` and of
    /// `A·H⁻¹·Aᵀ`, with a slack of at least `10⁻¹⁰·λ`: what that changes, and what digits the large quotients cost, is
    /// made up for where they are [used](System::solve_factored).
    fn factors<T: Tensor>(&self, kind: Factors, asked: &Asked<T>, z: &T, theta: &[T]) -> T {
        let [_, _, multipliers, slack] = self.sizes.split(&z.detach());
        let reduced = self.reduced(kind, asked, &multipliers, &slack, theta);
        T::concat(&[multipliers, slack, reduced], 0)
    }
    fn factors_size(&self, kind: Factors, _unknowns: usize) -> usize {
        let Sizes { n, m, p } = self.sizes;
        2 * p
            + match kind {
                Factors::Lu => Factors::Lu.size(n + m + p),
                Factors::Cholesky => n * n + m * n + m * m,
            }
    }
    fn solve_factored<T: Tensor>(
        &self,
        kind: Factors,
        factors: &T,
        theta: &[T],
        transposed: bool,
        b: &T,
    ) -> T {
        let once = |b: &T| self.nearly_solve_factored(kind, factors, theta, transposed, b);
        let first = once(b);
        if kind == Factors::Lu {
            return first;
        }
        let theta: Vec<T> = theta.iter().map(|leaf| leaf.detach()).collect();
        let p = self.sizes.p;
        let (multipliers, slack) = (factors.slice(0, 0..p), factors.slice(0, p..2 * p));
        // What is left of the right side, solved for once more, twice.
        (0..2).fold(first, |z, _| {
            let rest = b.clone() - self.times([&multipliers, &slack], &theta, transposed, &z);
            z + once(&rest)
        })
    }
    fn nearly_solve_factored<T: Tensor>(
        &self,
        kind: Factors,
        factors: &T,
        theta: &[T],
        transposed: bool,
        b: &T,
    ) -> T {
        let theta: Vec<T> = theta.iter().map(|leaf| leaf.detach()).collect();
        let p = self.sizes.p;
        let (multipliers, slack) = (factors.slice(0, 0..p), factors.slice(0, p..2 * p));
        let reduced = factors.slice(0, 2 * p..factors.size());
        self.eliminate(kind, &reduced, [&multipliers, &slack], &theta, transposed, b)
    }
}

/// The slack that Cholesky's factors are made with.
fn at_least<T: Tensor>(slack: &T, multipliers: &T) -> T {
    slack.maximum(&(multipliers.clone() * 1e-10))
}

impl InteriorPoint {
    /// The product with `∂g/∂z` of these multipliers and this slack.
    fn times<T: Tensor>(&self, [multipliers, slack]: [&T; 2], theta: &[T], transposed: bool, z: &T) -> T {
        let [x, y, third, last] = self.sizes.split(z);
        let of = self.sizes.arrays(theta);
        let mut first = of.quadratic.matmul(&x);
        let mut parts = Vec::new();
        if let Some((a, _)) = of.equalities {
            first += y.matmul(a);
            parts.push(a.matmul(&x));
        }
        if let Some((g, _)) = of.inequalities {
            first += third.matmul(g);
            let along = g.matmul(&x);
            match transposed {
                true => parts.extend([along + last.clone() * slack, third + last * multipliers]),
                false => parts.extend([along + &last, third * slack + last * multipliers]),
            }
        }
        parts.insert(0, first);
        T::concat(&parts, 0)
    }

    /// The solution of equations with `∂g/∂z`, by factors.
    fn eliminate<T: Tensor>(
        &self,
        kind: Factors,
        reduced: &T,
        [multipliers, slack]: [&T; 2],
        theta: &[T],
        transposed: bool,
        b: &T,
    ) -> T {
        let n = self.sizes.n;
        let [b1, b2, b3, b4] = self.sizes.split(b);
        let of = self.sizes.arrays(theta);
        let Some((g, _)) = of.inequalities else {
            let (x, y) = self.solve_reduced(kind, reduced, &b1, &b2);
            return T::concat(&[x, y], 0);
        };
        if kind == Factors::Lu {
            let both = multipliers.clone() + slack;
            if transposed {
                let upper = T::concat(&[b1, b2, b3], 0);
                return self.eliminate_transposed(reduced, [multipliers, slack], g, &upper, &b4);
            }
            let third = (b3.clone() * multipliers - b4) / &both;
            let found = kind.solve(reduced, &T::concat(&[b1, b2, third], 0), false);
            let last = b3 - g.matmul(&found.slice(0, 0..n));
            return T::concat(&[found, last], 0);
        }
        let slack = &at_least(slack, multipliers);
        let ratio = multipliers.clone() / slack;
        if transposed {
            let right = b1 - (b4.clone() - ratio * &b3).matmul(g);
            let (x, y) = self.solve_reduced(kind, reduced, &right, &b2);
            let last = (b3 - g.matmul(&x)) / slack;
            let third = b4 - last.clone() * multipliers;
            return T::concat(&[x, y, third, last], 0);
        }
        let right = b1 - ((b4.clone() - b3.clone() * multipliers) / slack).matmul(g);
        let (x, y) = self.solve_reduced(kind, reduced, &right, &b2);
        let last = b3 - g.matmul(&x);
        let third = (b4 - last.clone() * multipliers) / slack;
        T::concat(&[x, y, third, last], 0)
    }

    /// What [`eliminate`](Self::eliminate) is for the transposed matrix: with `u = (λ + s)·w₄` and
    /// `w₃ = b₄ − λ∘w₄`, it is `Q·w₁ + Aᵀ·w₂ − Gᵀ(c·u) = b₁ − Gᵀ·b₄`, `A·w₁ = b₂` and `G·w₁ + d·u = b₃`, the transpose
    /// of the reduced matrix for `−u`.
    fn eliminate_transposed<T: Tensor>(
        &self,
        reduced: &T,
        [multipliers, slack]: [&T; 2],
        g: &T,
        upper: &T,
        b4: &T,
    ) -> T {
        let Sizes { n, m, p } = self.sizes;
        let first = upper.slice(0, 0..n) - b4.matmul(g);
        let right = T::concat(&[first, upper.slice(0, n..n + m + p)], 0);
        let found = Factors::Lu.solve(reduced, &right, true);
        let last = -found.slice(0, n + m..n + m + p) / (multipliers.clone() + slack);
        let third = b4.clone() - last.clone() * multipliers;
        T::concat(&[found.slice(0, 0..n + m), third, last], 0)
    }

    /// The factors of what is left of the matrix.
    fn reduced<T: Tensor>(
        &self,
        kind: Factors,
        asked: &Asked<T>,
        multipliers: &T,
        slack: &T,
        theta: &[T],
    ) -> T {
        let Sizes { n, m, p } = self.sizes;
        let of = self.sizes.arrays(theta);
        let quadratic = of.quadratic.detach();
        let a = of.equalities.map(|(a, _)| a.detach());
        let g = of.inequalities.map(|(g, _)| g.detach());
        if kind == Factors::Lu {
            // By rows of blocks.
            let mut rows = vec![vec![quadratic]];
            if let Some(a) = &a {
                rows[0].push(a.transpose());
                rows.push(vec![a.clone(), T::zeros(&[m, m])]);
            }
            if let Some(g) = &g {
                rows[0].push(g.transpose());
                if let Some(below) = rows.get_mut(1) {
                    below.push(T::zeros(&[m, p]));
                }
                let both = multipliers.clone() + slack;
                let scaled = g.clone() * (multipliers.clone() / &both).unsqueeze(-1);
                let last = [scaled].into_iter().chain((m > 0).then(|| T::zeros(&[p, m])));
                rows.push(last.chain([-(slack.clone() / both).diag(0)]).collect());
            }
            let rows: Vec<T> = rows.iter().map(|row| T::concat(row, 1)).collect();
            return kind.of(&T::concat(&rows, 0), asked);
        }
        let mut h = quadratic;
        if let Some(g) = g {
            let ratio = multipliers.clone() / at_least(slack, multipliers);
            h += g.transpose().matmul(&(g * ratio.unsqueeze(-1)));
        }
        let Some(a) = a else { return kind.of(&h, asked) };
        let l = cholesky_in_step(&h, asked);
        let w = solve_triangular(&l, &a.transpose(), Triangle::LOWER);
        let schur = cholesky_in_step(&w.transpose().matmul(&w), asked);
        let flat = |x: T, size: usize| x.reshape(&[size]);
        T::concat(&[flat(l, n * n), flat(w, n * m), flat(schur, m * m)], 0)
    }

    /// The solution of `H·x + Aᵀ·y = b₁`, `A·x = b₂`.
    fn solve_reduced<T: Tensor>(&self, kind: Factors, factors: &T, b1: &T, b2: &T) -> (T, T) {
        let Sizes { n, m, .. } = self.sizes;
        if m == 0 {
            return (kind.solve(factors, b1, false), T::zeros(&[0]));
        }
        if kind == Factors::Lu {
            let both = kind.solve(factors, &T::concat(&[b1.clone(), b2.clone()], 0), false);
            return (both.slice(0, 0..n), both.slice(0, n..n + m));
        }
        let l = factors.slice(0, 0..n * n).reshape(&[n, n]);
        let w = factors.slice(0, n * n..n * n + n * m).reshape(&[n, m]);
        let schur = factors.slice(0, n * n + n * m..factors.size());
        let (lower, upper) = (Triangle::LOWER, Triangle::LOWER.t());
        let t = solve_triangular(&l, b1, lower);
        let right = t.matmul(&w) - b2;
        let y = kind.solve(&schur, &right, false);
        let x = solve_triangular(&l, &(t - w.matmul(&y)), upper);
        (x, y)
    }

    /// Where it begins: the least norm of the slack, with that and its multipliers moved into the interior
    /// (Vandenberghe, *The CVXOPT linear and quadratic cone program solvers*, 2010, section 5.3). Without inequalities
    /// that were the solution, which the first step finds: so that the steps have its derivative.
    fn begin<T: Tensor>(&self, z: &T, theta: &[T]) -> T {
        if self.sizes.p == 0 {
            return z.clone();
        }
        let theta: Vec<T> = theta.iter().map(|leaf| leaf.detach()).collect();
        let of = self.sizes.arrays(&theta);
        let p = self.sizes.p;
        let mut right = vec![-of.linear.clone()];
        right.extend(of.equalities.map(|(_, b)| b.clone()));
        right.extend(of.inequalities.map(|(_, h)| T::concat(&[h.clone(), T::zeros(&[p])], 0)));
        let ones = T::ones(&[p]);
        let reduced = self.reduced(self.kind, &Asked::at_the_start(NAME), &ones, &ones, &theta);
        // With λ = s = 1 the last equation is λ = −s.
        let z = self.eliminate(self.kind, &reduced, [&ones, &ones], &theta, false, &T::concat(&right, 0));
        let [x, y, multipliers, slack] = self.sizes.split(&z);
        let inside = |v: T| {
            let least = v.min(..);
            let shift = T::select(&least.greater(&T::constant(0.0)), &T::constant(0.0), &(-least + 1.0));
            v + shift
        };
        T::concat(&[x, y, inside(multipliers), inside(slack)], 0)
    }

    /// A solution nearby, moved into the interior.
    fn nearby<T: Tensor>(&self, z: &T) -> T {
        let [x, y, multipliers, slack] = self.sizes.split(&z.detach());
        let inside = |v: T| v.maximum(&T::constant(1e-3));
        T::concat(&[x, y, inside(multipliers), inside(slack)], 0)
    }
}

impl Iteration for InteriorPoint {
    /// `(x, y, λ, s)`, the residual's norm, the residual, where the last step began, and the factors there.
    fn start<T: Tensor>(&self, z: &T, theta: &[T]) -> Vec<T> {
        let z = if self.is_warm { self.nearby(z) } else { self.begin(z, theta) };
        let residual = self.residual(&z, theta);
        let none = T::zeros(&[self.factors_size(self.kind, z.size())]);
        vec![z.clone(), norm(&residual), residual, z.detach(), none]
    }

    fn step<T: Tensor>(&self, state: Vec<T>, theta: &[T], number: &T::Int) -> Vec<T> {
        let (z, residual) = (&state[0], &state[2]);
        let p = self.sizes.p;
        let factors = self.factors(self.kind, &Asked::by_step(NAME, number, &state[1]), z, theta);
        let solve = |right: &T| newton_correction(self, &self.linear, NAME, z, theta, [right, &factors]);
        let predicted = -solve(residual);
        let next = if p == 0 {
            z.clone() + predicted
        } else {
            let [_, _, multipliers, slack] = self.sizes.split(z);
            let [_, _, d_multipliers, d_slack] = self.sizes.split(&predicted);
            let gap = |a: &T, b: &T| (a.clone() * b).sum(..) * (1.0 / p as f64);
            let length = longest(&multipliers, &d_multipliers).minimum(&longest(&slack, &d_slack));
            let ahead = gap(
                &(multipliers.clone() + d_multipliers.clone() * &length),
                &(slack.clone() + d_slack.clone() * &length),
            );
            let now = gap(&multipliers, &slack);
            let centred = (ahead / &now).powi(3) * &now;
            let corrected = d_multipliers * d_slack - centred;
            let others = T::zeros(&[z.size() - p]);
            let right = residual.clone() + T::concat(&[others, corrected], 0);
            let step = -solve(&right);
            let [_, _, d_multipliers, d_slack] = self.sizes.split(&step);
            let most = longest(&multipliers, &d_multipliers).minimum(&longest(&slack, &d_slack));
            // Nearly all of the way to the boundary, the more so the nearer the solution is.
            let share = (-now.clone() + 1.0).maximum(&T::constant(0.995));
            let length = (most * share).minimum(&T::constant(1.0)).detach();
            let next = z.clone() + step * length;
            // Steps beyond convergence, where products would be zero, keep to the interior.
            let [x, y, multipliers, slack] = self.sizes.split(&next);
            let is_over = now.detach().less(&T::constant(1e-30));
            let least = T::select(&is_over, &least_positive::<T>(), &T::constant(0.0));
            T::concat(&[x, y, multipliers.maximum(&least), slack.maximum(&least)], 0)
        };
        let residual = self.residual(&next, theta);
        vec![next, norm(&residual), residual, z.detach(), factors]
    }

    fn attached<T: Tensor>(&self, z: &T, theta: &[T]) -> T {
        let factors = self.factors(self.kind, &Asked::by_derivative(NAME), z, theta);
        let residual = self.residual(z, theta);
        z.clone() - newton_correction(self, &self.linear, NAME, z, theta, [&residual, &factors])
    }

    fn newton(&self) -> Option<Newtonian> {
        Some(Newtonian { method: self.linear.clone(), damping: 1.0, plain: false })
    }
}

/// A number whose square is one that still counts, of the precision there is.
fn least_positive<T: Tensor>() -> T {
    (epsilon::<T>() * 1e-2).square() // 5e-36, and 1e-18 in single precision
}

/// The largest `t` with `v + t·d ≥ 0`, from `v > 0`: at most a large number.
fn longest<T: Tensor>(v: &T, d: &T) -> T {
    let (v, d) = (v.detach(), d.detach());
    let falls = d.less(&T::constant(0.0));
    let ratio = v / T::select(&falls, &-d, &T::constant(1.0));
    T::select(&falls, &ratio, &T::constant(1e10)).min(..)
}
