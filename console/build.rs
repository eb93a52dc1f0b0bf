//! The page is embedded when the crate is compiled, so a new page must compile it again.

fn main() {
    println!("cargo::rerun-if-changed=dist");
}
