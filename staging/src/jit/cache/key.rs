//! The name under which code is kept: a hash of all that decides what the code is.

use std::fmt::{self, Write};

use crate::ir::Program;
use crate::ir::error::{Error, Result};
use crate::jit::CompileOptions;

/// A hash of text that is written to it, as long as `go_on` returns no error.
struct Hashed<F> {
    hasher: blake3::Hasher,
    pieces: usize,
    go_on: F,
    ended: Option<Error>,
}

/// Pieces of text between two calls of `go_on`: they take a millisecond or less.
const PIECES: usize = 1 << 12;

impl<F: FnMut() -> Result<()>> Write for Hashed<F> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.pieces += 1;
        if self.pieces.is_multiple_of(PIECES)
            && let Err(error) = (self.go_on)()
        {
            self.ended = Some(error);
            return Err(fmt::Error);
        }
        self.hasher.update(text.as_bytes());
        Ok(())
    }
}

/// A key for everything that decides what the code is: the program as it was recorded, so that a hit skips even the
/// optimiser, what is done to it, the processor, LLVM, and this crate's own source. 64 hexadecimal digits.
pub fn key(program: &Program, options: &CompileOptions) -> String {
    key_while(program, options, || Ok(())).expect("nothing ends it")
}

/// The same, as long as `go_on` returns no error.
pub(crate) fn key_while(
    program: &Program,
    options: &CompileOptions,
    go_on: impl FnMut() -> Result<()>,
) -> Result<String> {
    key_for(&compiler(), program, options, go_on)
}

/// What makes the code: versions of this crate and of LLVM, and checksums of the source of this crate and of formulas.
fn compiler() -> String {
    let (own, formulas) = (env!("ANTIPHON_STAGING_SOURCE"), antiphon_elementary::SOURCE);
    format!("{own} {formulas:x} {:?}", inkwell::support::get_llvm_version())
}

fn key_for(
    compiler: &str,
    program: &Program,
    options: &CompileOptions,
    go_on: impl FnMut() -> Result<()>,
) -> Result<String> {
    let CompileOptions { target, optimise, updates, .. } = options;
    let (math, parts) = (options.math(), options.parts());
    let mut text = Hashed { hasher: blake3::Hasher::new(), pieces: 0, go_on, ended: None };
    let written = write!(text, "{compiler} {target:?} {optimise:?} {math:?} {parts} {updates:?} {program:?}");
    match text.ended {
        Some(error) => Err(error),
        None => {
            written.expect("hashing does not fail");
            Ok(text.hasher.finalize().to_hex().to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::Location;

    use super::*;
    use crate::ir::build::Builder;
    use crate::ir::types::{Dtype, Type};
    use crate::lower::asm::processor::Processor;
    use crate::optimise::OptimiseOptions;

    #[track_caller]
    fn scaled(factor: f64, dtype: Dtype) -> Program {
        let b = Builder::new("scaled");
        b.at(Some(Location::caller()));
        let x = b.input("x", Type::new(dtype, &[3]));
        let y = b.mul(x, b.real(dtype, factor)).unwrap();
        b.finish(&[y]).unwrap()
    }

    #[test]
    fn a_key_depends_on_all_that_decides_what_the_code_is_and_on_nothing_else() {
        let (program, options) = (scaled(2.0, Dtype::F64), CompileOptions::default());
        let with = |change: &dyn Fn(&mut CompileOptions)| {
            let mut changed = options.clone();
            change(&mut changed);
            key(&program, &changed)
        };
        let target = |change: &dyn Fn(&mut Processor)| with(&|options| change(&mut options.target));
        let made_by = |compiler| key_for(compiler, &program, &options, || Ok(())).unwrap();
        let keys = [
            key(&program, &options),
            key(&scaled(2.0f64.next_up(), Dtype::F64), &options),
            key(&scaled(0.0, Dtype::F64), &options),
            key(&scaled(-0.0, Dtype::F64), &options),
            key(&scaled(2.0, Dtype::F32), &options),
            with(&|options| options.strict = true),
            with(&|options| options.updates = vec![(0, 0)]),
            with(&|options| options.optimise = Some(OptimiseOptions { reassociate: false })),
            with(&|options| options.optimise = Some(OptimiseOptions { reassociate: true })),
            target(&|target| target.triple += "-other"),
            target(&|target| target.cpu += "-v9"),
            target(&|target| target.features += ",-avx512f"),
            target(&|target| target.vector_bits /= 2),
            target(&|target| target.vector_registers /= 2),
            made_by("0.0.9-0000000000000000 (19, 1, 7)"),
            made_by("0.0.9-0000000000000001 (19, 1, 7)"),
            made_by("0.0.9-0000000000000000 (20, 1, 0)"),
        ];
        for (i, key) in keys.iter().enumerate() {
            assert!(!keys[..i].contains(key), "key {i}");
        }
        // A program whose text is of many pieces can be ended.
        let b = Builder::new("long");
        let x = b.input("x", Type::scalar(Dtype::F64));
        let y = (0..1000).try_fold(x, |y, _| b.mul(y, x)).unwrap();
        let long = b.finish(&[y]).unwrap();
        let mut asked = 0;
        let ended = key_while(&long, &options, || {
            asked += 1;
            if asked == 3 { Err(Error::Llvm("enough".into())) } else { Ok(()) }
        });
        assert_eq!(ended, Err(Error::Llvm("enough".into())));
        // Neither where the program was written nor what is read when code runs counts.
        assert_eq!(key(&scaled(2.0, Dtype::F64), &options), keys[0]);
        assert_ne!(scaled(2.0, Dtype::F64).to_string(), program.to_string());
        let run = with(&|options| {
            options.cache = Some("elsewhere".into());
            (options.stack_bytes, options.arena_bytes, options.flush_denormals) =
                (Some(1 << 20), Some(1 << 20), true);
        });
        assert_eq!(run, keys[0]);
        let (major, minor, _) = inkwell::support::get_llvm_version();
        assert!(compiler().starts_with(concat!(env!("CARGO_PKG_VERSION"), "-")), "{}", compiler());
        assert!(compiler().contains(&format!("({major}, {minor}, ")), "{}", compiler());
    }
}
