//! The interface as its header declares it, generated from `include/ngx_http_memcache.h`.
//!
//! The rest of this crate is a safe layer over it. Constants, structures and the function table keep their C names.

#![allow(missing_docs, non_camel_case_types, non_snake_case, non_upper_case_globals, dead_code)]
#![allow(clippy::all, clippy::arithmetic_side_effects, clippy::indexing_slicing)]

include!(concat!(env!("OUT_DIR"), "/memcache.rs"));

#[cfg(test)]
mod layout;
