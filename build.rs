//! Generates the ABI from its header, and links the module so that nginx never unmaps it.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

#[path = "build/bindings.rs"]
mod bindings;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build/bindings.rs");

    bindings::generate(Path::new("include/ngx_http_memcache.h"))?;
    name_statuses(Path::new("include/ngx_http_memcache.h"))?;

    // nginx unloads modules when a configuration is dropped, but the destructors of Rust's thread locals and its panic
    // hook may still be run after that.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    Ok(())
}

/// The names of the header's statuses, by their numbers: what the access log calls them.
fn name_statuses(header: &Path) -> Result<(), Box<dyn Error>> {
    let text = fs::read_to_string(header)?;
    let (_, statuses) = text.split_once("ngx_http_memcache_status_t;").ok_or("no statuses in the header")?;
    let (statuses, _) = statuses.split_once("/* answers of ngx_http_memcache_api() */").ok_or("no end of statuses")?;
    let names = statuses.lines().filter_map(|line| {
        let mut words = line.strip_prefix("#define NGX_HTTP_MEMCACHE_")?.split_whitespace();
        Some(format!(
            "({}, {:?}), ",
            words.nth(1)?,
            line.split_whitespace().nth(1)?.strip_prefix("NGX_HTTP_MEMCACHE_")?
        ))
    });
    let names: String = names.collect();
    let path = Path::new(&env::var("OUT_DIR")?).join("names.rs");
    fs::write(path, format!("const NAMES: &[(ngx_http_memcache_status_t, &str)] = &[{names}];"))?;
    Ok(())
}
