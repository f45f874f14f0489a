//! What goes in and out of the simulated services, independent of HTTP.

use bytes::Bytes;
use serde_json::{Value, json};

/// One call to one service.
#[derive(Debug, Clone)]
pub struct ApiRequest {
    /// What is asked.
    pub call: Call,
    /// Access key id; decides who is calling. `None` is an anonymous caller.
    pub access_key: Option<String>,
    /// Region the caller signed for, if known.
    pub region: Option<String>,
}

/// The body of a call, by protocol.
#[derive(Debug, Clone)]
pub enum Call {
    /// DynamoDB (`DynamoDB_20120810`) action and its JSON body.
    DynamoDb(String, Bytes),
    /// DynamoDB Streams (`DynamoDBStreams_20120810`) action and its JSON body.
    Streams(String, Bytes),
    /// STS form parameters (`Action`, `RoleArn`, …).
    Sts(Vec<(String, String)>),
    /// S3 REST request.
    S3(S3Request),
}

/// A path-style S3 request, percent-decoded and with chunk framing removed.
#[derive(Debug, Clone, Default)]
pub struct S3Request {
    /// Upper-case HTTP method.
    pub method: String,
    /// Empty for ListBuckets.
    pub bucket: String,
    /// Empty for bucket-level calls.
    pub key: String,
    /// Query parameters in order.
    pub query: Vec<(String, String)>,
    /// Lower-case header names.
    pub headers: Vec<(String, String)>,
    /// Object bytes or XML.
    pub body: Bytes,
}

impl S3Request {
    /// A query parameter's value.
    pub fn param(&self, name: &str) -> Option<&str> {
        find(&self.query, name)
    }

    /// A header's value; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

/// The answer, and how the network treats it.
#[derive(Debug, Clone)]
pub struct ApiResponse {
    /// HTTP status.
    pub status: u16,
    /// Lower-case header names.
    pub headers: Vec<(&'static str, String)>,
    /// Headers whose names came from a caller, such as `x-amz-meta-…`.
    pub extra_headers: Vec<(String, String)>,
    /// Whole body; `delivery` may keep part of it from the caller.
    pub body: Bytes,
    /// What the network does with it.
    pub delivery: Delivery,
}

/// How an answer travels; anything but `Normal` comes from a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Whole and at once.
    Normal,
    /// The connection breaks before a byte of the answer; the call may or may not have had effect.
    Reset,
    /// The body stops after this many bytes.
    Cut(usize),
    /// The body comes in small pieces with this pause in milliseconds between them.
    Slow(u64),
}

impl ApiResponse {
    /// A plain answer.
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: vec![("content-type", content_type.to_owned())],
            extra_headers: Vec::new(),
            body: body.into(),
            delivery: Delivery::Normal,
        }
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// A refusal by a service.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    /// Error name, such as `ValidationException` or `NoSuchKey`.
    pub code: String,
    /// AWS's sentence.
    pub message: String,
    /// HTTP status.
    pub status: u16,
    /// Further members of the JSON body, such as `Item` or `CancellationReasons`.
    pub extra: Option<Box<Value>>,
    /// Headers that come with the error, such as `x-amz-bucket-region`.
    pub headers: Vec<(&'static str, String)>,
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for ApiError {}

impl ApiError {
    /// An error with status 400.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            status: 400,
            extra: None,
            headers: Vec::new(),
        }
    }

    /// An error with another status.
    pub fn with_status(code: &str, status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            ..Self::new(code, message)
        }
    }

    /// `ValidationException`.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }

    /// The JSON 1.0 body with the namespaces AWS uses.
    pub fn json_body(&self) -> String {
        let space = match self.code.as_str() {
            "ValidationException" | "SerializationException" => "com.amazon.coral.validate",
            "AccessDeniedException"
            | "UnrecognizedClientException"
            | "MissingAuthenticationTokenException"
            | "ExpiredTokenException"
            | "UnknownOperationException" => "com.amazon.coral.service",
            "ThrottlingException" => "com.amazon.coral.availability",
            _ => "com.amazonaws.dynamodb.v20120810",
        };
        let mut body =
            json!({ "__type": format!("{space}#{}", self.code), "message": self.message });
        if let (Some(Value::Object(extra)), Some(members)) =
            (self.extra.as_deref(), body.as_object_mut())
        {
            members.extend(extra.clone());
        }
        body.to_string()
    }
}

/// Result of an action of a JSON service: the body's bytes.
pub type Reply = Result<Vec<u8>, ApiError>;
