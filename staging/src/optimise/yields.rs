//! Cells that both arms of a branch fill, and that are taken after it: each arm yields what it adds up, and no cell
//! outlives the arms. What is computed stays the same bit for bit: the cell was empty before the branch.

use std::collections::{HashMap, HashSet};

use crate::ir::ids::{Block, Cell, SecondaryMap, Value};
use crate::ir::{Program, Stmt, Update};
use crate::optimise::OptimiseOptions;

/// Runs the pass.
pub fn run(program: &mut Program, _: &OptimiseOptions) -> bool {
    let uses = uses(program);
    let mut changed = false;
    for block in program.reachable() {
        let found = yielded(program, &uses, block);
        let gone: HashSet<Cell> = found.iter().flat_map(|(_, cells)| cells).map(|&(cell, _)| cell).collect();
        changed |= !gone.is_empty();
        for (branch, cells) in found {
            let Stmt::If { then, otherwise, results, .. } = &mut program.blocks[block].stmts[branch] else {
                unreachable!("it was found to be a branch")
            };
            results.extend(cells.iter().map(|&(_, taken)| taken));
            for arm in [*then, *otherwise] {
                cells.iter().for_each(|&(cell, taken)| add_up(program, arm, cell, taken));
            }
        }
        program.blocks[block]
            .stmts
            .retain(|stmt| !matches!(stmt, Stmt::Cell(cell) | Stmt::Take(_, cell) if gone.contains(cell)));
    }
    changed
}

/// What becomes of a cell.
#[derive(Clone, Default)]
struct Uses {
    /// The block that it is defined in, and the only one that takes it, once: where in it.
    defined: Option<Block>,
    taken: Option<(Block, usize, Value)>,
    /// The blocks that add to it.
    filled: Vec<Block>,
    /// Whether there is anything else, or more.
    other: bool,
}

fn uses(program: &Program) -> SecondaryMap<Cell, Uses> {
    let mut uses: SecondaryMap<Cell, Uses> = SecondaryMap::new();
    for block in program.reachable() {
        for (i, stmt) in program.blocks[block].stmts.iter().enumerate() {
            match stmt {
                Stmt::Cell(cell) => uses[*cell].defined = Some(block),
                Stmt::Take(v, cell) => {
                    let uses = &mut uses[*cell];
                    uses.other |= uses.taken.replace((block, i, *v)).is_some();
                }
                Stmt::Accumulate(cell, update) => {
                    let uses = &mut uses[*cell];
                    uses.filled.push(block);
                    // An array is better added to where it lies.
                    uses.other |= !matches!(update, Update::Add(_));
                }
                Stmt::Present(_, cell) | Stmt::Row(_, cell, _) => uses[*cell].other = true,
                Stmt::Let(..) | Stmt::If { .. } | Stmt::Define(_) | Stmt::Call { .. } | Stmt::Probe(..) => {}
            }
        }
    }
    uses
}

/// The branches of a block of which both arms fill cells of the block that are taken after them.
fn yielded(
    program: &Program,
    uses: &SecondaryMap<Cell, Uses>,
    block: Block,
) -> Vec<(usize, Vec<(Cell, Value)>)> {
    let stmts = &program.blocks[block].stmts;
    let branches: HashMap<Block, usize> = stmts
        .iter()
        .enumerate()
        .filter_map(|(i, stmt)| if let Stmt::If { then, .. } = stmt { Some((*then, i)) } else { None })
        .collect();
    let mut found: HashMap<usize, Vec<(Cell, Value)>> = HashMap::new();
    for stmt in stmts {
        let Stmt::Cell(cell) = stmt else { continue };
        let Uses { defined, taken: Some((taken_in, at, taken)), filled, other: false } = &uses[*cell] else {
            continue;
        };
        let Some(branch) = filled.iter().find_map(|arm| branches.get(arm)).copied() else { continue };
        let Stmt::If { then, otherwise, .. } = &stmts[branch] else {
            unreachable!("the branches were noted")
        };
        let only_arms = filled.iter().all(|arm| arm == then || arm == otherwise);
        if *defined == Some(block)
            && *taken_in == block
            && branch < *at
            && only_arms
            && filled.contains(otherwise)
        {
            found.entry(branch).or_default().push((*cell, *taken));
        }
    }
    // In the order of the text, so that the same program always becomes the same.
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_unstable_by_key(|&(branch, _)| branch);
    found
}

/// Lets an arm add up in a cell of its own what it added to another, and yield it.
fn add_up(program: &mut Program, arm: Block, cell: Cell, taken: Value) {
    let own = program.cells.push(program.cells[cell].clone());
    let sum = program.value(program.ty(taken).clone());
    program.values[sum].origin.backward = program.values[taken].origin.backward;
    let data = &mut program.blocks[arm];
    for stmt in &mut data.stmts {
        if let Stmt::Accumulate(other, _) = stmt
            && *other == cell
        {
            *other = own;
        }
    }
    data.stmts.insert(0, Stmt::Cell(own));
    data.stmts.push(Stmt::Take(sum, own));
    data.results.push(sum);
}
