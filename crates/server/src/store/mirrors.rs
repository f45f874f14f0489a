//! Mirrors: which table a data source is kept equal to.

use mirror::table::{KeyAttribute, KeyType};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};

use super::{Result, SqliteStore, failed, progress, unreadable};

/// One mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorRow {
    /// Id; another one after every new backfill.
    pub id: String,
    /// Workspace.
    pub workspace_id: String,
    /// Data source.
    pub datasource: String,
    /// How to reach the table, but for the role.
    pub source: StoredSource,
    /// Role ARN, sealed: it is the value of a secret.
    pub role_sealed: Vec<u8>,
    /// Key attributes of the table, partition key first.
    pub keys: Vec<KeyAttribute>,
    /// Stopped by a person.
    pub stopped: bool,
    /// Milliseconds since 1970.
    pub created_at_ms: i64,
    /// A resync into another schema that was asked for and is not known to be complete.
    pub refill: Option<Refill>,
}

/// A resync that fills a table of another schema than the live one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refill {
    /// The file that the live table was made with.
    pub former_text: String,
    /// The first generation of the mirror that has the schema of the live project.
    pub generation: u32,
}

/// What is stored of [`mirror::source::SourceSpec`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSource {
    /// Name of the connection.
    pub connection: String,
    /// External id.
    pub external_id: String,
    /// Region.
    pub region: String,
    /// Table.
    pub table_arn: String,
    /// Bucket.
    pub export_bucket: String,
    /// Prefix in the bucket.
    pub s3_prefix: String,
}

#[derive(Serialize, Deserialize)]
struct StoredKey {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

impl SqliteStore {
    /// Mirrors of a workspace, by data source.
    pub async fn mirrors(&self, workspace_id: &str) -> Result<Vec<MirrorRow>> {
        sqlx::query("SELECT * FROM mirrors WHERE workspace_id = ? ORDER BY datasource")
            .bind(workspace_id)
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list mirrors"))?
            .iter()
            .map(read)
            .collect()
    }

    /// The mirror of a data source.
    pub async fn mirror(&self, workspace_id: &str, datasource: &str) -> Result<Option<MirrorRow>> {
        sqlx::query("SELECT * FROM mirrors WHERE workspace_id = ? AND datasource = ?")
            .bind(workspace_id)
            .bind(datasource)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed("find a mirror"))?
            .as_ref()
            .map(read)
            .transpose()
    }

    /// Forgets a refill that is complete, unless there is another one by now.
    pub(crate) async fn end_refill(&self, mirror: &str, generation: u32) -> Result<()> {
        const DOING: &str = "end the refill of a mirror";
        let mut tx = self.begin(DOING).await?;
        sqlx::query(
            "UPDATE mirrors SET former_text = NULL, refill_generation = NULL
             WHERE id = ? AND refill_generation = ?",
        )
        .bind(mirror)
        .bind(generation)
        .execute(&mut *tx)
        .await
        .map_err(failed(DOING))?;
        tx.commit().await.map_err(failed(DOING))
    }

    /// Remembers that a person stopped or started a mirror.
    pub async fn set_stopped(&self, mirror: &str, stopped: bool) -> Result<()> {
        const DOING: &str = "stop or start a mirror";
        let mut tx = self.begin(DOING).await?;
        sqlx::query("UPDATE mirrors SET stopped = ? WHERE id = ?")
            .bind(stopped)
            .bind(mirror)
            .execute(&mut *tx)
            .await
            .map_err(failed(DOING))?;
        tx.commit().await.map_err(failed(DOING))
    }
}

pub(super) async fn put(tx: &mut Transaction<'static, Sqlite>, mirror: &MirrorRow) -> Result<()> {
    let keys: Vec<_> = mirror
        .keys
        .iter()
        .map(|key| StoredKey {
            name: key.name.clone(),
            kind: key_type_name(key.key_type).to_owned(),
        })
        .collect();
    let json = |text: serde_json::Result<String>| {
        text.map_err(|error| unreadable("the table of a mirror", error))
    };
    sqlx::query(
        "INSERT INTO mirrors (id, workspace_id, datasource, spec, role_sealed, key_attributes,
                              stopped, created_at_ms, former_text, refill_generation)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET
         spec = excluded.spec, role_sealed = excluded.role_sealed,
         key_attributes = excluded.key_attributes, former_text = excluded.former_text,
         refill_generation = excluded.refill_generation",
    )
    .bind(&mirror.id)
    .bind(&mirror.workspace_id)
    .bind(&mirror.datasource)
    .bind(json(serde_json::to_string(&mirror.source))?)
    .bind(&mirror.role_sealed)
    .bind(json(serde_json::to_string(&keys))?)
    .bind(mirror.stopped)
    .bind(mirror.created_at_ms)
    .bind(mirror.refill.as_ref().map(|refill| &refill.former_text))
    .bind(mirror.refill.as_ref().map(|refill| refill.generation))
    .execute(&mut **tx)
    .await
    .map_err(failed("store a mirror"))?;
    Ok(())
}

/// A mirror and its progress go together.
pub(super) async fn delete(
    tx: &mut Transaction<'static, Sqlite>,
    mirror: &str,
) -> std::result::Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM mirrors WHERE id = ?")
        .bind(mirror)
        .execute(&mut **tx)
        .await?;
    progress::forget(tx, mirror).await
}

fn read(row: &SqliteRow) -> Result<MirrorRow> {
    const WHAT: &str = "the table of a mirror";
    let text = |name: &str| {
        row.try_get::<String, _>(name)
            .map_err(failed("read a mirror"))
    };
    let keys: Vec<StoredKey> =
        serde_json::from_str(&text("key_attributes")?).map_err(|error| unreadable(WHAT, error))?;
    let keys = keys
        .into_iter()
        .map(|key| {
            let key_type = parse_key_type(&key.kind).ok_or_else(|| {
                unreadable(WHAT, format!("a key of the unknown type {}", key.kind))
            })?;
            Ok(KeyAttribute {
                name: key.name,
                key_type,
            })
        })
        .collect::<Result<_>>()?;
    let source = serde_json::from_str(&text("spec")?).map_err(|error| unreadable(WHAT, error))?;
    let rest = || {
        Ok(MirrorRow {
            id: row.try_get("id")?,
            workspace_id: row.try_get("workspace_id")?,
            datasource: row.try_get("datasource")?,
            source,
            role_sealed: row.try_get("role_sealed")?,
            keys,
            stopped: row.try_get("stopped")?,
            created_at_ms: row.try_get("created_at_ms")?,
            refill: read_refill(row)?,
        })
    };
    rest().map_err(failed("read a mirror"))
}

fn read_refill(row: &SqliteRow) -> std::result::Result<Option<Refill>, sqlx::Error> {
    let former_text: Option<String> = row.try_get("former_text")?;
    let generation: Option<u32> = row.try_get("refill_generation")?;
    Ok(former_text
        .zip(generation)
        .map(|(former_text, generation)| Refill {
            former_text,
            generation,
        }))
}

/// The letter DynamoDB writes.
pub(crate) fn key_type_name(key_type: KeyType) -> &'static str {
    match key_type {
        KeyType::S => "S",
        KeyType::N => "N",
        KeyType::B => "B",
    }
}

fn parse_key_type(name: &str) -> Option<KeyType> {
    [KeyType::S, KeyType::N, KeyType::B]
        .into_iter()
        .find(|key_type| key_type_name(*key_type) == name)
}
