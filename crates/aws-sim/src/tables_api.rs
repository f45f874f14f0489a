//! CreateTable, DescribeTable, UpdateTable, DeleteTable, ListTables.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::{ApiError, Reply};
use crate::key::{KeyAttr, KeySchema};
use crate::params::{Params, missing};
use crate::stream::{Stream, ViewType};
use crate::table::{Pitr, Table};
use crate::timestamp;
use crate::world::{World, table_name};

impl World {
    pub(crate) fn create_table_action(&mut self, mut params: Params) -> Reply {
        let name = params.need_text("TableName")?.to_owned();
        if name.len() < 3
            || name.len() > 255
            || !name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        {
            return Err(ApiError::validation(
                "TableName must be at least 3 characters long and at most 255 characters long",
            ));
        }
        let schema = key_schema(&params)?;
        let on_demand = billing(&params)?;
        let throughput = throughput(&params)?;
        if on_demand != Some(true) && throughput.is_none() {
            return Err(ApiError::validation(
                "One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
            ));
        }
        if on_demand == Some(true) && throughput.is_some() {
            return Err(ApiError::validation(
                "One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
            ));
        }
        let view = stream_view(&params)?.flatten();
        let cap = params.take("OnDemandThroughput");
        let protect = params.flag("DeletionProtectionEnabled")?;
        self.insert_table(&name, schema)?;
        let active_ms = self.now_ms + self.config.create_table_ms;
        if let Some(table) = self.tables.get_mut(&name) {
            table.active_ms = active_ms;
            table.on_demand = on_demand == Some(true);
            table.was_on_demand = table.on_demand;
            table.throughput = throughput.unwrap_or_default();
            table.on_demand_throughput = cap;
            table.deletion_protection = protect;
        }
        if let Some(view) = view {
            self.open_stream(&name, view, self.config.create_table_ms);
        }
        let mut description = self.description(&name)?;
        description["TableStatus"] = json!("CREATING");
        Ok(json!({ "TableDescription": description })
            .to_string()
            .into_bytes())
    }

    pub(crate) fn insert_table(&mut self, name: &str, schema: KeySchema) -> Result<(), ApiError> {
        if self.tables.contains_key(name) {
            return Err(ApiError::new(
                "ResourceInUseException",
                format!("Table already exists: {name}"),
            ));
        }
        let table = Table {
            name: name.to_owned(),
            arn: self.table_arn(name),
            id: self.rng.uuid(),
            created_ms: self.now_ms,
            active_ms: self.now_ms,
            updated_ms: 0,
            schema,
            items: BTreeMap::new(),
            bytes: 0,
            reported_bytes: None,
            throughput: (0, 0),
            on_demand: true,
            was_on_demand: true,
            on_demand_throughput: None,
            deletion_protection: false,
            stream: None,
            stream_on: false,
            pitr: Pitr {
                period_days: 35,
                ..Pitr::default()
            },
            ttl: None,
        };
        self.tables.insert(name.to_owned(), table);
        Ok(())
    }

    /// Opens a new stream that is ENABLED after `delay_ms`.
    pub(crate) fn open_stream(&mut self, name: &str, view: ViewType, delay_ms: i64) {
        let now_ms = self.now_ms;
        let Some(table) = self.tables.get_mut(name) else {
            return;
        };
        let mut label_ms = now_ms;
        let mut arn = format!("{}/stream/{}", table.arn, timestamp::label(label_ms));
        while self.streams.contains_key(&arn) {
            label_ms += 1;
            arn = format!("{}/stream/{}", table.arn, timestamp::label(label_ms));
        }
        let label = timestamp::label(label_ms);
        let mut stream = Stream::new(
            arn.clone(),
            label,
            name.to_owned(),
            view,
            table.schema.clone(),
            now_ms,
        );
        stream.enabled_ms = now_ms + delay_ms;
        stream.open_roots(&self.config.stream, now_ms, &mut self.rng);
        table.stream = Some(arn.clone());
        table.stream_on = true;
        self.streams.insert(arn, stream);
    }

    pub(crate) fn describe_table(&mut self, params: &Params) -> Reply {
        let description = self.description(table_name(params.need_text("TableName")?))?;
        Ok(json!({ "Table": description }).to_string().into_bytes())
    }

    pub(crate) fn known_table(&mut self, name: &str) -> Result<&mut Table, ApiError> {
        let name = table_name(name);
        self.tables.get_mut(name).ok_or_else(|| {
            ApiError::new(
                "ResourceNotFoundException",
                format!("Requested resource not found: Table: {name} not found"),
            )
        })
    }

    pub(crate) fn update_table(&mut self, mut params: Params) -> Reply {
        let name = table_name(params.need_text("TableName")?).to_owned();
        let now_ms = self.now_ms;
        let status = self.known_table(&name)?.status(now_ms);
        if status != "ACTIVE" {
            return Err(ApiError::new(
                "ResourceInUseException",
                format!(
                    "Attempt to change a resource which is still in use: Table is being {}: {name}",
                    lower(status)
                ),
            ));
        }
        if let Some(Value::Array(updates)) = params.get("GlobalSecondaryIndexUpdates") {
            // No table of this world has an index.
            let gone = updates
                .iter()
                .find_map(|update| update["Delete"]["IndexName"].as_str());
            if let Some(index) = gone {
                return Err(ApiError::new(
                    "ResourceNotFoundException",
                    format!("Requested resource not found: Index: {index} not found"),
                ));
            }
        }
        let stream = stream_view(&params)?;
        let billing = billing(&params)?;
        let throughput = throughput(&params)?;
        let cap = params.take("OnDemandThroughput");
        let protection = params
            .get("DeletionProtectionEnabled")
            .and_then(Value::as_bool);
        if stream.is_none()
            && billing.is_none()
            && throughput.is_none()
            && cap.is_none()
            && protection.is_none()
        {
            return Err(ApiError::validation(
                "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required",
            ));
        }
        if let Some(view) = stream {
            self.switch_stream(&name, view, self.config.update_table_ms)?;
        }
        let due = now_ms + self.config.update_table_ms;
        let table = self.known_table(&name)?;
        if let Some(on_demand) = billing {
            table.on_demand = on_demand;
            table.was_on_demand |= on_demand;
            if on_demand {
                table.throughput = (0, 0);
            }
        }
        if let Some(throughput) = throughput {
            table.throughput = throughput;
        }
        if cap.is_some() {
            table.on_demand_throughput = cap;
        }
        if let Some(protection) = protection {
            table.deletion_protection = protection;
        }
        table.updated_ms = due;
        let mut description = self.description(&name)?;
        description["TableStatus"] = json!("UPDATING");
        Ok(json!({ "TableDescription": description })
            .to_string()
            .into_bytes())
    }

    /// A stream that is switched on is ENABLED after `delay_ms`.
    pub(crate) fn switch_stream(
        &mut self,
        name: &str,
        view: Option<ViewType>,
        delay_ms: i64,
    ) -> Result<(), ApiError> {
        let on = self.known_table(name)?.stream_on;
        match view {
            Some(_) if on => Err(ApiError::validation(format!(
                "Table already has an enabled stream: TableName: {name}"
            ))),
            None if !on => Err(ApiError::validation(format!(
                "Table has no stream to disable: TableName: {name}"
            ))),
            Some(view) => {
                self.open_stream(name, view, delay_ms);
                Ok(())
            }
            None => {
                self.close_stream(name);
                Ok(())
            }
        }
    }

    fn close_stream(&mut self, name: &str) {
        let Some(table) = self.tables.get_mut(name) else {
            return;
        };
        table.stream_on = false;
        if let Some(stream) = table
            .stream
            .as_ref()
            .and_then(|arn| self.streams.get_mut(arn))
        {
            stream.disable(self.now_ms, &mut self.rng);
        }
    }

    pub(crate) fn delete_table(&mut self, params: &Params) -> Reply {
        let name = table_name(params.need_text("TableName")?).to_owned();
        if self.known_table(&name)?.deletion_protection {
            return Err(ApiError::validation(format!(
                "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first: TableArn: {}",
                self.table_arn(&name)
            )));
        }
        let mut description = self.description(&name)?;
        description["TableStatus"] = json!("DELETING");
        self.remove_table(&name);
        Ok(json!({ "TableDescription": description })
            .to_string()
            .into_bytes())
    }

    pub(crate) fn remove_table(&mut self, name: &str) {
        self.settle_exports(name);
        self.hide_exports(name);
        self.close_stream(name);
        self.tables.remove(name);
    }

    pub(crate) fn list_tables(&mut self, params: &Params) -> Reply {
        let limit = params.int_within("Limit", 1, 100)?.unwrap_or(100) as usize;
        let start = params.text("ExclusiveStartTableName")?.unwrap_or_default();
        let mut names: Vec<_> = self
            .tables
            .keys()
            .filter(|name| name.as_str() > start)
            .take(limit + 1)
            .cloned()
            .collect();
        let more = names.len() > limit;
        names.truncate(limit);
        let mut answer = json!({ "TableNames": names });
        if more {
            answer["LastEvaluatedTableName"] = json!(names.last());
        }
        Ok(answer.to_string().into_bytes())
    }
}

fn lower(status: &str) -> String {
    let mut text = status.to_lowercase();
    if text == "updating" {
        text = "updated".to_owned();
    } else if text == "creating" {
        text = "created".to_owned();
    }
    text
}

fn key_schema(params: &Params) -> Result<KeySchema, ApiError> {
    let definitions = params
        .get("AttributeDefinitions")
        .and_then(Value::as_array)
        .ok_or_else(|| missing("AttributeDefinitions"))?;
    let keys = params
        .get("KeySchema")
        .and_then(Value::as_array)
        .ok_or_else(|| missing("KeySchema"))?;
    let attr = |kind: &str| -> Result<Option<KeyAttr>, ApiError> {
        let Some(name) = keys
            .iter()
            .find(|key| key["KeyType"] == kind)
            .and_then(|key| key["AttributeName"].as_str())
        else {
            return Ok(None);
        };
        let kind = definitions
            .iter()
            .find(|definition| definition["AttributeName"] == name)
            .and_then(|definition| definition["AttributeType"].as_str())
            .filter(|kind| ["S", "N", "B"].contains(kind))
            .ok_or_else(|| {
                ApiError::validation(format!(
                    "One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions. Keys: [{name}], AttributeDefinitions: []"
                ))
            })?;
        Ok(Some(KeyAttr {
            name: name.to_owned(),
            kind: kind.to_owned(),
        }))
    };
    let hash = attr("HASH")?.ok_or_else(|| {
        ApiError::validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    })?;
    Ok(KeySchema {
        hash,
        range: attr("RANGE")?,
    })
}

/// `Some(None)` switches the stream off.
fn stream_view(params: &Params) -> Result<Option<Option<ViewType>>, ApiError> {
    let Some(spec) = params.get("StreamSpecification") else {
        return Ok(None);
    };
    if spec["StreamEnabled"] != true {
        if spec
            .get("StreamViewType")
            .is_some_and(|view| !view.is_null())
        {
            return Err(ApiError::validation(
                "One or more parameter values were invalid: StreamViewType may not be specified when StreamEnabled is false",
            ));
        }
        return Ok(Some(None));
    }
    match spec["StreamViewType"].as_str() {
        None => Err(ApiError::validation(
            "One or more parameter values were invalid: StreamViewType is required when StreamEnabled is true",
        )),
        Some(name) => match ViewType::parse(name) {
            Some(view) => Ok(Some(Some(view))),
            None => Err(ApiError::validation(format!(
                "1 validation error detected: Value '{name}' at 'streamSpecification.streamViewType' failed to satisfy constraint: Member must satisfy enum value set: [NEW_IMAGE, OLD_IMAGE, NEW_AND_OLD_IMAGES, KEYS_ONLY]"
            ))),
        },
    }
}

fn billing(params: &Params) -> Result<Option<bool>, ApiError> {
    Ok(params
        .choice("BillingMode", &["PROVISIONED", "PAY_PER_REQUEST"])?
        .map(|mode| mode == "PAY_PER_REQUEST"))
}

fn throughput(params: &Params) -> Result<Option<(i64, i64)>, ApiError> {
    let Some(value) = params.get("ProvisionedThroughput") else {
        return Ok(None);
    };
    match (
        value["ReadCapacityUnits"].as_i64(),
        value["WriteCapacityUnits"].as_i64(),
    ) {
        (Some(read), Some(write)) if read > 0 && write > 0 => Ok(Some((read, write))),
        _ => Err(ApiError::validation(
            "1 validation error detected: Value at 'provisionedThroughput' failed to satisfy constraint: Member must have value greater than or equal to 1",
        )),
    }
}
