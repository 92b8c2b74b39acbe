//! Compilations in threads of their own, which may be ended before they are done.
//!
//! A chain of operators is compiled by recursion, so the thread has a stack that fits the program, whatever stack the
//! caller has. And LLVM cannot be stopped in the middle of its work: it calls nobody back while it generates code, and
//! a thread cannot be ended from outside. So a thread is left to itself when nobody waits for it any more. It looks
//! whether that is so before each pass and each function, and before each phase of LLVM's, and ends there. A process
//! that exits waits for such threads, since LLVM must not run while its static variables are being destroyed.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, Once};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::ir::Program;
use crate::ir::error::{Error, Result};
use crate::jit::options::CompileOptions;

/// How long an interruption may go unnoticed by who waits for a compilation.
const POLL: Duration = Duration::from_millis(5);
/// Stack of the thread that compiles: for LLVM, and for each statement of the program, since the operands of operands
/// and blocks within blocks are compiled by recursion. Address space only, until it is used.
const STACK: usize = 16 << 20;
const STACK_PER_STATEMENT: usize = 8 << 10;
const MOST_STACK: usize = 1 << 30;

/// Ends compilations, from any thread or signal handler. Clones are the same handle.
///
/// ```
/// use antiphon_staging::{Builder, CompileOptions, Dtype, Error, Interrupt, Type, compile};
/// let b = Builder::new("identity");
/// let x = b.input("x", Type::scalar(Dtype::F64));
/// let program = b.finish(&[x])?;
/// let interrupt = Interrupt::default();
/// let options = CompileOptions { interrupt: Some(interrupt.clone()), ..CompileOptions::default() };
/// interrupt.raise();
/// assert!(matches!(compile(&program, &options), Err(Error::Interrupted { .. })));
/// interrupt.clear();
/// assert!(compile(&program, &options).is_ok());
/// # Ok::<(), antiphon_staging::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Ends the compilations that have this handle with [`Error::Interrupted`]: those under way within milliseconds,
    /// and those to come until it is [cleared](Interrupt::clear).
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
    /// Lets compilations run from now on.
    pub fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
    /// Whether it is raised.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What may end a compilation, and recording before it: the interruption and the time that its
/// [options](CompileOptions) say, which runs from when this was made.
#[derive(Debug, Clone)]
pub struct Stop {
    start: Instant,
    /// The user's handle.
    interrupt: Option<Interrupt>,
    limit: Option<Duration>,
    /// That nobody waits for it any more: the user may clear his handle before the compilation has looked.
    abandoned: Interrupt,
}

impl Stop {
    /// Of a compilation that begins now.
    pub fn of(options: &CompileOptions) -> Stop {
        Stop {
            start: Instant::now(),
            interrupt: options.interrupt.clone(),
            limit: options.time_limit,
            abandoned: Interrupt::default(),
        }
    }

    /// # Errors
    /// [`Error::Interrupted`] if the compilation is to end.
    pub fn check(&self) -> Result<()> {
        let late = || self.limit.is_some_and(|limit| self.start.elapsed() > limit);
        let raised = self.interrupt.as_ref().is_some_and(Interrupt::is_raised);
        if raised || self.abandoned.is_raised() || late() {
            return Err(Error::Interrupted { after: self.start.elapsed() });
        }
        Ok(())
    }

    /// What `make` makes of a program, or an error as soon as this says so.
    ///
    /// # Errors
    /// Those of `make`; [`Error::Interrupted`]; [`Error::Reserve`] if there is no thread to be had.
    pub(crate) fn or<R: Send + 'static>(
        &self,
        program: &Arc<Program>,
        options: &CompileOptions,
        make: fn(&Program, &CompileOptions, &Stop) -> Result<R>,
    ) -> Result<R> {
        self.check()?;
        let bytes = STACK + program.len().saturating_mul(STACK_PER_STATEMENT).min(MOST_STACK);
        let (sender, receiver) = channel();
        let (program, options, stop) = (Arc::clone(program), options.clone(), self.clone());
        let thread = thread::Builder::new().name("antiphon-compile".into()).stack_size(bytes);
        let thread = thread.spawn(move || {
            // If nobody waits for the result any more, it is of no use.
            let _ = sender.send(make(&program, &options, &stop));
        });
        let thread =
            thread.map_err(|error| Error::Llvm(format!("there is no thread to compile in: {error}")))?;
        loop {
            match receiver.recv_timeout(POLL) {
                Ok(result) => {
                    let _ = thread.join();
                    return result;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => match thread.join() {
                    Err(panic) => resume_unwind(panic),
                    Ok(()) => unreachable!("a thread that ends without a result has panicked"),
                },
            }
            if let Err(interrupted) = self.check() {
                self.abandoned.raise();
                abandon(thread);
                return Err(interrupted);
            }
        }
    }
}

/// Threads that nobody waits for, until the process exits.
static ABANDONED: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());

fn abandon(thread: JoinHandle<()>) {
    static AT_EXIT: Once = Once::new();
    AT_EXIT.call_once(|| {
        // Before the destructors of LLVM's static variables, which were registered when LLVM was loaded.
        // SAFETY: the function is as `atexit` wants it, does not unwind, and stays loaded until the process ends.
        let _ = unsafe { libc::atexit(wait) };
    });
    let mut threads = ABANDONED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    threads.retain(|thread| !thread.is_finished());
    threads.push(thread);
}

extern "C" fn wait() {
    let threads = std::mem::take(&mut *ABANDONED.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
    for thread in threads {
        // A panic in it was printed, and changes nothing any more.
        let _ = thread.join();
    }
}
