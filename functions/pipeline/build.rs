//! Rebuilds when a migration is added: the embedding macro alone would not notice.

fn main() {
    println!("cargo::rerun-if-changed=../../sql/migrations");
}
