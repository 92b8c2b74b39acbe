//! Checkpoints of variables: the function is run on values on the way there, and on variables on the way back. Where
//! programs are recorded, it is a [region](super::region), whose derivative computes it again.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::rc::Rc;

use super::control::{bare, constants};
use super::names::{self, Names, Numbered, Sink};
use super::region::{active, add, inside, level_of};
use super::{Var, region};
use crate::continuation::unwinding::{operator, raise};
use crate::continuation::{Level, Nearest, nearest, outside_reset, reset_at, shift_at, stack};
use crate::language::control::Control;
use crate::language::control::checkpoint::Body;
use crate::language::control::continuation_passing::{Leaves, Site, reals, with_reals};
use crate::language::node::{Held, NodeRef, OwnedNode, node_for, node_in};
use crate::language::real::Real;
use crate::language::state::Leaf;
use crate::sealed::Internal;

thread_local! {
    /// The kinds of variables of whose functions the values are being computed: they are constants then, but not to the
    /// outer derivatives, for which they stand for variables.
    static VALUES: RefCell<ManuallyDrop<Vec<u64>>> = const { RefCell::new(ManuallyDrop::new(Vec::new())) };
}

/// Says so, until dropped.
struct Values;

impl Values {
    fn of(kind: u64) -> Values {
        VALUES.with_borrow_mut(|kinds| kinds.push(kind));
        Values
    }
}

impl Drop for Values {
    fn drop(&mut self) {
        VALUES.with_borrow_mut(|kinds| {
            kinds.pop();
            if kinds.is_empty() {
                // Its memory, too.
                **kinds = Vec::new();
            }
        });
    }
}

/// Whether constants of this kind stand for variables.
pub(super) fn is_of_values<T: Real>() -> bool {
    VALUES.with_borrow(|kinds| kinds.contains(&<Var<'_, T> as Real>::NESTING))
}

/// [`Control::checkpoint_at`].
///
/// # Safety
/// The function owns what it uses.
pub(super) unsafe fn checkpoint<'f, 'r: 'f, T: Control + 'f>(
    internal: Internal,
    at: Site,
    x: Leaves<Var<'r, T>>,
    f: Body<'f, Var<'r, T>>,
) -> Leaves<Var<'r, T>> {
    if <T::Node<T> as NodeRef<T>>::SHARED {
        return match nearest(<Var<'_, T> as Real>::NESTING) {
            Nearest::Running(_) => region::as_operator(at, true, &mut || f(x.clone())),
            Nearest::Cut | Nearest::Nowhere => f(x),
        };
    }
    let inputs = with_reals(x, Var::into_operand);
    let level = level_of(reals(&inputs));
    let of_values: Body<'_, T> = {
        let f = Rc::clone(&f);
        Rc::new(move |x| {
            let _values = Values::of(<Var<'_, T> as Real>::NESTING);
            inside(at, f(constants(x)))
        })
    };
    // SAFETY: it owns the function, which owns what it uses.
    let y = unsafe { T::checkpoint_at(internal, at, bare(inputs.clone()), of_values) };
    let Some(level) = level else { return constants(y) };
    // SAFETY: the handler owns what it uses. The list of nodes in its frame stays where it is until the rest of the
    // body, where the variables are, has run.
    let results = unsafe {
        shift_at(level, at.at, move |rest| {
            stack::check()?;
            let owners: Vec<OwnedNode<T>> = reals(&y).map(|y| node_for(y.clone().quiet())).collect();
            let mut nodes = owners.iter();
            let variables = with_reals(y, |_| Var::active(nodes.next().expect("one each"), level));
            rest.resume(variables)?;
            let seeds: Vec<Option<T>> =
                owners.iter().map(|owner| node_in::<T>(owner).take_adjoint()).collect();
            drop(owners);
            let names = names::asked_of(level);
            if names.is_some() || seeds.iter().any(Option::is_some) {
                let (adjoints, named) = operator(at.at, || pulled(internal, at, &inputs, f, seeds, names));
                add(&inputs, adjoints);
                // SAFETY: the inputs that are variables are of this level.
                operator(at.at, || names::add(level, at.at, named));
            }
            Ok(())
        })
    };
    results.unwrap_or_else(|| raise(outside_reset(at.at)))
}

/// The adjoints of the inputs that are variables, and of the values of names that are asked for, by their numbers; the
/// outer derivative computes these again as well.
fn pulled<'f, 'r: 'f, T: Control + 'f>(
    internal: Internal,
    at: Site,
    inputs: &[Leaf<Var<'r, T>>],
    f: Body<'f, Var<'r, T>>,
    seeds: Vec<Option<T>>,
    names: Option<Rc<Names>>,
) -> (Vec<T>, Numbered<T>) {
    let (wanted, count) = (active(inputs), inputs.len());
    let numbers: Rc<RefCell<Vec<usize>>> = Rc::default();
    let mut arguments = bare(inputs.to_vec());
    let seeded: Vec<bool> = seeds.iter().map(Option::is_some).collect();
    arguments.extend(seeds.into_iter().flatten().map(Leaf::Real));
    let of_inputs = wanted.iter().filter(|wanted| **wanted).count();
    let met = Rc::clone(&numbers);
    let body: Body<'_, T> = Rc::new(move |mut x: Leaves<T>| {
        let seeds = x.split_off(count);
        let (mut adjoints, named) = pull(at, &f, x, &wanted, &seeded, seeds, names.clone());
        let (numbers, named): (Vec<usize>, Vec<T>) = named.into_iter().unzip();
        met.replace(numbers);
        adjoints.extend(named);
        adjoints.into_iter().map(Leaf::Real).collect()
    });
    // SAFETY: it owns the function, which owns what it uses.
    let adjoints = unsafe { T::checkpoint_at(internal, at, arguments, body) };
    let mut adjoints: Vec<T> = adjoints.into_iter().map(Leaf::real).collect();
    let named = adjoints.split_off(of_inputs);
    (adjoints, numbers.take().into_iter().zip(named).collect())
}

/// The function once more, on variables.
fn pull<'r, T: Control>(
    at: Site,
    f: &Body<'_, Var<'r, T>>,
    x: Leaves<T>,
    wanted: &[bool],
    seeded: &[bool],
    seeds: Leaves<T>,
    names: Option<Rc<Names>>,
) -> (Vec<T>, Numbered<T>) {
    let level = Level::fresh();
    let sink: Option<Sink<T>> = names.map(Sink::of);
    // SAFETY: variables of this level are made here and by their operators; the list ends with this frame, as they do.
    let asking = sink.as_ref().map(|sink| unsafe { sink.ask(level) });
    let owner = |(leaf, &wanted): (&Leaf<T>, &bool)| match leaf {
        Leaf::Real(x) if wanted => Some(node_for::<T>(x.clone().quiet())),
        _ => None,
    };
    let owners: Vec<Option<OwnedNode<T>>> = x.iter().zip(wanted).map(owner).collect();
    let ran = reset_at(<Var<'r, T> as Real>::NESTING, level, at.at, || {
        let variable = |(leaf, owner): (&Leaf<T>, &Option<OwnedNode<T>>)| match (leaf, owner) {
            // SAFETY: the list of nodes stays where it is until the body has ended, in which the variables are.
            (Leaf::Real(_), Some(owner)) => Leaf::Real(unsafe { Var::active(owner, level) }),
            (Leaf::Real(x), None) => Leaf::Real(Var::lift(x)),
            (Leaf::Int(i), _) => Leaf::Int(i.clone()),
            (Leaf::Bool(b), _) => Leaf::Bool(b.clone()),
        };
        let results = f(x.iter().zip(&owners).map(variable).collect());
        let mut seeds = seeds.into_iter().map(Leaf::real);
        for (y, _) in reals(&results).zip(seeded).filter(|(_, seeded)| **seeded) {
            y.accumulate(seeds.next().expect("one each"));
        }
        Ok(())
    });
    drop(asking);
    if let Err(error) = ran {
        raise(*error);
    }
    let adjoint = |owner: &OwnedNode<T>| {
        let node = node_in::<T>(owner);
        node.take_adjoint().unwrap_or_else(|| node.value().zeros_like())
    };
    let named = sink.map_or_else(Vec::new, |sink| sink.adjoints());
    (owners.iter().flatten().map(adjoint).collect(), named)
}
