//! The modules of a library and the arrows between them, read from its source.
//!
//! An arrow goes from a module that names an item, by `use` or by a path that begins with `crate`, `super` or `self`, to the
//! module that defines the item. Re-exports are followed. Code compiled for tests only is left out.
//!
//! Arrows between a module and a module inside it are left out too: a parent declares its children and may share helpers with
//! them. So every circle is one between siblings or their descendants.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::Visit;

/// The names from the root down: `["run", "plan"]`; nothing for the root itself.
pub(crate) type Name = Vec<String>;

/// The modules of a library.
pub(crate) struct Modules {
    /// The modules of the root, in the order of their declarations.
    pub(crate) rooms: Vec<String>,
    /// The imports of each module: the path of every imported name.
    imports: BTreeMap<Name, BTreeMap<String, Name>>,
    /// The paths that each module names.
    named: BTreeMap<Name, BTreeSet<Name>>,
}

impl Modules {
    /// Reads the library from its `lib.rs` on; `source` returns the text of a file.
    pub(crate) fn read(source: &dyn Fn(&str) -> Option<String>) -> Modules {
        let mut modules = Modules { rooms: Vec::new(), imports: BTreeMap::new(), named: BTreeMap::new() };
        modules.read_file(Vec::new(), source);
        modules
    }

    fn read_file(&mut self, module: Name, source: &dyn Fn(&str) -> Option<String>) {
        let path = file_of(&module);
        let text = source(&path).unwrap_or_else(|| panic!("there is no {path}"));
        let file = syn::parse_file(&text).unwrap_or_else(|e| panic!("{path} does not parse: {e}"));
        let mut reader = Reader { inside: module.clone(), ..Reader::default() };
        reader.visit_file(&file);
        for child in &reader.children {
            if module.is_empty() {
                self.rooms.push(child.clone());
            }
            self.read_file([module.as_slice(), std::slice::from_ref(child)].concat(), source);
        }
        self.imports.insert(module.clone(), reader.imports);
        self.named.insert(module, reader.named);
    }

    /// Every arrow: the naming module and the defining one.
    pub(crate) fn arrows(&self) -> BTreeSet<(Name, Name)> {
        let mut arrows = BTreeSet::new();
        for (from, paths) in &self.named {
            for path in paths {
                let to = self.defined_in(path, 0);
                if !from.starts_with(&to) && !to.starts_with(from) {
                    arrows.insert((from.clone(), to));
                }
            }
        }
        arrows
    }

    /// The module that defines the item of a path.
    fn defined_in(&self, path: &[String], depth: usize) -> Name {
        let known = (0..=path.len()).rev().find(|end| self.named.contains_key(&path[..*end])).unwrap_or(0);
        let (module, rest) = path.split_at(known);
        if let Some(origin) = rest.first().and_then(|name| self.imports[module].get(name))
            && depth < 8
        {
            return self.defined_in(&[origin.as_slice(), &rest[1..]].concat(), depth + 1);
        }
        module.to_vec()
    }

    /// A circle of arrows, if there is one.
    pub(crate) fn circle(&self) -> Option<Vec<Name>> {
        let arrows = self.arrows();
        let mut done = BTreeSet::new();
        self.named.keys().find_map(|start| go(start, &arrows, &mut Vec::new(), &mut done))
    }
}

/// Follows the arrows from a module until it meets a module that is on the way already.
fn go(
    module: &Name,
    arrows: &BTreeSet<(Name, Name)>,
    way: &mut Vec<Name>,
    done: &mut BTreeSet<Name>,
) -> Option<Vec<Name>> {
    if let Some(begin) = way.iter().position(|passed| passed == module) {
        return Some(way[begin..].to_vec());
    }
    if done.contains(module) {
        return None;
    }
    way.push(module.clone());
    let next = arrows.iter().filter(|(from, _)| from == module);
    let found = next.map(|(_, to)| to).find_map(|to| go(to, arrows, way, done));
    way.pop();
    done.insert(module.clone());
    found
}

/// `run/plan.rs`; `lib.rs` for the root.
pub(crate) fn file_of(module: &[String]) -> String {
    if module.is_empty() { "lib.rs".to_owned() } else { format!("{}.rs", module.join("/")) }
}

/// Collects the imports and paths of one file.
#[derive(Default)]
struct Reader {
    /// The module being read: that of the file, or one inside it.
    inside: Name,
    /// Modules in files of their own.
    children: Vec<String>,
    imports: BTreeMap<String, Name>,
    named: BTreeSet<Name>,
}

impl Reader {
    /// The path from the root, if it begins with `crate`, `super` or `self`, or with a module declared here.
    fn at_root(&self, path: &[String]) -> Option<Name> {
        let mut base = self.inside.clone();
        let mut rest = path;
        match rest.first().map(String::as_str) {
            Some("crate") => base = Vec::new(),
            Some("self" | "super") => {}
            Some(child) if self.children.iter().any(|c| c == child) => {
                return Some([base.as_slice(), path].concat());
            }
            _ => return None,
        }
        while let Some((first, more)) = rest.split_first() {
            match first.as_str() {
                "crate" | "self" => {}
                "super" => drop(base.pop()),
                _ => break,
            }
            rest = more;
        }
        Some([base.as_slice(), rest].concat())
    }

    /// Records each name of a `use`.
    fn read_use(&mut self, tree: &syn::UseTree, before: &[String]) {
        let join = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        let (path, name) = match tree {
            syn::UseTree::Path(path) => return self.read_use(&path.tree, &join(&path.ident)),
            syn::UseTree::Group(group) => {
                return group.items.iter().for_each(|item| self.read_use(item, before));
            }
            syn::UseTree::Glob(_) => (before.to_vec(), None),
            syn::UseTree::Name(name) if name.ident == "self" => (before.to_vec(), before.last().cloned()),
            syn::UseTree::Name(name) => (join(&name.ident), Some(name.ident.to_string())),
            syn::UseTree::Rename(rename) => (join(&rename.ident), Some(rename.rename.to_string())),
        };
        if let Some(path) = self.at_root(&path) {
            if let Some(name) = name {
                self.imports.insert(name, path.clone());
            }
            self.named.insert(path);
        }
    }

    /// Records the paths in the arguments of a macro, which syn does not parse.
    fn read_tokens(&mut self, tokens: &str) {
        for word in tokens.replace(" :: ", "::").split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')
        {
            let path: Vec<String> = word.split("::").map(str::to_owned).collect();
            if path.len() > 1
                && let Some(path) = self.at_root(&path)
            {
                self.named.insert(path);
            }
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if for_tests(&item.attrs) {
            return;
        }
        let name = item.ident.to_string();
        if item.content.is_none() {
            self.children.push(name);
            return;
        }
        self.inside.push(name);
        syn::visit::visit_item_mod(self, item);
        self.inside.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !for_tests(&item.attrs) {
            self.read_use(&item.tree, &[]);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !for_tests(&item.attrs) {
            syn::visit::visit_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1
            && let Some(path) = self.at_root(&names)
        {
            self.named.insert(path);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, found: &'ast syn::Macro) {
        self.read_tokens(&found.tokens.to_string());
    }
}

/// Whether something is compiled for tests only.
fn for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => attribute.path().is_ident("test"),
    })
}
