//! What code is generated for.

use std::sync::Once;

use inkwell::OptimizationLevel;
use inkwell::targets::{CodeModel, InitializationConfig, RelocMode, TargetMachine, TargetTriple};

use crate::error::{Error, Result};

/// A processor, as LLVM knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Architecture, vendor and system.
    pub triple: String,
    /// Name of the processor.
    pub cpu: String,
    /// Features that may be used: `+avx2,-avx512f,…`.
    pub features: String,
    /// Width of the vectors that are emitted.
    pub vector_bits: u32,
    /// Number of vector registers.
    pub vector_registers: u32,
}

fn initialise() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        inkwell::targets::Target::initialize_native(&InitializationConfig::default())
            .expect("LLVM was built with the host's target");
    });
}

impl Target {
    /// This machine, with everything that it can do.
    pub fn host() -> Target {
        initialise();
        let features = TargetMachine::get_host_cpu_features().to_string();
        let has = |feature: &str| features.split(',').any(|f| f.strip_prefix('+') == Some(feature));
        let (vector_bits, vector_registers) = if has("avx512f") && has("avx512vl") && has("avx512dq") {
            (512, 32)
        } else if has("avx2") && has("fma") {
            (256, 16)
        } else if cfg!(target_arch = "aarch64") {
            (128, 32)
        } else {
            (128, 16)
        };
        Target {
            triple: TargetMachine::get_default_triple().as_str().to_string_lossy().into_owned(),
            cpu: TargetMachine::get_host_cpu_name().to_string(),
            features,
            vector_bits,
            vector_registers,
        }
    }
    /// Any machine of this architecture: no features beyond its base line.
    pub fn portable() -> Target {
        let cpu = if cfg!(target_arch = "x86_64") { "x86-64" } else { "generic" };
        let registers = if cfg!(target_arch = "aarch64") { 32 } else { 16 };
        Target {
            cpu: cpu.into(),
            features: String::new(),
            vector_bits: 128,
            vector_registers: registers,
            ..Target::host()
        }
    }
    /// LLVM's generator for it.
    ///
    /// # Errors
    /// [`Error::Llvm`] if LLVM does not know the processor.
    pub(crate) fn machine(&self) -> Result<TargetMachine> {
        initialise();
        let triple = TargetTriple::create(&self.triple);
        let target =
            inkwell::targets::Target::from_triple(&triple).map_err(|e| Error::Llvm(e.to_string()))?;
        target
            .create_target_machine(
                &triple,
                &self.cpu,
                &self.features,
                OptimizationLevel::Default,
                RelocMode::PIC,
                CodeModel::JITDefault,
            )
            .ok_or_else(|| Error::Llvm(format!("no target machine for {}", self.cpu)))
    }
}
