//! Exports the functions that modules must find in the executable before those
//! of the C library, so that modules can be unloaded.

fn main() {
    println!("cargo::rerun-if-changed=../generic-filter/exported.txt");
    for name in include_str!("../generic-filter/exported.txt").lines() {
        println!("cargo::rustc-link-arg-bins=-Wl,--export-dynamic-symbol={name}");
    }
    // There in a build with a sanitizer only, whose runtime must learn of threads.
    println!("cargo::rustc-link-arg-bins=-Wl,--export-dynamic-symbol=__interceptor_pthread_create");
}
