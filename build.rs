//! Generates the ABI from its header, and links the module so that nginx never unmaps it.

use std::error::Error;
use std::path::Path;

#[path = "build/bindings.rs"]
mod bindings;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build/bindings.rs");

    bindings::generate(Path::new("include/ngx_http_memcache.h"))?;

    // nginx unloads modules when a configuration is dropped, but the destructors of Rust's thread locals and its panic
    // hook may still be run after that.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    Ok(())
}
