//! A connection that goes on in another protocol once it was admitted: WebSocket, or what `kubectl exec` speaks.
//!
//! What is said on it is not looked at: whoever admits it admits all of it. Its length is counted, and it ends when either
//! side ends it.

use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Response};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

use super::body::Answering;
use super::headers;
use super::outcome::Recording;

/// Joins both sides, and answers the client as the upstream did.
pub(super) fn open(
    answer: &mut Response<Incoming>,
    client: Option<hyper::upgrade::OnUpgrade>,
    recording: Option<Recording>,
) -> Response<Answering> {
    let mut response = Response::new(Answering::whole(Bytes::new()));
    *response.status_mut() = answer.status();
    *response.headers_mut() = headers::of_answer(answer.headers());
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = answer.headers().get(UPGRADE) {
        response.headers_mut().insert(UPGRADE, protocol.clone());
    }
    let upstream = hyper::upgrade::on(answer);
    if let Some(client) = client {
        tokio::spawn(async move {
            let broken = match tokio::try_join!(client, upstream) {
                Ok((client, upstream)) => {
                    let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
                    tokio::io::copy_bidirectional(&mut client, &mut upstream).await.is_err()
                }
                Err(_) => true,
            };
            if let Some(recording) = recording
                && let Err(error) = recording.finish(broken).await
            {
                tracing::debug!(%error, "a connection in another protocol ended");
            }
        });
    }
    response
}
