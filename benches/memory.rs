//! Memory of scalar programs, forward and backward: `cargo bench --bench memory`.
//!
//! Stack: how far below the first operator's frame the last one's is, by the addresses of their locals on the stack
//! that the rules run on. Heap: calls of the allocator. Both are differences between a program of `n` operators and
//! one of `2n`, so that what an entry point takes once does not count.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use antiphon::{Var, cps, grad};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's contract is the same.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Where the stack is, seen from a function that is not inlined.
#[inline(never)]
fn stack_pointer() -> usize {
    let local = 0u8;
    std::hint::black_box(&raw const local).addr()
}

/// The stack between the rule that runs first and the one that runs last.
#[derive(Default)]
struct Depth {
    first: Cell<usize>,
    last: Cell<usize>,
}

impl Depth {
    fn bytes(&self) -> usize {
        self.first.get() - self.last.get()
    }
}

/// The identity as an operator that notes where its rule runs.
fn noted<'r>(x: &Var<'r, f64>, place: &'static Cell<usize>) -> Var<'r, f64> {
    Var::shift([x], |[x], k| {
        place.set(stack_pointer());
        cps::custom([x], *x.value(), |_, y_bar| [y_bar], k)
    })
}

fn direct(operators: usize) -> usize {
    fn run<'r>(operators: usize, x: Var<'r, f64>, depth: &'static Depth) -> Var<'r, f64> {
        let mut y = noted(&x, &depth.first);
        for _ in 0..operators {
            y *= &x;
        }
        noted(&y, &depth.last)
    }
    // Leaked, since a rule borrows nothing that ends: 16 bytes a measurement.
    let depth: &'static Depth = Box::leak(Box::default());
    assert_eq!(grad(|x| run(operators, x, depth), &1.0).expect("a gradient"), operators as f64 + 1.0);
    depth.bytes()
}

fn explicit(operators: usize) -> usize {
    fn run(
        operators: usize,
        y: &Var<'_, f64>,
        x: &Var<'_, f64>,
        last: &Cell<usize>,
        k: cps::Return<'_, f64>,
    ) -> cps::Result<()> {
        if operators == 0 {
            last.set(stack_pointer());
            return k(y);
        }
        cps::mul(y, x, |y| run(operators - 1, y, x, last, k))
    }
    let depth = Depth::default();
    let slope = cps::grad(&1.0, |x, k| {
        depth.first.set(stack_pointer());
        run(operators, x, x, &depth.last, k)
    });
    assert_eq!(slope.expect("a gradient"), operators as f64 + 1.0);
    depth.bytes()
}

/// Stack bytes and allocations of one more operator.
fn per_operator(program: fn(usize) -> usize) -> (f64, f64) {
    const OPERATORS: usize = 100_000;
    let measure = |operators| {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        let bytes = program(operators);
        (bytes, ALLOCATIONS.load(Ordering::Relaxed) - before)
    };
    measure(OPERATORS);
    let ((bytes, allocations), (more_bytes, more_allocations)) = (measure(OPERATORS), measure(2 * OPERATORS));
    let each = |less: usize, more: usize| (more as f64 - less as f64) / OPERATORS as f64;
    (each(bytes, more_bytes), each(allocations, more_allocations))
}

fn main() {
    println!("{:9} {:>22} {:>27}", "spelling", "stack bytes/operator", "heap allocations/operator");
    for (name, program) in [("explicit", explicit as fn(usize) -> usize), ("direct", direct)] {
        let (bytes, allocations) = per_operator(program);
        println!("{name:9} {bytes:22.1} {allocations:27.6}");
    }
}
