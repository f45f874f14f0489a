//! Bodies that nobody read: a request may be refused for its token alone.
//!
//! A server that answers and closes while its client is still sending makes the client's system throw the answer away.
//! The official TypeScript SDK then says «fetch failed» in place of what is wrong.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures::StreamExt;
use futures::stream::poll_fn;

use super::MAX_BODY_BYTES;

/// How long a client may take to send what nobody wants.
const DEADLINE: Duration = Duration::from_secs(10);

/// Reads what the handler left of a body and throws it away, then answers.
pub(super) async fn read_to_the_end(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let body = Arc::new(Mutex::new(body.into_data_stream()));
    let lent = Arc::clone(&body);
    let stream = poll_fn(move |context| lock(&lent).poll_next_unpin(context));
    let request = Request::from_parts(parts, Body::from_stream(stream));
    let response = next.run(request).await;
    // Whoever sends more or slower than this loses the answer, as before.
    let _ = tokio::time::timeout(DEADLINE, drain(&body)).await;
    response
}

async fn drain(body: &Mutex<BodyDataStream>) {
    let mut stream = poll_fn(|context| lock(body).poll_next_unpin(context));
    let mut bytes = 0;
    while let Some(Ok(chunk)) = stream.next().await {
        bytes += chunk.len();
        if bytes > MAX_BODY_BYTES {
            return;
        }
    }
}

/// Held while the body is polled, which nothing in here makes panic.
fn lock(body: &Mutex<BodyDataStream>) -> MutexGuard<'_, BodyDataStream> {
    body.lock().unwrap_or_else(PoisonError::into_inner)
}
