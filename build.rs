//! Links the program at a fixed address, so that the system's loader has no 27,000 words to correct before it starts:
//! `docs/adr/0034-a-program-at-a-fixed-address.md`. The unwinder goes into it, so that the loader does not have to find, map and
//! search one library more at each of three starts.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the standard library asks the linker for, and the compiler's archives that hold the same.
const UNWINDER: (&str, [&str; 2]) = ("libgcc_s.so", ["libgcc_eh.a", "libgcc.a"]);

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is = |key: &str, value: &str| std::env::var(key).is_ok_and(|found| found == value);
    if !is("CARGO_CFG_TARGET_OS", "linux") {
        return;
    }
    println!("cargo:rustc-link-arg-bin=engine=-no-pie");
    // Another target has other archives, which this machine's compiler does not know.
    let is_native = std::env::var("HOST").ok() == std::env::var("TARGET").ok();
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo names a folder"));
    if is("CARGO_CFG_TARGET_ENV", "gnu") && is_native && list_unwinder(&out).is_some() {
        println!("cargo:rustc-link-arg-bin=engine=-L{}", out.display());
    }
}

/// Writes what the linker takes for the library: a list of archives. Nothing where the compiler does not have them.
fn list_unwinder(out: &Path) -> Option<()> {
    let (library, archives) = UNWINDER;
    let mut list = String::from("GROUP (");
    for archive in archives {
        let said = Command::new("cc").arg(format!("-print-file-name={archive}")).output().ok()?;
        // What it does not have it names without a folder.
        let found = String::from_utf8(said.stdout).ok().filter(|path| path.starts_with('/'))?;
        let _ = write!(list, " {}", found.trim());
    }
    list.push_str(" )\n");
    std::fs::write(out.join(library), list).ok()
}
