//! Generates the interface of the module from its header.

use std::error::Error;
use std::path::Path;

#[path = "../build/bindings.rs"]
mod bindings;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../build/bindings.rs");

    bindings::generate(Path::new("../include/ngx_http_memcache.h"))
}
