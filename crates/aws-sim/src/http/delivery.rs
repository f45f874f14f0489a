//! How answers leave: whole, slowly, cut short, or not at all.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, header};
use bytes::Bytes;
use futures::stream;

use crate::api::{ApiResponse, Delivery};

const PIECE_BYTES: usize = 16 * 1024;

/// Turns an answer into an HTTP response. Breaking connections is done with a body that fails.
pub fn respond(answer: ApiResponse, head: bool) -> Response<Body> {
    // A body of no bytes would never be asked for, and so could not fail.
    let length = match answer.delivery {
        Delivery::Normal | Delivery::Slow(_) => answer.body.len(),
        Delivery::Reset | Delivery::Cut(_) => answer.body.len().max(1),
    };
    let body = match answer.delivery {
        Delivery::Normal => Body::from(answer.body),
        Delivery::Reset => failing(Bytes::new()),
        Delivery::Cut(kept) => failing(answer.body.slice(..kept.min(answer.body.len()))),
        Delivery::Slow(pause_ms) => slow(answer.body, pause_ms),
    };
    let mut response = Response::new(if head && answer.delivery == Delivery::Normal {
        Body::empty()
    } else {
        body
    });
    *response.status_mut() = axum::http::StatusCode::from_u16(answer.status)
        .unwrap_or(axum::http::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let named = answer
        .headers
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    for (name, value) in named.chain(answer.extra_headers) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    if answer.status != 204 && answer.status != 304 {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}

fn failing(first: Bytes) -> Body {
    let broken = || std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    if first.is_empty() {
        return Body::from_stream(stream::iter([Err::<Bytes, _>(broken())]));
    }
    // The pause lets the first part leave before the connection breaks.
    Body::from_stream(stream::unfold(Some(first), move |state| async move {
        match state {
            Some(first) if !first.is_empty() => Some((Ok(first), Some(Bytes::new()))),
            _ => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((Err(broken()), None))
            }
        }
    }))
}

fn slow(body: Bytes, pause_ms: u64) -> Body {
    let pause = Duration::from_millis(pause_ms);
    Body::from_stream(stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let piece = rest.split_to(rest.len().min(PIECE_BYTES));
        Some((Ok::<_, std::io::Error>(piece), rest))
    }))
}
