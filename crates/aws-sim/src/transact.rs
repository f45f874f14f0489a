//! TransactWriteItems: all writes or none.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::api::{ApiError, Reply};
use crate::params::{Params, missing};
use crate::world::World;

impl World {
    pub(crate) fn transact_write(&mut self, mut params: Params) -> Reply {
        let Value::Array(entries) = params.need("TransactItems")? else {
            return Err(missing("TransactItems"));
        };
        if entries.is_empty() || entries.len() > 100 {
            return Err(ApiError::validation(
                "1 validation error detected: Value at 'transactItems' failed to satisfy constraint: Member must have length less than or equal to 100",
            ));
        }
        let mut plans = Vec::new();
        let mut reasons = Vec::new();
        let mut seen = BTreeSet::new();
        for entry in entries {
            let Value::Object(entry) = entry else {
                return Err(missing("TransactItems"));
            };
            let Some((kind, Value::Object(body))) =
                entry.into_iter().find(|(_, body)| !body.is_null())
            else {
                return Err(missing("TransactItems"));
            };
            let mut body = Params(body);
            let plan = match kind.as_str() {
                "Put" => self.plan_put(&mut body),
                "Update" => self.plan_update(&mut body),
                "Delete" => self.plan_delete(&mut body, true),
                _ => self.plan_delete(&mut body, false),
            };
            match plan {
                Ok(plan) => {
                    if !seen.insert((plan.table.clone(), plan.key.bytes.clone())) {
                        return Err(ApiError::validation(
                            "Transaction request cannot include multiple operations on one item",
                        ));
                    }
                    reasons.push(json!({ "Code": "None" }));
                    plans.push(plan);
                }
                Err(error) if error.code == "ConditionalCheckFailedException" => {
                    let mut reason =
                        json!({ "Code": "ConditionalCheckFailed", "Message": error.message });
                    if let Some(item) = error.extra.as_ref().and_then(|extra| extra.get("Item")) {
                        reason["Item"] = item.clone();
                    }
                    reasons.push(reason);
                }
                Err(error) => return Err(error),
            }
        }
        if plans.len() < reasons.len() {
            let codes: Vec<_> = reasons
                .iter()
                .filter_map(|reason| reason["Code"].as_str())
                .collect();
            let message = format!(
                "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
                codes.join(", ")
            );
            let mut error = ApiError::new("TransactionCanceledException", message);
            error.extra = Some(Box::new(json!({ "CancellationReasons": reasons })));
            return Err(error);
        }
        for plan in &plans {
            self.execute(plan);
        }
        Ok(b"{}".to_vec())
    }
}
