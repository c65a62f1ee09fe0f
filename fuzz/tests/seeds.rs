#![allow(missing_docs)]

//! The committed seeds go through the targets with any Rust: `make unit`. Fuzzing itself is `make fuzz`.

use std::path::Path;

fn play(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let mut seeds = 0;
    for seed in folder.read_dir().expect("seeds") {
        let path = seed.expect("a seed").path();
        println!("{}", path.display());
        run(&std::fs::read(path).expect("a file"));
        seeds += 1;
    }
    assert!(seeds > 0, "no seeds in {}", folder.display());
}

#[test]
fn replies() {
    play("replies", memcache_engine_fuzz::replies::run);
}

#[test]
fn operations() {
    play("operations", memcache_engine_fuzz::operations::run);
}
