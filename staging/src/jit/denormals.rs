//! Treating denormal numbers as zeros while compiled code runs, as a mode of the processor.

/// Flushes denormals until it is dropped, where the processor has such a mode.
pub struct Flushed {
    before: u64,
}

impl Flushed {
    /// Begins to flush.
    pub fn new() -> Flushed {
        let before = read();
        write(before | MODE);
        Flushed { before }
    }
}

impl Flushed {
    /// Runs `f` in the mode from before.
    pub fn lifted<R>(&self, f: impl FnOnce() -> R) -> R {
        /// Also when a panic leaves it.
        struct Again(u64);
        impl Drop for Again {
            fn drop(&mut self) {
                write(self.0);
            }
        }
        let _again = Again(read());
        write(self.before);
        f()
    }
}

/// The mode of the processor now.
pub fn mode() -> u64 {
    read()
}

/// Has the processor in a mode that it was in before, until this is dropped.
pub fn like(mode: u64) -> Flushed {
    let before = read();
    if before != mode {
        write(mode);
    }
    Flushed { before }
}

impl Drop for Flushed {
    fn drop(&mut self) {
        write(self.before);
    }
}

/// "Flush to zero" and "denormals are zeros" of MXCSR.
#[cfg(target_arch = "x86_64")]
const MODE: u64 = 0x8040;
/// "Flush to zero" of FPCR.
#[cfg(target_arch = "aarch64")]
const MODE: u64 = 1 << 24;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const MODE: u64 = 0;

#[cfg(target_arch = "x86_64")]
fn read() -> u64 {
    let mut mode = 0u32;
    // SAFETY: stores the control register at a valid address, and does nothing else.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut mode, options(nostack)) };
    mode.into()
}
#[cfg(target_arch = "x86_64")]
fn write(mode: u64) {
    let mode = mode as u32;
    // SAFETY: loads a value that was read from the register, but for two bits that are defined on every x86-64; the
    // mode is restored before Rust code computes with reals again.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &mode, options(nostack, readonly)) };
}
#[cfg(target_arch = "aarch64")]
fn read() -> u64 {
    let mode: u64;
    // SAFETY: reads a register.
    unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) mode, options(nostack, nomem)) };
    mode
}
#[cfg(target_arch = "aarch64")]
fn write(mode: u64) {
    // SAFETY: writes a value that was read from the register, but for one defined bit.
    unsafe { std::arch::asm!("msr fpcr, {}", in(reg) mode, options(nostack, nomem)) };
}
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn read() -> u64 {
    0
}
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn write(_: u64) {}
