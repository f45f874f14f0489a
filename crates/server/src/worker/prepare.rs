//! Makes sure that a table can be mirrored, switching on what is off and may be switched on.

use std::future::Future;
use std::sync::Arc;

use mirror::access::{Statement, Trial, Tried};
use mirror::checks::{self, Refusal};
use mirror::error::{Error, ErrorKind};
use mirror::reason::Reason;
use mirror::source::{Source, SourceSpec};
use mirror::table::TableDescription;

use super::board::next_action;
use super::{
    Examination, InspectedTable, PrepareError, PreparedTable, WorkerPorts, WorkerSettings,
};

/// Milliseconds between two looks at a table that is switching something on.
const ENABLE_POLL_MS: u64 = 500;

/// Assumes the role and does no more.
pub(crate) async fn assume(ports: &WorkerPorts, spec: &SourceSpec) -> Result<(), PrepareError> {
    connect(ports, spec).await.map(drop)
}

/// Connects and describes; changes nothing.
pub(crate) async fn inspect(
    ports: &WorkerPorts,
    settings: &WorkerSettings,
    spec: &SourceSpec,
) -> Result<InspectedTable, PrepareError> {
    let source = connect(ports, spec).await?;
    let table = describe(source.as_ref(), spec).await?;
    let refusal = match refuse(&table, settings).err() {
        Some(refusal) if !refusal.can_be_switched_on() => Some(refusal),
        passing => check_bucket(source.as_ref(), spec).await.err().or(passing),
    };
    Ok(InspectedTable { table, refusal })
}

/// Connects, tries every action that the role needs, and describes the table if it may; changes nothing.
pub(crate) async fn examine(
    ports: &WorkerPorts,
    settings: &WorkerSettings,
    spec: &SourceSpec,
) -> Result<Examination, PrepareError> {
    let source = connect(ports, spec).await?;
    let tried = source.try_access().await;
    let mut refusals = match describe(source.as_ref(), spec).await {
        Ok(table) => sorted_refusals(&table, settings)
            .iter()
            .map(refusal)
            .collect(),
        // What the role may not do is among what was tried.
        Err(_) if denied(&tried) => Vec::new(),
        Err(error) => vec![error],
    };
    if !denied(&tried) {
        refusals.extend(check_bucket(source.as_ref(), spec).await.err());
    }
    Ok(Examination { tried, refusals })
}

fn denied(tried: &[Tried]) -> bool {
    let needed = |tried: &&Tried| tried.action.statement() != Statement::Guide;
    tried
        .iter()
        .filter(needed)
        .any(|tried| matches!(tried.trial, Trial::Denied(_)))
}

/// Checks the export bucket, if one is named.
async fn check_bucket(source: &dyn Source, spec: &SourceSpec) -> Result<(), PrepareError> {
    if spec.export_bucket.is_empty() {
        return Ok(());
    }
    let checked = source.check_bucket().await;
    checked.map_err(|error| fault(Reason::ExportBucket, &error))
}

/// Connects, describes, switches on PITR and stream if they are off, and checks again.
pub(crate) async fn prepare(
    ports: &WorkerPorts,
    settings: &WorkerSettings,
    spec: &SourceSpec,
) -> Result<PreparedTable, PrepareError> {
    let source = connect(ports, spec).await?;
    let mut table = describe(source.as_ref(), spec).await?;
    refuse(&table, settings).or_else(|refusal| {
        if refusal.code.can_be_switched_on() {
            Ok(())
        } else {
            Err(refusal)
        }
    })?;
    check_bucket(source.as_ref(), spec).await?;
    let mut notes = Vec::new();
    if !table.pitr_enabled {
        let how = wait_until_accepted(ports, settings, || source.enable_pitr()).await;
        how.map_err(|error| cannot_switch_on(&table, settings, &error))?;
        table = wait_for(ports, settings, source.as_ref(), spec, |table| {
            table.pitr_enabled
        })
        .await?;
        notes.push(format!(
            "Point-in-Time Recovery (PITR) was off and has been switched on for table {}.",
            table.name
        ));
    }
    if table.stream.is_none() {
        let how = wait_until_accepted(ports, settings, || source.enable_stream()).await;
        how.map_err(|error| cannot_switch_on(&table, settings, &error))?;
        table = wait_for(ports, settings, source.as_ref(), spec, |table| {
            table.stream.is_some() && table.status == "ACTIVE"
        })
        .await?;
        notes.push(format!(
            "DynamoDB Streams was off and has been switched on for table {} with NEW_AND_OLD_IMAGES. The export is asked for two minutes later, so that no change falls between stream and export.",
            table.name
        ));
    }
    refuse(&table, settings)?;
    Ok(PreparedTable { table, notes })
}

/// [`prepare`] before a resync, with a failure as the port of a worker gives it.
pub(crate) async fn prepare_again(
    ports: &WorkerPorts,
    settings: &WorkerSettings,
    spec: &SourceSpec,
) -> mirror::error::Result<()> {
    let prepared = prepare(ports, settings, spec).await;
    prepared.map(drop).map_err(|error| {
        let kind = match error.code {
            Reason::MissingCredentials => ErrorKind::CredentialsMissing,
            Reason::UnableToAssumeRole => ErrorKind::RoleRefused,
            Reason::TableNotFound => ErrorKind::TableNotFound,
            Reason::TableNotDescribed => ErrorKind::Unavailable,
            _ => ErrorKind::Permanent,
        };
        Error::new(kind, error.message)
    })
}

async fn connect(ports: &WorkerPorts, spec: &SourceSpec) -> Result<Arc<dyn Source>, PrepareError> {
    let Some(sources) = &ports.sources else {
        return Err(PrepareError {
            code: Reason::MissingCredentials,
            message: "The server has no AWS credentials. Start it with them: tb local restart --use-aws-creds".to_owned(),
        });
    };
    if let Some(message) = checks::region_differs(&spec.region, &spec.table_arn) {
        return Err(PrepareError {
            code: Reason::RegionDiffers,
            message,
        });
    }
    sources
        .connect(spec)
        .await
        .map_err(|error| fault(Reason::UnableToAssumeRole, &error))
}

async fn describe(
    source: &dyn Source,
    spec: &SourceSpec,
) -> Result<TableDescription, PrepareError> {
    match source.describe_table().await {
        Ok(table) => Ok(table),
        Err(error) if error.kind == ErrorKind::TableNotFound => {
            Err(refusal(&checks::table_not_found(&spec.table_arn)))
        }
        Err(error) => Err(fault(Reason::TableNotDescribed, &error)),
    }
}

/// Fails with every refusal in one message, coded by the first.
fn refuse(table: &TableDescription, settings: &WorkerSettings) -> Result<(), PrepareError> {
    let refusals = sorted_refusals(table, settings);
    let Some(first) = refusals.first() else {
        return Ok(());
    };
    let code = first.code;
    let texts: Vec<String> = refusals.iter().map(Refusal::text).collect();
    Err(PrepareError {
        code,
        message: texts.join(" "),
    })
}

/// What we can switch on ourselves comes last, so that its code is only seen alone.
fn sorted_refusals(table: &TableDescription, settings: &WorkerSettings) -> Vec<Refusal> {
    let mut refusals = checks::check_table(table, settings.table_limits);
    refusals.sort_by_key(|refusal| refusal.code.can_be_switched_on());
    refusals
}

fn refusal(refusal: &Refusal) -> PrepareError {
    PrepareError {
        code: refusal.code,
        message: refusal.text(),
    }
}

fn fault(code: Reason, error: &Error) -> PrepareError {
    let code = match error.kind {
        ErrorKind::CredentialsMissing => Reason::MissingCredentials,
        ErrorKind::RoleRefused => Reason::UnableToAssumeRole,
        _ => code,
    };
    PrepareError {
        code,
        message: format!(
            "{}. Next: {}.",
            error.report().trim_end_matches('.'),
            what_to_do(&error.kind)
        ),
    }
}

/// What somebody who is setting a mirror up does about it.
fn what_to_do(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::RoleRefused => {
            "compare the role's trust policy with what tb connection policy NAME prints (principals and external ids); a role \
             that was made or changed a moment ago may need a minute"
        }
        ErrorKind::AccessDenied => {
            "add the action and resource named above to the role's access policy; tb connection doctor NAME tries them all"
        }
        other => next_action(other),
    }
}

/// AWS would not switch something on: the table's refusals say what is off, and AWS's answer says why not.
fn cannot_switch_on(
    table: &TableDescription,
    settings: &WorkerSettings,
    error: &Error,
) -> PrepareError {
    let why = format!(
        "It could not be switched on: {}.",
        error.report().trim_end_matches('.')
    );
    match refuse(table, settings) {
        Err(refusal) => PrepareError {
            code: refusal.code,
            message: format!("{} {why}", refusal.message),
        },
        Ok(()) => fault(Reason::TableNotDescribed, error),
    }
}

async fn wait_until_accepted<F, Fut>(
    ports: &WorkerPorts,
    settings: &WorkerSettings,
    call: F,
) -> mirror::error::Result<()>
where
    F: Fn() -> Fut,
    Fut: Future<Output = mirror::error::Result<()>>,
{
    let deadline =
        ports.clock.now_ms() + i64::try_from(settings.enable_timeout_ms).unwrap_or(i64::MAX);
    loop {
        match call().await {
            Err(error) if error.kind.passes() && ports.clock.now_ms() < deadline => {
                ports.clock.sleep_ms(ENABLE_POLL_MS).await
            }
            answer => return answer,
        }
    }
}

async fn wait_for(
    ports: &WorkerPorts,
    settings: &WorkerSettings,
    source: &dyn Source,
    spec: &SourceSpec,
    done: impl Fn(&TableDescription) -> bool,
) -> Result<TableDescription, PrepareError> {
    let deadline =
        ports.clock.now_ms() + i64::try_from(settings.enable_timeout_ms).unwrap_or(i64::MAX);
    loop {
        let described = source.describe_table().await;
        match described {
            Ok(table) if done(&table) => return Ok(table),
            Ok(table) if ports.clock.now_ms() >= deadline => {
                return refuse(&table, settings).map(|()| table);
            }
            Err(error) if !error.kind.passes() || ports.clock.now_ms() >= deadline => {
                return match error.kind {
                    ErrorKind::TableNotFound => {
                        Err(refusal(&checks::table_not_found(&spec.table_arn)))
                    }
                    _ => Err(fault(Reason::TableNotDescribed, &error)),
                };
            }
            Ok(_) | Err(_) => ports.clock.sleep_ms(ENABLE_POLL_MS).await,
        }
    }
}
