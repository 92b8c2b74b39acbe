//! Gradients whose mean over the ranks is under way: many small ones travel together, and while they do, the rest of
//! the backward pass goes on.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use super::element::Element;
use super::protocol::{BUCKET, Signature, State};
use super::raw::{Fold, Pending};

/// How many bytes of gradients travel together, if they are not waited for before.
pub(super) const BYTES: usize = 4 << 20;

/// Gradients of one type.
pub(super) struct Buckets<D> {
    /// Those that have not been sent yet, and a checksum of their names.
    open: Vec<D>,
    names: u64,
    /// The number of the open bucket.
    next: usize,
    slots: HashMap<String, Slot>,
    sent: BTreeMap<usize, Bucket<D>>,
    /// Memory for the next ones.
    spare: Vec<Vec<D>>,
}

/// Where a gradient is.
struct Slot {
    bucket: usize,
    range: Range<usize>,
}

struct Bucket<D> {
    pending: Pending<D>,
    /// How many gradients of it have not been fetched.
    left: usize,
}

impl<D> Default for Buckets<D> {
    fn default() -> Self {
        let (slots, sent) = (HashMap::new(), BTreeMap::new());
        Buckets { open: Vec::new(), names: 0, next: 0, slots, sent, spare: Vec::new() }
    }
}

impl<D: Element> Buckets<D> {
    /// Begins anew.
    pub(super) fn forget(&mut self) {
        *self = Buckets { next: self.next, ..Buckets::default() };
    }

    /// What was given of a gradient.
    fn given(&self, slot: &Slot) -> &[D] {
        match self.sent.get(&slot.bucket) {
            // What is read is not written by anybody.
            Some(bucket) => bucket.pending.sent(slot.range.clone()),
            None => &self.open[slot.range.clone()],
        }
    }
}

/// Takes over a rank's gradient of this name, of which the mean is fetched later; with `now`, what has come together is
/// sent. One that was begun before is left as it is.
///
/// # Errors
/// If another one of this name was begun.
pub(super) fn begin<D: Element>(
    state: &mut State,
    name: &str,
    gradient: &[D],
    now: bool,
) -> Result<(), String> {
    poke::<D>(state);
    let buckets = D::buckets(state);
    if let Some(slot) = buckets.slots.get(name) {
        let given = buckets.given(slot);
        let same = given.len() == gradient.len() && given.iter().zip(gradient).all(|(a, b)| D::same(*a, *b));
        return match same {
            true => Ok(()),
            false => Err(format!(
                "the gradient of `{name}` that was begun early is not all of it: what is used in several places is \
                 given to `early` once, before all of them"
            )),
        };
    }
    let start = buckets.open.len();
    if start == 0
        && let Some(spare) = buckets.spare.pop()
    {
        buckets.open = spare;
    }
    buckets.open.extend_from_slice(gradient);
    let slot = Slot { bucket: buckets.next, range: start..start + gradient.len() };
    buckets.slots.insert(name.into(), slot);
    let mut hasher = DefaultHasher::new();
    (buckets.names, name).hash(&mut hasher);
    buckets.names = hasher.finish();
    if now || size_of_val(&buckets.open[..]) >= BYTES { send::<D>(state) } else { Ok(()) }
}

/// Sends the open bucket.
fn send<D: Element>(state: &mut State) -> Result<(), String> {
    let buckets = D::buckets(state);
    let numbers = std::mem::take(&mut buckets.open);
    let names = std::mem::take(&mut buckets.names);
    let number = buckets.next;
    buckets.next += 1;
    let left = buckets.slots.values().filter(|slot| slot.bucket == number).count();
    let receive = buckets.spare.pop().unwrap_or_default();
    let next = Signature { kind: BUCKET, width: size_of::<D>(), count: numbers.len(), detail: names };
    state.announce(next)?;
    let pending = state.mpi.all_reduce(numbers, receive, Fold::Sum)?;
    D::buckets(state).sent.insert(number, Bucket { pending, left });
    Ok(())
}

/// Lets what is under way go on: nothing does in the background.
fn poke<D: Element>(state: &mut State) {
    let mut sent = std::mem::take(&mut D::buckets(state).sent);
    for bucket in sent.values_mut() {
        // An error is found where it is waited for.
        let _ = state.mpi.test(&mut bucket.pending);
    }
    D::buckets(state).sent = sent;
}

/// Writes the mean of the ranks' gradients of this name. `last` says that no other is to be left.
///
/// # Errors
/// If none was begun; if there are others, and it is the last; those of communication.
pub(super) fn end<D: Element>(
    state: &mut State,
    name: &str,
    last: bool,
    result: &mut [D],
) -> Result<(), String> {
    let buckets = D::buckets(state);
    let Some(slot) = buckets.slots.remove(name) else {
        return Err(format!("the mean of the gradient of `{name}` was not begun"));
    };
    if last && let Some(other) = buckets.slots.keys().min() {
        return Err(format!(
            "the gradient of `{other}` was begun early, and there is no parameter of this name"
        ));
    }
    if !buckets.sent.contains_key(&slot.bucket) {
        // Its own slot counts too.
        buckets.slots.insert(name.into(), slot);
        send::<D>(state)?;
        return end(state, name, false, result);
    }
    state.settle()?;
    let mut bucket = D::buckets(state).sent.remove(&slot.bucket).expect("it was sent");
    state.wait(&mut bucket.pending)?;
    let size = state.mpi.size;
    let (_, sums) = bucket.pending.result().expect("it is over");
    for (mean, &sum) in result.iter_mut().zip(&sums[slot.range]) {
        *mean = sum.mean(size);
    }
    bucket.left -= 1;
    let buckets = D::buckets(state);
    if bucket.left > 0 {
        buckets.sent.insert(slot.bucket, bucket);
    } else if let Some((mut sent, mut received)) = bucket.pending.into_result() {
        sent.clear();
        received.clear();
        buckets.spare.extend([sent, received]);
    }
    Ok(())
}
