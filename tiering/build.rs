//! The migrations are embedded at compile time from a folder outside this crate.

fn main() {
    println!("cargo:rerun-if-changed=../migrations/manifest");
}
