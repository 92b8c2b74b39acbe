//! What has to be known of a program before code is emitted: who owns and who captures what, and which functions may
//! be active more than once at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::{Index, IndexMut};

use crate::analysis::components::components;
use crate::analysis::liveness::{Site, sites};
use crate::ir::ids::{Block, Cell, Cont, EntitySet, Func, SecondaryMap, Value};
use crate::ir::{Program, Stmt, Target};

/// Something that a function may capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    Value(Value),
    Cell(Cell),
    Cont(Cont),
}

/// Something known of every entity.
pub struct EntityMap<T: Clone> {
    values: SecondaryMap<Value, T>,
    cells: SecondaryMap<Cell, T>,
    conts: SecondaryMap<Cont, T>,
}

impl<T: Clone> EntityMap<T> {
    fn with_default(default: T) -> EntityMap<T> {
        EntityMap {
            values: SecondaryMap::with_default(default.clone()),
            cells: SecondaryMap::with_default(default.clone()),
            conts: SecondaryMap::with_default(default),
        }
    }
}

impl<T: Clone> Index<Entity> for EntityMap<T> {
    type Output = T;
    fn index(&self, entity: Entity) -> &T {
        match entity {
            Entity::Value(v) => &self.values[v],
            Entity::Cell(c) => &self.cells[c],
            Entity::Cont(k) => &self.conts[k],
        }
    }
}

impl<T: Clone> IndexMut<Entity> for EntityMap<T> {
    fn index_mut(&mut self, entity: Entity) -> &mut T {
        match entity {
            Entity::Value(v) => &mut self.values[v],
            Entity::Cell(c) => &mut self.cells[c],
            Entity::Cont(k) => &mut self.conts[k],
        }
    }
}

/// Facts about one function.
#[derive(Clone, Default)]
pub struct FuncFacts {
    /// The function in which it is defined.
    pub parent: Option<Func>,
    /// What functions nested in it use of its own, in the order of its frame's fields.
    pub captured: BTreeSet<Entity>,
    /// Number of fields of its frame: a link to the frame around it, and one or two for each of these.
    pub fields: i64,
    /// Whether all that it defines itself are scalars.
    pub only_scalars: bool,
    /// Whether any function is nested in it.
    pub has_nested: bool,
    /// Whether it may be called while it is active, other than where it calls itself as a [loop](super::liveness).
    pub recursive: bool,
    /// Where it calls itself, if it runs as a loop.
    pub sites: BTreeMap<(Block, usize), Site>,
    /// How often others call it, or pass it on.
    pub mentions: usize,
    /// Statements of its own blocks in the order of the text.
    pub order: Vec<(Block, usize)>,
    /// How often its own statements read a value of its own.
    pub uses: HashMap<Value, usize>,
}

/// Facts about a program.
pub struct Analysis {
    pub funcs: SecondaryMap<Func, FuncFacts>,
    /// The function that defines an entity.
    pub owner: EntityMap<Func>,
    /// The field of its owner's frame in which something captured is kept. 0, the link to the frame around it, for what
    /// is not captured.
    pub fields: EntityMap<i64>,
    /// All functions, each after the one in which it is defined.
    pub all: Vec<Func>,
}

impl Analysis {
    pub fn of(program: &Program) -> Analysis {
        let mut analysis = Analysis {
            funcs: SecondaryMap::new(),
            owner: EntityMap::with_default(program.entry),
            fields: EntityMap::with_default(0),
            all: Vec::new(),
        };
        analysis.function(program, program.entry, None);
        let mut used = Vec::new();
        for &func in &analysis.all {
            analysis.uses_of(program, func, program.funcs[func].body, &mut used);
        }
        for (func, entity) in used {
            let owner = analysis.owner[entity];
            let facts = &mut analysis.funcs[owner];
            if owner != func {
                facts.captured.insert(entity);
            } else if let Entity::Value(v) = entity {
                *facts.uses.entry(v).or_default() += 1;
            }
        }
        for facts in analysis.funcs.values_mut() {
            let mut next = 1;
            for &entity in &facts.captured {
                analysis.fields[entity] = next;
                next += if let Entity::Value(_) = entity { 1 } else { 2 };
            }
            facts.fields = next;
        }
        for func in analysis.all.clone() {
            analysis.funcs[func].sites = sites(program, &analysis, func);
        }
        analysis.find_recursion(program);
        analysis
    }

    pub fn is_captured(&self, entity: Entity) -> bool {
        self.fields[entity] > 0
    }

    /// The function whose frame those defined in `func` are given: its own, or, if it has nothing that anyone captures,
    /// that of the next function around it which has.
    pub fn frame_for(&self, func: Func) -> Func {
        match &self.funcs[func] {
            FuncFacts { parent: Some(parent), captured, .. } if captured.is_empty() => {
                self.frame_for(*parent)
            }
            _ => func,
        }
    }

    fn function(&mut self, program: &Program, func: Func, parent: Option<Func>) {
        self.all.push(func);
        self.funcs[func] = FuncFacts { parent, only_scalars: true, ..FuncFacts::default() };
        let data = &program.funcs[func];
        data.params.iter().for_each(|&v| self.own(program, func, Entity::Value(v)));
        data.continuations.iter().for_each(|&k| self.own(program, func, Entity::Cont(k)));
        self.block(program, func, data.body);
    }

    /// Notes what a function defines.
    fn own(&mut self, program: &Program, func: Func, entity: Entity) {
        self.owner[entity] = func;
        self.funcs[func].only_scalars &= match entity {
            Entity::Value(v) => program.ty(v).shape.is_empty(),
            Entity::Cell(c) => program.cells[c].ty.shape.is_empty(),
            Entity::Cont(_) => false,
        };
    }

    fn block(&mut self, program: &Program, func: Func, block: Block) {
        for (i, stmt) in program.blocks[block].stmts.iter().enumerate() {
            self.funcs[func].order.push((block, i));
            stmt.results().iter().for_each(|&v| self.own(program, func, Entity::Value(v)));
            match stmt {
                Stmt::Cell(cell) => self.own(program, func, Entity::Cell(*cell)),
                Stmt::Define(inner) => {
                    self.funcs[func].has_nested = true;
                    self.function(program, *inner, Some(func));
                }
                Stmt::If { then, otherwise, .. } => {
                    self.block(program, func, *then);
                    self.block(program, func, *otherwise);
                }
                Stmt::Let(..)
                | Stmt::Accumulate(..)
                | Stmt::Take(..)
                | Stmt::Present(..)
                | Stmt::Row(..)
                | Stmt::Call { .. }
                | Stmt::Probe(..) => {}
            }
        }
    }

    fn uses_of(&self, program: &Program, func: Func, block: Block, used: &mut Vec<(Func, Entity)>) {
        let data = &program.blocks[block];
        for stmt in &data.stmts {
            stmt.for_each_use(|v| used.push((func, Entity::Value(v))));
            used.extend(stmt.touched().map(|cell| (func, Entity::Cell(cell))));
            used.extend(stmt.targets().filter_map(|target| match target {
                Target::Cont(k) => Some((func, Entity::Cont(k))),
                Target::Func(_) => None,
            }));
            // What a function reads, it reads itself.
            if !matches!(stmt, Stmt::Define(_)) {
                program.children(stmt).for_each(|block| self.uses_of(program, func, block, used));
            }
        }
        used.extend(data.results.iter().map(|&v| (func, Entity::Value(v))));
    }

    /// A continuation may be any function that is passed anywhere.
    fn find_recursion(&mut self, program: &Program) {
        let mut edges: SecondaryMap<Func, HashSet<Func>> = SecondaryMap::new();
        let mut calls_unknown = EntitySet::new();
        let mut passed = EntitySet::new();
        let mut mentioned = Vec::new();
        for &func in &self.all {
            for &(block, i) in &self.funcs[func].order {
                let Stmt::Call { target, continuations, .. } = &program.blocks[block].stmts[i] else {
                    continue;
                };
                if self.funcs[func].sites.contains_key(&(block, i)) {
                    continue;
                }
                match target {
                    Target::Func(f) => drop(edges[func].insert(*f)),
                    Target::Cont(_) => drop(calls_unknown.insert(func)),
                }
                for k in continuations {
                    if let Target::Func(f) = k {
                        passed.insert(*f);
                    }
                }
                mentioned.extend(std::iter::once(target).chain(continuations));
            }
        }
        for target in mentioned {
            if let Target::Func(func) = target {
                self.funcs[func].mentions += 1;
            }
        }
        for func in calls_unknown.iter() {
            edges[func].extend(passed.iter());
        }
        let numbers: SecondaryMap<Func, usize> = self.all.iter().copied().zip(0..).collect();
        let numbered = |func: &Func| edges[*func].iter().map(|&called| numbers[called]).collect();
        let edges: Vec<Vec<usize>> = self.all.iter().map(numbered).collect();
        for component in components(&edges) {
            for &node in &component {
                let recursive = component.len() > 1 || edges[node].contains(&node);
                self.funcs[self.all[node]].recursive = recursive;
            }
        }
    }
}
