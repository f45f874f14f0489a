//! `/_sim/…`: commands to the world that AWS does not have.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::ApiError;
use crate::attribute::read_map;
use crate::faults::Fault;
use crate::iam::{Permission, Role, Trust};
use crate::poison::Poison;
use crate::sim::Sim;
use crate::world::World;

type Answer = Result<Json<Value>, (StatusCode, Json<Value>)>;

/// The routes, to be nested under `/_sim`.
pub fn routes() -> Router<Sim> {
    Router::new()
        .route("/split", post(split))
        .route("/rollover", post(rollover))
        .route("/advance", post(advance))
        .route("/trim", post(trim))
        .route(
            "/faults",
            get(list_faults).post(add_faults).delete(clear_faults),
        )
        .route("/poison", post(plant_poison))
        .route("/fail_export", post(fail_export))
        .route("/roles", post(add_role))
        .route("/roles/deny", post(deny))
        .route("/roles/restore", post(restore))
        .route("/roles/expire", post(expire_sessions))
        .route("/users", post(add_user))
        .route("/expire", post(expire))
        .route("/generate", post(generate))
        .route("/config", post(configure))
        .route("/state", get(state))
        .route("/tables/{name}/items", get(items))
}

/// Shards of a table's newest stream or of a stream.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shards {
    table: Option<String>,
    stream: Option<String>,
    shard: Option<String>,
    /// Trim: also remove the (closed) shard from the stream.
    #[serde(default)]
    forget: bool,
}

impl Shards {
    fn target(&self) -> String {
        self.stream
            .clone()
            .or_else(|| self.table.clone())
            .unwrap_or_default()
    }
}

async fn split(State(sim): State<Sim>, Json(body): Json<Shards>) -> Answer {
    let shards = sim.with(|world| world.split_shards(&body.target(), body.shard.as_deref()));
    Ok(Json(json!({ "shards": shards })))
}

async fn rollover(State(sim): State<Sim>, Json(body): Json<Shards>) -> Answer {
    let shards = sim.with(|world| world.roll_over_shards(&body.target(), body.shard.as_deref()));
    Ok(Json(json!({ "shards": shards })))
}

async fn trim(State(sim): State<Sim>, Json(body): Json<Shards>) -> Answer {
    let trimmed = sim.with(|world| {
        let target = body.target();
        let arn = world
            .table_state(&target)
            .and_then(|table| table.stream.clone())
            .unwrap_or(target);
        let shards: Vec<String> = match &body.shard {
            Some(shard) => vec![shard.clone()],
            None => world
                .stream_states()
                .filter(|stream| stream.arn == arn)
                .flat_map(|stream| stream.shards().map(|shard| shard.id.clone()))
                .collect(),
        };
        let trimmed: Vec<_> = shards
            .into_iter()
            .filter(|shard| world.trim_shard(&arn, shard))
            .collect();
        for shard in trimmed.iter().filter(|_| body.forget) {
            world.forget_shard(&arn, shard);
        }
        trimmed
    });
    Ok(Json(json!({ "shards": trimmed })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    ms: i64,
}

async fn advance(State(sim): State<Sim>, Json(body): Json<Advance>) -> Answer {
    sim.advance(body.ms);
    Ok(Json(json!({ "now_ms": sim.with(|world| world.now_ms()) })))
}

async fn list_faults(State(sim): State<Sim>) -> Answer {
    Ok(Json(json!(sim.with(|world| world.faults.list().to_vec()))))
}

async fn clear_faults(State(sim): State<Sim>) -> Answer {
    sim.with(|world| world.faults.clear());
    Ok(Json(json!({})))
}

/// Takes one fault or a list of them.
async fn add_faults(State(sim): State<Sim>, Json(body): Json<Value>) -> Answer {
    let faults = if body.is_array() {
        body
    } else {
        Value::Array(vec![body])
    };
    let faults: Vec<Fault> = serde_json::from_value(faults).map_err(|error| {
        let message = error.to_string();
        (
            StatusCode::UNPROCESSABLE_ENTITY,
            Json(json!({ "error": "InvalidFault", "message": message })),
        )
    })?;
    sim.with(|world| faults.into_iter().for_each(|fault| world.faults.add(fault)));
    Ok(Json(json!({})))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Planted {
    table: String,
    /// DynamoDB JSON.
    key: Value,
    kind: Poison,
}

async fn plant_poison(State(sim): State<Sim>, Json(body): Json<Planted>) -> Answer {
    let done = read_map(body.key)
        .and_then(|key| sim.with(|world| world.plant_poison(&body.table, &key, body.kind)));
    done.map(|()| Json(json!({}))).map_err(refused)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FailExport {
    arn: String,
    code: String,
    message: String,
}

async fn fail_export(State(sim): State<Sim>, Json(body): Json<FailExport>) -> Answer {
    sim.with(|world| world.fail_export(&body.arn, &body.code, &body.message));
    Ok(Json(json!({})))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRole {
    arn: String,
    principals: Vec<String>,
    #[serde(default)]
    external_ids: Vec<String>,
    /// Pairs of action and resource; everything when absent.
    permissions: Option<Vec<(String, String)>>,
    max_session_s: Option<i64>,
}

async fn add_role(State(sim): State<Sim>, Json(body): Json<NewRole>) -> Answer {
    sim.with(|world| {
        let mut role = Role::new(&body.arn, "*", &[]);
        role.trust = vec![Trust {
            principals: body.principals,
            external_ids: body.external_ids,
        }];
        if let Some(permissions) = body.permissions {
            role.permissions = permissions
                .iter()
                .map(|(action, resource)| Permission::new(action, resource))
                .collect();
        }
        role.max_session_s = body.max_session_s.unwrap_or(role.max_session_s);
        role.visible_ms = world.now_ms() + world.config.iam_delay_ms;
        world.iam.add_role(role);
    });
    Ok(Json(json!({})))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deny {
    role: String,
    action: String,
    resource: Option<String>,
}

async fn deny(State(sim): State<Sim>, Json(body): Json<Deny>) -> Answer {
    sim.with(|world| {
        world.iam.deny(
            &body.role,
            &body.action,
            body.resource.as_deref().unwrap_or("*"),
        )
    });
    Ok(Json(json!({})))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleName {
    role: String,
}

async fn restore(State(sim): State<Sim>, Json(body): Json<RoleName>) -> Answer {
    sim.with(|world| world.iam.restore(&body.role));
    Ok(Json(json!({})))
}

async fn expire_sessions(State(sim): State<Sim>, Json(body): Json<RoleName>) -> Answer {
    sim.with(|world| world.iam.expire_sessions(&body.role));
    Ok(Json(json!({})))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    access_key: String,
    arn: String,
}

async fn add_user(State(sim): State<Sim>, Json(body): Json<NewUser>) -> Answer {
    sim.with(|world| world.iam.add_user(&body.access_key, &body.arn));
    Ok(Json(json!({})))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expire {
    table: String,
    /// DynamoDB JSON; without it every item whose time-to-live attribute is due.
    key: Option<Value>,
}

async fn expire(State(sim): State<Sim>, Json(body): Json<Expire>) -> Answer {
    let expired = sim.with(|world| match body.key {
        Some(key) => Ok(usize::from(
            world.expire_item(&body.table, &read_map(key)?)?,
        )),
        None => world.expire_due(&body.table),
    });
    expired
        .map(|expired| Json(json!({ "expired": expired })))
        .map_err(refused)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Generate {
    table: String,
    count: u64,
    /// Number of the first item.
    #[serde(default)]
    start: u64,
    /// Size of each item, about.
    #[serde(default = "item_bytes")]
    bytes: usize,
}

fn item_bytes() -> usize {
    700
}

async fn generate(State(sim): State<Sim>, Json(body): Json<Generate>) -> Answer {
    let done =
        sim.with(|world| world.generate_items(&body.table, body.start, body.count, body.bytes));
    done.map(|()| Json(json!({ "items": body.count })))
        .map_err(refused)
}

/// Knobs that tests change while the simulator runs; absent ones stay.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Configure {
    export_ms: Option<i64>,
    export_files: Option<u32>,
    export_fuzz_ms: Option<i64>,
    incremental_fuzz_ms: Option<i64>,
    update_table_ms: Option<i64>,
    pitr_ms: Option<i64>,
    backups_unavailable_ms: Option<i64>,
    open_roles: Option<bool>,
    open_keys: Option<bool>,
    session_ms: Option<i64>,
    shards: Option<u32>,
    iterator_ttl_ms: Option<i64>,
    retention_ms: Option<i64>,
    children_delay_ms: Option<i64>,
    empty_page_chance: Option<f64>,
    empty_pages_in_a_row: Option<u32>,
    duplicate_chance: Option<f64>,
    backstep_chance: Option<f64>,
    enforce_rates: Option<bool>,
}

async fn configure(State(sim): State<Sim>, Json(body): Json<Configure>) -> Answer {
    fn set<T>(slot: &mut T, value: Option<T>) {
        if let Some(value) = value {
            *slot = value;
        }
    }
    sim.with(|world| {
        let config = &mut world.config;
        set(&mut config.export.duration_ms, body.export_ms);
        set(&mut config.export.files, body.export_files.map(Some));
        set(&mut config.export.fuzz_ms, body.export_fuzz_ms);
        set(
            &mut config.export.incremental_fuzz_ms,
            body.incremental_fuzz_ms,
        );
        set(&mut config.update_table_ms, body.update_table_ms);
        set(&mut config.pitr_ms, body.pitr_ms);
        set(
            &mut config.backups_unavailable_ms,
            body.backups_unavailable_ms,
        );
        set(&mut config.open_roles, body.open_roles);
        set(&mut config.open_keys, body.open_keys);
        set(&mut config.session_ms, body.session_ms.map(Some));
        set(&mut config.stream.shards, body.shards);
        set(&mut config.stream.iterator_ttl_ms, body.iterator_ttl_ms);
        set(&mut config.stream.retention_ms, body.retention_ms);
        set(&mut config.stream.children_delay_ms, body.children_delay_ms);
        set(&mut config.stream.empty_page_chance, body.empty_page_chance);
        set(
            &mut config.stream.empty_pages_in_a_row,
            body.empty_pages_in_a_row,
        );
        set(&mut config.stream.duplicate_chance, body.duplicate_chance);
        set(&mut config.stream.backstep_chance, body.backstep_chance);
        set(&mut config.stream.enforce_rates, body.enforce_rates);
    });
    Ok(Json(json!({})))
}

async fn state(State(sim): State<Sim>) -> Answer {
    Ok(Json(sim.with(summary)))
}

async fn items(State(sim): State<Sim>, Path(name): Path<String>) -> Response {
    let items = sim.with(|world| world.table_items(&name));
    let mut out = Vec::with_capacity(items.iter().map(|item| item.len() + 1).sum::<usize>() + 32);
    out.extend_from_slice(b"{\"items\":[");
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(item);
    }
    out.extend_from_slice(b"]}");
    ([(header::CONTENT_TYPE, "application/json")], out).into_response()
}

fn refused(error: ApiError) -> (StatusCode, Json<Value>) {
    (
        StatusCode::BAD_REQUEST,
        Json(json!({ "error": error.code, "message": error.message })),
    )
}

fn summary(world: &mut World) -> Value {
    let now_ms = world.now_ms();
    let tables: Vec<_> = world
        .table_names()
        .iter()
        .filter_map(|name| world.table_state(name))
        .map(|table| {
            json!({
                "name": table.name,
                "arn": table.arn,
                "id": table.id,
                "items": table.items.len(),
                "bytes": table.bytes,
                "stream": table.stream,
                "stream_on": table.stream_on,
                "pitr": table.pitr_on(now_ms),
            })
        })
        .collect();
    let streams: Vec<_> = world
        .stream_states()
        .map(|stream| {
            let shards: Vec<_> = stream
                .shards()
                .map(|shard| {
                    json!({
                        "id": shard.id,
                        "parent": shard.parent,
                        "open": shard.closed_ms.is_none(),
                        "visible": shard.visible_ms <= now_ms,
                        "records": shard.records.len(),
                    })
                })
                .collect();
            json!({ "arn": stream.arn, "table": stream.table, "status": stream.status(now_ms), "shards": shards })
        })
        .collect();
    let exports: Vec<_> = world
        .export_states()
        .map(|export| json!({ "arn": export.arn, "status": format!("{:?}", export.status), "items": export.item_count }))
        .collect();
    let buckets: Vec<_> = world
        .s3
        .buckets
        .iter()
        .map(|(name, bucket)| json!({ "name": name, "region": bucket.region, "objects": bucket.objects.len() }))
        .collect();
    json!({
        "now_ms": now_ms,
        "account": world.config.account,
        "region": world.config.region,
        "tables": tables,
        "streams": streams,
        "exports": exports,
        "buckets": buckets,
        "roles": world.iam.roles.keys().collect::<Vec<_>>(),
    })
}
