//! Calls whose bodies are ours: items go to AWS and come back as the bytes they are.
//!
//! The SDK signs, sends, retries and reads refusals; what it would make of an item (a tree of values, names in
//! random order, an error for a type it does not know) is never made.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextMut, Error, Output,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::client::runtime_plugin::RuntimePlugin;
use aws_smithy_runtime_api::client::ser_de::{DeserializeResponse, SharedResponseDeserializer};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::{ConfigBag, FrozenLayer};

/// The bodies of one call, as an interceptor of its operation.
#[derive(Clone)]
pub(crate) struct RawBodies {
    /// Sent instead of what the SDK wrote.
    request: Option<Arc<[u8]>>,
    /// The body of the success.
    answer: Arc<Mutex<Vec<u8>>>,
    /// What the SDK knows about the operation; it still reads the refusals.
    operation: Option<FrozenLayer>,
    /// The empty answer that the SDK's caller is given.
    empty: fn() -> Output,
}

impl RawBodies {
    /// For one call of `operation`, whose output `empty` makes.
    pub(crate) fn new(operation: &impl RuntimePlugin, empty: fn() -> Output) -> Self {
        Self {
            request: None,
            answer: Arc::default(),
            operation: operation.config(),
            empty,
        }
    }

    /// Sends `body` as the request.
    pub(crate) fn sending(mut self, body: Vec<u8>) -> Self {
        self.request = Some(body.into());
        self
    }

    /// The body of the answer, once the call has succeeded.
    pub(crate) fn take_answer(&self) -> Vec<u8> {
        std::mem::take(&mut *self.answer.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The SDK shows its interceptors when it traces; items do not belong there.
impl fmt::Debug for RawBodies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawBodies").finish_non_exhaustive()
    }
}

impl Intercept for RawBodies {
    fn name(&self) -> &'static str {
        "RawBodies"
    }

    fn read_before_serialization(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        cfg.interceptor_state()
            .store_put(SharedResponseDeserializer::new(self.clone()));
        Ok(())
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(body) = &self.request {
            let request = context.request_mut();
            request
                .headers_mut()
                .insert("content-length", body.len().to_string());
            *request.body_mut() = SdkBody::from(body.to_vec());
        }
        Ok(())
    }
}

impl DeserializeResponse for RawBodies {
    fn deserialize_nonstreaming_with_config(
        &self,
        response: &HttpResponse,
        cfg: &ConfigBag,
    ) -> Result<Output, OrchestratorError<Error>> {
        if response.status().is_success() {
            let body = response.body().bytes().unwrap_or_default();
            *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = body.to_vec();
            return Ok((self.empty)());
        }
        self.operation
            .as_ref()
            .and_then(|layer| layer.load::<SharedResponseDeserializer>())
            .ok_or_else(|| OrchestratorError::other("the operation reads no answers"))?
            .deserialize_nonstreaming_with_config(response, cfg)
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::operation::scan::{Scan, ScanOutput};

    use super::*;

    #[test]
    fn bodies_are_not_shown() {
        let empty = || Output::erase(ScanOutput::builder().build());
        let raw = RawBodies::new(&Scan::new(), empty).sending(b"hunter2".to_vec());
        *raw.answer.lock().unwrap_or_else(PoisonError::into_inner) = b"hunter2".to_vec();
        assert_eq!(format!("{raw:?}"), "RawBodies { .. }");
        assert_eq!(raw.take_answer(), b"hunter2");
    }
}
