//! An origin with fixed replies.

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Request, Response, header};

use crate::{Failure, body};

static SMALL: &[u8] = b"hello from the origin\n";
static TEN_KIB: &[u8] = &[b'x'; 10 * 1024];

pub(crate) async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Result<(), Failure> {
    let (head, mut upload) = request.into_parts();
    while let Some(data) = upload.data().await {
        upload.flow_control().release_capacity(data?.len())?;
    }
    let reply = if head.uri.path() == "/10k" { TEN_KIB } else { SMALL };
    let response = Response::builder().header(header::SERVER, "origin").header(header::CONTENT_TYPE, "text/plain");
    let mut stream = respond.send_response(response.header(header::CONTENT_LENGTH, reply.len()).body(())?, false)?;
    body::send(&mut stream, Bytes::from_static(reply), true).await
}
