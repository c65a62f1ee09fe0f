//! Generates the Rust side of `include/ngx_http_memcache.h`; shared by the build scripts of the module and of `api`.

use std::env;
use std::path::{Path, PathBuf};

type Error = Box<dyn std::error::Error>;

/// Writes `OUT_DIR/memcache.rs` from `header`.
///
/// Only what the header itself declares is generated. nginx's own types come from `nginx_sys`, so that they are the
/// same types everywhere; that crate, which must be a direct dependency, also says how nginx was configured.
pub fn generate(header: &Path) -> Result<(), Error> {
    println!("cargo::rerun-if-changed={}", header.display());
    println!("cargo::rerun-if-env-changed=DEP_NGINX_INCLUDE");
    println!("cargo::rerun-if-env-changed=DEP_NGINX_CFLAGS");

    let include = env::var_os("DEP_NGINX_INCLUDE").ok_or("nginx-sys is not a direct dependency")?;
    let cflags = env::var("DEP_NGINX_CFLAGS").unwrap_or_default();
    let header = header.to_str().ok_or("the path of the header is not UTF-8")?;

    bindgen::Builder::default()
        .header(header)
        .clang_args(env::split_paths(&include).map(|path| format!("-I{}", path.display())))
        .clang_args(cflags.split_whitespace())
        .allowlist_item("(ngx_http_memcache_|NGX_HTTP_MEMCACHE_).*")
        .allowlist_recursively(false)
        // The inline function that finds the table cannot be linked against; it is written again in Rust.
        .blocklist_function(".*")
        .raw_line("use nginx_sys::*;")
        .default_macro_constant_type(bindgen::MacroTypeVariation::Unsigned)
        .derive_default(false)
        .generate_comments(true)
        .layout_tests(true)
        .use_core()
        .generate()?
        .write_to_file(PathBuf::from(env::var("OUT_DIR")?).join("memcache.rs"))?;
    Ok(())
}
