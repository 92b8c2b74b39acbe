//! The name under which code is kept: a hash of all that decides what the code is.

use std::fmt::{self, Write};

use crate::ir::Program;
use crate::jit::CompileOptions;

/// A hash of text that is written to it.
struct Hashed(blake3::Hasher);

impl Write for Hashed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

/// A key for everything that decides what the code is: the program as it was recorded, so that a hit skips even the
/// optimiser, what is done to it, the processor, LLVM, and this crate's own source. 64 hexadecimal digits.
pub fn key(program: &Program, options: &CompileOptions) -> String {
    key_for(&compiler(), program, options)
}

/// What makes the code: versions of this crate and of LLVM, and a checksum of this crate's source.
fn compiler() -> String {
    format!("{} {:?}", env!("ANTIPHON_STAGING_SOURCE"), inkwell::support::get_llvm_version())
}

fn key_for(compiler: &str, program: &Program, options: &CompileOptions) -> String {
    let CompileOptions { target, optimise, updates, .. } = options;
    let math = options.math();
    let mut text = Hashed(blake3::Hasher::new());
    write!(text, "{compiler} {target:?} {optimise:?} {math:?} {updates:?} {program:?}")
        .expect("hashing does not fail");
    text.0.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::Builder;
    use crate::jit::target::Target;
    use crate::optimise::Options;
    use crate::types::{Dtype, Type};

    fn scaled(factor: f64, dtype: Dtype) -> Program {
        let b = Builder::new("scaled");
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
        let target = |change: &dyn Fn(&mut Target)| with(&|options| change(&mut options.target));
        let keys = [
            key(&program, &options),
            key(&scaled(2.0f64.next_up(), Dtype::F64), &options),
            key(&scaled(0.0, Dtype::F64), &options),
            key(&scaled(-0.0, Dtype::F64), &options),
            key(&scaled(2.0, Dtype::F32), &options),
            with(&|options| options.strict = true),
            with(&|options| options.updates = vec![(0, 0)]),
            with(&|options| options.optimise = Some(Options { reassociate: false })),
            with(&|options| options.optimise = Some(Options { reassociate: true })),
            target(&|target| target.triple += "-other"),
            target(&|target| target.cpu += "-v9"),
            target(&|target| target.features += ",-avx512f"),
            target(&|target| target.vector_bits /= 2),
            target(&|target| target.vector_registers /= 2),
            key_for("0.0.9-0000000000000000 (19, 1, 7)", &program, &options),
            key_for("0.0.9-0000000000000001 (19, 1, 7)", &program, &options),
            key_for("0.0.9-0000000000000000 (20, 1, 0)", &program, &options),
        ];
        for (i, key) in keys.iter().enumerate() {
            assert!(!keys[..i].contains(key), "key {i}");
        }
        // What is read when code runs does not count.
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
