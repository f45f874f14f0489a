//! What only a server can say: whether its role can be assumed, and whether a table can be mirrored.

use reqwest::Method;
use serde_json::{Value, json};

use super::environments::Place;
use crate::client::segment;
use crate::failure::{Exit, Failure, Outcome};

/// How to reach a table.
#[derive(Clone, Debug)]
pub(crate) struct Reachable<'a> {
    /// Connection; the external id comes from it.
    pub(crate) connection: &'a str,
    pub(crate) region: &'a str,
    /// ARN, or a reference to the secret that has it.
    pub(crate) role: &'a str,
    pub(crate) table_arn: &'a str,
    pub(crate) bucket: &'a str,
}

impl Reachable<'_> {
    fn body(&self) -> Value {
        json!({
            "external_id_seed": self.connection,
            "region": self.region,
            "role_arn": self.role,
            "table_arn": self.table_arn,
            "export_bucket": self.bucket,
        })
    }
}

/// A table that can be mirrored, perhaps only after a build has switched something on.
#[derive(Clone, Debug)]
pub(crate) struct Validated {
    /// Partition key first: name and type (`S`, `N`, `B`).
    pub(crate) keys: Vec<(String, String)>,
    /// Whether records have the item as it was.
    pub(crate) old_images: bool,
    /// What a build will switch on.
    pub(crate) to_switch_on: Option<String>,
    /// Remarks.
    pub(crate) messages: Vec<String>,
}

/// Lets the environment assume the role.
pub(crate) async fn assume(place: &Place, connection: &str, region: &str, role: &str) -> Outcome {
    let body = json!({ "external_id_seed": connection, "region": region, "role_arn": role });
    let path = "/v1/integrations/dynamodb/assume-role";
    let request = place.client.request(Method::POST, path).json(&body);
    let answer = place.client.json(request).await;
    answer.map(drop).map_err(|failure| named(place, failure))
}

/// Lets the environment assume the role and look at table and bucket.
pub(crate) async fn validate(place: &Place, table: &Reachable<'_>) -> Outcome<Validated> {
    let path = "/v1/integrations/dynamodb/validate";
    let request = place.client.request(Method::POST, path).json(&table.body());
    let verdict = place.client.verdict(request).await?;
    let Some(failure) = verdict.failure else {
        return read(&verdict.value, None);
    };
    let reason = verdict
        .value
        .pointer("/error/reason")
        .and_then(Value::as_str);
    match (reason, verdict.value.get("table")) {
        (Some("pitr_disabled" | "stream_disabled"), Some(table)) => {
            read(table, Some(failure.problem))
        }
        _ => Err(named(place, failure)),
    }
}

/// Lets the environment try every permission.
pub(crate) async fn examine(place: &Place, table: &Reachable<'_>) -> Outcome<Value> {
    let path = "/v1/integrations/dynamodb/doctor";
    let request = place.client.request(Method::POST, path).json(&table.body());
    place.client.json(request).await
}

/// Whether the environment has a secret.
pub(crate) async fn has_secret(place: &Place, name: &str) -> Outcome<bool> {
    let path = format!("/v0/variables/{}", segment(name));
    Ok(place.client.find(&path).await?.is_some())
}

/// Sets a secret.
pub(crate) async fn set_secret(place: &Place, name: &str, value: &str) -> Outcome {
    let form = [("name", name), ("value", value)];
    let request = place.client.request(Method::POST, "/v0/variables");
    let answer = place.client.json(request.form(&form)).await;
    answer.map(drop).map_err(|failure| named(place, failure))
}

fn named(place: &Place, mut failure: Failure) -> Failure {
    failure.problem = format!("{}: {}", place.name, failure.problem);
    failure
}

fn read(table: &Value, to_switch_on: Option<String>) -> Outcome<Validated> {
    let list = |name: &str| {
        table
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let text = |value: &Value, name: &str| value.get(name)?.as_str().map(str::to_owned);
    let keys: Vec<(String, String)> = list("key_schema")
        .filter_map(|key| {
            let name = text(key, "attribute_name")?;
            let of_name = |attribute: &&Value| text(attribute, "name").as_ref() == Some(&name);
            let attribute = list("attribute_definitions").find(of_name)?;
            let key_type = text(attribute, "type")?;
            Some((name, key_type))
        })
        .collect();
    if keys.is_empty() {
        return Err(Failure::new(
            Exit::Server,
            "the server did not say what the table's keys are",
        )
        .hint("is it an older version? `tb local version` shows both"));
    }
    let view = text(table, "stream_view_type");
    Ok(Validated {
        keys,
        // A stream that is off is switched on with both images.
        old_images: view.is_none_or(|view| view == "NEW_AND_OLD_IMAGES"),
        to_switch_on,
        messages: list("messages")
            .filter_map(|message| message.as_str().map(str::to_owned))
            .collect(),
    })
}
