//! One entry for every call: faults, authentication, permission, action.

use std::borrow::Cow;

use serde_json::Value;

use crate::api::{ApiError, ApiRequest, ApiResponse, Call, Delivery, Reply};
use crate::faults::FaultKind;
use crate::iam::Caller;
use crate::params::Params;
use crate::s3_api;
use crate::streams_api::iterator_parts;
use crate::sts;
use crate::timestamp;
use crate::world::World;

const JSON: &str = "application/x-amz-json-1.0";

/// What an action needs to know about its surroundings.
#[derive(Debug, Clone)]
pub struct Context {
    pub caller: Caller,
    /// Faults that change what the action does.
    pub faults: Vec<FaultKind>,
}

impl World {
    /// Performs one call.
    pub fn call(&mut self, request: &ApiRequest) -> ApiResponse {
        let (action, text) = describe(&request.call);
        *self.calls.entry(action.clone()).or_default() += 1;
        let faults = self.faults.hit(&action, &text, &mut self.rng);
        let mut response = match refusal(&faults, &request.call) {
            Some(response) => response,
            None => self.perform(request, &action, &faults),
        };
        for fault in &faults {
            match fault {
                FaultKind::LostAnswer => response.delivery = Delivery::Reset,
                FaultKind::SlowBody { pause_ms } => response.delivery = Delivery::Slow(*pause_ms),
                FaultKind::CutBody { fraction } => {
                    let kept = (response.body.len() as f64 * fraction.clamp(0.0, 1.0)) as usize;
                    response.delivery = Delivery::Cut(kept);
                }
                _ => {}
            }
        }
        let id = self.shuffle.uuid();
        let name = if matches!(request.call, Call::S3(_)) {
            "x-amz-request-id"
        } else {
            "x-amzn-requestid"
        };
        response.headers.push((name, id));
        // The world's time and not the machine's, which the HTTP server would write.
        let date = timestamp::http_date(self.now_ms);
        response.headers.push(("date", date));
        response
    }

    /// Performs an action of DynamoDB as the account's root and parses the answer.
    pub fn dynamodb(&mut self, action: &str, body: Value) -> Result<Value, ApiError> {
        self.json_call(Call::DynamoDb(action.to_owned(), body.to_string().into()))
    }

    /// Performs an action of DynamoDB Streams as the account's root and parses the answer.
    pub fn streams(&mut self, action: &str, body: Value) -> Result<Value, ApiError> {
        self.json_call(Call::Streams(action.to_owned(), body.to_string().into()))
    }

    fn json_call(&mut self, call: Call) -> Result<Value, ApiError> {
        let caller = self.root();
        let (action, text) = describe(&call);
        let bytes = self.with_faults(&action, &text, |world, faults| {
            let context = Context {
                caller,
                faults: faults.to_vec(),
            };
            match &call {
                Call::DynamoDb(action, body) => world.dynamodb_action(&context, action, body),
                Call::Streams(action, body) => world.streams_action(&context, action, body),
                _ => Err(ApiError::new("UnknownOperationException", "")),
            }
        })?;
        serde_json::from_slice(&bytes)
            .map_err(|error| ApiError::new("SerializationException", error.to_string()))
    }

    /// Runs a typed method under the faults of an action. Faults of the network become errors with status 0 and code
    /// `ConnectionReset` (no effect) or `LostAnswer` (the work was done).
    pub fn with_faults<T>(
        &mut self,
        action: &str,
        text: &[u8],
        work: impl FnOnce(&mut Self, &[FaultKind]) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let faults = self.faults.hit(action, text, &mut self.rng);
        let broken = |code: &str| ApiError::with_status(code, 0, "the connection was broken");
        for fault in &faults {
            match fault {
                FaultKind::Error {
                    code,
                    message,
                    status,
                } => {
                    return Err(fault_error(code, message.as_deref(), *status));
                }
                FaultKind::ServerError { status } => {
                    return Err(ApiError::with_status(
                        "ServerError",
                        *status,
                        "Service Unavailable",
                    ));
                }
                FaultKind::ConnectionReset => return Err(broken("ConnectionReset")),
                FaultKind::ExpireIterator => {
                    return Err(fault_error("ExpiredIteratorException", None, None));
                }
                _ => {}
            }
        }
        let result = work(self, &faults)?;
        if faults.contains(&FaultKind::LostAnswer) {
            return Err(broken("LostAnswer"));
        }
        Ok(result)
    }

    pub(crate) fn root(&self) -> Caller {
        Caller {
            arn: format!("arn:aws:iam::{}:root", self.config.account),
            account: self.config.account.clone(),
            role: None,
            user_id: self.config.account.clone(),
        }
    }

    fn perform(&mut self, request: &ApiRequest, action: &str, faults: &[FaultKind]) -> ApiResponse {
        let key = request.access_key.as_deref();
        let caller = self.iam.caller(
            key,
            &self.config.account,
            self.config.open_keys,
            self.now_ms,
        );
        match &request.call {
            Call::DynamoDb(..) | Call::Streams(..) => {
                let reply = caller.and_then(|caller| {
                    let context = Context {
                        caller,
                        faults: faults.to_vec(),
                    };
                    match &request.call {
                        Call::DynamoDb(_, body) => self.dynamodb_action(&context, action, body),
                        Call::Streams(_, body) => self.streams_action(&context, action, body),
                        _ => Err(ApiError::new("UnknownOperationException", "")),
                    }
                });
                match reply {
                    Ok(body) => ApiResponse::new(200, JSON, body),
                    Err(error) => ApiResponse::new(error.status, JSON, error.json_body()),
                }
            }
            Call::Sts(params) => {
                let id = self.shuffle.uuid();
                match caller
                    .map_err(sts::token_error)
                    .and_then(|caller| self.sts_action(&caller, params))
                {
                    Ok(result) => sts::success(action, &result, &id),
                    Err(error) => sts::failure(&error, &id),
                }
            }
            Call::S3(s3) => {
                let reply = caller
                    .map_err(s3_api::token_error)
                    .and_then(|caller| self.s3_action(&caller, request.region.as_deref(), s3));
                match reply {
                    Ok(response) => response,
                    Err(error) => s3_api::failure(&error, s3),
                }
            }
        }
    }

    fn dynamodb_action(&mut self, context: &Context, action: &str, body: &[u8]) -> Reply {
        let params = Params::parse(body)?;
        for resource in self.resources(&params) {
            self.iam
                .authorise(&context.caller, &format!("dynamodb:{action}"), &resource)?;
        }
        match action {
            "CreateTable" => self.create_table_action(params),
            "DescribeTable" => self.describe_table(&params),
            "UpdateTable" => self.update_table(params),
            "DeleteTable" => self.delete_table(&params),
            "ListTables" => self.list_tables(&params),
            "PutItem" => self.put_item_action(params),
            "GetItem" => self.get_item_action(params),
            "DeleteItem" => self.delete_item_action(params),
            "UpdateItem" => self.update_item_action(params),
            "BatchWriteItem" => self.batch_write(params),
            "BatchGetItem" => self.batch_get(params),
            "TransactWriteItems" => self.transact_write(params),
            "Query" => self.query(params),
            "Scan" => self.scan(params),
            "DescribeContinuousBackups" => self.describe_backups(&params),
            "UpdateContinuousBackups" => self.update_backups(&params),
            "ExportTableToPointInTime" => self.start_export(context, params),
            "DescribeExport" => self.describe_export(&params),
            "ListExports" => self.list_exports(&params),
            "DescribeTimeToLive" => self.describe_ttl(&params),
            "UpdateTimeToLive" => self.update_ttl(&params),
            "DescribeLimits" => Ok(br#"{"AccountMaxReadCapacityUnits":80000,"AccountMaxWriteCapacityUnits":80000,"TableMaxReadCapacityUnits":40000,"TableMaxWriteCapacityUnits":40000}"#.to_vec()),
            "DescribeEndpoints" => Ok(br#"{"Endpoints":[]}"#.to_vec()),
            "ListTagsOfResource" => Ok(br#"{"Tags":[]}"#.to_vec()),
            "TagResource" | "UntagResource" => Ok(b"{}".to_vec()),
            _ => Err(ApiError::new("UnknownOperationException", "")),
        }
    }

    fn streams_action(&mut self, context: &Context, action: &str, body: &[u8]) -> Reply {
        let params = Params::parse(body)?;
        for resource in self.resources(&params) {
            self.iam
                .authorise(&context.caller, &format!("dynamodb:{action}"), &resource)?;
        }
        match action {
            "ListStreams" => self.list_streams(&params),
            "DescribeStream" => self.describe_stream(&params),
            "GetShardIterator" => self.get_shard_iterator_action(&params),
            "GetRecords" => self.get_records_action(context, &params),
            _ => Err(ApiError::new("UnknownOperationException", "")),
        }
    }

    /// The ARNs on which an action must be allowed.
    fn resources(&self, params: &Params) -> Vec<String> {
        let text = |name: &str| params.get(name).and_then(Value::as_str);
        if let Some(arn) = text("StreamArn")
            .or_else(|| text("ExportArn"))
            .or_else(|| text("ResourceArn"))
        {
            return vec![arn.to_owned()];
        }
        if let Some(token) = text("ShardIterator") {
            return vec![
                iterator_parts(token).map_or_else(|| "*".to_owned(), |(arn, _)| arn.to_owned()),
            ];
        }
        if let Some(table) = text("TableName").or_else(|| text("TableArn")) {
            return vec![self.table_arn(table)];
        }
        if let Some(Value::Object(tables)) = params.get("RequestItems") {
            return tables.keys().map(|table| self.table_arn(table)).collect();
        }
        if let Some(Value::Array(items)) = params.get("TransactItems") {
            let names = items
                .iter()
                .filter_map(Value::as_object)
                .flat_map(|item| item.values());
            return names
                .filter_map(|entry| entry.get("TableName")?.as_str())
                .map(|name| self.table_arn(name))
                .collect();
        }
        vec!["*".to_owned()]
    }
}

/// The action's name, and the text that faults search.
fn describe(call: &Call) -> (String, Cow<'_, [u8]>) {
    match call {
        Call::DynamoDb(action, body) | Call::Streams(action, body) => {
            (action.clone(), Cow::Borrowed(body.as_ref()))
        }
        Call::Sts(params) => {
            let action = params
                .iter()
                .find(|(name, _)| name == "Action")
                .map(|(_, value)| value.clone());
            let text: Vec<_> = params
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            (
                action.unwrap_or_default(),
                Cow::Owned(text.join("&").into_bytes()),
            )
        }
        Call::S3(s3) => (
            s3_api::action(s3).to_owned(),
            Cow::Owned(format!("{}/{}", s3.bucket, s3.key).into_bytes()),
        ),
    }
}

fn fault_error(code: &str, message: Option<&str>, status: Option<u16>) -> ApiError {
    let default = match code {
        "ProvisionedThroughputExceededException" => {
            "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API."
        }
        "LimitExceededException"
        | "ThrottlingException"
        | "Throttling"
        | "RequestLimitExceeded" => "Rate exceeded",
        "InternalServerError" => "Internal server error",
        "SlowDown" => "Please reduce your request rate.",
        "ExpiredIteratorException" => "Iterator expired",
        _ => "Request has been refused",
    };
    let status = status.unwrap_or(match code {
        "InternalServerError" | "InternalError" | "InternalFailure" => 500,
        "SlowDown" | "ServiceUnavailable" => 503,
        "AccessDenied" => 403,
        _ => 400,
    });
    ApiError::with_status(code, status, message.unwrap_or(default))
}

fn refusal(faults: &[FaultKind], call: &Call) -> Option<ApiResponse> {
    faults.iter().find_map(|fault| match fault {
        FaultKind::Error {
            code,
            message,
            status,
        } => {
            let error = fault_error(code, message.as_deref(), *status);
            Some(match call {
                Call::S3(s3) => s3_api::failure(&error, s3),
                Call::Sts(_) => sts::failure(&error, "00000000-0000-0000-0000-000000000000"),
                _ => ApiResponse::new(error.status, JSON, error.json_body()),
            })
        }
        FaultKind::ServerError { status } => Some(ApiResponse::new(
            *status,
            "text/html",
            "<html><body><h1>Service Unavailable</h1></body></html>",
        )),
        FaultKind::ConnectionReset => {
            let mut response = ApiResponse::new(500, "text/plain", "");
            response.delivery = Delivery::Reset;
            Some(response)
        }
        _ => None,
    })
}
