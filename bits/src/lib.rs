//! nginx's structures as C has them.
//!
//! The bindings of nginx (`nginx-sys`) are made by bindgen, which has to guess where a C compiler puts bit-fields.
//! Where they begin behind a field of two bytes, bindgen 0.72 is wrong, and the request of nginx 1.29.3 and later is
//! like that: of its 73 bit-fields, 57 are in other places. A module with those bindings builds, loads, and reads and
//! writes its neighbours' bits: `header_only` is `pipeline` then, and an answer to HEAD has a body.
//!
//! So nothing here comes from bindings. A C compiler, which knows, makes a function for each bit-field from the headers
//! of the nginx that the module is for:
//!
//! - [`request`] has the bit-fields of the request. Read and write them there, and nowhere else.
//! - [`check`] compares everything else that modules reach through the bindings with what C says. Whoever loads a
//!   module is told by it that its bindings are wrong, before they do harm.
//! - [`ssl`] has what is needed of the structures for TLS, which the bindings of an nginx without SSL do not have.
//!
//! A bit-field that an nginx does not have ends the build.

pub mod request;
pub mod ssl;

mod layout;

pub use layout::{check, Wrong};
