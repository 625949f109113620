//! The module that the crate carries: of this version.
#![cfg(feature = "embedded")]

use erofs_unpack_sandbox::{Late, Options, Sandbox};

#[test]
fn the_module_is_of_this_version() {
    let sandbox = Sandbox::embedded(&Late::new(|error| panic!("{error}"))).unwrap();
    let said = sandbox.version(&Options::default()).unwrap();
    let wanted = concat!("erofs-unpack-wasm ", env!("CARGO_PKG_VERSION"));
    assert_eq!(said, wanted, "host-wasm/build embedded renews it");
}
