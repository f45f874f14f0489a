//! What a role may do and may not, action by action.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use mirror::access::{Action, Statement, Target, Trial, Tried};
use mirror::source::SourceSpec;
use serde_json::{Value, json};

use super::App;
use super::caller::Caller;
use super::error::ApiResult;
use super::integrations::TableRequest;
use super::policies;
use crate::worker::PrepareError;

/// Assumes the role, tries every action without changing anything, and validates the table.
pub(super) async fn examine(
    State(app): State<Arc<App>>,
    caller: Caller,
    body: Body,
) -> ApiResult<Json<Value>> {
    caller.require_admin()?;
    let request = TableRequest::read(body).await?;
    let source = request.source(&app, &caller).await?;
    let account = app.caller_identity().await?.account;
    let partition = policies::partition(&source.region);
    let mut answer = json!({
        "ok": false,
        "table_arn": source.table_arn,
        "region": source.region,
        "export_bucket": source.export_bucket,
        "role_arn": source.role_arn,
        "principal": policies::principal(partition, &account),
        "external_id": source.external_id,
        "role_assumed": false,
        "permissions": [],
        "statements_to_add": [],
        "statements_of_the_guide": [],
        "refusals": [],
    });
    match app.supervisor.examine(&source).await {
        Err(error) => answer["refusals"] = json!([refusal(&error)]),
        Ok(found) => {
            let resources = Resources::of(&source, partition);
            let permissions: Vec<Value> = found
                .tried
                .iter()
                .map(|tried| resources.permission(tried))
                .collect();
            let to_add =
                resources.statements(&found.tried, &[Statement::Dynamodb, Statement::Bucket]);
            answer["ok"] = json!(to_add.is_empty() && found.refusals.is_empty());
            answer["role_assumed"] = json!(true);
            answer["permissions"] = json!(permissions);
            answer["statements_to_add"] = json!(to_add);
            answer["statements_of_the_guide"] =
                json!(resources.statements(&found.tried, &[Statement::Guide]));
            let refusals: Vec<Value> = found.refusals.iter().map(refusal).collect();
            answer["refusals"] = json!(refusals);
        }
    }
    Ok(Json(answer))
}

fn refusal(error: &PrepareError) -> Value {
    json!({
        "reason": error.code.name(),
        "message": error.message,
        "a_build_does_it": error.can_be_switched_on(),
    })
}

/// Names for the resources of a policy.
struct Resources {
    partition: &'static str,
    table: String,
    bucket: String,
}

impl Resources {
    fn of(source: &SourceSpec, partition: &'static str) -> Self {
        let table = source.table_arn.split_once(":table/");
        let bucket = Some(source.export_bucket.as_str()).filter(|name| !name.is_empty());
        Self {
            partition,
            table: table.map_or("*", |(_, name)| name).to_owned(),
            bucket: bucket.unwrap_or("*").to_owned(),
        }
    }

    fn resource(&self, target: Target) -> String {
        target.resource(self.partition, &self.table, &self.bucket)
    }

    fn permission(&self, tried: &Tried) -> Value {
        let (outcome, detail) = match &tried.trial {
            Trial::Allowed => ("allowed", Value::Null),
            Trial::Denied(text) => ("missing", json!(text)),
            Trial::Untried(text) => ("not_tried", json!(text)),
        };
        let statement = match tried.action.statement() {
            Statement::Dynamodb => "dynamodb",
            Statement::Bucket => "s3",
            Statement::Guide => "aws_guide",
        };
        json!({
            "action": tried.action.name(),
            "resource": self.resource(tried.action.target()),
            "statement": statement,
            "outcome": outcome,
            "detail": detail,
        })
    }

    /// Statements that allow what was denied: one for each of those that should have allowed it.
    fn statements(&self, tried: &[Tried], of: &[Statement]) -> Vec<Value> {
        let mut statements = Vec::new();
        for statement in of {
            let denied = tried.iter().filter(|tried| {
                tried.action.statement() == *statement && matches!(tried.trial, Trial::Denied(_))
            });
            let actions: Vec<Action> = denied.map(|tried| tried.action).collect();
            let mut resources: Vec<String> = Vec::new();
            for action in &actions {
                let resource = self.resource(action.target());
                if !resources.contains(&resource) {
                    resources.push(resource);
                }
            }
            if !actions.is_empty() {
                statements.push(policies::statement(&actions, &resources));
            }
        }
        statements
    }
}
