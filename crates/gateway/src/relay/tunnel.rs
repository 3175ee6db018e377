//! A connection that goes on in another protocol once it was admitted: WebSocket, or what `kubectl exec` speaks.
//!
//! What is said on it is not looked at: whoever admits it admits all of it. It ends when either side ends it, or when its
//! requester may ask for nothing any more.

use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::body::Answering;
use super::headers;
use super::link::Arriving;
use super::outcome::Recording;
use super::tenure::Tenure;

/// How a connection ended.
enum Ending {
    Whole,
    Broken,
    CutOff,
}

/// Joins both sides, and answers the client as the upstream did.
pub(super) fn open(
    answer: &mut Response<Arriving>,
    client: Option<OnUpgrade>,
    recording: Option<Recording>,
    tenure: Tenure,
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
            let ending = tokio::select! {
                ended = joined(client, upstream) => ended,
                () = tenure.over() => Ending::CutOff,
            };
            let Some(recording) = recording else { return };
            let told = match ending {
                Ending::Whole => recording.finish(false).await,
                Ending::Broken => recording.finish(true).await,
                Ending::CutOff => Err(recording.cut_off().await),
            };
            if let Err(error) = told {
                tracing::debug!(%error, "a connection in another protocol ended");
            }
        });
    }
    response
}

async fn joined(client: OnUpgrade, upstream: OnUpgrade) -> Ending {
    let Ok((client, upstream)) = tokio::try_join!(client, upstream) else { return Ending::Broken };
    let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
    match tokio::io::copy_bidirectional(&mut client, &mut upstream).await {
        Ok(_) => Ending::Whole,
        Err(_) => Ending::Broken,
    }
}
