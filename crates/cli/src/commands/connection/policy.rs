//! The two policies of a role: fetched from the servers, merged, printed.

use serde::Serialize;
use serde_json::{Value, json};

use super::environments::{self, Place, Sessions};
use super::names;
use super::policy_formats;
use super::project_view::{ProjectView, Reach, push_new};
use crate::args::Wanted;
use crate::failure::{Exit, Failure, Outcome};
use crate::interview::Interview;
use crate::printer::{Output, Printer};

/// What `tb connection policy` was told.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) name: String,
    pub(crate) tables: Vec<String>,
    pub(crate) buckets: Vec<String>,
    pub(crate) region: Option<String>,
    pub(crate) env: Option<Wanted>,
    pub(crate) role_name: String,
    pub(crate) format: Format,
}

/// How policies are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Two documents to paste.
    Documents,
    /// A script for the AWS command line.
    Cli,
    /// Terraform resources.
    Terraform,
    /// A CloudFormation template.
    CloudFormation,
}

/// Both documents.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Policies {
    pub(crate) access: Value,
    pub(crate) trust: Value,
}

/// `tb connection policy`.
pub(crate) async fn run(sessions: &Sessions, options: &Options, printer: &Printer) -> Outcome {
    let name = &options.name;
    let view = ProjectView::read(&sessions.local)?;
    names::resource_name(name).map_err(|why| Failure::new(Exit::Usage, why))?;
    let role_fits = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if options.role_name.is_empty() || !options.role_name.chars().all(role_fits) {
        let name = &options.role_name;
        return Err(Failure::new(
            Exit::Usage,
            format!("--role-name: {name:?} is not the name of a role"),
        )
        .hint("it has letters, digits and _ + = , . @ -"));
    }
    let mut reach = view.reach(name);
    for table in &options.tables {
        let table = names::table_or_all(table)
            .map_err(|why| Failure::new(Exit::Usage, format!("--table: {why}")))?;
        push_new(&mut reach.tables, &table);
    }
    for bucket in &options.buckets {
        let bucket = names::bucket_or_all(bucket)
            .map_err(|why| Failure::new(Exit::Usage, format!("--bucket: {why}")))?;
        push_new(&mut reach.buckets, &bucket);
    }
    for (list, what, option) in [
        (&reach.tables, "table", "--table"),
        (&reach.buckets, "bucket", "--bucket"),
    ] {
        if list.is_empty() {
            return Err(Failure::new(
                Exit::Usage,
                format!("no data source of this project says which {what} {name} leads to"),
            )
            .hint(format!("give {option} NAME, or {option} '*' for all")));
        }
    }
    let of_file = view.connection(name).and_then(|c| c.region.literal());
    let region = options.region.clone().or(of_file).unwrap_or_default();
    let interview = Interview {
        printer,
        asks: false,
    };
    let survey = environments::survey(sessions, options.env).await;
    survey.tell(options.env.or(sessions.chosen), &interview)?;
    let places = survey.all();
    let policies = fetch(&places, name, &region, &reach).await?;
    let text = match options.format {
        Format::Documents if printer.output == Output::Json => {
            printer.json(&json!({
                "access_policy": policies.access,
                "trust_policy": policies.trust,
                "environments": environments::names(&places),
            }));
            return Ok(());
        }
        Format::Documents => {
            printer.note(format_args!("Access policy of the role:"));
            printer.data(pretty(&policies.access));
            printer.note(format_args!(
                "Trust policy of the role, for {}:",
                environments::listed(&places)
            ));
            pretty(&policies.trust)
        }
        Format::Cli => policy_formats::cli(&policies, &options.role_name),
        Format::Terraform => policy_formats::terraform(&policies, &options.role_name),
        Format::CloudFormation => policy_formats::cloudformation(&policies, &options.role_name),
    };
    printer.data(text);
    Ok(())
}

/// Both documents for a connection in all these environments.
pub(crate) async fn fetch(
    places: &[Place],
    connection: &str,
    region: &str,
    reach: &Reach,
) -> Outcome<Policies> {
    let Some(first) = places.first() else {
        return Err(Failure::new(Exit::Usage, "no environment was chosen"));
    };
    let (tables, buckets) = (reach.tables.join(","), reach.buckets.join(","));
    let query = [
        ("table_name", tables.as_str()),
        ("bucket", buckets.as_str()),
        ("region", region),
    ];
    let base = "/v0/integrations/dynamodb/policies";
    let path = format!("{base}/read-access-policy");
    let access = first.client.get(&path, &query).await?;
    let mut trusts = Vec::new();
    for place in places {
        let query = [("external_id_seed", connection), ("region", region)];
        let path = format!("{base}/trust-policy");
        trusts.push(place.client.get(&path, &query).await?);
    }
    Ok(Policies {
        access,
        trust: merged(&trusts),
    })
}

/// One trust policy with the principals and external ids of several, each once; a list where there is more than one.
fn merged(policies: &[Value]) -> Value {
    let values = |path: &str| {
        let mut found: Vec<String> = Vec::new();
        for policy in policies {
            match policy.pointer(path) {
                Some(Value::String(text)) => push_new(&mut found, text),
                Some(Value::Array(list)) => {
                    for text in list.iter().filter_map(Value::as_str) {
                        push_new(&mut found, text);
                    }
                }
                _ => {}
            }
        }
        match found.as_slice() {
            [only] => json!(only),
            _ => json!(found),
        }
    };
    let principals = values("/Statement/0/Principal/AWS");
    let external_ids = values("/Statement/0/Condition/StringEquals/sts:ExternalId");
    let mut policy = policies.first().cloned().unwrap_or_default();
    for (path, value) in [
        ("/Statement/0/Principal/AWS", principals),
        (
            "/Statement/0/Condition/StringEquals/sts:ExternalId",
            external_ids,
        ),
    ] {
        if let Some(place) = policy.pointer_mut(path) {
            *place = value;
        }
    }
    policy
}

/// JSON as AWS's console shows it: four spaces.
pub(crate) fn pretty(value: &Value) -> String {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    match value.serialize(&mut serializer) {
        Ok(()) => String::from_utf8_lossy(&bytes).into_owned(),
        // A value that is in memory can be written.
        Err(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(account: &str, id: &str) -> Value {
        json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": { "AWS": format!("arn:aws:iam::{account}:root") },
            "Condition": { "StringEquals": { "sts:ExternalId": id } },
        }] })
    }

    #[test]
    fn environments_share_a_statement_and_nothing_is_said_twice() {
        assert_eq!(merged(&[trust("1", "a")]), trust("1", "a"));
        let both = merged(&[trust("1", "a"), trust("2", "b")]);
        let statement = &both["Statement"][0];
        assert_eq!(
            statement["Principal"]["AWS"],
            json!(["arn:aws:iam::1:root", "arn:aws:iam::2:root"])
        );
        assert_eq!(
            statement["Condition"]["StringEquals"]["sts:ExternalId"],
            json!(["a", "b"])
        );
        let one_account = merged(&[trust("1", "a"), trust("1", "b")]);
        assert_eq!(
            one_account["Statement"][0]["Principal"]["AWS"],
            "arn:aws:iam::1:root"
        );
    }
}
