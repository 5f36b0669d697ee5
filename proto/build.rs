//! Compiles the protocol buffers of this folder.

use std::error::Error;

const FILES: [&str; 3] = ["mosn/plugin.proto", "go_plugin/plugin.proto", "grpc/health/v1/health.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let compiled = protox::compile(FILES, ["."])?;
    // Connections are made elsewhere.
    tonic_prost_build::configure().build_transport(false).compile_fds(compiled)?;
    Ok(())
}
