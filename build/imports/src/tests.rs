//! Small crates, each with one thing that is wrong.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::order::{parse, problems};
use crate::tree::Tree;

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What is wrong in a crate of these files, without the folder that they are in.
fn check(rooms: &str, files: &[(&str, &str)]) -> Vec<String> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = Folder(std::env::temp_dir().join(format!("check-imports-{}-{number}", std::process::id())));
    for (name, text) in files {
        let file = folder.0.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let rooms = rooms.split('>').map(|line| line.split_whitespace().map(String::from).collect()).collect();
    let tree = Tree::read(&folder.0).unwrap();
    let prefix = format!("{}/", folder.0.display());
    problems(&tree, &rooms).into_iter().map(|problem| problem.replace(&prefix, "")).collect()
}

/// The same of two rooms, `a` above `b`.
fn b_says(text: &str) -> Vec<String> {
    check("lib > a > b", &[("lib.rs", "mod a;\nmod b;"), ("a.rs", "use crate::b::B;"), ("b.rs", text)])
}

#[test]
fn downwards_is_right() {
    assert_eq!(b_says("pub struct B;"), [""; 0]);
    assert_eq!(b_says("use std::fmt; pub(in crate) struct B; pub(super) fn f() { fmt::a::b() }"), [""; 0]);
    assert_eq!(b_says("/// See [`A`](crate::a::A).\npub struct B;"), [""; 0]);
}

#[test]
fn upwards_is_wrong_however_it_is_written() {
    for text in [
        "\nuse crate::a::A;",
        "\nuse crate::{a::{A, C as D}};",
        "\nuse crate::a;",
        "\nuse crate::a::*;",
        "\nuse super::a::{self};",
        "\npub use crate::a::A;",
        "\npub(crate) use crate::a::A;",
        "\nfn f() { crate::a::f(); }",
        "\nfn f(_: &super::a::A) {}",
        "\nfn f() { if let super::a::A = x {} }",
        "\nimpl crate::a::Trait for B {}",
        "\nfn f() { g!(1, [crate::a::f()]) }",
        "\nmacro_rules! m { () => { $crate::a::f() } }",
        "\nmod inner { fn f() { super::super::a::f() } }",
        "\nmod inner { use crate::a::A; }",
        "\n#[crate::a::attribute] fn f() {}",
    ] {
        let found = b_says(text);
        assert!(!found.is_empty(), "{text}");
        assert!(found.iter().all(|line| line == "b.rs:2: b imports a, which is above it"), "{text}: {found:?}");
    }
    // A name that another `use` has given to the module.
    let found = b_says("use crate::a as other;\nfn f() { other::f() }");
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(b_says("\nuse crate::A;"), ["b.rs:2: b imports lib, which is above it"]);
    assert_eq!(b_says("\nuse super::A;"), ["b.rs:2: b imports lib, which is above it"]);
}

#[test]
fn tests_may_import_what_they_test() {
    assert_eq!(b_says("#[cfg(test)] mod tests { use crate::a::A; }"), [""; 0]);
    assert_eq!(b_says("#[cfg(test)] mod tests;"), [""; 0]);
    assert_eq!(b_says("#[cfg(test)] use crate::a::A;"), [""; 0]);
    assert_eq!(b_says("#[cfg(all(test, unix))] fn f() { crate::a::f() }"), [""; 0]);
    assert_eq!(b_says("struct B; impl B { #[cfg(test)] fn f() { crate::a::f() } }"), [""; 0]);
    assert_eq!(b_says("#[cfg(not(test))] use crate::a::A;").len(), 1);
}

#[test]
fn rooms_of_a_line_do_not_know_each_other() {
    let files = [("lib.rs", "mod a;\nmod b;"), ("a.rs", "use crate::b::B;"), ("b.rs", "pub struct B;")];
    assert_eq!(check("lib > a b", &files), ["a.rs:1: a imports b, which is beside it"]);
}

#[test]
fn every_room_has_a_place() {
    let files = [("lib.rs", "mod a;"), ("a.rs", "")];
    assert_eq!(check("lib", &files), ["a has no place in the order of rooms"]);
    assert_eq!(check("lib > a > b", &files), ["b is in the order of rooms, but there is no such module"]);
}

#[test]
fn circles_within_a_room() {
    let room = |x: &str, y: &str| {
        let files = [("lib.rs", "mod a;"), ("a.rs", "mod x;\nmod y;"), ("a/x.rs", x), ("a/y/mod.rs", y)];
        check("lib > a", &files)
    };
    assert_eq!(room("use super::y::Y;", "pub struct Y;"), [""; 0]);
    assert_eq!(
        room("use super::y::Y;", "\nfn f() { super::x::f() }"),
        ["a circle of imports:\n    a/x.rs:1: a::x imports a::y\n    a/y/mod.rs:2: a::y imports a::x"]
    );

    // A parent that passes on what its child has, which the child takes from it.
    let parent = |a: &str, x: &str| check("lib > a", &[("lib.rs", "mod a;"), ("a.rs", a), ("a/x.rs", x)]);
    assert_eq!(parent("mod x;\npub struct A;", "use super::A;"), [""; 0]);
    for a in ["mod x;\npub use self::x::X;", "mod x;\npub use x::X;", "mod x;\nfn f() { x::f() }"] {
        let found = parent(a, "use super::A;");
        assert_eq!(found, ["a circle of imports:\n    a.rs:2: a imports a::x\n    a/x.rs:1: a::x imports a"]);
    }
}

#[test]
fn the_order_is_read() {
    let text = "# Comment.\nsrc\n    lib\n    a  b\n\n    # Another.\n    c\nother/src\n    lib\n";
    assert_eq!(parse(text, "src").unwrap(), [vec!["lib"], vec!["a", "b"], vec!["c"]]);
    assert_eq!(parse(text, "other/src").unwrap(), [["lib"]]);
    assert!(parse(text, "other").is_none());
}
