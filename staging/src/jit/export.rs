//! Code for programs in C: an object file, and a header that says what it takes and gives.

use std::fmt::Write;

use inkwell::module::Module;
use inkwell::targets::FileType;

use crate::ir::Program;
use crate::ir::error::{Error, Result};
use crate::ir::probe::{ProbeData, ProbeKind};
use crate::ir::types::{Dtype, Type};
use crate::jit::interrupt::Stop;
use crate::jit::options::CompileOptions;
use crate::jit::{ENTRY, Phases, prepare, signature, with_module};
use crate::lower::abi::Failure;
use crate::lower::asm::parallel;

/// A program as an object file, and the header that declares it.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The object file, for the linker of the processor that the options name.
    pub object: Vec<u8>,
    /// C99, in UTF-8. The file that defines `<NAME>_IMPLEMENTATION` before it includes it gets the functions' bodies.
    pub header: String,
}

/// The header, with `@…@` for what it says of a program.
const TEMPLATE: &str = include_str!("export.h");
/// Operators that are functions of C's library of the same name.
const LIBRARY: [&str; 27] = [
    "exp", "expm1", "log", "log1p", "sin", "cos", "tan", "tanh", "erf", "erfc", "exp2", "log2", "log10",
    "cbrt", "sinh", "cosh", "asin", "acos", "atan", "asinh", "acosh", "atanh", "pow", "atan2", "hypot",
    "fmod", "lgamma",
];

/// Compiles a program for C, as functions and constants whose names begin with `name`. Inputs are called what `inputs`
/// says, where it is long enough.
///
/// # Errors
/// Those of [`compile`](super::compile) but for those of running; [`Error::Export`] if the name is no identifier of
/// C's, if the program calls functions of the host, prints, or checks that numbers are finite, if it needs a function
/// that C's library lacks, and if denormal numbers are to be flushed.
pub fn export(
    program: &Program,
    options: &CompileOptions,
    name: &str,
    inputs: &[String],
) -> Result<Exported> {
    let refuse = |reason: String| Err(Error::Export(reason));
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.chars().all(is_word) || !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return refuse(format!("{name:?} is no name in C"));
    }
    if options.flush_denormals {
        return refuse("the mode in which denormal numbers are flushed is the caller's there".into());
    }
    if let Some(host) = program.hosts.values().next() {
        return refuse(format!("{} is a function of the host ({})", host.function.name, host.at));
    }
    for probe in program.probes.values() {
        match probe.kind {
            ProbeKind::Ensure(_) => {}
            ProbeKind::Finite { .. } => return refuse("it checks that numbers are finite".into()),
            ProbeKind::Print(_) => return refuse(format!("it prints ({})", probe.at)),
        }
    }
    let stop = Stop::of(options);
    let optimised = prepare(program, options, &stop)?;
    with_module(&optimised, options, &mut Phases::default(), &stop, |module, machine, arena| {
        let entry = module.get_function(ENTRY).expect("a module has an entry");
        entry.as_global_value().set_name(&format!("{name}_entry"));
        let library = library(module)?;
        let object = machine
            .write_to_memory_buffer(module, FileType::Object)
            .map_err(|e| Error::Llvm(e.to_string()))?;
        let header = Header { program, optimised: &optimised, name, inputs, arena, library: &library };
        Ok(Exported { object: object.as_slice().to_vec(), header: header.text() })
    })
}

/// Definitions of the functions of reals that a module calls by name.
fn library(module: &Module<'_>) -> Result<String> {
    let mut text = String::new();
    for function in module.get_functions().filter(|f| f.count_basic_blocks() == 0) {
        let symbol = function.get_name().to_string_lossy().into_owned();
        if symbol == parallel::SYMBOL {
            let _ = writeln!(
                text,
                "WEAK void {symbol}(void (*task)(void *, int64_t), void *frame, int64_t parts) {{\n\
                 #ifdef _OPENMP\n#pragma omp parallel for schedule(dynamic)\n#endif\n    \
                 for (int64_t part = 0; part < parts; part++) task(frame, part);\n}}"
            );
        }
        let Some((op, bits)) = symbol.strip_prefix("antiphon_").and_then(|rest| rest.rsplit_once('_')) else {
            continue;
        };
        let (ty, end) = if bits == "32" { ("float", "f") } else { ("double", "") };
        if !LIBRARY.contains(&op) {
            return Err(Error::Export(format!("C's library has no function {op}")));
        }
        let (params, args) = match function.count_params() {
            1 => (format!("{ty} x"), "x"),
            _ => (format!("{ty} x, {ty} y"), "x, y"),
        };
        let _ = writeln!(text, "WEAK {ty} {symbol}({params}) {{ return {op}{end}({args}); }}");
    }
    Ok(text)
}

struct Header<'a> {
    program: &'a Program,
    optimised: &'a Program,
    name: &'a str,
    inputs: &'a [String],
    /// Bytes of memory that functions which are active at most once take.
    arena: u64,
    library: &'a str,
}

/// The type of an element.
fn element(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F32 => "float",
        Dtype::F64 => "double",
        Dtype::I64 => "int64_t",
        Dtype::Bool => "uint8_t",
    }
}

/// Text within a comment or a string of C.
fn plain(text: &str) -> String {
    let escaped = |c: char| match c {
        '"' | '\\' | '?' => '\''.to_string(),
        c if c.is_control() => " ".into(),
        c => c.to_string(),
    };
    text.chars().map(escaped).collect::<String>().replace("*/", "* /")
}

impl Header<'_> {
    fn text(&self) -> String {
        let (inputs, outputs) = signature(self.program);
        let ensures = self.optimised.probes.values().enumerate().map(|(i, probe)| self.ensure(i, probe));
        let ensures: String = ensures.collect();
        let list = |kind: &str, types: &[Type], names: &[String]| -> String {
            let line = |(i, ty): (usize, &Type)| {
                let named = names.get(i).map_or(String::new(), |name| format!(" {}", plain(name)));
                let shape: String = ty.shape.iter().map(|n| format!("[{n}]")).collect();
                format!("     {kind} {i}:{named} {}{shape}\n", element(ty.dtype))
            };
            types.iter().enumerate().map(line).collect()
        };
        let (takes, gives) = (list("input", &inputs, self.inputs), list("output", &outputs, &[]));
        let sizes = |types: &[Type]| -> String {
            let sizes: Vec<String> = types.iter().map(|ty| ty.size().to_string()).collect();
            if sizes.is_empty() { "0".into() } else { sizes.join(", ") }
        };
        let numbers = [
            ("inputs", inputs.len()),
            ("outputs", outputs.len()),
            ("some_inputs", inputs.len().max(1)),
            ("some_outputs", outputs.len().max(1)),
            ("memory", self.arena as usize + 64),
            ("fixed", self.arena as usize),
            ("index", Failure::Index as usize),
            ("stack", Failure::Stack as usize),
            ("arena", Failure::Arena as usize),
            ("probe", Failure::Probe as usize),
        ];
        let numbers = numbers.map(|(key, number)| (key, number.to_string()));
        let texts = [
            ("name", self.name.to_owned()),
            ("NAME", self.name.to_uppercase()),
            ("arrays", takes + &gives),
            ("input_sizes", sizes(&inputs)),
            ("output_sizes", sizes(&outputs)),
            ("library", self.library.to_owned()),
            ("ensures", ensures),
        ];
        let fill = |text: String, (key, value): (&str, String)| text.replace(&format!("@{key}@"), &value);
        numbers.into_iter().chain(texts).fold(TEMPLATE.to_owned(), fill)
    }

    fn ensure(&self, number: usize, probe: &ProbeData) -> String {
        let ProbeKind::Ensure(message) = &probe.kind else { return String::new() };
        let said = plain(&format!("{message} ({})", probe.at));
        format!("    case {number}: elements = {}; c->reason = \"{said}\"; break;\n", probe.ty.size())
    }
}
