//! Compiles the protocol buffers of this folder.

use std::error::Error;

const FILES: [&str; 7] = [
    "mosn/plugin.proto",
    "go_plugin/plugin.proto",
    "grpc/health/v1/health.proto",
    "sidegate/plugin/v1/plugin.proto",
    "sidegate/plugin/v1/event.proto",
    "sidegate/plugin/v1/answer.proto",
    "sidegate/plugin/v1/access_log.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let compiled = protox::compile(FILES, ["."])?;
    // Connections are made elsewhere.
    tonic_prost_build::configure()
        .build_transport(false)
        // Bodies are not copied out of the message they came in.
        .bytes(".sidegate.plugin.v1")
        .compile_fds(compiled)?;
    Ok(())
}
