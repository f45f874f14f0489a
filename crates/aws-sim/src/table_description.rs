//! DescribeTable's answer, with the members AWS leaves out.

use serde_json::{Value, json};

use crate::api::ApiError;
use crate::key::KeySchema;
use crate::params::missing;
use crate::timestamp;
use crate::world::World;

impl World {
    pub(crate) fn description(&mut self, name: &str) -> Result<Value, ApiError> {
        let now_ms = self.now_ms;
        let name = self.known_table(name)?.name.clone();
        let Some(table) = self.tables.get(&name) else {
            return Err(missing("TableName"));
        };
        let definitions: Vec<_> = table
            .schema
            .attrs()
            .map(|attr| json!({ "AttributeName": attr.name, "AttributeType": attr.kind }))
            .collect();
        let mut out = json!({
            "AttributeDefinitions": definitions,
            "TableName": table.name,
            "KeySchema": schema_json(&table.schema),
            "TableStatus": table.status(now_ms),
            "CreationDateTime": timestamp::seconds(table.created_ms),
            "ProvisionedThroughput": {
                "NumberOfDecreasesToday": 0,
                "ReadCapacityUnits": table.throughput.0,
                "WriteCapacityUnits": table.throughput.1,
            },
            "TableSizeBytes": table.reported_bytes.unwrap_or(table.bytes),
            "ItemCount": table.items.len(),
            "TableArn": table.arn,
            "TableId": table.id,
            "DeletionProtectionEnabled": table.deletion_protection,
            "WarmThroughput": {
                "ReadUnitsPerSecond": if table.on_demand { 12_000 } else { table.throughput.0 },
                "WriteUnitsPerSecond": if table.on_demand { 4_000 } else { table.throughput.1 },
                "Status": "ACTIVE",
            },
        });
        if table.was_on_demand {
            let mode = if table.on_demand {
                "PAY_PER_REQUEST"
            } else {
                "PROVISIONED"
            };
            out["BillingModeSummary"] = json!({
                "BillingMode": mode,
                "LastUpdateToPayPerRequestDateTime": timestamp::seconds(table.created_ms),
            });
        }
        if let Some(cap) = &table.on_demand_throughput {
            out["OnDemandThroughput"] = cap.clone();
        }
        if let Some(arn) = &table.stream {
            out["LatestStreamArn"] = json!(arn);
            let label = arn.split_once("/stream/").map(|(_, label)| label);
            out["LatestStreamLabel"] = json!(label);
            if table.stream_on {
                let view = self.streams.get(arn).map(|stream| stream.view.name());
                out["StreamSpecification"] =
                    json!({ "StreamEnabled": true, "StreamViewType": view });
            }
        }
        Ok(out)
    }
}

/// Key schema as the API prints it.
pub(crate) fn schema_json(schema: &KeySchema) -> Value {
    schema
        .attrs()
        .map(|attr| {
            let kind = if attr == &schema.hash {
                "HASH"
            } else {
                "RANGE"
            };
            json!({ "AttributeName": attr.name, "KeyType": kind })
        })
        .collect()
}
