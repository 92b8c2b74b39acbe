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
/// Those of [`compile`](super::compile) but for those of running; [`Error::Export`] if the name is no identifier of C's,
/// if the program calls functions of the host, prints, or checks that numbers are finite, if it needs a function that
/// C's library lacks, and if denormal numbers are to be flushed.
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
        '"' | '\\' | '*' | '/' | '?' => '\''.to_string(),
        c if c.is_control() => " ".into(),
        c => c.to_string(),
    };
    text.chars().map(escaped).collect()
}

impl Header<'_> {
    fn text(&self) -> String {
        let (inputs, outputs) = signature(self.program);
        let (name, upper) = (self.name, self.name.to_uppercase());
        let [index, stack, arena, probe] =
            [Failure::Index, Failure::Stack, Failure::Arena, Failure::Probe].map(|failure| failure as i64);
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
        let (count_in, count_out) = (inputs.len(), outputs.len());
        let (sizes_in, sizes_out) = (sizes(&inputs), sizes(&outputs));
        let (fixed, library) = (self.arena, self.library);
        format!(
            "/* {name}: compiled by Antiphon. Arrays are row-major and hold as many elements as their shape says.\n\
             {takes}{gives}\
             One file of a program defines {upper}_IMPLEMENTATION before it includes this. */\n\
             #ifndef {upper}_H\n#define {upper}_H\n\
             #include <stddef.h>\n#include <stdint.h>\n\
             #ifdef __cplusplus\nextern \"C\" {{\n#endif\n\n\
             #define {upper}_INPUTS {count_in}\n#define {upper}_OUTPUTS {count_out}\n\
             /* Elements of each. */\n\
             static const int64_t {name}_input_sizes[] = {{{sizes_in}}};\n\
             static const int64_t {name}_output_sizes[] = {{{sizes_out}}};\n\
             /* Bytes of memory that a run takes, beside those of recursive functions. */\n\
             #define {upper}_MEMORY {memory}\n\
             /* Bytes of stack that recursive functions may take. */\n\
             #ifndef {upper}_STACK\n#define {upper}_STACK (512 * 1024)\n#endif\n\n\
             enum {{\n    {upper}_OK = 0,\n    {upper}_INDEX = {index}, /* an index is out of range */\n    \
             {upper}_STACK_EXHAUSTED = {stack}, /* recursion went too deep */\n    \
             {upper}_MEMORY_EXHAUSTED = {arena}, /* more memory is needed */\n    \
             {upper}_ENSURE = {probe} /* the model ensures something that does not hold */\n}};\n\n\
             /* Runs it in `memory`, of so many bytes, which no other run uses meanwhile. Outputs overlap nothing. If the\n   \
             result is not {upper}_OK, nothing was written, and `reason`, unless it is null, says why. */\n\
             int {name}_run(const void *const inputs[{some_in}], void *const outputs[{some_out}], void *memory, size_t bytes,\n    \
             const char **reason);\n\n\
             #ifdef {upper}_IMPLEMENTATION\n#include <math.h>\n#include <setjmp.h>\n\
             #undef WEAK\n#define WEAK __attribute__((weak))\n{library}\
             typedef struct {name}_context {{\n    \
             uint8_t *arena, *top, *limit, *stack;\n    const void *const *inputs;\n    void *const *outputs;\n    \
             void (*fail)(struct {name}_context *, int64_t, int64_t, int64_t, int64_t);\n    \
             void (*probe)(struct {name}_context *, int64_t, const uint8_t *);\n    \
             void (*host)(struct {name}_context *, int64_t, void *const *);\n    \
             int64_t failure[4];\n    jmp_buf *back;\n    const char *reason;\n}} {name}_context;\n\n\
             void {name}_entry({name}_context *);\n\n\
             static void {name}_fail({name}_context *c, int64_t why, int64_t op, int64_t index, int64_t length) {{\n    \
             const char *reasons[] = {{\"\", \"an index is out of range\", \"recursion went too deep\", \"more memory is needed\"}};\n    \
             (void)op, (void)index, (void)length;\n    \
             c->failure[0] = why;\n    if (why > 0 && why < 4) c->reason = reasons[why];\n    longjmp(*c->back, 1);\n}}\n\n\
             static void {name}_probe({name}_context *c, int64_t number, const uint8_t *value) {{\n    \
             int64_t elements = 0;\n    switch (number) {{\n{ensures}    }}\n    \
             for (int64_t i = 0; i < elements; i++)\n        if (!value[i]) {name}_fail(c, {upper}_ENSURE, 0, 0, 0);\n}}\n\n\
             int {name}_run(const void *const inputs[{some_in}], void *const outputs[{some_out}], void *memory, size_t bytes,\n    \
             const char **reason) {{\n    \
             jmp_buf back;\n    {name}_context c = {{0}};\n    \
             uint8_t *start = (uint8_t *)(((uintptr_t)memory + 63) / 64 * 64);\n    \
             if (reason) *reason = \"\";\n    \
             if (bytes < {upper}_MEMORY) {{\n        if (reason) *reason = \"more memory is needed\";\n        \
             return {upper}_MEMORY_EXHAUSTED;\n    }}\n    \
             c.arena = start;\n    c.top = start + {fixed};\n    c.limit = (uint8_t *)memory + bytes;\n    \
             c.stack = (uint8_t *)&c - {upper}_STACK;\n    c.inputs = inputs;\n    c.outputs = outputs;\n    \
             c.fail = {name}_fail;\n    c.probe = {name}_probe;\n    c.back = &back;\n    c.reason = \"\";\n    \
             if (setjmp(back)) {{\n        if (reason) *reason = c.reason;\n        return (int)c.failure[0];\n    }}\n    \
             {name}_entry(&c);\n    return {upper}_OK;\n}}\n\
             #undef WEAK\n#endif\n\n\
             #ifdef __cplusplus\n}}\n#endif\n#endif\n",
            memory = fixed + 64,
            some_in = count_in.max(1),
            some_out = count_out.max(1),
        )
    }

    fn ensure(&self, number: usize, probe: &ProbeData) -> String {
        let ProbeKind::Ensure(message) = &probe.kind else { return String::new() };
        let said = plain(&format!("{message} ({})", probe.at));
        format!("    case {number}: elements = {}; c->reason = \"{said}\"; break;\n", probe.ty.size())
    }
}
