//! [`RecordedAdjoint`]: an adjoint that is being recorded, and what is known of it while recording.

use std::cell::RefCell;
use std::fmt;
use std::panic::Location;

use antiphon_staging::{self as staging, Block, Scalar, Type, Update, Value};

use super::{Located, Recorded, RecordedInt, Recorder, recorder};
use crate::continuation::unwinding::{OrRaise, rule_at};
use crate::error::At;

/// An accumulator of adjoints that is being recorded.
pub struct RecordedAdjoint {
    ty: RefCell<Type>,
    /// Whose adjoint it is, for its name.
    of: Option<Value>,
    /// The user's line that made the value.
    line: Option<&'static Location<'static>>,
    /// The block of the value that it belongs to, where it is read.
    home: Block,
    sum: RefCell<Sum>,
}

impl fmt::Debug for RecordedAdjoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedAdjoint").field("type", &self.ty).finish_non_exhaustive()
    }
}

/// What was accumulated.
#[derive(Clone, Copy)]
enum Sum {
    /// Nothing, whatever way the program takes.
    Absent,
    /// One value, which came back from a continuation.
    Passed(Passed),
    /// What a cell holds.
    Cell {
        cell: staging::Cell,
        /// Whether something is added to it whatever way the program takes.
        certain: bool,
    },
}

/// An adjoint as a value: zeros if it turns out to be absent.
#[derive(Clone, Copy)]
pub(super) struct Passed {
    pub(super) value: Value,
    /// Whether it is not absent, if only the running program knows.
    pub(super) present: Option<Value>,
}

impl Recorder {
    /// Whether a block that encloses this point surely runs on to this point.
    fn surely_reached_from(&self, home: Block) -> bool {
        let open = self.builder.open();
        let conditional = self.conditional.borrow();
        open.iter().rev().take_while(|&&block| block != home).all(|block| !conditional.contains(block))
    }

    /// Runs `f` with recording going on in an open block that encloses this point.
    pub(super) fn in_block<R>(&self, home: Block, f: impl FnOnce() -> R) -> R {
        let position = self.builder.open().iter().position(|&block| block == home);
        let inner = self.builder.set_aside(position.map_or(usize::MAX, |position| position + 1));
        let result = f();
        self.builder.resume(inner);
        result
    }

    /// Records `f` to run only if `present` holds.
    fn when(&self, present: Value, f: impl FnOnce()) {
        self.begin_arm();
        f();
        let then = self.builder.end(&[]).located().or_raise();
        self.builder.begin();
        let otherwise = self.builder.end(&[]).located().or_raise();
        self.builder.branch(present, then, otherwise).located().or_raise();
    }

    pub(super) fn flag(&self, value: bool) -> Value {
        self.builder.literal(Scalar::Bool(value))
    }
}

impl RecordedAdjoint {
    pub(super) fn empty(recorder: &Recorder, like: Recorded) -> RecordedAdjoint {
        let value = recorder.value_of(like.0);
        let (ty, home) = (recorder.builder.ty(value), recorder.here());
        let line = recorder.builder.line_of(value);
        RecordedAdjoint { ty: RefCell::new(ty), of: Some(value), line, home, sum: RefCell::new(Sum::Absent) }
    }

    /// What a continuation returned.
    pub(super) fn passed(recorder: &Recorder, ty: Type, passed: Option<Passed>) -> RecordedAdjoint {
        let sum = passed.map_or(Sum::Absent, Sum::Passed);
        RecordedAdjoint {
            ty: RefCell::new(ty),
            of: None,
            line: None,
            home: recorder.here(),
            sum: RefCell::new(sum),
        }
    }

    /// A value that can be read in the block which was the innermost at that depth.
    pub(super) fn left_for(recorder: &Recorder, value: Recorded, depth: usize) -> RecordedAdjoint {
        let held = RecordedAdjoint { of: None, ..RecordedAdjoint::empty(recorder, value) };
        let value = recorder.value_of(value.0);
        let home = recorder.builder.open()[depth - 1];
        if home == held.home {
            held.sum.replace(Sum::Passed(Passed { value, present: None }));
            return held;
        }
        let cell = recorder.builder.cell_in(home, held.ty.borrow().clone());
        if let Some(name) = recorder.builder.name_of(value) {
            recorder.builder.name_cell(cell, &(name + "_out"));
        }
        recorder.builder.accumulate(cell, value).located().or_raise();
        RecordedAdjoint { home, sum: RefCell::new(Sum::Cell { cell, certain: true }), ..held }
    }

    /// For a value with one more axis, of this length. It is empty.
    pub(super) fn widen(&self, axis: usize, length: usize) {
        self.ty.borrow_mut().shape.insert(axis, length);
    }

    /// The cell, which from now on holds what was accumulated so far.
    fn cell(&self, recorder: &Recorder) -> (staging::Cell, bool) {
        let sum = *self.sum.borrow();
        let new = || {
            let cell = recorder.builder.cell_in(self.home, self.ty.borrow().clone());
            if let Some(value) = self.of {
                recorder.builder.name_adjoint_cell(cell, value);
            }
            cell
        };
        match sum {
            Sum::Cell { cell, certain } => (cell, certain),
            Sum::Absent => (new(), false),
            Sum::Passed(Passed { value, present }) => {
                let cell = new();
                let add = || recorder.builder.accumulate(cell, value).located().or_raise();
                recorder.in_block(self.home, || match present {
                    None => add(),
                    Some(present) => recorder.when(present, add),
                });
                (cell, present.is_none())
            }
        }
    }

    #[track_caller]
    pub(super) fn update(&self, update: impl FnOnce(&Recorder) -> Update) {
        let recorder = recorder();
        let update = update(&recorder);
        let (cell, certain) = self.cell(&recorder);
        recorder.builder.update(cell, update).located().or_raise();
        let certain = certain || recorder.surely_reached_from(self.home);
        self.sum.replace(Sum::Cell { cell, certain });
    }

    /// Adds what another one holds, if it holds anything.
    pub(super) fn absorb(&self, from: RecordedAdjoint) {
        let recorder = recorder();
        let empty = matches!(*self.sum.borrow(), Sum::Absent);
        let theirs = from.sum.replace(Sum::Absent);
        match theirs {
            Sum::Passed(passed) if empty && recorder.here() == self.home => {
                self.sum.replace(Sum::Passed(passed));
            }
            theirs => {
                from.sum.replace(theirs);
                from.pull(|g| self.update(|recorder| Update::Add(recorder.value_of(g.0))));
            }
        }
    }

    /// One that code may read which is recorded before what adds to it: nothing is known of it.
    pub(super) fn open(recorder: &Recorder, ty: Type) -> RecordedAdjoint {
        let home = recorder.here();
        let cell = recorder.builder.cell_in(home, ty.clone());
        recorder.builder.name_cell(cell, "ys_bar_sum");
        RecordedAdjoint {
            ty: RefCell::new(ty),
            of: None,
            line: None,
            home,
            sum: RefCell::new(Sum::Cell { cell, certain: false }),
        }
    }

    /// A row of what was accumulated, zeros if nothing was. It keeps it.
    pub(super) fn row(&self, index: RecordedInt) -> Recorded {
        let recorder = recorder();
        let (cell, certain) = self.cell(&recorder);
        self.sum.replace(Sum::Cell { cell, certain });
        let row = recorder.builder.row(cell, recorder.value_of(index.0)).located().or_raise();
        Recorded(recorder.wrap(row))
    }

    /// Records `pull` of a row of what was accumulated, to run if anything was. It keeps it.
    pub(super) fn pull_row(&self, index: RecordedInt, pull: impl FnOnce(Recorded)) {
        let recorder = recorder();
        let (cell, certain) = self.cell(&recorder);
        self.sum.replace(Sum::Cell { cell, certain });
        recorder.backward(rule_at().map(At::location), || {
            let present = recorder.builder.present(cell);
            recorder.when(present, || pull(self.row(index)));
        });
    }

    /// A value that is this adjoint, with its name.
    fn bar(&self, recorder: &Recorder, value: Value) -> Value {
        if let Some(of) = self.of {
            recorder.builder.name_adjoint(value, of);
        }
        value
    }

    /// As a value, and whether it is present; `None` if it surely is not. It is empty afterwards.
    pub(super) fn pass(&self, recorder: &Recorder) -> Option<Passed> {
        match self.sum.replace(Sum::Absent) {
            Sum::Absent => None,
            Sum::Passed(passed) => Some(passed),
            Sum::Cell { cell, certain } => recorder.backward(self.line, || {
                let present = (!certain).then(|| recorder.builder.present(cell));
                Some(Passed { value: self.bar(recorder, recorder.builder.take(cell)), present })
            }),
        }
    }

    /// As a value, and whether it is present, both recorded.
    pub(super) fn pass_all(&self, recorder: &Recorder) -> [Value; 2] {
        match self.pass(recorder) {
            Some(Passed { value, present }) => [value, present.unwrap_or_else(|| recorder.flag(true))],
            None => {
                let Type { dtype, shape } = self.ty.borrow().clone();
                let zeros = staging::Expr::Fill { value: Scalar::of(dtype, 0.0), shape };
                let zeros = recorder.builder.emit(zeros).located().or_raise();
                [zeros, recorder.flag(false)]
            }
        }
    }

    /// What was accumulated, zeros if nothing was; `None` if surely nothing was.
    pub(super) fn take(&self) -> Option<Recorded> {
        let recorder = recorder();
        match self.sum.replace(Sum::Absent) {
            Sum::Absent => None,
            Sum::Passed(Passed { value, .. }) => Some(Recorded(recorder.wrap(value))),
            Sum::Cell { cell, .. } => {
                let take = || self.bar(&recorder, recorder.builder.take(cell));
                let value = if self.of.is_some() {
                    recorder.backward(self.line, take)
                } else {
                    // A value that left a block is nobody's adjoint.
                    recorder.builder.at(self.line);
                    take()
                };
                Some(Recorded(recorder.wrap(value)))
            }
        }
    }

    /// Records `pull` of what was accumulated, to run if anything was.
    pub(super) fn pull(&self, pull: impl FnOnce(Recorded)) {
        let recorder = recorder();
        let sum = self.sum.replace(Sum::Absent);
        recorder.backward(self.line, || match sum {
            Sum::Absent => {}
            Sum::Passed(Passed { value, present }) => {
                let value = Recorded(recorder.wrap(self.bar(&recorder, value)));
                match present {
                    None => pull(value),
                    Some(present) => recorder.when(present, || pull(value)),
                }
            }
            Sum::Cell { cell, certain } => {
                let take = || Recorded(recorder.wrap(self.bar(&recorder, recorder.builder.take(cell))));
                if certain {
                    return pull(take());
                }
                let present = recorder.builder.present(cell);
                recorder.when(present, || pull(take()));
            }
        });
    }
}
