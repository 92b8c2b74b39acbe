//! Collecting like terms: `x·x + (x + x)·x = 3·x·x`. Only with [`OptimiseOptions::reassociate`].
//!
//! A tree of sums, differences and products of reals of one type, whose inner nodes nothing else reads, is brought into
//! the form `Σ cᵢ·Πⱼ xᵢⱼ` and rebuilt if that takes fewer operators. A tree in which terms cancel is left alone: `x −
//! x` is NaN where `x` is infinite, and reassociation must not hide that.

use crate::ir::expr::{Binary, Expr, Unary};
use crate::ir::ids::{SecondaryMap, Value};
use crate::ir::types::{Scalar, Type};
use crate::ir::{Program, Stmt};
use crate::optimise::OptimiseOptions;
use crate::optimise::rewrite::{Definitions, use_counts};

/// Most terms of one sum.
const TERMS: usize = 64;

/// Most operators of one tree: a longer chain is looked at in pieces.
const OPERATORS: usize = 128;

/// Runs the pass.
pub fn run(program: &mut Program, options: &OptimiseOptions) -> bool {
    if !options.reassociate {
        return false;
    }
    let definitions = Definitions::of(program);
    let uses = use_counts(program);
    let mut changed = false;
    for block in program.reachable() {
        let stmts = std::mem::take(&mut program.blocks[block].stmts);
        let mut out = Vec::with_capacity(stmts.len());
        for stmt in stmts {
            if let Stmt::Let(v, Expr::Binary(Binary::Add | Binary::Sub | Binary::Mul, ..)) = stmt
                && let Some(sum) =
                    (Collect { program, definitions: &definitions, uses: &uses, root: v }).collect()
            {
                rebuild(program, &mut out, v, &sum);
                changed = true;
            } else {
                out.push(stmt);
            }
        }
        program.blocks[block].stmts = out;
    }
    changed
}

/// A coefficient and factors, in order of their ids.
#[derive(Clone)]
struct Term {
    coefficient: f64,
    factors: Vec<Value>,
}

impl Term {
    fn cost(&self) -> usize {
        self.factors.len() - usize::from(self.coefficient == 1.0)
    }
}

struct Collect<'a> {
    program: &'a Program,
    definitions: &'a Definitions,
    uses: &'a SecondaryMap<Value, usize>,
    root: Value,
}

impl Collect<'_> {
    /// The collected terms, if they cost less than the tree.
    fn collect(&self) -> Option<Vec<Term>> {
        let ty = self.program.ty(self.root);
        if !ty.dtype.is_float() {
            return None;
        }
        let mut operators = 0;
        let terms = self.terms(self.root, &mut operators)?;
        if terms.is_empty() || terms.iter().any(|t| t.factors.is_empty() || !is_exact(t.coefficient, ty)) {
            return None;
        }
        let cost = terms.iter().map(Term::cost).sum::<usize>() + terms.len() - 1;
        (0 < cost && cost < operators).then_some(terms)
    }

    /// The terms of a value, counting the operators of its tree. What cannot be taken apart is a term of its own;
    /// `None` if it has another type than the sum.
    fn terms(&self, v: Value, operators: &mut usize) -> Option<Vec<Term>> {
        if let Some(c) = self.definitions.constant(v).and_then(Scalar::real)
            && self.program.ty(v).shape.is_empty()
            && c.is_finite()
            && c != 0.0
        {
            return Some(vec![Term { coefficient: c, factors: vec![] }]);
        }
        if self.program.ty(v) != self.program.ty(self.root) {
            return None;
        }
        let mut inner = *operators + 1;
        let shared = v != self.root && self.uses[v] > 1;
        match if shared { None } else { self.apart(v, &mut inner) } {
            Some(terms) => {
                *operators = inner;
                Some(terms)
            }
            None => Some(vec![Term { coefficient: 1.0, factors: vec![v] }]),
        }
    }

    /// The terms of a sum or product, unless terms cancel or are too many, or a sum would have to be multiplied out.
    fn apart(&self, v: Value, operators: &mut usize) -> Option<Vec<Term>> {
        if *operators > OPERATORS {
            return None;
        }
        match *self.definitions.get(v)? {
            Expr::Binary(op @ (Binary::Add | Binary::Sub), a, b) => {
                let mut sum = self.terms(a, operators)?;
                for mut term in self.terms(b, operators)? {
                    if op == Binary::Sub {
                        term.coefficient = -term.coefficient;
                    }
                    match sum.iter_mut().find(|other| other.factors == term.factors) {
                        Some(like) => like.coefficient += term.coefficient,
                        None => sum.push(term),
                    }
                }
                let cancelled = sum.iter().any(|term| term.coefficient == 0.0);
                (!cancelled && sum.len() <= TERMS).then_some(sum)
            }
            Expr::Unary(Unary::Neg, x) => {
                let mut terms = self.terms(x, operators)?;
                terms.iter_mut().for_each(|term| term.coefficient = -term.coefficient);
                Some(terms)
            }
            Expr::Binary(Binary::Mul, a, b) => {
                let (left, right) = (self.terms(a, operators)?, self.terms(b, operators)?);
                let ([left], [right]) = (left.as_slice(), right.as_slice()) else { return None };
                let mut factors = [left.factors.as_slice(), &right.factors].concat();
                factors.sort_unstable();
                Some(vec![Term { coefficient: left.coefficient * right.coefficient, factors }])
            }
            _ => None,
        }
    }
}

/// Whether a coefficient is an ordinary number of the dtype.
fn is_exact(c: f64, ty: &Type) -> bool {
    let rounded = Scalar::of(ty.dtype, c).real().unwrap_or(f64::NAN);
    rounded == c && (1e-30..1e30).contains(&c.abs())
}

/// Binds a value to a sum of terms of at least one operator.
fn rebuild(program: &mut Program, out: &mut Vec<Stmt>, v: Value, sum: &[Term]) {
    let ty = program.ty(v).clone();
    let mut literals = Vec::new();
    for Term { coefficient, .. } in sum {
        literals.push((*coefficient != 1.0).then(|| {
            let literal = program.value(Type::scalar(ty.dtype));
            out.push(Stmt::Let(literal, Expr::literal(Scalar::of(ty.dtype, *coefficient))));
            literal
        }));
    }
    let mut bind = |op: Binary, a: Value, b: Value, out: &mut Vec<Stmt>| {
        let bound = program.value_like(ty.clone(), v);
        out.push(Stmt::Let(bound, Expr::Binary(op, a, b)));
        bound
    };
    let mut addends = Vec::new();
    for (Term { factors, .. }, literal) in sum.iter().zip(literals) {
        let product = factors.iter().copied().reduce(|a, b| bind(Binary::Mul, a, b, out));
        let product = product.expect("every term has a factor");
        addends.push(literal.map_or(product, |literal| bind(Binary::Mul, literal, product, out)));
    }
    addends.into_iter().reduce(|a, b| bind(Binary::Add, a, b, out));
    if let Some(Stmt::Let(last, _)) = out.last_mut() {
        *last = v;
    }
}
