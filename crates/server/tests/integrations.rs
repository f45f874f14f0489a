//! What the connection wizard asks.

use serde_json::{Value, json};

use crate::harness::{Host, Server, answer};
use crate::ports::dynamo::{ORDERS, ROLE};

#[tokio::test]
async fn settings_say_whether_there_are_credentials() {
    let server = Server::start().await;
    let body = server.ok("GET", "/v0/integrations/s3/settings").await;
    assert_eq!(body["principal"], "arn:aws:iam::123456789012:root");
    let host = Host {
        credentials: false,
        ..Host::new()
    };
    let server = host.start().await;
    let (status, body) = server
        .get("/v0/integrations/s3/settings", server.token())
        .await;
    assert_eq!(status, 404);
    assert!(body["error"].as_str().unwrap().contains("--use-aws-creds"));
}

async fn validate(server: &Server, body: Value) -> (u16, Value) {
    // The official command line sends JSON without saying so.
    let path = "/v1/integrations/dynamodb/validate";
    answer(
        server
            .request("POST", path, server.token())
            .body(body.to_string()),
    )
    .await
}

#[tokio::test]
async fn a_table_is_described_by_its_key() {
    let server = Server::start().await;
    // The role comes with the quotes of its line in .env.local.
    let request = json!({ "table_arn": ORDERS, "region": "us-east-1", "role_arn": format!("'{ROLE}'"), "external_id_seed": "my_ddb" });
    let (status, body) = validate(&server, request).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        body,
        json!({
            "stream_view_type": "NEW_AND_OLD_IMAGES",
            "table_size_bytes": 1000,
            "table_write_capacity_units": 5,
            "messages": [],
            "key_schema": [
                { "attribute_name": "pk", "key_type": "HASH" },
                { "attribute_name": "sk", "key_type": "RANGE" },
            ],
            "attribute_definitions": [{ "name": "pk", "type": "S" }, { "name": "sk", "type": "S" }],
        })
    );
}

#[tokio::test]
async fn refusals_have_the_codes_that_the_command_line_knows() {
    let server = Server::start().await;
    let cases = [
        (json!({}), "table_arn_and_region_required"),
        (
            json!({ "table_arn": ORDERS, "region": "us-east-1" }),
            "role_arn_required",
        ),
        (
            json!({ "table_arn": ORDERS.replace("orders", "none"), "region": "us-east-1", "role_arn": ROLE }),
            "table_not_found",
        ),
    ];
    for (request, reason) in cases {
        let (status, body) = validate(&server, request).await;
        assert_eq!(status, 400);
        assert_eq!(body["error"]["reason"], reason, "{body}");
    }
    let request = json!({ "table_arn": ORDERS, "region": "us-east-1", "role_arn": "arn:aws:iam::123456789012:role/other", "external_id_seed": "my_ddb" });
    let (status, body) = validate(&server, request).await;
    assert_eq!(status, 400);
    assert!(
        body["error"].as_str().unwrap().contains("external ID"),
        "{body}"
    );
}

#[tokio::test]
async fn policies_name_table_bucket_and_external_id() {
    let server = Server::start().await;
    let path = "/v0/integrations/dynamodb/policies/read-access-policy?bucket=b&table_name=orders";
    let policy = server.ok("GET", path).await;
    assert!(
        policy["Statement"][0]["Resource"]
            .to_string()
            .contains("table/orders/stream/*")
    );
    assert_eq!(
        policy["Statement"][1]["Resource"],
        json!(["arn:aws:s3:::b", "arn:aws:s3:::b/*"])
    );
    let path = "/v0/integrations/dynamodb/policies/trust-policy?external_id_seed=my_ddb";
    let policy = server.ok("GET", path).await;
    let statement = &policy["Statement"][0];
    assert_eq!(
        statement["Principal"]["AWS"],
        "arn:aws:iam::123456789012:root"
    );
    let external_id = statement["Condition"]["StringEquals"]["sts:ExternalId"]
        .as_str()
        .unwrap();
    assert_eq!(external_id.len(), 32);
}
