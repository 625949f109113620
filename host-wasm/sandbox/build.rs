//! With the feature `embedded`: compiles the module that this crate carries for the target, so
//! that a program holds machine code of it and no compiler. It needs nothing that the crate does
//! not bring.

#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "this runs on the machine that builds"
)]

#[cfg(feature = "embedded")]
#[path = "src/compile.rs"]
#[allow(unreachable_pub, reason = "it is public in the library")]
mod compile;
#[cfg(feature = "embedded")]
#[path = "src/config.rs"]
#[allow(unreachable_pub, reason = "it is public in the library")]
mod config;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "embedded")]
    embed::embed();
}

#[cfg(feature = "embedded")]
mod embed {
    use std::env;
    use std::fs;
    use std::iter;
    use std::path::Path;
    use std::process::exit;

    use miniz_oxide::inflate::decompress_slice_iter_to_slice;

    use crate::compile::{Cpu, precompile};
    use crate::config::{Interruption, Room};

    /// `host-wasm/build embedded` makes it.
    const MODULE: &[u8] = include_bytes!("module/erofs_unpack.wasm.gz");

    /// The forms, by the names that `src/embedded.rs` has for them. `Cpu::Haswell` says nothing
    /// where the target is not x86-64.
    const FORMS: [(&str, Cpu, Room); 2] = [
        ("fast", Cpu::Haswell, Room::Reserved),
        ("plain", Cpu::Any, Room::Tight),
    ];

    /// Ends the build with what is wrong.
    fn fail(text: &str) -> ! {
        println!("cargo::error=the module of the sandbox: {text}");
        exit(1);
    }

    fn variable(name: &str) -> String {
        env::var(name).unwrap_or_else(|error| fail(&format!("{name}: {error}")))
    }

    pub(super) fn embed() {
        println!("cargo::rerun-if-changed=src/compile.rs");
        println!("cargo::rerun-if-changed=src/config.rs");
        println!("cargo::rerun-if-changed=module/erofs_unpack.wasm.gz");
        let module = unpack(MODULE).unwrap_or_else(|| fail("it cannot be unpacked"));
        let (out, target) = (variable("OUT_DIR"), variable("TARGET"));
        for (name, cpu, room) in FORMS {
            let code = precompile(&module, &target, cpu, room, Interruption::Watchdog)
                .unwrap_or_else(|error| fail(&format!("it cannot be compiled: {error:#}")));
            let path = Path::new(&out).join(name).with_extension("cwasm");
            fs::write(&path, code).unwrap_or_else(|error| {
                fail(&format!("cannot write {}: {error}", path.display()));
            });
        }
    }

    /// What is in a gzip member with a bare header, as `gzip -n` writes it.
    fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
        let deflated = packed.strip_prefix(b"\x1f\x8b\x08\x00")?.get(6..)?;
        let (deflated, trailer) = deflated.split_last_chunk::<8>()?;
        let [.., a, b, c, d] = *trailer;
        let mut module = vec![0; u32::from_le_bytes([a, b, c, d]) as usize];
        let size =
            decompress_slice_iter_to_slice(&mut module, iter::once(deflated), false, true).ok()?;
        (module.len() == size).then_some(module)
    }
}
