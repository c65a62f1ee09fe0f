//! The modules of a crate, and what each of them imports.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, UseTree};

/// The names of the modules around a module, and its own; empty for the root.
type Names = Vec<String>;

/// A module with a file of its own.
pub struct Module {
    /// Its name in the crate; none for the root.
    pub path: Names,
    file: PathBuf,
}

/// One module refers to another.
pub struct Import {
    /// Number of the module that does.
    pub from: usize,
    /// Number of the module that it refers to.
    pub to: usize,
    line: usize,
}

/// A crate.
#[derive(Default)]
pub struct Tree {
    /// The root first.
    pub modules: Vec<Module>,
    /// In the order of the files.
    pub imports: Vec<Import>,
    /// Which file a module is in: one in braces is in that of the module around it.
    by_path: HashMap<Names, usize>,
}

impl Tree {
    /// Reads the crate in this folder.
    pub fn read(folder: &Path) -> Result<Tree, String> {
        let mut tree = Tree::default();
        let mut sources = Vec::new();
        let root = ["lib.rs", "main.rs"].map(|name| folder.join(name)).into_iter().find(|file| file.is_file());
        tree.read_file(root.ok_or_else(|| format!("{}: no lib.rs", folder.display()))?, Names::new(), &mut sources)?;
        for (from, source) in sources.iter().enumerate() {
            let path = tree.modules.get(from).map(|module| module.path.clone()).unwrap_or_default();
            let found = Scope::new(&tree, from, path).look(&source.items);
            tree.imports.extend(found);
        }
        Ok(tree)
    }

    fn read_file(&mut self, file: PathBuf, path: Names, sources: &mut Vec<syn::File>) -> Result<(), String> {
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let source = syn::parse_file(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        let is_folder = path.is_empty() || file.file_name().is_some_and(|name| name == "mod.rs");
        let folder = if is_folder { file.parent().unwrap_or(Path::new("")).into() } else { file.with_extension("") };
        let number = self.modules.len();
        self.by_path.insert(path.clone(), number);
        self.modules.push(Module { path: path.clone(), file });
        sources.push(source.clone());
        self.read_modules(&source.items, &folder, &path, number, sources)
    }

    fn read_modules(
        &mut self,
        items: &[Item],
        folder: &Path,
        path: &Names,
        number: usize,
        sources: &mut Vec<syn::File>,
    ) -> Result<(), String> {
        for item in items {
            let Item::Mod(module) = item else { continue };
            if is_for_tests(&module.attrs) {
                continue;
            }
            let name = module.ident.to_string();
            let path = [&path[..], std::slice::from_ref(&name)].concat();
            if let Some((_, items)) = &module.content {
                self.by_path.insert(path.clone(), number);
                self.read_modules(items, &folder.join(name), &path, number, sources)?;
                continue;
            }
            let file = folder.join(format!("{name}.rs"));
            let file = if file.is_file() { file } else { folder.join(name).join("mod.rs") };
            self.read_file(file, path, sources)?;
        }
        Ok(())
    }

    /// `src/conf.rs:12: conf imports zone`
    pub fn show(&self, import: &Import) -> String {
        let file = self.modules.get(import.from).map(|module| module.file.display());
        let (from, to) = (self.name(import.from), self.name(import.to));
        format!("{}:{}: {from} imports {to}", file.map(|file| file.to_string()).unwrap_or_default(), import.line)
    }

    /// `conf::server`; `lib` for the root.
    pub fn name(&self, module: usize) -> String {
        match self.modules.get(module).map_or(&[][..], |module| &module.path) {
            [] => "lib".into(),
            path => path.join("::"),
        }
    }
}

/// A file, or a module in braces: what paths mean there.
struct Scope<'a> {
    tree: &'a Tree,
    from: usize,
    path: Names,
    /// Modules that have a name of one word here.
    known: HashMap<String, Names>,
    found: Vec<Import>,
}

impl<'a> Scope<'a> {
    fn new(tree: &'a Tree, from: usize, path: Names) -> Self {
        let inside = tree.by_path.keys().filter(|other| other.split_last().is_some_and(|(_, around)| around == path));
        let known = inside.filter_map(|inner| Some((inner.last()?.clone(), inner.clone()))).collect();
        Scope { tree, from, path, known, found: Vec::new() }
    }

    /// What these items import. The first look is for the names that `use` gives to modules.
    fn look(mut self, items: &[Item]) -> Vec<Import> {
        for _ in 0..2 {
            self.found.clear();
            items.iter().for_each(|item| self.visit_item(item));
        }
        self.found
    }

    /// The module that a path leads into, and whether it is the module itself.
    fn resolve(&self, words: &[String]) -> Option<(Names, bool)> {
        let (first, mut rest) = words.split_first()?;
        let mut at = match first.as_str() {
            "crate" => Names::new(),
            "self" => self.path.clone(),
            "super" => self.path.split_last()?.1.to_vec(),
            name => self.known.get(name)?.clone(),
        };
        while let Some((word, others)) = rest.split_first() {
            if word == "super" {
                at.pop();
            } else if word != "self" {
                let inner = [&at[..], std::slice::from_ref(word)].concat();
                if !self.tree.by_path.contains_key(&inner) {
                    break;
                }
                at = inner;
            }
            rest = others;
        }
        Some((at, rest.is_empty()))
    }

    fn note(&mut self, words: &[String], line: usize) {
        let to = self.resolve(words).and_then(|(path, _)| self.tree.by_path.get(&path).copied());
        if let Some(to) = to.filter(|&to| to != self.from) {
            self.found.push(Import { from: self.from, to, line });
        }
    }

    fn note_use(&mut self, tree: &UseTree, before: &[String]) {
        let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
        let (words, name, line) = match tree {
            UseTree::Path(path) => return self.note_use(&path.tree, &with(&path.ident)),
            UseTree::Group(group) => return group.items.iter().for_each(|tree| self.note_use(tree, before)),
            UseTree::Glob(glob) => (before.to_vec(), None, glob.star_token.spans.first().map_or(0, |s| s.start().line)),
            UseTree::Name(name) if name.ident == "self" => {
                (before.to_vec(), before.last().cloned(), name.ident.span().start().line)
            }
            UseTree::Name(name) => (with(&name.ident), Some(name.ident.to_string()), name.ident.span().start().line),
            UseTree::Rename(name) => (with(&name.ident), Some(name.rename.to_string()), name.ident.span().start().line),
        };
        if let Some((name, (path, true))) = name.zip(self.resolve(&words)) {
            self.known.insert(name, path);
        }
        self.note(&words, line);
    }

    /// Paths in what a macro gets, or is.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let (mut words, mut line, mut colons) = (Names::new(), 0, 0u8);
        for token in tokens {
            match &token {
                TokenTree::Ident(ident) if colons == 2 && !words.is_empty() => words.push(ident.to_string()),
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons = if colons == 2 { 0 } else { colons.saturating_add(1) };
                    continue;
                }
                other => {
                    self.note_path(&words, line);
                    words.clear();
                    line = other.span().start().line;
                    match other {
                        TokenTree::Ident(ident) => words.push(ident.to_string()),
                        TokenTree::Group(group) => self.note_tokens(group.stream()),
                        _ => {}
                    }
                }
            }
            colons = 0;
        }
        self.note_path(&words, line);
    }

    fn note_path(&mut self, words: &[String], line: usize) {
        if words.len() > 1 {
            self.note(words, line);
        }
    }
}

impl Visit<'_> for Scope<'_> {
    fn visit_item(&mut self, item: &Item) {
        let attrs: &[Attribute] = match item {
            Item::Const(item) => &item.attrs,
            Item::Enum(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Macro(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            Item::Static(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Trait(item) => &item.attrs,
            Item::Type(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            _ => &[],
        };
        if !is_for_tests(attrs) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &ItemMod) {
        if let Some((_, items)) = &module.content {
            let path = [&self.path[..], &[module.ident.to_string()]].concat();
            self.found.extend(Scope::new(self.tree, self.from, path).look(items));
        }
    }

    fn visit_item_use(&mut self, item: &ItemUse) {
        self.note_use(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &syn::Path) {
        let words: Names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let line = path.segments.first().map_or(0, |segment| segment.ident.span().start().line);
        self.note_path(&words, line);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &syn::Macro) {
        self.note_tokens(mac.tokens.clone());
        visit::visit_macro(self, mac);
    }

    fn visit_visibility(&mut self, _: &syn::Visibility) {}
}

/// `#[cfg(test)]`, or that and more.
fn is_for_tests(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| match &attr.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string();
            condition == "test" || condition.replace(' ', "").starts_with("all(test,")
        }
        _ => false,
    })
}
