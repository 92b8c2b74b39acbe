//! MPI's calls, and the memory that they are given: all of it that is unsafe.

use std::mem;
use std::ops::Range;
use std::os::raw::{c_char, c_int, c_void};
use std::ptr;

use mpi::Threading;
use mpi::environment::Universe;
use mpi::ffi;

/// Numbers that MPI knows.
///
/// # Safety
/// [`datatype`](Datum::datatype) has to be that of `Self`, of which all bytes are a value.
pub(super) unsafe trait Datum: Copy + Default + Send + 'static {
    /// What MPI calls it.
    fn datatype() -> ffi::MPI_Datatype;
}

macro_rules! datum {
    ($($D:ty = $NAME:ident),*) => {$(
        // SAFETY: this is what MPI calls the type.
        unsafe impl Datum for $D {
            fn datatype() -> ffi::MPI_Datatype {
                // SAFETY: a constant of the library, which is never written.
                unsafe { ffi::$NAME }
            }
        }
    )*};
}
datum!(f32 = RSMPI_FLOAT, f64 = RSMPI_DOUBLE, i32 = RSMPI_INT32_T, i64 = RSMPI_INT64_T, u64 = RSMPI_UINT64_T);
datum!(u8 = RSMPI_UINT8_T);

/// What becomes of the ranks' numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fold {
    Sum,
    Max,
}

/// A communication that has begun: what it reads and writes belongs to it until it is over.
pub(super) struct Pending<D> {
    request: ffi::MPI_Request,
    send: Vec<D>,
    receive: Vec<D>,
    over: bool,
}

// SAFETY: a request is a handle, of which MPI lets any thread make use, one at a time (`Threading::Serialized`): `Mpi`
// has all that do, and is borrowed by one thread.
unsafe impl<D: Send> Send for Pending<D> {}

impl<D> Pending<D> {
    /// What was given, and what came of it, if it is over.
    pub(super) fn result(&self) -> Option<(&[D], &[D])> {
        self.over.then_some((&self.send, &self.receive))
    }

    /// A part of what was given, which MPI only reads.
    pub(super) fn sent(&self, range: Range<usize>) -> &[D] {
        &self.send[range]
    }

    /// What was given, and what came of it, for good.
    pub(super) fn into_result(mut self) -> Option<(Vec<D>, Vec<D>)> {
        self.over.then(|| (mem::take(&mut self.send), mem::take(&mut self.receive)))
    }
}

impl<D> Drop for Pending<D> {
    fn drop(&mut self) {
        if !self.over {
            // MPI may still read and write it.
            mem::forget(mem::take(&mut self.send));
            mem::forget(mem::take(&mut self.receive));
        }
    }
}

/// Two communicators of all ranks: one for what they compute, one for what they have to agree on.
pub(super) struct Mpi {
    data: ffi::MPI_Comm,
    control: ffi::MPI_Comm,
    pub(super) rank: usize,
    pub(super) size: usize,
}

// SAFETY: communicators are handles; as for `Pending`.
unsafe impl Send for Mpi {}

/// Which of the two.
#[derive(Clone, Copy)]
pub(super) enum Channel {
    Data,
    Control,
}

impl Mpi {
    /// Starts MPI, which a process can do once; MPI ends when what comes first is dropped.
    ///
    /// # Errors
    /// Why it cannot.
    pub(super) fn start() -> Result<(Universe, Mpi), String> {
        let (universe, threading) = mpi::initialize_with_threading(Threading::Serialized)
            .ok_or("MPI was started in this process before")?;
        if threading < Threading::Serialized {
            return Err(format!("this MPI has threads at level {threading:?} only; Serialized is needed"));
        }
        // SAFETY: MPI has been started. A communicator is duplicated by all ranks, in the same order, and the constants
        // are the library's.
        unsafe {
            let world = ffi::RSMPI_COMM_WORLD;
            ok(ffi::MPI_Comm_set_errhandler(world, ffi::RSMPI_ERRORS_RETURN))?;
            let [mut data, mut control] = [ffi::RSMPI_COMM_NULL; 2];
            for channel in [&mut data, &mut control] {
                ok(ffi::MPI_Comm_dup(world, channel))?;
                ok(ffi::MPI_Comm_set_errhandler(*channel, ffi::RSMPI_ERRORS_RETURN))?;
            }
            let (mut rank, mut size): (c_int, c_int) = (0, 0);
            ok(ffi::MPI_Comm_rank(world, &mut rank))?;
            ok(ffi::MPI_Comm_size(world, &mut size))?;
            Ok((universe, Mpi { data, control, rank: rank as usize, size: size as usize }))
        }
    }

    fn channel(&self, channel: Channel) -> ffi::MPI_Comm {
        match channel {
            Channel::Data => self.data,
            Channel::Control => self.control,
        }
    }

    /// Element by element the fold of all ranks' numbers, on all ranks.
    pub(super) fn all_reduce<D: Datum>(
        &mut self,
        send: Vec<D>,
        receive: Vec<D>,
        fold: Fold,
    ) -> Result<Pending<D>, String> {
        let (n, comm) = (count(send.len())?, self.data);
        let receive = of_length(receive, send.len());
        // SAFETY: as `begin` says.
        begin(send, receive, |send, receive, request| unsafe {
            let fold = match fold {
                Fold::Sum => ffi::RSMPI_SUM,
                Fold::Max => ffi::RSMPI_MAX,
            };
            ffi::MPI_Iallreduce(send, receive, n, D::datatype(), fold, comm, request)
        })
    }

    /// The sum of all ranks' numbers, of which each rank gets its part: as many as there are ranks, of one length.
    pub(super) fn reduce_scatter<D: Datum>(&mut self, send: Vec<D>) -> Result<Pending<D>, String> {
        let (part, comm) = (send.len() / self.size, self.data);
        let n = count(part)?;
        let send = of_length(send, part * self.size);
        // SAFETY: as `begin` says.
        begin(send, vec![D::default(); part], |send, receive, request| unsafe {
            ffi::MPI_Ireduce_scatter_block(send, receive, n, D::datatype(), ffi::RSMPI_SUM, comm, request)
        })
    }

    /// All ranks' numbers, as many of each, one rank's after the other's.
    pub(super) fn all_gather<D: Datum>(
        &mut self,
        channel: Channel,
        send: Vec<D>,
    ) -> Result<Pending<D>, String> {
        let (n, comm) = (count(send.len())?, self.channel(channel));
        let receive = vec![D::default(); send.len() * self.size];
        // SAFETY: as `begin` says.
        begin(send, receive, |send, receive, request| unsafe {
            ffi::MPI_Iallgather(send, n, D::datatype(), receive, n, D::datatype(), comm, request)
        })
    }

    /// One rank's numbers on all ranks, which have to give as many.
    pub(super) fn broadcast<D: Datum>(
        &mut self,
        channel: Channel,
        numbers: Vec<D>,
        root: usize,
    ) -> Result<Pending<D>, String> {
        let (n, comm) = (count(numbers.len())?, self.channel(channel));
        // SAFETY: as `begin` says; what is received takes the place of what is sent.
        begin(Vec::new(), numbers, |_, both, request| unsafe {
            ffi::MPI_Ibcast(both, n, D::datatype(), root as c_int, comm, request)
        })
    }

    /// The sum of all ranks' numbers on one of them.
    pub(super) fn reduce<D: Datum>(&mut self, send: Vec<D>, root: usize) -> Result<Pending<D>, String> {
        let (n, comm) = (count(send.len())?, self.data);
        let receive = vec![D::default(); send.len()];
        // SAFETY: as `begin` says.
        begin(send, receive, |send, receive, request| unsafe {
            ffi::MPI_Ireduce(send, receive, n, D::datatype(), ffi::RSMPI_SUM, root as c_int, comm, request)
        })
    }

    /// That all ranks have come here.
    pub(super) fn barrier(&mut self) -> Result<Pending<u8>, String> {
        let comm = self.control;
        // SAFETY: as `begin` says.
        begin(Vec::new(), Vec::new(), |_, _, request| unsafe { ffi::MPI_Ibarrier(comm, request) })
    }

    /// Goes on with what has begun; whether this one is over.
    pub(super) fn test<D>(&mut self, pending: &mut Pending<D>) -> Result<bool, String> {
        if !pending.over {
            let mut over: c_int = 0;
            // SAFETY: the request is one that has begun and is not over, and nobody asks for its status.
            ok(unsafe { ffi::MPI_Test(&mut pending.request, &mut over, ffi::RSMPI_STATUS_IGNORE) })?;
            pending.over = over != 0;
        }
        Ok(pending.over)
    }
}

/// Begins a communication: `call` gets the addresses of as many numbers as the vectors have, which [`Pending`] keeps
/// where they are, and nobody looks at before it is over.
fn begin<D: Datum>(
    send: Vec<D>,
    mut receive: Vec<D>,
    call: impl FnOnce(*const c_void, *mut c_void, *mut ffi::MPI_Request) -> c_int,
) -> Result<Pending<D>, String> {
    // SAFETY: a constant of the library.
    let mut request = unsafe { ffi::RSMPI_REQUEST_NULL };
    let code = call(send.as_ptr().cast(), receive.as_mut_ptr().cast(), &mut request);
    let pending = Pending { request, send, receive, over: false };
    ok(code).map(|()| pending)
}

/// So many of them: those that are there, or zeros.
fn of_length<D: Datum>(mut numbers: Vec<D>, length: usize) -> Vec<D> {
    numbers.resize(length, D::default());
    numbers
}

/// How many numbers, as MPI counts.
fn count(length: usize) -> Result<c_int, String> {
    c_int::try_from(length).map_err(|_| format!("{length} numbers, and MPI takes {} at a time", c_int::MAX))
}

/// What MPI says of a call.
fn ok(code: c_int) -> Result<(), String> {
    if code == 0 {
        return Ok(());
    }
    // As long as any implementation's messages are.
    let mut message = [0 as c_char; 8192];
    let mut length: c_int = 0;
    // SAFETY: there is room for the longest message (`MPI_MAX_ERROR_STRING`, which is 256 to 1,024).
    unsafe { ffi::MPI_Error_string(code, message.as_mut_ptr(), ptr::from_mut(&mut length)) };
    let bytes: Vec<u8> = message[..length.max(0) as usize].iter().map(|&c| c as u8).collect();
    Err(format!("MPI: {}", String::from_utf8_lossy(&bytes)))
}
