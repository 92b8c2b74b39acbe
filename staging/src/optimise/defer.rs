//! Deferral of products into one: `c += a₁·b₁; …; c += aₙ·bₙ` is `c += [a₁ … aₙ]·[b₁; …; bₙ]`, a single contraction.
//!
//! That is how the gradient of a weight that is used in every step of a loop comes about, with factors `aᵢ = xᵢᵀ` and
//! `bᵢ` of few rows each. The sum is read and written once instead of n times, and the factors' rows are collected in
//! the memory in which they are computed. Only with [`OptimiseOptions::reassociate`].

use std::collections::{HashMap, HashSet};

use crate::ir::expr::Expr;
use crate::ir::ids::{Cell, EntitySet, Value};
use crate::ir::types::{AxisList, Shape, Type};
use crate::ir::{Program, Stmt, Update};
use crate::optimise::OptimiseOptions;
use crate::optimise::rewrite::{Definitions, local_cells};

/// Runs the pass.
pub fn run(program: &mut Program, options: &OptimiseOptions) -> bool {
    if !options.reassociate {
        return false;
    }
    let local = local_cells(program);
    let definitions = Definitions::of(program);
    let orders = orders(program, &definitions);
    let mut changed = false;
    for block in program.reachable() {
        let groups = groups(program, &local, &program.blocks[block].stmts);
        if groups.is_empty() {
            continue;
        }
        changed = true;
        let mut last: HashMap<usize, Group> = HashMap::new();
        let mut dropped = HashSet::new();
        for group in groups {
            dropped.extend(group.products.iter().map(|product| product.at));
            last.insert(group.products.last().expect("a group is of several").at, group);
        }
        let stmts = std::mem::take(&mut program.blocks[block].stmts);
        let mut out = Vec::with_capacity(stmts.len());
        for (i, stmt) in stmts.into_iter().enumerate() {
            match last.remove(&i) {
                Some(group) => collect(program, &definitions, &orders, &mut out, group),
                None if dropped.contains(&i) => {}
                None => out.push(stmt),
            }
        }
        program.blocks[block].stmts = out;
    }
    changed
}

/// A product that is added to a cell by a statement.
struct Product {
    at: usize,
    a: Value,
    b: Value,
}

/// Products that are added to a cell while nothing looks at it.
struct Group {
    cell: Cell,
    products: Vec<Product>,
}

/// The groups of a block that are worth it.
fn groups(program: &Program, local: &EntitySet<Cell>, stmts: &[Stmt]) -> Vec<Group> {
    let mut open: HashMap<Cell, Vec<Product>> = HashMap::new();
    let mut done = Vec::new();
    let mut close = |cell: Cell, products: Vec<Product>| {
        if is_worth_it(program, cell, &products) {
            done.push(Group { cell, products });
        }
    };
    for (at, stmt) in stmts.iter().enumerate() {
        match *stmt {
            Stmt::Accumulate(cell, Update::Matmul(a, b)) if program.cells[cell].ty.shape.len() == 2 => {
                open.entry(cell).or_default().push(Product { at, a, b });
            }
            Stmt::Accumulate(cell, _)
            | Stmt::Take(_, cell)
            | Stmt::Present(_, cell)
            | Stmt::Row(_, cell, _) => {
                open.remove(&cell).into_iter().for_each(|products| close(cell, products));
            }
            Stmt::If { .. } | Stmt::Call { .. } => {
                // Who knows what other code does to the cells that it can reach.
                let reached: Vec<Cell> = open.keys().copied().filter(|cell| !local.contains(*cell)).collect();
                for cell in reached {
                    open.remove(&cell).into_iter().for_each(|products| close(cell, products));
                }
            }
            Stmt::Let(..) | Stmt::Cell(_) | Stmt::Define(_) | Stmt::Probe(..) => {}
        }
    }
    open.into_iter().for_each(|(cell, products)| close(cell, products));
    done
}

/// Whether to copy the factors' rows costs less than to read and write the sum.
fn is_worth_it(program: &Program, cell: Cell, products: &[Product]) -> bool {
    let [m, n] = program.cells[cell].ty.shape[..] else { return false };
    let rows: usize = products.iter().map(|product| program.ty(product.b).shape[0]).sum();
    products.len() > 1 && rows * (m + n) <= 2 * products.len() * m * n
}

/// Of the parts of each concatenation along the first axis, looked at without leading axes of length one, in the order
/// of their ids: the order in which they are concatenated.
type Orders = HashMap<Vec<Value>, Vec<Value>>;

fn orders(program: &Program, definitions: &Definitions) -> Orders {
    let mut orders = Orders::new();
    for expr in program.exprs() {
        let Expr::Concat(parts, 0) = expr else { continue };
        let parts: Vec<Value> = parts
            .iter()
            .map(|&part| match definitions.get(part) {
                Some(&Expr::Reshape(x, ref shape))
                    if shape[0] == 1 && shape[1..] == program.ty(x).shape[..] =>
                {
                    x
                }
                _ => part,
            })
            .collect();
        orders.insert(sorted(&parts), parts);
    }
    orders
}

fn sorted(values: &[Value]) -> Vec<Value> {
    let mut values = values.to_vec();
    values.sort_unstable();
    values
}

/// Adds one product to the cell in place of a group. Its rows have the order of another concatenation of the same, if
/// there is one: then they are the same value.
fn collect(
    program: &mut Program,
    definitions: &Definitions,
    orders: &Orders,
    out: &mut Vec<Stmt>,
    Group { cell, mut products }: Group,
) {
    let bs: Vec<Value> = products.iter().map(|product| product.b).collect();
    if let Some(order) = orders.get(&sorted(&bs)) {
        let place: HashMap<Value, usize> = order.iter().enumerate().map(|(i, &b)| (b, i)).collect();
        products.sort_by_key(|product| place[&product.b]);
    }
    let rows: usize = bs.iter().map(|&b| program.ty(b).shape[0]).sum();
    let Type { dtype, shape } = program.cells[cell].ty.clone();
    let mut bind = |program: &mut Program, expr: Expr, shape: [usize; 2]| {
        let ty = Type { dtype, shape: Shape::from(shape.as_slice()) };
        let v = program.value_like(ty, products[0].b);
        out.push(Stmt::Let(v, expr));
        v
    };
    let b = bind(program, Expr::Concat(products.iter().map(|p| p.b).collect(), 0), [rows, shape[1]]);
    let turned = products.iter().all(|p| match definitions.get(p.a) {
        Some(Expr::Permute(_, order)) => order[..] == [1, 0],
        Some(Expr::Fill { .. }) => true,
        _ => false,
    });
    let a = if turned {
        let mut xs = Vec::new();
        for product in &products {
            xs.push(match definitions.get(product.a) {
                Some(&Expr::Permute(x, _)) => x,
                Some(&Expr::Fill { value, .. }) => {
                    let turned = [program.ty(product.a).shape[1], shape[0]];
                    bind(program, Expr::Fill { value, shape: Shape::from(turned.as_slice()) }, turned)
                }
                _ => unreachable!("all first factors are permuted, or filled"),
            });
        }
        let x = bind(program, Expr::Concat(xs, 0), [rows, shape[0]]);
        bind(program, Expr::Permute(x, AxisList::from([1, 0].as_slice())), [shape[0], rows])
    } else {
        bind(program, Expr::Concat(products.iter().map(|p| p.a).collect(), 1), [shape[0], rows])
    };
    out.push(Stmt::Accumulate(cell, Update::Matmul(a, b)));
}
