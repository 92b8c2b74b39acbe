//! LLVM's ORC: object code in, the address of a function out.

use std::ffi::{CStr, CString, c_void};
use std::ptr;

use inkwell::llvm_sys::core::LLVMCreateMemoryBufferWithMemoryRangeCopy;
use inkwell::llvm_sys::error::{LLVMDisposeErrorMessage, LLVMErrorRef, LLVMGetErrorMessage};
use inkwell::llvm_sys::orc2::lljit::{
    LLVMOrcCreateLLJIT, LLVMOrcDisposeLLJIT, LLVMOrcLLJITAddObjectFile, LLVMOrcLLJITGetGlobalPrefix,
    LLVMOrcLLJITGetMainJITDylib, LLVMOrcLLJITLookup, LLVMOrcLLJITMangleAndIntern, LLVMOrcLLJITRef,
};
use inkwell::llvm_sys::orc2::{
    LLVMJITEvaluatedSymbol, LLVMJITSymbolFlags, LLVMJITSymbolGenericFlags, LLVMOrcAbsoluteSymbols,
    LLVMOrcCSymbolMapPair, LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess, LLVMOrcJITDylibAddGenerator,
    LLVMOrcJITDylibDefine,
};

use crate::ir::error::{Error, Result};
use crate::jit::symbols;

/// Object code that is linked into this process.
pub struct Linked {
    jit: LLVMOrcLLJITRef,
}

// SAFETY: the session is reached only through this value, and LLVM's ORC does not care which thread that is.
unsafe impl Send for Linked {}

fn check(error: LLVMErrorRef) -> Result<()> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the error is not null, and consumed here only; its message is copied before it is disposed of.
    unsafe {
        let message = LLVMGetErrorMessage(error);
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        LLVMDisposeErrorMessage(message);
        Err(Error::Llvm(text))
    }
}

impl Linked {
    /// Links an object.
    ///
    /// # Errors
    /// [`Error::Llvm`] if it is no object for this machine.
    pub fn new(object: &[u8]) -> Result<Linked> {
        let mut jit = ptr::null_mut();
        // SAFETY: a null builder stands for the default one; `jit` is written before a null error is returned.
        check(unsafe { LLVMOrcCreateLLJIT(&mut jit, ptr::null_mut()) })?;
        let linked = Linked { jit };
        // SAFETY: the session is alive; names are interned in it and their ownership goes to the symbol table, as that
        // of the generator and the buffer go to the session. The buffer is a copy. All addresses are of functions of
        // this process with C's calling convention.
        unsafe {
            let library = LLVMOrcLLJITGetMainJITDylib(jit);
            let flags = LLVMJITSymbolGenericFlags::LLVMJITSymbolGenericFlagsExported as u8
                | LLVMJITSymbolGenericFlags::LLVMJITSymbolGenericFlagsCallable as u8;
            let mut pairs = Vec::new();
            for (name, address) in symbols::all() {
                let name = CString::new(name).expect("names have no zero byte");
                pairs.push(LLVMOrcCSymbolMapPair {
                    Name: LLVMOrcLLJITMangleAndIntern(jit, name.as_ptr()),
                    Sym: LLVMJITEvaluatedSymbol {
                        Address: address as u64,
                        Flags: LLVMJITSymbolFlags { GenericFlags: flags, TargetFlags: 0 },
                    },
                });
            }
            check(LLVMOrcJITDylibDefine(library, LLVMOrcAbsoluteSymbols(pairs.as_mut_ptr(), pairs.len())))?;
            let mut process = ptr::null_mut();
            check(LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(
                &mut process,
                LLVMOrcLLJITGetGlobalPrefix(jit),
                None,
                ptr::null_mut::<c_void>(),
            ))?;
            LLVMOrcJITDylibAddGenerator(library, process);
            let buffer = LLVMCreateMemoryBufferWithMemoryRangeCopy(
                object.as_ptr().cast(),
                object.len(),
                c"object".as_ptr(),
            );
            check(LLVMOrcLLJITAddObjectFile(jit, library, buffer))?;
        }
        Ok(linked)
    }

    /// The address of a function.
    ///
    /// # Errors
    /// [`Error::Llvm`] if there is none of this name, or something that it refers to is missing.
    pub fn address(&self, name: &str) -> Result<u64> {
        let name = CString::new(name).map_err(|_| Error::Llvm("a name with a zero byte".into()))?;
        let mut address = 0;
        // SAFETY: the session is alive, and the name a C string.
        check(unsafe { LLVMOrcLLJITLookup(self.jit, &mut address, name.as_ptr()) })?;
        Ok(address)
    }
}

impl Drop for Linked {
    fn drop(&mut self) {
        // SAFETY: made by `new` and disposed of only here. What goes wrong then is of no further use to anybody.
        let _ = check(unsafe { LLVMOrcDisposeLLJIT(self.jit) });
    }
}
