//! A sibling that does what the tests in `t/` need and nobody else should. Its directives, in a location:
//!
//! - `test_content NAME;` a content handler, see [`content`].
//! - `test_rewrite NAME;`, `test_access NAME;`, `test_log NAME;` handlers of these phases, see [`phases`].

mod args;
mod content;
mod ending;
mod fetch;
mod loops;
mod misuse;
mod module;
mod phases;
mod remote;
mod responses;
