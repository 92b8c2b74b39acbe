//! The threads that large operators share, of compiled code and of arrays alike: one pool for the process.
//!
//! Work comes in *parts*, which any thread may take, the one that asks included. Which thread takes which part changes
//! no result, as long as no part reads what another one writes: so results do not depend on the number of threads.
//!
//! Threads wait for the next work by looking for it for some microseconds, and then sleep. One that waits for others
//! takes parts itself, and work within a part is done by the thread that has the part: nothing waits in a circle.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The variable of the environment with the number of threads to begin with, or `all`.
pub const VARIABLE: &str = "ANTIPHON_THREADS";

/// The most threads.
pub const MOST: usize = 256;

/// How long a thread looks for work before it sleeps.
const LOOKS: Duration = Duration::from_micros(50);

/// How many threads work, asked for by [`set`] or by the environment; zero before anybody has asked.
static COUNT: AtomicUsize = AtomicUsize::new(0);

static POOL: Mutex<Option<Pool>> = Mutex::new(None);

thread_local! {
    /// Whether this thread has a part of some work.
    static HAS_PART: Cell<bool> = const { Cell::new(false) };
}

/// The processors that there are.
pub fn processors() -> usize {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    *PROCESSORS.get_or_init(|| thread::available_parallelism().map_or(1, usize::from).min(MOST))
}

/// How many threads work on large operators: what [`set`] said last, else [`VARIABLE`], else one. What is no number
/// from 1 to [`MOST`] in the environment counts as one.
pub fn count() -> usize {
    match COUNT.load(Ordering::Relaxed) {
        0 => {
            let asked = match std::env::var(VARIABLE).as_deref() {
                Ok("all") => processors(),
                Ok(number) => number.trim().parse().unwrap_or(1),
                Err(_) => 1,
            };
            let asked = if (1..=MOST).contains(&asked) { asked } else { 1 };
            // Whoever has set it meanwhile is right.
            match COUNT.compare_exchange(0, asked, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => asked,
                Err(set) => set,
            }
        }
        count => count,
    }
}

/// Sets how many threads work from now on, at least one and at most [`MOST`]. Those that are too many have ended when
/// this returns; new ones begin with the next work.
///
/// # Errors
/// The number, if it is zero or more than [`MOST`].
pub fn set(threads: usize) -> Result<(), usize> {
    if !(1..=MOST).contains(&threads) {
        return Err(threads);
    }
    COUNT.store(threads, Ordering::Relaxed);
    // From within a part the pool is in use: the next work sees to it.
    if !HAS_PART.get() {
        let mut pool = lock(&POOL);
        if pool.as_ref().is_some_and(|pool| pool.workers.len() + 1 != threads) {
            *pool = None;
        }
    }
    Ok(())
}

/// Calls `f` with each of the numbers below `parts`, once, on all threads; those numbers are taken in their order. It
/// returns when all calls have. It is one loop here if only one thread works, within a part of other work, or while
/// another thread's work is done by the pool.
///
/// # Panics
/// With what a part panics with, when no part runs any more; parts that were not begun by then are left out.
pub fn run(parts: usize, f: &(dyn Fn(usize) + Sync)) {
    let here = |parts| (0..parts).for_each(f);
    let threads = count();
    if parts < 2 || threads < 2 || HAS_PART.get() {
        return here(parts);
    }
    let mut pool = match POOL.try_lock() {
        Ok(pool) => pool,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return here(parts),
    };
    if pool.as_ref().is_none_or(|pool| pool.workers.len() + 1 != threads) {
        *pool = None;
        *pool = Pool::new(threads - 1);
    }
    match &*pool {
        Some(pool) => pool.run(parts, f),
        // The system has no thread to give.
        None => here(parts),
    }
}

/// Calls `f` with each piece of so many elements of a slice, and with the place where it begins, on all threads, as
/// [`run`]. The last one may be shorter.
///
/// # Panics
/// As [`run`]; and if pieces have no elements.
pub fn pieces<T: Send>(elements: &mut [T], size: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    /// Where the slice begins.
    struct Start<T>(*mut T);
    // SAFETY: each thread makes references to pieces of its own only, and elements may be sent to other threads.
    unsafe impl<T: Send> Sync for Start<T> {}
    impl<T> Start<T> {
        fn address(&self) -> *mut T {
            self.0
        }
    }
    assert!(size > 0, "pieces without elements");
    let (n, start) = (elements.len(), Start(elements.as_mut_ptr()));
    run(n.div_ceil(size), &|part| {
        let (from, end) = (part * size, n.min((part + 1) * size));
        // SAFETY: the pieces of different parts do not overlap, each part is called once, and the slice is borrowed
        // exclusively until all have returned.
        let piece = unsafe { std::slice::from_raw_parts_mut(start.address().add(from), end - from) };
        f(from, piece);
    });
}

/// The size of pieces of so many elements, each of which is a multiple of `unit` and has `least` elements or more: all
/// of them in one piece if there is one thread. A few more pieces than threads, so that one that is held up has fewer.
pub fn piece(elements: usize, unit: usize, least: usize) -> usize {
    let parts = if count() < 2 { 1 } else { 2 * count() };
    elements.div_ceil(parts).max(least).next_multiple_of(unit).max(1)
}

/// Some work, on the stack of whoever asks for it.
struct Job<'a> {
    f: &'a (dyn Fn(usize) + Sync),
    parts: usize,
    /// The part that is taken next.
    next: AtomicUsize,
    /// What the first part panicked with that did.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Job<'_> {
    /// Takes parts as long as there are any.
    fn work(&self) {
        /// Also when a panic leaves it.
        struct Has;
        impl Drop for Has {
            fn drop(&mut self) {
                HAS_PART.set(false);
            }
        }
        HAS_PART.set(true);
        let _has = Has;
        loop {
            let part = self.next.fetch_add(1, Ordering::Relaxed);
            if part >= self.parts {
                return;
            }
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (self.f)(part))) {
                self.next.store(self.parts, Ordering::Relaxed);
                lock(&self.panic).get_or_insert(panic);
            }
        }
    }
}

/// Set in [`Shared::state`] while threads may enter the work.
const OPEN: u64 = 1 << 31;
/// What [`Shared::state`] counts works in.
const WORK: u64 = 1 << 32;

struct Shared {
    /// The number of the work in the upper half, whether it is open, and how many threads are in it.
    state: AtomicU64,
    /// The work, while it is open or a thread is in it.
    job: AtomicPtr<Job<'static>>,
    /// How many threads sleep, or are about to.
    sleepers: AtomicUsize,
    /// Whether threads are to end.
    ends: Mutex<bool>,
    wakes: Condvar,
}

struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

impl Pool {
    /// So many threads beside the one that asks; nothing if the system gives none.
    fn new(threads: usize) -> Option<Pool> {
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            job: AtomicPtr::default(),
            sleepers: AtomicUsize::new(0),
            ends: Mutex::new(false),
            wakes: Condvar::new(),
        });
        let mut pool = Pool { shared, workers: Vec::with_capacity(threads) };
        // To look for work takes a processor from those that have it, if there are too few.
        let looks = if threads < processors() { LOOKS } else { Duration::ZERO };
        for number in 1..=threads {
            let shared = Arc::clone(&pool.shared);
            let begun =
                thread::Builder::new().name(format!("antiphon-{number}")).spawn(move || shared.serve(looks));
            pool.workers.push(begun.ok()?);
        }
        Some(pool)
    }

    fn run(&self, parts: usize, f: &(dyn Fn(usize) + Sync)) {
        let shared = &*self.shared;
        let job = Job { f, parts, next: AtomicUsize::new(0), panic: Mutex::new(None) };
        shared.job.store((&raw const job).cast_mut().cast(), Ordering::Relaxed);
        let number = shared.state.load(Ordering::Relaxed) & !(WORK - 1);
        shared.state.store(number.wrapping_add(WORK) | OPEN, Ordering::Release);
        // Either this sees who is about to sleep, or who is about to sleep sees the work.
        fence(Ordering::SeqCst);
        if shared.sleepers.load(Ordering::Relaxed) > 0 {
            drop(lock(&shared.ends));
            shared.wakes.notify_all();
        }
        job.work();
        // Nobody enters any more; those who have are waited for, as the work lies in this frame.
        shared.state.fetch_and(!OPEN, Ordering::Relaxed);
        let mut looks = 0u32;
        while shared.state.load(Ordering::Acquire) & (OPEN - 1) != 0 {
            looks += 1;
            if looks < 2000 { std::hint::spin_loop() } else { thread::yield_now() }
        }
        let panic = lock(&job.panic).take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        *lock(&self.shared.ends) = true;
        self.shared.wakes.notify_all();
        for worker in self.workers.drain(..) {
            // Panics of parts do not end it.
            let _ = worker.join();
        }
    }
}

impl Shared {
    /// Takes parts of one work after the other, until the pool ends.
    fn serve(&self, looks: Duration) {
        let mut done = 0;
        while let Some(state) = self.next(done, looks) {
            done = state & !(WORK - 1);
            if !self.enters(done) {
                continue;
            }
            let job = self.job.load(Ordering::Relaxed);
            // SAFETY: this thread has entered work that was open, and whoever asked for it, in whose frame it lies,
            // does not return before all that have entered have left: `Pool::run` waits for that. What the work refers
            // to is shared (`Sync`) and outlives that frame.
            let job = unsafe { &*job };
            job.work();
            // What the parts wrote is seen by whoever sees that all have left.
            self.state.fetch_sub(1, Ordering::Release);
        }
    }

    /// Enters the work of this number, unless it is not open any more.
    fn enters(&self, number: u64) -> bool {
        let enter = |state: u64| (state & !(WORK - 1) == number && state & OPEN != 0).then(|| state + 1);
        self.state.fetch_update(Ordering::Acquire, Ordering::Relaxed, enter).is_ok()
    }

    /// The state once there is other work than that of a number; nothing if the pool ends.
    fn next(&self, done: u64, looks: Duration) -> Option<u64> {
        let news = || Some(self.state.load(Ordering::Acquire)).filter(|state| state & !(WORK - 1) != done);
        let begun = Instant::now();
        loop {
            for _ in 0..100 {
                if let Some(state) = news() {
                    return Some(state);
                }
                std::hint::spin_loop();
            }
            if begun.elapsed() >= looks {
                break;
            }
        }
        let mut ends = lock(&self.ends);
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let state = loop {
            if *ends {
                break None;
            }
            if let Some(state) = news() {
                break Some(state);
            }
            ends = self.wakes.wait(ends).unwrap_or_else(PoisonError::into_inner);
        };
        self.sleepers.fetch_sub(1, Ordering::Relaxed);
        state
    }
}

/// What is locked is whole at all times.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;

    /// Tests set the number for the whole process: one after the other.
    static ONE: Mutex<()> = Mutex::new(());

    #[test]
    fn each_part_is_done_once_whatever_the_number_of_threads() {
        let _one = lock(&ONE);
        for threads in [1, 2, 3, 7, 2, 1] {
            set(threads).unwrap();
            for parts in [0, 1, 2, 5, 64, 1000] {
                let done: Vec<AtomicU32> = (0..parts).map(|_| AtomicU32::new(0)).collect();
                run(parts, &|part| {
                    done[part].fetch_add(1, Relaxed);
                });
                assert!(done.iter().all(|n| n.load(Relaxed) == 1), "{threads} threads, {parts} parts");
            }
        }
        assert_eq!((set(0), set(MOST + 1), count()), (Err(0), Err(MOST + 1), 1));
    }

    #[test]
    fn pieces_are_all_of_a_slice() {
        let _one = lock(&ONE);
        set(3).unwrap();
        for n in [0, 1, 7, 64, 1000] {
            let mut xs = vec![0; n];
            pieces(&mut xs, piece(n, 4, 10), |from, piece| {
                piece.iter_mut().enumerate().for_each(|(i, x)| *x += from + i + 1);
            });
            assert!(xs.iter().copied().eq(1..=n), "{n}");
        }
        assert_eq!(piece(1000, 4, 10), 168);
        set(1).unwrap();
        assert_eq!(piece(1000, 4, 10), 1000);
    }

    #[test]
    fn work_within_parts_and_from_many_threads_ends() {
        let _one = lock(&ONE);
        set(3).unwrap();
        let sum = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        run(4, &|_| {
                            run(3, &|_| {
                                sum.fetch_add(1, Relaxed);
                            });
                        });
                    }
                });
            }
        });
        assert_eq!(sum.load(Relaxed), 4 * 200 * 4 * 3);
        set(1).unwrap();
    }

    #[test]
    fn a_panic_of_a_part_is_the_caller_s_and_the_pool_goes_on() {
        let _one = lock(&ONE);
        set(2).unwrap();
        for _ in 0..50 {
            let panic = catch_unwind(|| run(16, &|part| assert!(part != 3, "part three")));
            let text = panic.unwrap_err();
            assert!(text.downcast_ref::<&str>().is_some_and(|text| text.contains("part three")));
            let done = AtomicU32::new(0);
            run(16, &|_| {
                done.fetch_add(1, Relaxed);
            });
            assert_eq!(done.load(Relaxed), 16);
        }
        set(1).unwrap();
    }

    #[test]
    fn after_a_sleep_there_is_work_again_and_one_thread_leaves_none_behind() {
        let _one = lock(&ONE);
        set(4).unwrap();
        for _ in 0..3 {
            run(8, &|_| {});
            thread::sleep(Duration::from_millis(2));
        }
        let alive = || {
            std::fs::read_dir("/proc/self/task").map_or(0, |tasks| {
                let names =
                    tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
                names.filter(|name| name.starts_with("antiphon-")).count()
            })
        };
        // A thread's name is there when it has begun, and gone a little after it was joined.
        let comes_to = |expected: usize| {
            let begun = Instant::now();
            while alive() != expected && begun.elapsed() < Duration::from_secs(10) {
                thread::sleep(Duration::from_millis(1));
            }
            alive() == expected
        };
        assert!(comes_to(3) || !cfg!(target_os = "linux"));
        set(1).unwrap();
        assert!(comes_to(0));
    }
}
