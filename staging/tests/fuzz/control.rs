//! Random branches, functions and continuations.

use std::slice::from_ref;

use super::{Generator, Visible};
use antiphon_staging::ir::Target;
use antiphon_staging::ir::build::Signature;
use antiphon_staging::ir::error::Error;
use antiphon_staging::ir::expr::Binary;
use antiphon_staging::ir::ids::{Cont, Func, Value};
use antiphon_staging::ir::types::{Dtype, Scalar, Type};

/// How deep blocks are nested.
const NESTING: usize = 3;

impl Generator<'_> {
    /// Runs `f` in a scope of its own; what it makes visible is not afterwards.
    fn scoped<R>(&mut self, f: impl FnOnce(&mut Self) -> Result<R, Error>) -> Result<R, Error> {
        let outer: Visible = self.visible.clone();
        self.depth += 1;
        let result = f(self);
        self.depth -= 1;
        self.visible = outer;
        result
    }

    /// A few statements and a value of the given type, which is visible outside too.
    fn body(&mut self, ty: &Type, most: usize) -> Result<Value, Error> {
        self.statements(most)?;
        Ok(self.value(|t| t == ty).expect("there was one outside"))
    }

    fn pick_from<T: Clone>(&mut self, list: impl Fn(&Visible) -> &Vec<T>) -> T {
        let i = self.below(list(&self.visible).len());
        list(&self.visible)[i].clone()
    }

    fn any(&mut self) -> (Value, Type) {
        let value = self.value(|_| true).expect("the inputs are visible");
        (value, self.builder.ty(value))
    }

    /// A branch, both arms of which may fill a cell that is taken after it.
    pub(super) fn branch(&mut self) -> Result<(), Error> {
        let Some(condition) = self.scalar_bool().filter(|_| self.depth < NESTING) else { return Ok(()) };
        let ((_, ty), builder) = (self.any(), self.builder);
        let filled = if self.below(2) == 0 { self.real() } else { None };
        let filled = filled.map(|g| (builder.ty(g), builder.cell(builder.ty(g))));
        let mut arms = Vec::new();
        for _ in 0..2 {
            builder.begin();
            let result = self.scoped(|g| {
                let result = g.body(&ty, 4)?;
                if let Some((ty, cell)) = &filled {
                    for _ in 0..1 + g.below(2) {
                        builder.accumulate(*cell, g.body(ty, 2)?)?;
                    }
                }
                Ok(result)
            })?;
            arms.push(builder.end(&[result])?);
        }
        let mut results = builder.branch(condition, arms[0], arms[1])?;
        results.extend(filled.map(|(_, cell)| builder.take(cell)));
        self.see(results);
        Ok(())
    }

    /// A branch, both arms of which call a join point and go on after it has returned.
    pub(super) fn join(&mut self) -> Result<(), Error> {
        let Some(condition) = self.scalar_bool().filter(|_| self.depth < NESTING) else { return Ok(()) };
        let ((_, ty), builder) = (self.any(), self.builder);
        let signature = Signature::new("join", from_ref(&ty), from_ref(&ty));
        let join = builder.declare(signature, &[]);
        let (params, _) = builder.define(join);
        let result = self.scoped(|g| {
            g.see(params);
            g.body(&ty, 5)
        })?;
        builder.end(&[result])?;
        let mut arms = Vec::new();
        for _ in 0..2 {
            builder.begin();
            let result = self.scoped(|g| {
                let y = g.body(&ty, 3)?;
                let y_bar = builder.call(Target::Func(join), &[y], &[])?;
                g.see(y_bar);
                g.body(&ty, 3)
            })?;
            arms.push(builder.end(&[result])?);
        }
        let results = builder.branch(condition, arms[0], arms[1])?;
        self.see(results);
        Ok(())
    }

    /// A function that may be called several times from here on, or a call of one, or of a continuation.
    pub(super) fn local_function(&mut self) -> Result<(), Error> {
        let builder = self.builder;
        let choice = self.below(3);
        if choice == 1 && !self.visible.funcs.is_empty() {
            let (func, params) = self.pick_from(|visible| &visible.funcs);
            return self.call(Target::Func(func), &params);
        }
        if choice == 2 && !self.visible.conts.is_empty() {
            let (cont, params) = self.pick_from(|visible| &visible.conts);
            return self.call(Target::Cont(cont), &params);
        }
        if self.depth >= NESTING {
            return Ok(());
        }
        let ((_, from), (_, to)) = (self.any(), self.any());
        let func = builder.declare(Signature::new("local", from_ref(&from), from_ref(&to)), &[]);
        let (params, _) = builder.define(func);
        let result = self.scoped(|g| {
            g.see(params);
            g.body(&to, 5)
        })?;
        builder.end(&[result])?;
        self.visible.funcs.push((func, vec![from.clone()]));
        if self.below(4) > 0 { self.call(Target::Func(func), &[from]) } else { Ok(()) }
    }

    fn call(&mut self, target: Target, params: &[Type]) -> Result<(), Error> {
        let args: Option<Vec<Value>> = params.iter().map(|ty| self.value(|t| t == ty)).collect();
        let Some(args) = args else { return Ok(()) };
        let results = self.builder.call(target, &args, &[])?;
        self.see(results);
        Ok(())
    }

    /// A recursive function of a counter and a value, with a continuation that grows at each call, or that is handed
    /// on as it was given: the shapes of a differentiated recursion and of a differentiated loop.
    pub(super) fn recursion(&mut self) -> Result<(), Error> {
        if self.depth > 1 {
            return Ok(());
        }
        let builder = self.builder;
        let (start, ty) = self.any();
        let (integer, types) = (Type::scalar(Dtype::I64), [ty.clone()]);
        let k = Signature::new("k", &types, &types);
        let counted = Signature::new("recur", &[integer, ty.clone()], &types);
        let recur = builder.declare(counted, from_ref(&k));
        let (params, conts) = builder.define(recur);
        let (i, k) = (params[0], conts[0]);
        let more = builder.less(builder.literal(Scalar::I64(0)), i)?;
        let result = self.scoped(|g| {
            g.see(params.iter().copied());
            g.visible.conts.push((k, types.to_vec()));
            builder.begin();
            let result = g.scoped(|g| {
                let y = g.body(&ty, 3)?;
                let next = if g.below(2) == 0 { Target::Cont(k) } else { g.grown(k, &ty)? };
                let fewer = builder.binary(Binary::Sub, i, builder.literal(Scalar::I64(1)))?;
                let x_bar = builder.call(Target::Func(recur), &[fewer, y], &[next])?;
                g.see(x_bar);
                g.body(&ty, 3)
            })?;
            let deeper = builder.end(&[result])?;
            builder.begin();
            let last = builder.call(Target::Cont(k), &[params[1]], &[])?;
            let last = builder.end(&last)?;
            builder.branch(more, deeper, last)
        })?;
        builder.end(&result)?;
        let stop = builder.declare(Signature::new("stop", &types, &types), &[]);
        let (primal, _) = builder.define(stop);
        let seed = self.scoped(|g| {
            g.see(primal);
            g.body(&ty, 3)
        })?;
        builder.end(&[seed])?;
        let counter = self.counter();
        let results = builder.call(Target::Func(recur), &[counter, start], &[Target::Func(stop)])?;
        self.see(results);
        Ok(())
    }

    /// A continuation that does something, calls another and does something more.
    fn grown(&mut self, k: Cont, ty: &Type) -> Result<Target, Error> {
        let builder = self.builder;
        let next = builder.declare(Signature::new("next", from_ref(ty), from_ref(ty)), &[]);
        let (primal, _) = builder.define(next);
        let y_bar = self.scoped(|g| {
            g.see(primal);
            let z = g.body(ty, 2)?;
            let z_bar = builder.call(Target::Cont(k), &[z], &[])?;
            g.see(z_bar);
            g.body(ty, 2)
        })?;
        builder.end(&[y_bar])?;
        Ok(Target::Func(next))
    }

    /// A recursive function of scalars that calls itself, in one or two places and once or twice, and does something
    /// before and after: what is left of a differentiated loop.
    pub(super) fn rounds(&mut self) -> Result<(), Error> {
        let is_scalar = |ty: &Type| ty.shape.is_empty() && ty.dtype.is_float();
        let Some(start) = self.value(is_scalar).filter(|_| self.depth <= 1) else { return Ok(()) };
        let builder = self.builder;
        let (integer, ty) = (Type::scalar(Dtype::I64), builder.ty(start));
        let func = builder.declare(Signature::new("rounds", &[integer, ty.clone()], from_ref(&ty)), &[]);
        let (params, _) = builder.define(func);
        let outer = std::mem::replace(&mut self.scalars, true);
        let result = self.scoped(|g| {
            g.visible.values.retain(|&v| builder.ty(v).shape.is_empty());
            g.visible.cells.retain(|&cell| builder.cell_ty(cell).shape.is_empty());
            g.see(params.iter().copied());
            g.statements(3)?;
            let more = builder.less(builder.literal(Scalar::I64(0)), params[0])?;
            builder.begin();
            let y = g.scoped(|g| match g.scalar_bool().filter(|_| g.below(2) == 1) {
                None => {
                    g.round(func, params[0], &ty)?;
                    if g.below(3) == 2 { g.round(func, params[0], &ty) } else { g.body(&ty, 2) }
                }
                Some(condition) => {
                    let mut arms = Vec::new();
                    for _ in 0..2 {
                        builder.begin();
                        let result = g.scoped(|g| g.round(func, params[0], &ty))?;
                        arms.push(builder.end(&[result])?);
                    }
                    let results = builder.branch(condition, arms[0], arms[1])?;
                    g.see(results);
                    g.body(&ty, 2)
                }
            })?;
            let again = builder.end(&[y])?;
            builder.begin();
            let last = g.scoped(|g| g.body(&ty, 3))?;
            let last = builder.end(&[last])?;
            let results = builder.branch(more, again, last)?;
            g.see(results);
            g.body(&ty, 3)
        })?;
        self.scalars = outer;
        builder.end(&[result])?;
        let counter = self.counter();
        let results = builder.call(Target::Func(func), &[counter, start], &[])?;
        self.see(results);
        Ok(())
    }

    /// A function of a counter and of values of any kind, which comes to its end by calling itself, in one or two
    /// places: a loop that hands on what it computes, what it was given, in any order, and what is outside of it.
    pub(super) fn loop_of_any(&mut self) -> Result<(), Error> {
        if self.depth > 1 {
            return Ok(());
        }
        let builder = self.builder;
        let (starts, types): (Vec<_>, Vec<_>) = (0..1 + self.below(3)).map(|_| self.any()).unzip();
        let integer = Type::scalar(Dtype::I64);
        let params = [vec![integer], types.clone()].concat();
        let func = builder.declare(Signature::new("loop", &params, &types[..1]), &[]);
        let (params, _) = builder.define(func);
        let result = self.scoped(|g| {
            g.see(params.iter().copied());
            g.statements(3)?;
            let more = builder.less(builder.literal(Scalar::I64(0)), params[0])?;
            builder.begin();
            let again = g.next_round(func, params[0], &types)?;
            let again = builder.end(&again)?;
            builder.begin();
            let last = g.scoped(|g| g.body(&types[0], 3))?;
            let last = builder.end(&[last])?;
            builder.branch(more, again, last)
        })?;
        builder.end(&result)?;
        let args = [vec![self.counter()], starts].concat();
        let results = builder.call(Target::Func(func), &args, &[])?;
        self.see(results);
        Ok(())
    }

    /// The end of a round, whose results are the loop's.
    fn next_round(&mut self, func: Func, i: Value, types: &[Type]) -> Result<Vec<Value>, Error> {
        let builder = self.builder;
        self.scoped(|g| {
            g.statements(3)?;
            if let Some(condition) = g.scalar_bool().filter(|_| g.below(3) == 2 && g.depth < NESTING) {
                let mut arms = Vec::new();
                for _ in 0..2 {
                    builder.begin();
                    let results = g.next_round(func, i, types)?;
                    arms.push(builder.end(&results)?);
                }
                return builder.branch(condition, arms[0], arms[1]);
            }
            let mut args = vec![builder.binary(Binary::Sub, i, builder.literal(Scalar::I64(1)))?];
            for ty in types {
                args.push(g.value(|t| t == ty).expect("there was one outside"));
            }
            builder.call(Target::Func(func), &args, &[])
        })
    }

    /// How often a recursive function calls itself: a constant, or the input that is small.
    fn counter(&mut self) -> Value {
        let n = self.builder.literal(Scalar::I64(self.below(4) as i64));
        let is_integer = |v: &&Value| self.builder.ty(**v) == Type::scalar(Dtype::I64);
        let input = *self.visible.values.iter().find(is_integer).expect("inputs come first");
        [n, input][self.below(2)]
    }

    /// A call of a function of a counter in its own body, with something before and after.
    fn round(&mut self, func: Func, i: Value, ty: &Type) -> Result<Value, Error> {
        let x = self.body(ty, 2)?;
        let fewer = self.builder.binary(Binary::Sub, i, self.builder.literal(Scalar::I64(1)))?;
        let y = self.builder.call(Target::Func(func), &[fewer, x], &[])?;
        self.see(y);
        self.body(ty, 2)
    }
}
