//! Which functions read as loops.

use crate::ir::ids::{Block, Func, SecondaryMap, Value};
use crate::ir::{Program, Stmt, Target};

/// How often functions refer to themselves.
#[derive(Clone, Debug, Default)]
pub struct Loops {
    inside: SecondaryMap<Func, usize>,
}

/// The parts of a function that is a loop: what comes before the branch which decides whether there is another round,
/// what the round does up to the call that begins the next one, what comes after the last round, what a round does
/// when the call returns, and what comes after the branch.
#[derive(Clone, Copy)]
pub struct Parts<'p> {
    pub head: &'p [Stmt],
    /// The branch.
    pub branch: &'p Stmt,
    pub then: Block,
    pub otherwise: Block,
    pub forward: &'p [Stmt],
    /// The call of the next round.
    pub next: &'p Stmt,
    pub backward: &'p [Stmt],
    /// What a round yields in the end.
    pub yielded: &'p [Value],
    pub tail: &'p [Stmt],
}

impl Parts<'_> {
    /// Whether a round does anything when the next one has returned, but to pass on what that returned.
    pub fn returns(&self) -> bool {
        !self.backward.is_empty() || self.yielded != self.next.results()
    }
}

impl Loops {
    /// Of a program.
    pub fn of(program: &Program) -> Loops {
        let mut loops = Loops::default();
        let mut enclosing: Vec<Func> = Vec::new();
        let mut pending = vec![(program.funcs[program.entry].body, 0, None)];
        while let Some((block, depth, entered)) = pending.pop() {
            enclosing.truncate(depth);
            enclosing.extend(entered);
            for stmt in &program.blocks[block].stmts {
                let entered = if let Stmt::Define(func) = stmt { Some(*func) } else { None };
                pending.extend(program.children(stmt).map(|child| (child, enclosing.len(), entered)));
                for target in stmt.targets() {
                    if let Target::Func(func) = target
                        && enclosing.contains(&func)
                    {
                        loops.inside[func] += 1;
                    }
                }
            }
        }
        loops
    }

    /// The parts of a function, if the source has a loop here and it still has the form of one.
    pub fn parts<'p>(&self, program: &'p Program, func: Func) -> Option<Parts<'p>> {
        let data = &program.funcs[func];
        if !data.is_loop || self.inside[func] != 1 {
            return None;
        }
        let body = &program.blocks[data.body].stmts;
        body.iter().enumerate().find_map(|(i, branch)| {
            let &Stmt::If { then, otherwise, .. } = branch else { return None };
            let round = &program.blocks[then];
            let call = round.stmts.iter().position(
                |stmt| matches!(stmt, Stmt::Call { target: Target::Func(called), .. } if *called == func),
            )?;
            Some(Parts {
                head: &body[..i],
                branch,
                then,
                otherwise,
                forward: &round.stmts[..call],
                next: &round.stmts[call],
                backward: &round.stmts[call + 1..],
                yielded: &round.results,
                tail: &body[i + 1..],
            })
        })
    }
}
