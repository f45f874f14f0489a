//! What the connection wizard asks.

use mirror::access::Trial;
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

#[tokio::test]
async fn one_policy_covers_all_tables_of_a_connection() {
    let server = Server::start().await;
    let path = "/v0/integrations/dynamodb/policies/read-access-policy";
    let query = "?bucket=b-one&table_name=orders,users&region=cn-north-1";
    let policy = server.ok("GET", &format!("{path}{query}")).await;
    assert_eq!(
        policy["Statement"][0]["Resource"],
        json!([
            "arn:aws-cn:dynamodb:*:*:table/orders",
            "arn:aws-cn:dynamodb:*:*:table/orders/stream/*",
            "arn:aws-cn:dynamodb:*:*:table/orders/export/*",
            "arn:aws-cn:dynamodb:*:*:table/users",
            "arn:aws-cn:dynamodb:*:*:table/users/stream/*",
            "arn:aws-cn:dynamodb:*:*:table/users/export/*",
        ])
    );
    assert_eq!(
        policy["Statement"][1]["Action"],
        json!(["s3:PutObject", "s3:GetObject", "s3:ListBucket"])
    );
    let any = server.ok("GET", &format!("{path}?table_name=a-b,*")).await;
    assert_eq!(
        any["Statement"][0]["Resource"][0],
        "arn:aws:dynamodb:*:*:table/*"
    );
    for wrong in ["?bucket=s3://b-one", "?table_name=a%2Fb"] {
        let (status, body) = server.get(&format!("{path}{wrong}"), server.token()).await;
        assert_eq!(status, 400, "{wrong}: {body}");
    }
}

#[tokio::test]
async fn a_role_may_be_named_by_its_secret_and_the_value_is_not_told() {
    let server = Server::start().await;
    let mut request =
        json!({ "table_arn": ORDERS, "region": "us-east-1", "external_id_seed": "my_ddb" });
    request["role_arn"] = json!("{{ tb_secret(\"dynamodb_role_arn_my_ddb\") }}");
    let (status, body) = validate(&server, request.clone()).await;
    assert_eq!(status, 400);
    let text = body["error"].as_str().unwrap();
    assert!(
        text.contains("tb secret set dynamodb_role_arn_my_ddb"),
        "{text}"
    );
    server.set_secret("dynamodb_role_arn_my_ddb", "hush").await;
    let (status, body) = validate(&server, request.clone()).await;
    assert!(
        status == 400 && !body.to_string().contains("hush"),
        "{body}"
    );
    server.set_secret("dynamodb_role_arn_my_ddb", ROLE).await;
    let (status, body) = validate(&server, request).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test]
async fn a_region_that_is_not_the_tables_is_explained() {
    let server = Server::start().await;
    let request = json!({ "table_arn": ORDERS, "region": "eu-west-1", "role_arn": ROLE });
    let (status, body) = validate(&server, request).await;
    assert_eq!(status, 400);
    let text = body["error"].as_str().unwrap();
    assert!(text.contains("write DYNAMODB_REGION us-east-1"), "{text}");
}

#[tokio::test]
async fn what_a_build_would_switch_on_is_refused_with_the_table() {
    let server = Server::start().await;
    server
        .account()
        .lock()
        .unwrap()
        .tables
        .get_mut(ORDERS)
        .unwrap()
        .pitr_enabled = false;
    let request = json!({ "table_arn": ORDERS, "region": "us-east-1", "role_arn": ROLE });
    let (status, body) = validate(&server, request).await;
    assert_eq!(
        (status, &body["error"]["reason"]),
        (400, &json!("pitr_disabled"))
    );
    assert_eq!(body["table"]["key_schema"][0]["attribute_name"], "pk");
}

#[tokio::test]
async fn the_doctor_writes_the_statement_that_is_missing() {
    let server = Server::start().await;
    server.account().lock().unwrap().trials = [
        ("dynamodb:GetRecords", Trial::Denied("no".to_owned())),
        ("s3:GetObject", Trial::Denied("no".to_owned())),
        ("s3:PutObjectAcl", Trial::Denied("no".to_owned())),
        (
            "dynamodb:UpdateContinuousBackups",
            Trial::Untried("off".to_owned()),
        ),
    ]
    .into();
    let request = json!({ "table_arn": ORDERS, "region": "us-east-1", "role_arn": ROLE, "export_bucket": "my-orders-exports" });
    let path = "/v1/integrations/dynamodb/doctor";
    let request = server
        .request("POST", path, server.token())
        .body(request.to_string());
    let (status, body) = answer(request).await;
    assert_eq!((status, &body["ok"]), (200, &json!(false)), "{body}");
    assert_eq!(
        body["statements_to_add"],
        json!([
            { "Effect": "Allow", "Action": ["dynamodb:GetRecords"], "Resource": ["arn:aws:dynamodb:*:*:table/orders/stream/*"] },
            { "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::my-orders-exports/*"] },
        ])
    );
    let guide = &body["statements_of_the_guide"][0];
    assert_eq!(guide["Action"], json!(["s3:PutObjectAcl"]));
}
