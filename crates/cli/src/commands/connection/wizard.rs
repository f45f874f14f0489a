//! `tb connection create dynamodb`: the story from a table's name to two files.

use serde_json::json;

use super::add_table::{self, NewTable, Table};
use super::checks_of_server::{assume, has_secret, set_secret};
use super::environments::{self, Place, Sessions, listed};
use super::names;
use super::new_datasource::connection_text;
use super::new_files::{self, NewFile};
use super::policy::{self, pretty};
use super::project_view::{ProjectView, Reach, only_secret, push_new};
use crate::args::Wanted;
use crate::failure::{Exit, Failure, Outcome};
use crate::interview::{Interview, Question, not_empty};
use crate::printer::{Output, Paint, Printer};

/// Where tables are that nobody named a region for.
const USUAL_REGION: &str = "us-east-1";

/// The answers that were given as options.
#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) name: Option<String>,
    pub(crate) table: Option<String>,
    pub(crate) bucket: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) env: Option<Wanted>,
    pub(crate) role_arn: Option<String>,
    pub(crate) table_arn: Option<String>,
    pub(crate) datasource: Option<String>,
    pub(crate) overwrite: bool,
    pub(crate) yes: bool,
}

/// The connection that tables are added to, and how a server gets at its role.
struct Chosen {
    name: String,
    region: String,
    /// ARN or reference to a secret, as a file says it.
    role: String,
    /// The secret that holds the ARN.
    secret: Option<String>,
    is_new: bool,
}

/// `tb connection create dynamodb`.
pub(crate) async fn run(sessions: &Sessions, mut options: Options, printer: &Printer) -> Outcome {
    let interview = Interview::new(options.yes, printer);
    let view = ProjectView::read(&sessions.local)?;
    let survey = environments::survey(sessions, options.env).await;
    survey.tell(options.env.or(sessions.chosen), &interview)?;
    if interview.asks {
        interview.tell("This makes a connection to a DynamoDB table. Nothing is written before the last answer; Ctrl-C leaves everything as it is.");
    }
    let mut connection = choose_connection(&view, &mut options, &interview)?;
    let mut reach = view.reach(&connection.name);
    let (table, bucket) = choose_reach(&mut options, &reach, &interview)?;
    push_new(&mut reach.tables, &table);
    push_new(&mut reach.buckets, &bucket);
    if connection.is_new {
        connection.region = choose_region(&mut options, &interview)?;
    }
    let places = survey.choose(options.env.or(sessions.chosen), &interview)?;
    let without_role = without_role(&places, &connection).await?;
    if interview.asks {
        show_policies(
            &places,
            &connection,
            &reach,
            !without_role.is_empty(),
            &interview,
        )
        .await?;
    }
    let mut role_to_store = None;
    if !without_role.is_empty() {
        let role = choose_role(&without_role, &connection, &mut options, &interview).await?;
        role_to_store = Some(role);
    }
    let account = role_to_store
        .as_deref()
        .or(reach.table_arns.first().map(String::as_str))
        .and_then(|arn| arn.split(':').nth(4));
    let asked = NewTable {
        connection: &connection.name,
        region: &connection.region,
        role: &connection.role,
        role_to_validate: role_to_store.as_deref(),
        table: &table,
        bucket: &bucket,
        account,
        overwrite: options.overwrite,
    };
    let given = add_table::Given {
        table_arn: options.table_arn.take(),
        bucket: (bucket != "*").then(|| bucket.clone()),
        datasource: options.datasource.take(),
    };
    let table = add_table::ask(&view, &places, &asked, given, &interview).await?;
    finish(
        &view,
        &places,
        &connection,
        &without_role,
        role_to_store,
        table,
        options.overwrite,
        printer,
    )
    .await
}

/// A new name, or an existing connection that a table is added to.
fn choose_connection(
    view: &ProjectView,
    options: &mut Options,
    interview: &Interview<'_>,
) -> Outcome<Chosen> {
    let known: Vec<&str> = view
        .project
        .connections
        .iter()
        .map(|c| c.name.as_str())
        .collect();
    if interview.asks && options.name.is_none() && !known.is_empty() {
        interview.tell(&format!(
            "Write the name of an existing connection to add a table to it: {}",
            known.join(", ")
        ));
    }
    loop {
        let question = Question {
            prompt: "Connection name",
            option: "--name",
            default: Some(format!("dynamodb_{:04x}", std::process::id() & 0xffff)),
        };
        let name = interview.answer(&question, options.name.take(), names::resource_name)?;
        let Some(existing) = view.connection(&name) else {
            if let Some(path) = view
                .file_of(&name, "connection")
                .filter(|_| !options.overwrite)
            {
                interview.again(taken(&name, path))?;
                continue;
            }
            let secret = format!("dynamodb_role_arn_{name}");
            return Ok(Chosen {
                role: datafile::Template::from_secret(&secret).to_string(),
                secret: Some(secret),
                region: String::new(),
                is_new: true,
                name,
            });
        };
        if !interview.agrees(&format!("Connection {name} exists. Add a table to it"))? {
            continue;
        }
        let Some(region) = existing.region.literal() else {
            return Err(Failure::new(
                Exit::Failed,
                format!(
                    "the region of {} is a secret, which only the server knows",
                    existing.path
                ),
            )
            .hint("write the region into the file, as DYNAMODB_REGION us-east-1"));
        };
        return Ok(Chosen {
            region,
            role: existing.role_arn.to_string(),
            secret: only_secret(&existing.role_arn),
            is_new: false,
            name,
        });
    }
}

fn taken(name: &str, path: &str) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("there is {path} already, and it is no connection that could be read"),
    )
    .hint(format!(
        "choose another name than {name}, or give --overwrite"
    ))
}

/// Table and bucket of the access policy.
fn choose_reach(
    options: &mut Options,
    reach: &Reach,
    interview: &Interview<'_>,
) -> Outcome<(String, String)> {
    let named = options
        .table_arn
        .as_deref()
        .and_then(|arn| arn.split_once(":table/"));
    let of_arn = named.map(|(_, table)| table.to_owned());
    let question = Question {
        prompt: "DynamoDB table name (* for all)",
        option: "--table-arn",
        default: None,
    };
    let given = options.table.take().or(of_arn);
    let table = interview.answer(&question, given, |answer| {
        not_empty(answer).and_then(|answer| names::table_or_all(&answer))
    })?;
    let question = Question {
        prompt: "S3 bucket for exports (* for all)",
        option: "--bucket",
        default: reach.buckets.first().cloned(),
    };
    let bucket = interview.answer(&question, options.bucket.take(), |answer| {
        let bucket = not_empty(answer).and_then(|answer| names::bucket_or_all(&answer))?;
        if bucket == "*" && !interview.asks {
            return Err(
                "exports need one bucket; * is for the policy, and nobody is here to be asked"
                    .to_owned(),
            );
        }
        Ok(bucket)
    })?;
    Ok((table, bucket))
}

fn choose_region(options: &mut Options, interview: &Interview<'_>) -> Outcome<String> {
    let of_arn = options
        .table_arn
        .as_deref()
        .and_then(|arn| datafile::TableArn::parse(arn).ok())
        .map(|arn| arn.region);
    let question = Question {
        prompt: "Region of the table",
        option: "--region",
        default: Some(USUAL_REGION.to_owned()),
    };
    interview.answer(&question, options.region.take().or(of_arn), names::region)
}

/// The environments that do not know the role yet: all of them for a new connection.
async fn without_role(places: &[Place], connection: &Chosen) -> Outcome<Vec<Place>> {
    let Some(secret) = &connection.secret else {
        return Ok(Vec::new());
    };
    let mut without = Vec::new();
    for place in places {
        if connection.is_new || !has_secret(place, secret).await? {
            without.push(place.clone());
        }
    }
    Ok(without)
}

async fn show_policies(
    places: &[Place],
    connection: &Chosen,
    reach: &Reach,
    trust_too: bool,
    interview: &Interview<'_>,
) -> Outcome {
    let printer = interview.printer;
    let policies = policy::fetch(places, &connection.name, &connection.region, reach).await?;
    let heading =
        |text: &str| printer.note(format_args!("\n{}", printer.paint_err(Paint::Bold, text)));
    heading("Access policy");
    interview.tell(if connection.is_new {
        "Make a policy of this in IAM. It covers the table, its streams, its exports and the bucket:"
    } else {
        "Let the role have this policy instead of the one it has. It covers all tables of the connection:"
    });
    printer.note(pretty(&policies.access));
    interview.pause("Press Enter when it is in place")?;
    if trust_too {
        heading("Trust policy");
        interview.tell(&format!(
            "Make a role with that policy and this trust policy, which lets {} assume it:",
            listed(places)
        ));
        printer.note(pretty(&policies.trust));
        interview.pause("Press Enter when the role exists")?;
    }
    interview.tell(&format!(
        "Both again, also as commands, Terraform or CloudFormation: tb connection policy {}",
        connection.name
    ));
    Ok(())
}

/// The role, once every environment that needs to know it has assumed it.
async fn choose_role(
    places: &[Place],
    connection: &Chosen,
    options: &mut Options,
    interview: &Interview<'_>,
) -> Outcome<String> {
    'ask: loop {
        let question = Question {
            prompt: "ARN of the role",
            option: "--role-arn",
            default: None,
        };
        let role = interview.answer(&question, options.role_arn.take(), |answer| {
            not_empty(answer).and_then(|answer| names::role(&answer))
        })?;
        for place in places {
            if let Err(failure) = assume(place, &connection.name, &connection.region, &role).await {
                interview.again(failure)?;
                continue 'ask;
            }
        }
        interview
            .printer
            .success(format_args!("{} can assume the role", listed(places)));
        return Ok(role);
    }
}

/// Secrets first, as a file that names a secret nobody has set would be half a connection.
#[expect(
    clippy::too_many_arguments,
    reason = "the end of the story knows everything"
)]
async fn finish(
    view: &ProjectView,
    places: &[Place],
    connection: &Chosen,
    without_role: &[Place],
    role: Option<String>,
    table: Table,
    overwrite: bool,
    printer: &Printer,
) -> Outcome {
    if let (Some(secret), Some(role)) = (&connection.secret, &role) {
        for place in without_role {
            set_secret(place, secret, role).await?;
            printer.success(format_args!("Secret {secret} set in {}", place.name));
        }
    }
    let mut files = Vec::new();
    if let (true, Some(secret)) = (connection.is_new, &connection.secret) {
        files.push(NewFile {
            path: format!("connections/{}.connection", connection.name),
            text: connection_text(&connection.name, secret, &connection.region),
            overwrite,
        });
    }
    files.push(table.file);
    new_files::write(&view.root, &files)?;
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    for path in &paths {
        printer.success(format_args!("{path} written"));
    }
    if printer.output == Output::Json {
        printer.json(&json!({
            "connection": connection.name,
            "datasource": table.datasource,
            "table_arn": table.table_arn,
            "export_bucket": table.bucket,
            "region": connection.region,
            "secret": connection.secret,
            "environments": environments::names(places),
            "files": paths,
        }));
    }
    add_table::tell_next(places, printer);
    Ok(())
}
