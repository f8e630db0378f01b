//! Links the program at a fixed address, so that the system's loader has no 27,000 words to correct before it starts:
//! `docs/adr/0034-a-program-at-a-fixed-address.md`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_CFG_TARGET_OS").is_some_and(|system| system == "linux") {
        println!("cargo:rustc-link-arg-bin=engine=-no-pie");
    }
}
