//! Running compiled programs.

use std::fmt;
use std::ptr;
use std::sync::{Arc, OnceLock};

use crate::ir::Program;
use crate::ir::build::expect;
use crate::ir::error::{Error, Result};
use crate::ir::tensor::{ConcreteTensor, Elements, ElementsMut, look_for_memory, with_elements};
use crate::ir::types::{Dtype, Type};
use crate::jit::cache::Object;
use crate::jit::denormals::Flushed;
use crate::jit::enter::{self, Asked, Ended, Entry, MARGIN};
use crate::jit::export::{Exported, export};
use crate::jit::options::CompileOptions;
use crate::jit::orc::Linked;
use crate::jit::room::{Need, Part, Room};
use crate::jit::{ENTRY, Phases, assembly, llvm_ir, signature};
use crate::lower::abi::Context;
use crate::optimise::optimise;

macro_rules! parts {
    ($View:ident, $xs:expr, $pointer:ident) => {
        match $xs {
            $View::F32(xs) => (Dtype::F32, xs.len(), xs.$pointer().cast()),
            $View::F64(xs) => (Dtype::F64, xs.len(), xs.$pointer().cast()),
            $View::I64(xs) => (Dtype::I64, xs.len(), xs.$pointer().cast()),
            $View::Bool(xs) => (Dtype::Bool, xs.len(), xs.$pointer().cast()),
        }
    };
}

impl ElementsMut<'_> {
    /// Takes over as many elements of the same kind.
    ///
    /// # Errors
    /// [`Error::Types`] if they are of another kind, or more or fewer.
    pub fn copy_from(&mut self, from: Elements<'_>) -> Result<()> {
        match (&mut *self, from) {
            (ElementsMut::F32(to), Elements::F32(from)) if to.len() == from.len() => to.copy_from_slice(from),
            (ElementsMut::F64(to), Elements::F64(from)) if to.len() == from.len() => to.copy_from_slice(from),
            (ElementsMut::I64(to), Elements::I64(from)) if to.len() == from.len() => to.copy_from_slice(from),
            (ElementsMut::Bool(to), Elements::Bool(from)) if to.len() == from.len() => {
                to.copy_from_slice(from)
            }
            (to, from) => {
                let ty = |(dtype, len, _): (Dtype, usize, *const u8)| vec![Type::new(dtype, &[len])];
                let expected = ty(parts!(ElementsMut, to, as_ptr));
                let found = ty(parts!(Elements, from, as_ptr));
                return Err(Error::Types { what: "elements".into(), expected, found });
            }
        }
        Ok(())
    }
}

/// A program as native code. One thread at a time can run it; it may be any. What it runs in is the thread's.
pub struct CompiledProgram {
    /// As it was recorded.
    recorded: Arc<Program>,
    /// What the code was generated from, once it is known: code from the cache needs none.
    program: OnceLock<Program>,
    options: CompileOptions,
    /// For each input, the output that is written over it.
    updated: Vec<Option<usize>>,
    inputs: Vec<Type>,
    outputs: Vec<Type>,
    entry: Entry,
    /// Bytes of arena that functions which are active at most once take.
    fixed: u64,
    /// Bytes of stack and of arena that runs have needed.
    needs: [Need; 2],
    /// Bytes that recursive functions may use of the stack, and of the arena.
    limit: Option<usize>,
    from: Vec<*const u8>,
    to: Vec<*mut u8>,
    hit: bool,
    phases: Phases,
    /// Keeps the code in memory.
    _linked: Linked,
}

impl fmt::Debug for CompiledProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompiledProgram")
            .field("name", &self.recorded.funcs[self.recorded.entry].name)
            .finish_non_exhaustive()
    }
}

// SAFETY: the addresses in `from` and `to` are used only during a run, which borrows what they point to.
unsafe impl Send for CompiledProgram {}

impl CompiledProgram {
    pub(super) fn new(
        program: &Arc<Program>,
        options: &CompileOptions,
        object: Object,
        optimised: Option<Program>,
        phases: Phases,
    ) -> Result<CompiledProgram> {
        let linked = Linked::new(&object.code)?;
        // SAFETY: the entry of what `lower` makes has this type.
        let entry = unsafe { enter::entry(linked.address(ENTRY)?) };
        let (inputs, outputs) = signature(program);
        let wrong = |&(output, input): &(usize, usize)| {
            outputs.get(output).is_none() || outputs.get(output) != inputs.get(input)
        };
        if let Some(&(output, input)) = options.updates.iter().find(|pair| wrong(pair)) {
            let found = outputs.get(output).into_iter().cloned().collect();
            let expected = inputs.get(input).into_iter().cloned().collect();
            return Err(Error::Types {
                what: format!("output {output} over input {input}"),
                expected,
                found,
            });
        }
        let hit = optimised.is_none();
        let of = |input| options.updates.iter().find(|(_, updated)| *updated == input);
        let updated = (0..inputs.len()).map(|input| of(input).map(|&(output, _)| output)).collect();
        Ok(CompiledProgram {
            fixed: object.arena,
            needs: [Need::new(Part::Stack, MARGIN), Need::new(Part::Arena, object.arena as usize)],
            limit: None,
            from: vec![ptr::null(); inputs.len()],
            to: vec![ptr::null_mut(); outputs.len()],
            recorded: Arc::clone(program),
            program: optimised.map(OnceLock::from).unwrap_or_default(),
            updated,
            options: options.clone(),
            inputs,
            outputs,
            entry,
            hit,
            phases,
            _linked: linked,
        })
    }

    /// Results for inputs.
    ///
    /// # Errors
    /// [`Error::Types`] if the inputs do not fit; [`Error::Index`] from gathers and scatters;
    /// [`Error::StackExhausted`] from recursive functions.
    pub fn run(&mut self, inputs: &[ConcreteTensor]) -> Result<Vec<ConcreteTensor>> {
        let types: Vec<Type> = inputs.iter().map(ConcreteTensor::ty).collect();
        expect("inputs", &self.inputs, &types)?;
        look_for_memory(self.outputs.iter().map(Type::size).fold(0, usize::saturating_add))?;
        let mut outputs: Vec<ConcreteTensor> = self.outputs.iter().map(ConcreteTensor::zeros).collect();
        // What is updated and stays as it was is not written.
        for &(output, input) in &self.options.updates {
            outputs[output] = inputs[input].clone();
        }
        for (from, input) in self.from.iter_mut().zip(inputs) {
            *from = with_elements!(input.data(), xs => xs.as_ptr().cast());
        }
        for (to, output) in self.to.iter_mut().zip(&mut outputs) {
            *to = with_elements!(output.data_mut(), xs => xs.as_mut_ptr().cast());
        }
        // SAFETY: all addresses are of arrays of the types that the program takes and returns, borrowed meanwhile.
        unsafe { self.enter() }?;
        Ok(outputs)
    }

    /// Writes results where the caller wants them, without allocating anything. An input that an output
    /// [updates](CompileOptions::updates) is `None`: it is read from the output's elements before they are written.
    /// Nothing is written if there is an error.
    ///
    /// # Errors
    /// As [`run`](CompiledProgram::run).
    pub fn run_into<'a>(
        &mut self,
        inputs: impl IntoIterator<Item = Option<Elements<'a>>>,
        outputs: impl IntoIterator<Item = ElementsMut<'a>>,
    ) -> Result<()> {
        let unfit = |what: &str, types: &[Type]| Error::Types {
            what: format!("elements of {what}"),
            expected: types.to_vec(),
            found: vec![],
        };
        let mut outputs = outputs.into_iter();
        for (to, ty) in self.to.iter_mut().zip(&self.outputs) {
            *to = match outputs.next().map(|output| parts!(ElementsMut, output, as_mut_ptr)) {
                Some((dtype, len, address)) if (dtype, len) == (ty.dtype, ty.size()) => address,
                _ => return Err(unfit("an output", std::slice::from_ref(ty))),
            };
        }
        let mut inputs = inputs.into_iter();
        for (i, ty) in self.inputs.iter().enumerate() {
            self.from[i] = match (inputs.next(), self.updated[i]) {
                (Some(Some(input)), None) => {
                    let (dtype, len, address) = parts!(Elements, input, as_ptr);
                    if (dtype, len) != (ty.dtype, ty.size()) {
                        return Err(unfit("an input", std::slice::from_ref(ty)));
                    }
                    address
                }
                (Some(None), Some(output)) => self.to[output].cast_const(),
                _ => return Err(unfit("an input that is updated", std::slice::from_ref(ty))),
            };
        }
        if inputs.next().is_some() || outputs.next().is_some() {
            return Err(unfit("inputs and outputs", &self.inputs));
        }
        // SAFETY: all addresses are of so many elements as the program takes and returns, borrowed for `'a`, which
        // lasts longer than this call; outputs do not overlap, and are written only when nothing is read any more.
        unsafe { self.enter() }
    }

    /// # Safety
    /// `from` and `to` must hold addresses of arrays of the program's types.
    unsafe fn enter(&mut self) -> Result<()> {
        let options = [self.options.stack_bytes, self.options.arena_bytes];
        let most = options.map(|bytes| [bytes, self.limit].into_iter().flatten().min());
        let mut needs = [0, 1].map(|part| self.needs[part].limited(most[part]));
        let [mut stack, mut arena] = [Room::take(&needs[0])?, Room::take(&needs[1])?];
        let flushed = self.options.flush_denormals.then(Flushed::new);
        let mut asked = Asked::of(&self.recorded, flushed.as_ref());
        let result = loop {
            let start = arena.region().start();
            if cfg!(debug_assertions) {
                // What is in the arena is another program's: no code may read what it has not written.
                let some = self.fixed as usize + needs[1].recursion.min(64 << 10);
                // SAFETY: the arena has this room, and nobody else uses it.
                unsafe { ptr::write_bytes(start, 0xff, some) };
            }
            let top = start.wrapping_add(self.fixed as usize);
            let mut context = Context {
                arena: start,
                top,
                limit: top.wrapping_add(needs[1].recursion),
                stack: ptr::null_mut(),
                inputs: self.from.as_ptr(),
                outputs: self.to.as_ptr(),
                fail: enter::fail,
                probe: enter::probe,
                host: enter::host,
                failure: [0; 4],
                own: ptr::null(),
            };
            // SAFETY: the entry was made by `lower` for these inputs and outputs; stack and arena have the room that is
            // said here.
            match unsafe {
                enter::run(self.entry, &mut context, &mut asked, stack.region(), needs[0].recursion)
            } {
                Ok(()) => break Ok(()),
                Err(Ended::Index(Error::Index { op, index, length, .. }, of)) => {
                    let at = of.and_then(|v| self.program().values.get(v)?.origin.line);
                    break Err(Error::Index { op, index, length, at });
                }
                Err(Ended::Failed(error) | Ended::Index(error, _)) => break Err(error),
                // Nothing is written yet, and nobody can tell that it is run once more.
                Err(Ended::Exhausted(Part::Stack)) => stack = stack.more(&mut needs[0])?,
                Err(Ended::Exhausted(Part::Arena)) => arena = arena.more(&mut needs[1])?,
            }
        };
        stack.keep(&needs[0]);
        arena.keep(&needs[1]);
        self.needs = needs;
        result
    }

    /// Sets how many bytes of stack, and as many of arena, recursive functions may use in the next runs: no more
    /// than what the [options](CompileOptions) say; `None` if these alone say it.
    pub fn limit(&mut self, bytes: Option<usize>) {
        self.limit = bytes;
    }
    /// Types of the inputs.
    pub fn inputs(&self) -> &[Type] {
        &self.inputs
    }
    /// Types of the outputs.
    pub fn outputs(&self) -> &[Type] {
        &self.outputs
    }
    /// The program that the code is generated from, with the passes of the [options](CompileOptions::optimise) applied.
    pub fn program(&self) -> &Program {
        self.program.get_or_init(|| {
            let mut program = Program::clone(&self.recorded);
            if let Some(passes) = &self.options.optimise {
                optimise(&mut program, passes);
            }
            program
        })
    }
    /// Whether the code came from the cache.
    pub fn was_cached(&self) -> bool {
        self.hit
    }
    /// How long compiling took.
    pub fn phases(&self) -> Phases {
        self.phases
    }
    /// Bytes of arena that functions which are active at most once take.
    pub fn arena_bytes(&self) -> u64 {
        self.fixed
    }
    /// The LLVM IR that the code is generated from.
    ///
    /// # Errors
    /// As [`compile`](super::compile).
    pub fn llvm_ir(&self) -> Result<String> {
        llvm_ir(&self.recorded, &self.options)
    }
    /// The program as an object file for C; see [`export`](super::export::export()).
    ///
    /// # Errors
    /// As there.
    pub fn export(&self, name: &str, inputs: &[String]) -> Result<Exported> {
        export(&self.recorded, &self.options, name, inputs)
    }
    /// The code, as assembly.
    ///
    /// # Errors
    /// As [`compile`](super::compile).
    pub fn assembly(&self) -> Result<String> {
        assembly(&self.recorded, &self.options)
    }
}
