//! check-imports: whether the modules of a crate import downwards only.
//!
//! `check-imports ORDER CRATE...` reads the folder of sources of each CRATE and fails on an import of a room from a room
//! above or beside it, by the file ORDER, and on a circle of imports between modules of one room. A room is a module of
//! the crate's root, with all that is in it; each file is a module. There are no exceptions.
//!
//! An import is a `use` (also `pub use`) of a module's item, or a path to one anywhere in the code, also in a macro. It
//! leads to the module that the path names, whoever defines the item. `mod`, visibilities, documentation, and what is
//! for tests alone (`#[cfg(test)]`) are none.

#![forbid(unsafe_code)]

mod order;
mod tree;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let order = args.next().unwrap_or_default();
    let crates: Vec<String> = args.collect();
    match crates.iter().map(|folder| check(&order, folder)).sum::<Result<usize, String>>() {
        Ok(problems) if problems > 0 => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("check-imports: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How many things are wrong in a crate; they are printed.
fn check(order: &str, folder: &str) -> Result<usize, String> {
    let text = std::fs::read_to_string(order).map_err(|error| format!("{order}: {error}"))?;
    let rooms = order::parse(&text, folder).ok_or_else(|| format!("{order}: nothing about {folder}"))?;
    let tree = tree::Tree::read(Path::new(folder))?;
    let problems = order::problems(&tree, &rooms);
    problems.iter().for_each(|problem| println!("{problem}"));
    Ok(problems.len())
}
