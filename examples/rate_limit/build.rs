//! Links the module so that nginx never unmaps it: destructors of Rust's thread locals may run after a configuration
//! that loaded it is gone.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
