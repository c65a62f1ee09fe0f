//! Compiles, with nginx's own headers, what only C knows: the positions of bit-fields. Both sides are generated from
//! `list.rs`.

use std::env;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

include!("list.rs");

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=list.rs");
    println!("cargo::rerun-if-changed=ssl.c");
    println!("cargo::rerun-if-env-changed=DEP_NGINX_INCLUDE");
    println!("cargo::rerun-if-env-changed=DEP_NGINX_CFLAGS");
    println!("cargo::rerun-if-env-changed=DEP_NGINX_VERSION_NUMBER");

    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("bits.c"), in_c()?)?;
    fs::write(out.join("request.rs"), request_in_rust()?)?;
    fs::write(out.join("layout.rs"), layout_in_rust()?)?;

    let include = env::var_os("DEP_NGINX_INCLUDE").ok_or("nginx-sys is not a direct dependency")?;
    cc::Build::new()
        .file(out.join("bits.c"))
        .file("ssl.c")
        .includes(env::split_paths(&include))
        .flags(env::var("DEP_NGINX_CFLAGS").unwrap_or_default().split_whitespace())
        // Warnings in nginx's headers are not about this crate.
        .warnings(false)
        .try_compile("memcache_bits")?;
    Ok(())
}

fn in_c() -> Result<String, Box<dyn Error>> {
    let mut c = String::from(
        "#include <ngx_config.h>\n#include <ngx_core.h>\n#include <ngx_event.h>\n#include <ngx_http.h>\n\n",
    );
    for field in FLAGS.iter().chain(NUMBERS) {
        writeln!(
            c,
            "unsigned memcache_bits_{field}(const ngx_http_request_t *r) {{ return r->{field}; }}\n\
             void memcache_bits_set_{field}(ngx_http_request_t *r, unsigned to) {{ r->{field} = to; }}"
        )?;
    }

    writeln!(c, "\nconst size_t memcache_bits_places[] = {{")?;
    for (structure, fields, _) in LAYOUTS {
        writeln!(c, "sizeof({structure}),")?;
        for field in *fields {
            // A field whose name is a keyword of Rust has a `_` behind it in the bindings.
            writeln!(c, "offsetof({structure}, {}),", field.trim_end_matches('_'))?;
        }
    }
    writeln!(c, "}};\n\nvoid memcache_bits_fill(size_t bit, void *structure, unsigned ones) {{ switch (bit) {{")?;
    let request = FLAGS.iter().chain(NUMBERS).map(|&bit| ("ngx_http_request_t", bit));
    for (index, (structure, bit)) in bits().chain(request).enumerate() {
        writeln!(c, "case {index}: (({structure} *) structure)->{bit} = ones; break;")?;
    }
    writeln!(c, "}} }}")?;
    Ok(c)
}

fn request_in_rust() -> Result<String, Box<dyn Error>> {
    let mut rust =
        String::from("mod c {\nuse core::ffi::c_uint;\nuse nginx_sys::ngx_http_request_t;\nextern \"C\" {\n");
    for field in FLAGS.iter().chain(NUMBERS) {
        writeln!(
            rust,
            "pub fn memcache_bits_{field}(r: *const ngx_http_request_t) -> c_uint;\n\
             pub fn memcache_bits_set_{field}(r: *mut ngx_http_request_t, to: c_uint);"
        )?;
    }
    writeln!(rust, "}}\n}}")?;

    let flags = FLAGS.iter().map(|field| (field, "bool", " != 0", ".into()"));
    for (field, of_type, from_c, into_c) in flags.chain(NUMBERS.iter().map(|field| (field, "u32", "", ""))) {
        writeln!(
            rust,
            "/// nginx's `r->{field}`.\n\
             #[inline]\n\
             #[must_use]\n\
             pub fn {field}(r: &ngx_http_request_t) -> {of_type} {{\n\
                 // SAFETY: the function reads a field of a living request.\n\
                 unsafe {{ c::memcache_bits_{field}(r){from_c} }}\n\
             }}\n\
             /// Sets nginx's `r->{field}`.\n\
             #[inline]\n\
             pub fn set_{field}(r: &mut ngx_http_request_t, to: {of_type}) {{\n\
                 // SAFETY: the function writes a field of a living request that is the caller's.\n\
                 unsafe {{ c::memcache_bits_set_{field}(r, to{into_c}) }}\n\
             }}"
        )?;
    }

    writeln!(
        rust,
        "/// Each with what sets all of its bits, and what reads it; in the order in which C has them in its list.\n\
         #[cfg(test)]\n\
         pub(crate) const ALL: &[(&str, Set, Get)] = &["
    )?;
    for field in FLAGS {
        writeln!(rust, "(\"{field}\", |r| set_{field}(r, true), |r| {field}(r).into()),")?;
    }
    for field in NUMBERS {
        writeln!(rust, "(\"{field}\", |r| set_{field}(r, !0), {field}),")?;
    }
    writeln!(rust, "];")?;
    Ok(rust)
}

fn layout_in_rust() -> Result<String, Box<dyn Error>> {
    let places =
        LAYOUTS.iter().flat_map(|(_, fields, _)| fields.iter()).chain(LAYOUTS.iter().map(|(name, ..)| name)).count();
    let mut rust = format!("pub(super) const PLACES: [(&str, usize); {places}] = [\n");
    for (structure, fields, _) in LAYOUTS {
        writeln!(rust, "(\"{structure}\", size_of::<nginx_sys::{structure}>()),")?;
        for field in *fields {
            writeln!(rust, "(\"{structure}.{field}\", offset_of!(nginx_sys::{structure}, {field})),")?;
        }
    }
    writeln!(rust, "];\npub(super) const BITS: [(&str, Same); {}] = [", bits().count())?;
    for (structure, bit) in bits() {
        writeln!(rust, "(\"{structure}.{bit}\", |bit| same::<nginx_sys::{structure}>(bit, |s| s.set_{bit}(!0))),")?;
    }
    writeln!(rust, "];")?;
    Ok(rust)
}

fn bits() -> impl Iterator<Item = (&'static str, &'static str)> {
    LAYOUTS.iter().flat_map(|&(structure, _, bits)| bits.iter().map(move |&bit| (structure, bit)))
}
