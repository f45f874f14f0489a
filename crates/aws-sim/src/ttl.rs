//! Time to live: the setting, and expiry on command.

use serde_json::json;

use crate::api::{ApiError, Reply};
use crate::attribute::{Attr, Map};
use crate::params::Params;
use crate::world::World;

impl World {
    pub(crate) fn describe_ttl(&mut self, params: &Params) -> Reply {
        let table = self.known_table(params.need_text("TableName")?)?;
        let description = match &table.ttl {
            Some(attribute) => json!({ "TimeToLiveStatus": "ENABLED", "AttributeName": attribute }),
            None => json!({ "TimeToLiveStatus": "DISABLED" }),
        };
        Ok(json!({ "TimeToLiveDescription": description })
            .to_string()
            .into_bytes())
    }

    pub(crate) fn update_ttl(&mut self, params: &Params) -> Reply {
        let spec = params
            .get("TimeToLiveSpecification")
            .cloned()
            .unwrap_or_default();
        let (Some(on), Some(attribute)) =
            (spec["Enabled"].as_bool(), spec["AttributeName"].as_str())
        else {
            return Err(crate::params::missing("TimeToLiveSpecification"));
        };
        let table = self.known_table(params.need_text("TableName")?)?;
        match (on, &table.ttl) {
            (true, Some(_)) => return Err(ApiError::validation("TimeToLive is already enabled")),
            (false, None) => return Err(ApiError::validation("TimeToLive is already disabled")),
            _ => {}
        }
        table.ttl = on.then(|| attribute.to_owned());
        Ok(
            json!({ "TimeToLiveSpecification": { "Enabled": on, "AttributeName": attribute } })
                .to_string()
                .into_bytes(),
        )
    }

    /// Deletes an item as time to live does: REMOVE with `userIdentity`. True if there was one.
    pub fn expire_item(&mut self, table: &str, key: &Map) -> Result<bool, ApiError> {
        let key = self.table(table)?.schema.of_key(key)?;
        Ok(self.commit(table, &key, None, true).is_some())
    }

    /// Expires every item whose time-to-live attribute lies in the past. Returns how many.
    pub fn expire_due(&mut self, table: &str) -> Result<usize, ApiError> {
        let now_s = self.now_ms / 1000;
        let state = self.table(table)?;
        let Some(attribute) = state.ttl.clone() else {
            return Ok(0);
        };
        let mut due = Vec::new();
        for image in state.items.values() {
            let item = image.map();
            let expires = match item.get(&attribute) {
                Some(Attr::N(text)) => text.parse::<i64>().ok(),
                _ => None,
            };
            if expires.is_some_and(|at| at <= now_s) {
                due.push(state.schema.of_item(&item)?);
            }
        }
        for key in &due {
            self.commit(table, key, None, true);
        }
        Ok(due.len())
    }
}
