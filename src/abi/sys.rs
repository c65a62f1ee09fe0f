//! The contract with sibling modules, generated from `include/ngx_http_memcache.h`.

#![allow(unsafe_code, missing_docs, non_camel_case_types, dead_code, clippy::all, clippy::restriction)]

include!(concat!(env!("OUT_DIR"), "/memcache.rs"));
