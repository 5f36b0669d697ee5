//! Makes messages and services of the .proto file.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let compiled = protox::compile(["plugin.proto"], ["proto"])?;
    tonic_prost_build::configure().build_client(false).compile_fds(compiled)?;
    Ok(())
}
