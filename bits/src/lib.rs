//! nginx's structures as C has them.
//!
//! bindgen makes the bindings of nginx (`nginx-sys`) and guesses the positions of bit-fields. bindgen 0.72 is wrong if
//! they begin behind a field of two bytes, as in the request of nginx 1.29.3 and later: 57 of its 73 bit-fields are in
//! other places. A module with these bindings builds and loads, but reads and writes the wrong bits: its `header_only`
//! is `pipeline`, so that an answer to HEAD has a body.
//!
//! This crate uses no bindings for them. A C compiler compiles a function for each bit-field, with the headers of the
//! nginx that the module is built for:
//!
//! - [`request`] has the bit-fields of the request. Use them only through it.
//! - [`check`] compares everything else that modules use of the bindings with C. A module calls it at load time and
//!   reports wrong bindings before they do harm.
//! - [`ssl`] has the fields of nginx's TLS structures, which the bindings of an nginx without SSL lack.
//!
//! The build fails if nginx does not have one of the bit-fields.

pub mod request;
pub mod ssl;

mod layout;

pub use layout::{check, Wrong};
