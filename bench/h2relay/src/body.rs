//! Bodies from one `h2` stream to another.

use std::future::poll_fn;

use bytes::Bytes;
use h2::{RecvStream, SendStream};

use crate::Failure;

/// Passes a body on, trailers included; the last DATA frame carries the end.
pub(crate) async fn relay(mut from: RecvStream, mut to: SendStream<Bytes>) -> Result<(), Failure> {
    while let Some(data) = from.data().await {
        let data = data?;
        let length = data.len();
        let ended = from.is_end_stream();
        send(&mut to, data, ended).await?;
        from.flow_control().release_capacity(length)?;
        if ended {
            return Ok(());
        }
    }
    match from.trailers().await? {
        Some(trailers) => to.send_trailers(trailers)?,
        None => to.send_data(Bytes::new(), true)?,
    }
    Ok(())
}

/// Sends all of `data` as the receiver's windows allow.
pub(crate) async fn send(to: &mut SendStream<Bytes>, mut data: Bytes, end: bool) -> Result<(), Failure> {
    to.reserve_capacity(data.len());
    while to.capacity() < data.len() {
        let part = to.capacity();
        if part > 0 {
            to.send_data(data.split_to(part), false)?;
            to.reserve_capacity(data.len());
        }
        poll_fn(|cx| to.poll_capacity(cx)).await.ok_or("reset")??;
    }
    to.send_data(data, end)?;
    Ok(())
}
