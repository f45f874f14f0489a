//! A table for a connection: its ARN, its bucket, the data source's name, all validated. Also `tb datasource create`.

use serde_json::json;

use super::checks_of_server::{Reachable, Validated, validate};
use super::environments::{self, Place, Sessions};
use super::names;
use super::new_datasource::datasource_text;
use super::new_files::{self, NewFile};
use super::project_view::ProjectView;
use super::wizard;
use crate::failure::{Exit, Failure, Outcome};
use crate::interview::{Interview, Question, not_empty};
use crate::printer::{Output, Printer};

/// What is known about the table before it is named.
#[derive(Clone, Debug)]
pub(crate) struct NewTable<'a> {
    pub(crate) connection: &'a str,
    pub(crate) region: &'a str,
    /// As the connection's file says it.
    pub(crate) role: &'a str,
    /// The ARN, where the environments do not know it yet.
    pub(crate) role_to_validate: Option<&'a str>,
    /// Name in the access policy, or `*`.
    pub(crate) table: &'a str,
    /// Bucket in the access policy, or `*`.
    pub(crate) bucket: &'a str,
    /// The account the table is probably in.
    pub(crate) account: Option<&'a str>,
    pub(crate) overwrite: bool,
}

/// Answers that were given as options.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) table_arn: Option<String>,
    pub(crate) bucket: Option<String>,
    pub(crate) datasource: Option<String>,
}

/// A table that can be mirrored, and the file that says so.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) datasource: String,
    pub(crate) table_arn: String,
    pub(crate) bucket: String,
    pub(crate) file: NewFile,
}

/// Asks until every environment has validated the table.
pub(crate) async fn ask(
    view: &ProjectView,
    places: &[Place],
    asked: &NewTable<'_>,
    mut given: Given,
    interview: &Interview<'_>,
) -> Outcome<Table> {
    let (arn, bucket, validated) = loop {
        let question = Question {
            prompt: "ARN of the table",
            option: "--table-arn",
            default: likely_arn(asked),
        };
        let arn = interview.answer(&question, given.table_arn.take(), |answer| {
            let answer = not_empty(answer)?;
            names::table_arn(&answer, asked.region, asked.table)
        })?;
        let question = Question {
            prompt: "Export bucket",
            option: "--bucket",
            default: (asked.bucket != "*").then(|| asked.bucket.to_owned()),
        };
        let bucket = interview.answer(&question, given.bucket.take(), |answer| {
            let bucket = not_empty(answer).and_then(|answer| names::bucket(&answer))?;
            if asked.bucket != "*" && asked.bucket != bucket {
                return Err(format!(
                    "the access policy above is for the bucket {}, and this is {bucket}",
                    asked.bucket
                ));
            }
            Ok(bucket)
        })?;
        let arn_text = arn.to_string();
        match validated_everywhere(places, asked, &arn_text, &bucket, interview).await {
            Ok(Some(validated)) => break (arn, bucket, validated),
            Ok(None) => {}
            Err(failure) => interview.again(failure)?,
        }
    };
    let datasource = free_name(view, asked, &arn.table, given.datasource, interview)?;
    let table_arn = arn.to_string();
    let text = datasource_text(
        &datasource,
        asked.connection,
        &table_arn,
        &bucket,
        &validated,
    );
    let known = view.file_of(&datasource, "datasource").map(str::to_owned);
    let path = known.unwrap_or_else(|| format!("datasources/{datasource}.datasource"));
    Ok(Table {
        datasource,
        table_arn,
        bucket,
        file: NewFile {
            path,
            text,
            overwrite: asked.overwrite,
        },
    })
}

/// The table of that name, if it is in the role's account.
fn likely_arn(asked: &NewTable<'_>) -> Option<String> {
    if asked.table == "*" {
        return None;
    }
    let arn = datafile::TableArn {
        region: asked.region.to_owned(),
        account: asked.account?.to_owned(),
        table: asked.table.to_owned(),
    };
    Some(arn.to_string())
}

/// What the environments say about the table; `None` to ask again.
async fn validated_everywhere(
    places: &[Place],
    asked: &NewTable<'_>,
    table_arn: &str,
    bucket: &str,
    interview: &Interview<'_>,
) -> Outcome<Option<Validated>> {
    let table = Reachable {
        connection: asked.connection,
        region: asked.region,
        role: asked.role_to_validate.unwrap_or(asked.role),
        table_arn,
        bucket,
    };
    let mut found = None;
    for place in places {
        found = Some(validate(place, &table).await?);
    }
    let Some(found) = found else { return Ok(None) };
    if let Some(text) = &found.to_switch_on {
        interview.printer.warning(text);
        if !interview.agrees("Go on, and let the first build switch it on")? {
            return Ok(None);
        }
    }
    for message in &found.messages {
        interview.printer.warning(message);
    }
    for (key, _) in found.keys.iter().filter(|(_, ty)| ty == "N") {
        interview.tell(&format!(
            "The key {key} is a number. Its column is a String, in which all 38 digits survive; compare it with toDecimal256({key}, 0) or toInt64({key})."
        ));
    }
    interview.printer.success(format_args!(
        "The table can be mirrored by {}",
        environments::listed(places)
    ));
    Ok(Some(found))
}

/// A name that no other resource of the project has.
fn free_name(
    view: &ProjectView,
    asked: &NewTable<'_>,
    table: &str,
    given: Option<String>,
    interview: &Interview<'_>,
) -> Outcome<String> {
    let default = names::for_table(table);
    // A default is an answer too, where nobody can be asked.
    let given = given.or_else(|| (!interview.asks).then(|| default.clone()));
    let question = Question {
        prompt: "Data source name",
        option: "--datasource",
        default: Some(default),
    };
    interview.answer(&question, given, |answer| {
        let name = names::resource_name(answer)?;
        let mut taken = ["datasource", "pipe"]
            .iter()
            .filter_map(|extension| view.file_of(&name, extension));
        match taken.next() {
            Some(path) if !(asked.overwrite && path.ends_with(".datasource")) => Err(format!(
                "{path} exists; choose another name, or give --overwrite to replace a data source"
            )),
            _ => Ok(name),
        }
    })
}

/// What to do with the files.
pub(crate) fn tell_next(places: &[Place], printer: &Printer) {
    for place in places {
        let command = match place.name {
            "Local" => "build --with-connections",
            _ => "deploy",
        };
        printer.hint(format_args!(
            "start the mirror in {} with: {} {command}",
            place.name, place.tb
        ));
    }
}

/// What `tb datasource create --dynamodb` was told.
#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) connection: Option<String>,
    pub(crate) given: Given,
    pub(crate) overwrite: bool,
    pub(crate) yes: bool,
}

/// `tb datasource create --dynamodb`.
pub(crate) async fn run(sessions: &Sessions, options: Options, printer: &Printer) -> Outcome {
    let interview = Interview::new(options.yes, printer);
    let view = ProjectView::read(&sessions.local)?;
    let known: Vec<&str> = view
        .project
        .connections
        .iter()
        .map(|c| c.name.as_str())
        .collect();
    if known.is_empty() && options.connection.is_none() {
        let none = Failure::new(Exit::Failed, "the project has no connection")
            .hint("make one first: tb connection create dynamodb");
        if !interview.asks || !interview.agrees("The project has no connection. Make one now")? {
            return Err(none);
        }
        let options = wizard::Options {
            table_arn: options.given.table_arn,
            bucket: options.given.bucket,
            datasource: options.given.datasource,
            overwrite: options.overwrite,
            ..wizard::Options::default()
        };
        return wizard::run(sessions, options, printer).await;
    }
    let question = Question {
        prompt: "Connection",
        option: "--connection-name",
        default: known.first().map(|name| (*name).to_owned()),
    };
    let is_known = |answer: &str| match view.known_connection(answer) {
        Ok(connection) => Ok(connection.clone()),
        Err(_) => Err(format!(
            "there is no connection {answer}; there is {}",
            known.join(", ")
        )),
    };
    let only = (known.len() == 1).then(|| known[0].to_owned());
    let connection = interview.answer(&question, options.connection.or(only), is_known)?;
    let region = connection.region.literal().ok_or_else(|| {
        Failure::new(
            Exit::Failed,
            format!("the region of {} is a secret", connection.path),
        )
        .hint("write the region into the file, as DYNAMODB_REGION us-east-1")
    })?;
    let survey = environments::survey(sessions, sessions.chosen).await;
    survey.tell(sessions.chosen, &interview)?;
    // One that knows the role can validate; the file is the same for all.
    let places: Vec<Place> = survey.all().into_iter().take(1).collect();
    let reach = view.reach(&connection.name);
    let account = reach
        .table_arns
        .first()
        .and_then(|arn| arn.split(':').nth(4));
    let role = connection.role_arn.to_string();
    let asked = NewTable {
        connection: &connection.name,
        region: &region,
        role: &role,
        role_to_validate: None,
        table: "*",
        bucket: "*",
        account,
        overwrite: options.overwrite,
    };
    let table = ask(&view, &places, &asked, options.given, &interview).await?;
    new_files::write(&view.root, std::slice::from_ref(&table.file))?;
    printer.success(format_args!("{} written", table.file.path));
    if printer.output == Output::Json {
        printer.json(&json!({
            "connection": connection.name,
            "datasource": table.datasource,
            "table_arn": table.table_arn,
            "export_bucket": table.bucket,
            "files": [table.file.path],
        }));
    }
    if !reach.table_arns.contains(&table.table_arn) {
        printer.note(format_args!(
            "The role's access policy has to name this table too: tb connection policy {}",
            connection.name
        ));
    }
    tell_next(&places, printer);
    Ok(())
}
