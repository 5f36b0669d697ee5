//! Exports, from this package's test executables, the functions that modules
//! must find in the executable before those of the C library (`interpose`).

fn main() {
    println!("cargo::rerun-if-changed=exported.txt");
    for name in include_str!("exported.txt").lines() {
        println!("cargo::rustc-link-arg=-Wl,--export-dynamic-symbol={name}");
    }
    // There in a build with a sanitizer only, whose runtime must learn of threads.
    println!("cargo::rustc-link-arg=-Wl,--export-dynamic-symbol=__interceptor_pthread_create");
}
