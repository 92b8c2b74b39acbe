//! Passes that make programs smaller and cheaper without changing what the interpreter says of them.
//!
//! | pass | |
//! |---|---|
//! | [`fold`] | operators on constants become constants |
//! | [`branch`] | branches on constants become one of their arms |
//! | [`algebra`] | identities that hold bit for bit |
//! | [`cse`] | what is computed already is not computed again |
//! | [`like_terms`] | `a·x + b·x = (a+b)·x`, where reassociation is allowed |
//! | [`yields`] | cells that both arms of a branch fill become results of the branch |
//! | [`forward`] | what is accumulated and taken in straight-line code passes by without a cell |
//! | [`tiles`] | slices that cover a cell are concatenated, where reassociation is allowed |
//! | [`defer`] | products that are added to one cell become one product, where reassociation is allowed |
//! | [`hoist`] | what every activation of a recursive function computes alike is computed before it |
//! | [`inline`] | functions called once, and small ones, become part of their callers |
//! | [`specialise`] | continuations that are always the same become captures |
//! | [`always`] | parameters, results and presences that are always the same, across functions |
//! | [`signature`] | parameters that nothing depends on and results that nobody reads |
//! | [`dead`] | what nothing depends on disappears: values, cells, functions, branches |
//! | [`in_place`] | arrays that are written row by row lie in one cell, and are written there |
//! | [`align`] | matrices that a recursive function reads again and again are copied to whole cache lines |
//!
//! Without [`OptimiseOptions::reassociate`] results are preserved bit for bit (any NaN counts as any other), as are
//! NaN and infinities with it. An out-of-range index whose result nothing depends on may go unreported.

pub mod algebra;
pub mod align;
pub mod always;
pub mod branch;
pub mod cse;
pub mod dead;
pub mod defer;
pub mod fold;
pub mod forward;
pub mod hoist;
pub mod in_place;
pub mod inline;
pub mod like_terms;
mod rewrite;
pub mod signature;
pub mod specialise;
pub mod tiles;
pub mod yields;

use std::convert::Infallible;

use crate::ir::Program;

/// What passes may assume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OptimiseOptions {
    /// Whether sums and products of reals may be computed in another order, so that results may differ in rounding.
    pub reassociate: bool,
}

/// A pass, which returns whether it changed anything.
pub type Run = fn(&mut Program, &OptimiseOptions) -> bool;

/// All passes by name, in the order in which a round applies them.
pub const PASSES: [(&str, Run); 15] = [
    ("fold", fold::run),
    ("branch", branch::run),
    ("algebra", algebra::run),
    ("cse", cse::run),
    // After `cse`: what is shared must be known to be, or it would be computed twice.
    ("like_terms", like_terms::run),
    ("yields", yields::run),
    ("forward", forward::run),
    ("tiles", tiles::run),
    ("defer", defer::run),
    ("inline", inline::run),
    ("specialise", specialise::run),
    ("always", always::run),
    ("signature", signature::run),
    ("hoist", hoist::run),
    ("dead", dead::run),
];

/// The passes that run once, when the rounds have ended. What other passes know of cells does not hold for those that
/// `in_place` writes to; and folding would undo `align` for a constant, and it would begin again.
pub const LAST: [(&str, Run); 2] = [("in_place", in_place::run), ("align", align::run)];

/// Rounds after which passes that still find something to do are stopped.
const ROUNDS: usize = 64;

/// What [`optimise`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Statements before.
    pub before: usize,
    /// Statements after.
    pub after: usize,
    /// Rounds of all passes until none found anything more to do.
    pub rounds: usize,
}

/// Applies all passes until none finds anything to do, and [`LAST`].
pub fn optimise(program: &mut Program, options: &OptimiseOptions) -> Report {
    let report: Result<Report, Infallible> = optimise_while(program, options, || Ok(()));
    match report {
        Ok(report) => report,
    }
}

/// The same, as long as `go_on` returns no error; it is called before each pass.
pub(crate) fn optimise_while<E>(
    program: &mut Program,
    options: &OptimiseOptions,
    mut go_on: impl FnMut() -> Result<(), E>,
) -> Result<Report, E> {
    let before = program.len();
    let mut rounds = 0;
    loop {
        rounds += 1;
        let mut changed = false;
        for (_, run) in &PASSES {
            go_on()?;
            changed |= run(program, options);
        }
        if !changed || rounds == ROUNDS {
            go_on()?;
            for (_, run) in &LAST {
                run(program, options);
            }
            return Ok(Report { before, after: program.len(), rounds });
        }
    }
}
