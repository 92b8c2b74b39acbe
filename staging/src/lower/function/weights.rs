//! About how many instructions statements become, and how long straight code is cut.

use std::collections::HashMap;
use std::ops::Range;

use crate::ir::expr::Expr;
use crate::ir::ids::{Block, Func, Value};
use crate::ir::{Program, Stmt, Target};
use crate::lower::asm::is_scalar;
use crate::lower::asm::math::is_elementary;
use crate::lower::function::module::Lowerer;
use crate::lower::function::state::values::{computes, moves};

/// Weight of a function from which on it is cut; nearly all are in the tests of this module.
const WHOLE: usize = if cfg!(test) { 4 } else { 2048 };
/// Weight of a part.
const PART: usize = if cfg!(test) { 4 } else { 256 };
/// Weight of a run of statements that is not worth a part.
const SHORT: usize = if cfg!(test) { 1 } else { 32 };
/// Weight of an elementary function that is emitted inline.
const ELEMENTARY: usize = 32;
/// Weight of what is read and written in memory.
const MEMORY: usize = 4;
/// Weight of a call, or of an operator on arrays, which mostly is one.
const CALL: usize = 6;
/// What counts where it is decided whether a function is cut: operators on numbers. Those on arrays do not, for calls
/// are soon compiled, and a function that is not cut can compute arrays in the place of others.
const NUMBERS: usize = if cfg!(test) { CALL } else { 0 };
/// Elements of arrays whose operators are emitted where they are.
const FEW: usize = 8;

/// About how many instructions statements become where they are.
#[derive(Default)]
pub struct Weights {
    /// Of the functions that become part of their callers: with operators on arrays, and without them.
    inlined: HashMap<Func, [usize; 2]>,
}

impl Weights {
    /// Of a program, of whose functions some become part of their callers.
    pub fn of(lower: &Lowerer<'_, '_>, is_inlined: impl Fn(Func) -> bool) -> Weights {
        let mut weights = Weights::default();
        // What is inlined is mostly called where it is defined: inner functions come first.
        for &func in lower.analysis.all.iter().rev() {
            if is_inlined(func) {
                let body = lower.program.funcs[func].body;
                let of = [CALL, NUMBERS].map(|array| weights.block(lower, body, array));
                // What is cut is hardly more than calls.
                weights
                    .inlined
                    .insert(func, if of[1] > WHOLE { of.map(|weight| weight / SHORT) } else { of });
            }
        }
        weights
    }

    /// Of a block, where an operator on arrays has this weight.
    fn block(&self, lower: &Lowerer<'_, '_>, block: Block, array: usize) -> usize {
        lower.program.blocks[block].stmts.iter().map(|stmt| self.stmt(lower, stmt, array)).sum()
    }

    fn stmt(&self, lower: &Lowerer<'_, '_>, stmt: &Stmt, array: usize) -> usize {
        match stmt {
            Stmt::Let(v, expr) => self.operator(lower, *v, expr, array),
            Stmt::Define(_) => 0,
            Stmt::Cell(_) => 2,
            Stmt::Accumulate(cell, _)
            | Stmt::Take(_, cell)
            | Stmt::Present(_, cell)
            | Stmt::Row(_, cell, _) => {
                if is_scalar(&lower.program.cells[*cell].ty) {
                    MEMORY
                } else {
                    array
                }
            }
            Stmt::If { then, otherwise, .. } => {
                2 + [then, otherwise].map(|&arm| self.block(lower, arm, array)).iter().sum::<usize>()
            }
            Stmt::Call { target: Target::Func(func), .. } => {
                CALL + self.inlined.get(func).map_or(0, |of| of[usize::from(array == NUMBERS)])
            }
            Stmt::Call { .. } | Stmt::Probe(..) => CALL,
        }
    }

    fn operator(&self, lower: &Lowerer<'_, '_>, v: Value, expr: &Expr, array: usize) -> usize {
        let ty = lower.program.ty(v);
        if expr.operands().is_empty() || moves(expr) {
            return 0;
        }
        if !computes(expr) || ty.size() > FEW {
            return array;
        }
        if let Expr::Unary(op, x) = expr
            && is_elementary(*op)
            && !lower.math.strict
        {
            let called = lower.asm.elementary.contains_key(&(*op, lower.program.ty(*x).dtype));
            return if called && is_scalar(ty) { CALL } else { ELEMENTARY };
        }
        2
    }

    /// Whether a function is cut.
    pub fn is_cut(&self, lower: &Lowerer<'_, '_>, func: Func) -> bool {
        self.block(lower, lower.program.funcs[func].body, NUMBERS) > WHOLE
    }

    /// Statements in runs, each with whether it becomes a part: all but those in which a function that runs as a loop
    /// calls itself, and branches that are large themselves.
    pub fn runs(&self, lower: &Lowerer<'_, '_>, func: Func, stmts: &[Stmt]) -> Vec<(Range<usize>, bool)> {
        let is_loop = !lower.analysis.funcs[func].sites.is_empty();
        let mut runs = Vec::new();
        let (mut start, mut weight) = (0, 0);
        for (i, stmt) in stmts.iter().enumerate() {
            let own = self.stmt(lower, stmt, CALL);
            let large = matches!(stmt, Stmt::If { .. }) && own > PART;
            if large || is_loop && calls(lower.program, stmt, func) {
                runs.extend([(start..i, weight > SHORT), (i..i + 1, false)]);
                (start, weight) = (i + 1, 0);
                continue;
            }
            weight += own;
            if weight >= PART {
                runs.push((start..i + 1, true));
                (start, weight) = (i + 1, 0);
            }
        }
        runs.push((start..stmts.len(), weight > SHORT));
        runs
    }
}

/// Whether a statement, or one inside of its arms, calls a function.
fn calls(program: &Program, stmt: &Stmt, func: Func) -> bool {
    let mut found = false;
    for_each(program, std::slice::from_ref(stmt), &mut |stmt| {
        found |= matches!(stmt, Stmt::Call { target: Target::Func(called), .. } if *called == func);
    });
    found
}

/// Calls `f` with statements and those inside of their arms.
pub fn for_each(program: &Program, stmts: &[Stmt], f: &mut impl FnMut(&Stmt)) {
    for stmt in stmts {
        f(stmt);
        if let Stmt::If { then, otherwise, .. } = stmt {
            for arm in [then, otherwise] {
                for_each(program, &program.blocks[*arm].stmts, f);
            }
        }
    }
}
