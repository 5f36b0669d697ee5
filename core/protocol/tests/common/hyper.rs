//! A bare hyper server on a transport in memory.

use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::server::conn::http1::Builder;
use hyper::service::HttpService;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Offers `input` to hyper and returns what it sent, and whether it closed.
/// Time is paused: an hour passes as soon as neither side has anything left to
/// do, so the result does not depend on the machine.
pub fn exchange<S>(builder: &Builder, service: S, input: &[u8]) -> (String, bool)
where
    S: HttpService<Incoming>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::ResBody: Body + 'static,
    <S::ResBody as Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async move {
        let (client, server) = tokio::io::duplex(1 << 20);
        let connection = builder.serve_connection(TokioIo::new(server), service);
        let (mut reader, mut writer) = tokio::io::split(client);
        let client = async {
            // A server that stops reading early is a result, not an error.
            let _ = writer.write_all(input).await;
            let mut output = Vec::new();
            let mut part = [0; 4096];
            let closed = loop {
                match tokio::time::timeout(Duration::from_secs(3600), reader.read(&mut part)).await {
                    Ok(Ok(0) | Err(_)) => break true,
                    Ok(Ok(read)) => output.extend_from_slice(&part[..read]),
                    Err(_) => break false,
                }
            };
            (String::from_utf8_lossy(&output).into_owned(), closed)
        };
        // The connection is dropped, and so closed, as soon as it ends.
        let server = async {
            let _ = connection.await;
        };
        tokio::pin!(client);
        tokio::select! {
            result = &mut client => return result,
            () = server => {}
        }
        client.await
    })
}
