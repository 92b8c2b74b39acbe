//! What code is generated for.

use std::sync::Once;

use inkwell::OptimizationLevel;
use inkwell::targets::{CodeModel, InitializationConfig, RelocMode, TargetMachine, TargetTriple};

use crate::ir::error::{Error, Result};

/// A processor, as LLVM knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Processor {
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

/// Names that stand for a set of features and not for one processor.
const LEVELS: [(&str, &str); 5] = [
    ("generic", ""),
    ("x86-64", ""),
    ("x86-64-v2", "+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16"),
    ("x86-64-v3", "+avx2,+fma,+bmi,+bmi2,+f16c,+lzcnt,+movbe"),
    (
        "x86-64-v4",
        "+avx2,+fma,+bmi,+bmi2,+f16c,+lzcnt,+movbe,+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl",
    ),
];

fn initialise() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        inkwell::targets::Target::initialize_native(&InitializationConfig::default())
            .expect("LLVM was built with the host's target");
    });
}

impl Processor {
    /// This machine, with everything that it can do.
    pub fn host() -> Processor {
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
        Processor {
            triple: TargetMachine::get_default_triple().as_str().to_string_lossy().into_owned(),
            cpu: TargetMachine::get_host_cpu_name().to_string(),
            features,
            vector_bits,
            vector_registers,
        }
    }
    /// Any machine of this architecture: no features beyond its base line.
    pub fn portable() -> Processor {
        let cpu = if cfg!(target_arch = "x86_64") { "x86-64" } else { "generic" };
        let registers = if cfg!(target_arch = "aarch64") { 32 } else { 16 };
        Processor {
            cpu: cpu.into(),
            features: String::new(),
            vector_bits: 128,
            vector_registers: registers,
            ..Processor::host()
        }
    }
    /// That this machine runs code for it.
    ///
    /// # Errors
    /// [`Error::Target`] if the code is for another architecture or processor, or may use features that this one lacks,
    /// or vectors of a width that no processor has.
    pub(crate) fn check_host(&self) -> Result<()> {
        let host = Processor::host();
        let lacks =
            |feature: &&str| feature.starts_with('+') && !host.features.split(',').any(|had| had == *feature);
        let level = LEVELS.iter().find(|(cpu, _)| *cpu == self.cpu).map(|(_, features)| *features);
        let implied = if self.cpu == host.cpu { Some("") } else { level };
        let reason = if self.triple != host.triple {
            format!("code for {} does not run on {}", self.triple, host.triple)
        } else if implied.is_none() {
            format!(
                "whether code for the processor {:?} runs on this one, {:?}, is not known",
                self.cpu, host.cpu
            )
        } else if let Some(feature) =
            self.features.split(',').chain(implied.unwrap_or("").split(',')).find(lacks)
        {
            format!("code for {:?} that may use {feature} does not run on this processor", self.cpu)
        } else if ![128, 256, 512].contains(&self.vector_bits) || ![16, 32].contains(&self.vector_registers) {
            format!("no processor has {} registers of {} bits", self.vector_registers, self.vector_bits)
        } else {
            return Ok(());
        };
        Err(Error::Target(reason))
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
