//! A call that is hardly ever made, from code that must not be slower for it.
//!
//! After an ordinary call the caller's values are gone from most registers. Where it comes back from the call, as a
//! check does that has been given more room, all operators would have to keep these values in their frames, whether the
//! call is made or not: frames, which are what memory goes into here, would be a third larger. So the function that is
//! called here saves the registers itself, all of them, as the dynamic linker does where it looks up a function that is
//! called for the first time.

#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{CpsResult, Error};

/// Whether the processor, and the system, can save more registers than SSE's. To ask takes microseconds in a virtual
/// machine, so it is asked once.
#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
static XSAVE: AtomicBool = AtomicBool::new(false);

/// To be called before there is any stack on which [`more`] can be called.
pub(super) fn prepare() {
    #[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
    XSAVE.store(is_x86_feature_detected!("xsave"), Ordering::Relaxed);
}

/// What [`more`](super::more) says.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux", not(miri))))]
#[inline(always)]
pub(super) fn more() -> CpsResult<()> {
    super::more().map_or(Ok(()), Err)
}

/// What [`more`](super::more) says.
#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
// Where nothing is optimised, its variables would make the frames of all operators larger.
#[cfg_attr(not(debug_assertions), inline(always))]
pub(super) fn more() -> CpsResult<()> {
    let error: *mut Error;
    // SAFETY: the function called takes nothing, keeps all registers but `rax`, in which it gives an error or null, and
    // does not unwind. The stack is aligned for a call, since it is not said that the assembly leaves it alone.
    unsafe { std::arch::asm!("call {}", sym keeping_registers, out("rax") error) };
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: what is not null is the box that `more` has returned.
    Err(unsafe { Box::from_raw(error) })
}

/// Calls [`more`](super::more), and has changed no register but `rax` afterwards.
#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
#[unsafe(naked)]
extern "C" fn keeping_registers() {
    std::arch::naked_asm!(
        // The general registers that a function need not keep, and two that are used here.
        "push rcx",
        "push rdx",
        "push rsi",
        "push rdi",
        "push r8",
        "push r9",
        "push r10",
        "push r11",
        "push rbx",
        "push rbp",
        "mov rbp, rsp",
        // All others, at an address that is aligned to 64 bytes: 512 bytes, a header, and what AVX-512 has, 2,688 in
        // all.
        "sub rsp, 2688",
        "and rsp, -64",
        "cmp byte ptr [rip + {xsave}], 0",
        "jne 2f",
        "fxsave64 [rsp]",
        "call {more}",
        "fxrstor64 [rsp]",
        "jmp 3f",
        "2:",
        // The header has to be zero where nothing is written.
        "xor eax, eax",
        "lea rdi, [rsp + 512]",
        "mov ecx, 8",
        "rep stosq",
        // x87, SSE, AVX, and the three parts of AVX-512.
        "mov eax, 0xe7",
        "xor edx, edx",
        "xsave64 [rsp]",
        "call {more}",
        "mov rbx, rax",
        "mov eax, 0xe7",
        "xor edx, edx",
        "xrstor64 [rsp]",
        "mov rax, rbx",
        "3:",
        "mov rsp, rbp",
        "pop rbp",
        "pop rbx",
        "pop r11",
        "pop r10",
        "pop r9",
        "pop r8",
        "pop rdi",
        "pop rsi",
        "pop rdx",
        "pop rcx",
        "ret",
        more = sym super::more,
        xsave = sym XSAVE,
    )
}
