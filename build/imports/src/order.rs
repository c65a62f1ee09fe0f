//! The order of the rooms, and what does not keep to it.

use std::collections::VecDeque;

use crate::tree::{Import, Tree};

/// The rooms of a crate, from above: those of a line do not know each other.
pub type Rooms = Vec<Vec<String>>;

/// What the file says about a crate: its folder at the beginning of a line, its rooms in the indented lines that follow.
pub fn parse(text: &str, folder: &str) -> Option<Rooms> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty());
    let mut lines = lines.skip_while(|line| *line != folder);
    lines.next()?;
    let rooms = lines.take_while(|line| line.starts_with(char::is_whitespace));
    Some(rooms.map(|line| line.split_whitespace().map(String::from).collect()).collect())
}

/// What is wrong: rooms that have no place, imports that lead upwards or to the side, circles within a room.
pub fn problems(tree: &Tree, rooms: &Rooms) -> Vec<String> {
    let room = |module: usize| match tree.modules.get(module).and_then(|module| module.path.first()) {
        Some(name) => name.clone(),
        None => "lib".into(),
    };
    let place = |module: usize| rooms.iter().position(|line| line.contains(&room(module)));

    let mut problems = Vec::new();
    let is_top = |module: &usize| tree.modules.get(*module).is_some_and(|module| module.path.len() < 2);
    for module in (0..tree.modules.len()).filter(is_top).filter(|&module| place(module).is_none()) {
        problems.push(format!("{} has no place in the order of rooms", tree.name(module)));
    }
    for name in rooms.iter().flatten().filter(|&name| !(0..tree.modules.len()).any(|module| room(module) == *name)) {
        problems.push(format!("{name} is in the order of rooms, but there is no such module"));
    }
    for import in tree.imports.iter().filter(|import| room(import.from) != room(import.to)) {
        let Some((from, to)) = place(import.from).zip(place(import.to)) else { continue };
        if to <= from {
            let way = if to < from { "above" } else { "beside" };
            problems.push(format!("{}, which is {way} it", tree.show(import)));
        }
    }

    let mut seen = Vec::new();
    for import in tree.imports.iter().filter(|import| room(import.from) == room(import.to)) {
        if seen.contains(&import.from) || seen.contains(&import.to) {
            continue;
        }
        let Some(back) = way(tree, import.to, import.from) else { continue };
        let circle: Vec<&Import> = [import].into_iter().chain(back).collect();
        seen.extend(circle.iter().map(|import| import.from));
        let lines: Vec<_> = circle.into_iter().map(|import| format!("\n    {}", tree.show(import))).collect();
        problems.push(format!("a circle of imports:{}", lines.concat()));
    }
    problems
}

/// The shortest way along imports from one module to another.
fn way(tree: &Tree, from: usize, to: usize) -> Option<Vec<&Import>> {
    let mut queue = VecDeque::from([(from, Vec::new())]);
    let mut reached = vec![from];
    while let Some((at, way)) = queue.pop_front() {
        if at == to {
            return Some(way);
        }
        for import in tree.imports.iter().filter(|import| import.from == at) {
            if !reached.contains(&import.to) {
                reached.push(import.to);
                queue.push_back((import.to, [&way[..], &[import]].concat()));
            }
        }
    }
    None
}
