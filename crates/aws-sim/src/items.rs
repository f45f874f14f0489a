//! PutItem, GetItem, DeleteItem, UpdateItem. Writes are planned first, so that transactions can check all before any.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::api::{ApiError, Reply};
use crate::attribute::{Attr, Map, item_size, read_map};
use crate::expression::update::Action;
use crate::expression::{Scope, Step, condition, projection, update};
use crate::image::{Image, write_varied};
use crate::key::ItemKey;
use crate::params::Params;
use crate::world::{World, table_name};

const MAX_ITEM_BYTES: usize = 400 * 1024;

/// A write that passed its checks.
#[derive(Debug)]
pub(crate) struct Planned {
    pub table: String,
    pub key: ItemKey,
    pub old: Option<Image>,
    pub effect: Effect,
    /// Top-level attributes an update touches.
    pub touched: BTreeSet<String>,
}

/// What a planned write does.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Only its condition mattered.
    Nothing,
    Put(Image),
    Delete,
}

impl World {
    pub(crate) fn put_item_action(&mut self, mut params: Params) -> Reply {
        let returns = params.choice("ReturnValues", &["NONE", "ALL_OLD"])?;
        let plan = self.plan_put(&mut params)?;
        self.finish_write(&params, plan, returns)
    }

    pub(crate) fn delete_item_action(&mut self, mut params: Params) -> Reply {
        let returns = params.choice("ReturnValues", &["NONE", "ALL_OLD"])?;
        let plan = self.plan_delete(&mut params, true)?;
        self.finish_write(&params, plan, returns)
    }

    pub(crate) fn update_item_action(&mut self, mut params: Params) -> Reply {
        let choices = ["NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"];
        let returns = params.choice("ReturnValues", &choices)?;
        let plan = self.plan_update(&mut params)?;
        self.finish_write(&params, plan, returns)
    }

    pub(crate) fn get_item_action(&mut self, mut params: Params) -> Reply {
        let name = params.need_text("TableName")?.to_owned();
        let key = read_map(params.need("Key")?)?;
        let scope = params.scope()?;
        let paths = match params.text("ProjectionExpression")? {
            Some(text) => Some(projection::parse(text, &scope)?),
            None => None,
        };
        scope.check_unused()?;
        let table = self.table(&name)?;
        let image = table.items.get(&table.schema.of_key(&key)?.bytes).cloned();
        let mut out = b"{".to_vec();
        if let Some(image) = image {
            out.extend_from_slice(b"\"Item\":");
            let image = paths.map_or(image.clone(), |paths| {
                Image::of(&projection::project(&image.map(), &paths))
            });
            self.write_image(&image.json, &mut out);
        }
        self.close_answer(&params, &name, &mut out);
        Ok(out)
    }

    pub(crate) fn plan_put(&self, params: &mut Params) -> Result<Planned, ApiError> {
        let name = params.need_text("TableName")?.to_owned();
        let item = read_map(params.need("Item")?)?;
        let scope = params.scope()?;
        let table = self.table(&name)?;
        let key = table.schema.of_item(&item)?;
        check_item_size(&item, "Item size has exceeded the maximum allowed size")?;
        let old = table.items.get(&key.bytes).cloned();
        check_condition(params, &scope, old.as_ref())?;
        Ok(Planned {
            table: name,
            key,
            old,
            effect: Effect::Put(Image::of(&item)),
            touched: BTreeSet::new(),
        })
    }

    /// A delete, or with `delete` false a mere condition check.
    pub(crate) fn plan_delete(
        &self,
        params: &mut Params,
        delete: bool,
    ) -> Result<Planned, ApiError> {
        let name = params.need_text("TableName")?.to_owned();
        let key = read_map(params.need("Key")?)?;
        let scope = params.scope()?;
        let table = self.table(&name)?;
        let key = table.schema.of_key(&key)?;
        let old = table.items.get(&key.bytes).cloned();
        check_condition(params, &scope, old.as_ref())?;
        let effect = if delete {
            Effect::Delete
        } else {
            Effect::Nothing
        };
        Ok(Planned {
            table: name,
            key,
            old,
            effect,
            touched: BTreeSet::new(),
        })
    }

    pub(crate) fn plan_update(&self, params: &mut Params) -> Result<Planned, ApiError> {
        let name = params.need_text("TableName")?.to_owned();
        let key_map = read_map(params.need("Key")?)?;
        let legacy = params.take("AttributeUpdates");
        let scope = params.scope()?;
        let table = self.table(&name)?;
        let key = table.schema.of_key(&key_map)?;
        let actions = match (params.text("UpdateExpression")?, legacy) {
            (Some(text), _) => update::parse(text, &scope)?,
            (None, Some(updates)) => legacy_actions(updates)?,
            (None, None) => Vec::new(),
        };
        let touched: BTreeSet<_> = actions
            .iter()
            .filter_map(|action| match action.path().first() {
                Some(Step::Name(name)) => Some(name.clone()),
                _ => None,
            })
            .collect();
        if let Some(attr) = table
            .schema
            .attrs()
            .find(|attr| touched.contains(&attr.name))
        {
            return Err(ApiError::validation(format!(
                "One or more parameter values were invalid: Cannot update attribute {}. This attribute is part of the key",
                attr.name
            )));
        }
        let old = table.items.get(&key.bytes).cloned();
        check_condition(params, &scope, old.as_ref())?;
        let before = old.as_ref().map_or(key_map, Image::map);
        let after = update::apply(&actions, &before)?;
        check_item_size(
            &after,
            "Item size to update has exceeded the maximum allowed size",
        )?;
        Ok(Planned {
            table: name,
            key,
            old,
            effect: Effect::Put(Image::of(&after)),
            touched,
        })
    }

    /// Carries out a planned write.
    pub(crate) fn execute(&mut self, plan: &Planned) {
        match &plan.effect {
            Effect::Nothing => {}
            Effect::Put(image) => {
                self.commit(&plan.table, &plan.key, Some(image.clone()), false);
            }
            Effect::Delete => {
                self.commit(&plan.table, &plan.key, None, false);
            }
        }
    }

    fn finish_write(&mut self, params: &Params, plan: Planned, returns: Option<&str>) -> Reply {
        self.execute(&plan);
        let new = match plan.effect {
            Effect::Put(image) => Some(image),
            _ => None,
        };
        let chosen = match returns {
            Some("ALL_OLD" | "UPDATED_OLD") => plan.old,
            Some("ALL_NEW" | "UPDATED_NEW") => new,
            _ => None,
        };
        let mut out = b"{".to_vec();
        if let Some(image) = chosen {
            let image = if returns.is_some_and(|returns| returns.starts_with("UPDATED")) {
                let mut item = image.map();
                item.retain(|name, _| plan.touched.contains(name));
                Image::of(&item)
            } else {
                image
            };
            if &*image.json != b"{}" {
                out.extend_from_slice(b"\"Attributes\":");
                self.write_image(&image.json, &mut out);
            }
        }
        self.close_answer(params, &plan.table, &mut out);
        Ok(out)
    }

    /// Appends an item, its attributes in AWS's lack of order.
    pub(crate) fn write_image(&mut self, json: &[u8], out: &mut Vec<u8>) {
        if self.config.vary_order {
            write_varied(json, &mut self.shuffle, out);
        } else {
            out.extend_from_slice(json);
        }
    }

    /// Ends the object in `out`, with ConsumedCapacity if it was asked for.
    pub(crate) fn close_answer(&self, params: &Params, table: &str, out: &mut Vec<u8>) {
        let wanted = params.get("ReturnConsumedCapacity").and_then(Value::as_str);
        if wanted.is_some_and(|wanted| wanted != "NONE") {
            if out.len() > 1 {
                out.push(b',');
            }
            let capacity = json!({ "TableName": table_name(table), "CapacityUnits": 1.0 });
            out.extend_from_slice(format!("\"ConsumedCapacity\":{capacity}").as_bytes());
        }
        out.push(b'}');
    }
}

pub(crate) fn check_item_size(item: &Map, message: &str) -> Result<(), ApiError> {
    if item_size(item) > MAX_ITEM_BYTES {
        return Err(ApiError::validation(message));
    }
    Ok(())
}

fn check_condition(params: &Params, scope: &Scope, old: Option<&Image>) -> Result<(), ApiError> {
    if params.get("Expected").is_some() || params.get("ConditionalOperator").is_some() {
        return Err(ApiError::validation(
            "Legacy conditional parameters are not simulated; use ConditionExpression",
        ));
    }
    let text = params.text("ConditionExpression")?;
    let condition = match text {
        Some(text) => Some(condition::parse("ConditionExpression", text, scope)?),
        None => None,
    };
    scope.check_unused()?;
    let Some(condition) = condition else {
        return Ok(());
    };
    if condition.holds(&old.map(Image::map).unwrap_or_default()) {
        return Ok(());
    }
    let mut error = ApiError::new(
        "ConditionalCheckFailedException",
        "The conditional request failed",
    );
    let wanted = params.text("ReturnValuesOnConditionCheckFailure")? == Some("ALL_OLD");
    if let Some(old) = old.filter(|_| wanted) {
        error.extra = serde_json::from_slice(&old.json)
            .ok()
            .map(|item: Value| Box::new(json!({ "Item": item })));
    }
    Err(error)
}

fn legacy_actions(updates: Value) -> Result<Vec<Action>, ApiError> {
    use crate::expression::parser::Operand;
    let Value::Object(updates) = updates else {
        return Err(ApiError::new(
            "SerializationException",
            "Unexpected value type in payload",
        ));
    };
    let mut actions = Vec::new();
    for (name, mut entry) in updates {
        let path = vec![Step::Name(name)];
        let value = match entry.get_mut("Value").map(Value::take) {
            Some(value) if !value.is_null() => Some(Attr::from_json(value)?),
            _ => None,
        };
        actions.push(match (entry["Action"].as_str().unwrap_or("PUT"), value) {
            ("PUT", Some(value)) => Action::Set(path, Operand::Value(value)),
            ("ADD", Some(value)) => Action::Add(path, value),
            ("DELETE", Some(value)) => Action::Delete(path, value),
            ("DELETE", None) => Action::Remove(path),
            _ => {
                return Err(ApiError::validation(
                    "One or more parameter values were invalid: Only DELETE action is allowed when no attribute value is specified",
                ));
            }
        });
    }
    Ok(actions)
}
