//! Applying a project: check everything, then write down what is about to change, then change it.
//!
//! The process may die at every await. Until `begin_tables` nothing has changed here; from then on the tables
//! that were begun are on a list, and the next deployment makes them anew; after `commit_project` the project
//! is live, and a restarted server starts its mirrors.

use datafile::Severity;
use mirror::plan::{SHADOW_SUFFIX, VERIFY_SUFFIX};
use sha2::{Digest, Sha256};

use super::changes::{Level, NamedResource, Report, StartedExport};
use super::connect::{Step, TableStep, plan_tables};
use super::diff::{self, TableChange, WantedResource};
use super::live::Live;
use super::outlook::{self, Outlook, PriceList};
use super::remarks::{list_connected, remark_steps};
use super::validate::{Surroundings, Wanted, describe, validate};
use super::{DeployError, DeployRequest, Deployer};
use crate::secrets::hex;
use crate::store::{ProjectChange, ResourceKind, ResourceRow, Workspace};
use crate::telemetry;

/// How long a build waits for AWS to name the export, milliseconds.
const EXPORT_ARN_WAIT_MS: u64 = 15_000;

impl Deployer {
    /// Checks a project and, unless asked only to check, makes it live. The caller holds the lock of the
    /// workspace.
    pub async fn apply(
        &self,
        workspace: &Workspace,
        request: DeployRequest,
    ) -> Result<Report, DeployError> {
        let live = self.live(workspace).await?;
        let around = Surroundings {
            live: &live.resources,
            secrets: &live.secrets,
            keys: &self.keys,
            skip_roles: !self.has_credentials && !request.connections,
        };
        let (wanted, diagnostics) = validate(request.files.clone(), &around);
        let mut report = Report {
            allowed_destructive: request.allow_destructive,
            ..Report::default()
        };
        for diagnostic in &diagnostics {
            let text = describe(diagnostic, &wanted.files);
            match diagnostic.severity {
                Severity::Error => report.error(&diagnostic.path, text),
                Severity::Warning => report.remark(Level::Warning, &diagnostic.path, text),
            }
        }
        if report.failed() {
            return Ok(report);
        }
        let resources = self.resource_rows(&live, &wanted);
        report.changes = diff::lists(&live.resources, &wanted_resources(&wanted));
        if request.outlook {
            report.outlook = Some(Outlook {
                files: outlook::files(&live.resources, &resources),
                mirrors: Vec::new(),
                prices: PriceList {
                    prices: self.prices,
                    ..PriceList::default()
                },
            });
        }
        report.datasources = named(&resources, ResourceKind::Datasource);
        report.pipes = named(&resources, ResourceKind::Pipe);
        let tokens = self.plan_tokens(workspace, &live, &wanted.project);
        report.token_changes = tokens.changes;

        let mut steps = plan_steps(&live, &wanted, request.connections);
        if request.allow_destructive && request.connections {
            self.start_gaps_over(&mut steps);
        }
        self.plan_refills(&request, &mut steps).await?;
        if let Some(outlook) = &mut report.outlook {
            outlook.mirrors = self.mirrors_ahead(&live, &steps).await;
        }
        let dropped = dropped_tables(&live, &wanted);
        if !request.allow_destructive {
            self.refuse_losses(workspace, &live, &steps, &dropped, &mut report)
                .await;
        }
        if report.failed() {
            return Ok(report);
        }
        self.connect(workspace, &request, &mut steps, &mut report)
            .await;
        self.caution_branch(workspace, &steps, &mut report).await?;
        plan_tables(workspace, &wanted, &mut steps, &mut report);
        remark_steps(&wanted, &steps, &mut report);
        list_connected(&steps, &mut report);
        if report.failed() || request.check {
            return Ok(report);
        }

        self.change_tables(workspace, &live, &steps, &dropped)
            .await?;
        if let Err(error) = self.begin_refills(&live, &mut steps).await {
            self.resume_refills(workspace, &steps).await;
            return Err(error);
        }
        let changed = steps.iter().filter(|step| step.mirror_changes());
        let project = ProjectChange {
            resources,
            mirrors: changed.filter_map(|step| step.mirror.clone()).collect(),
            dropped_mirrors: Vec::new(),
            tokens: tokens.put,
            revoked_tokens: tokens.revoke,
            now_ms: self.clock.now_ms(),
        };
        if let Err(error) = self.store.commit_project(&workspace.id, &project).await {
            self.resume_refills(workspace, &steps).await;
            return Err(error.into());
        }
        telemetry::project_live(&workspace.name, report.changes.is_empty());
        self.start_mirrors(workspace, &steps, &mut report).await;
        Ok(report)
    }

    /// A mirror that lost changes is filled again by a new export, if its table may be dropped.
    fn start_gaps_over(&self, steps: &mut [Step<'_>]) {
        for step in steps.iter_mut().filter(|step| !step.starts_over()) {
            let status = step
                .old_mirror
                .and_then(|mirror| self.supervisor.status(&mirror.id));
            if status.is_some_and(|status| status.gap) {
                let reason = "its mirror lost changes that cannot be read any more".to_owned();
                step.table = TableStep::Change(TableChange::Recreate(vec![reason]));
            }
        }
    }

    async fn change_tables(
        &self,
        workspace: &Workspace,
        live: &Live,
        steps: &[Step<'_>],
        dropped: &[String],
    ) -> Result<(), DeployError> {
        let database = workspace.database();
        self.ensure_database(workspace).await?;
        let made = steps.iter().filter(|step| step.starts_over());
        let begun: Vec<String> = made
            .map(|step| step.datasource.name.clone())
            .chain(dropped.iter().cloned())
            .collect();
        if !begun.is_empty() {
            let mut mirrors = Vec::new();
            for name in &begun {
                if let Some(mirror) = live.mirror(name) {
                    self.supervisor.stop(&mirror.id).await;
                    mirrors.push(mirror.id.clone());
                }
            }
            self.store
                .begin_tables(&workspace.id, &begun, &mirrors)
                .await?;
        }
        for name in dropped {
            self.drop_table(&database, name).await?;
        }
        // Data sources that an earlier deployment began and that are not wanted any more.
        for name in &live.unfinished {
            if !begun.contains(name) {
                self.drop_table(&database, name).await?;
            }
        }
        for step in steps {
            let Some(plan) = &step.plan else { continue };
            if matches!(
                step.table,
                TableStep::Redo | TableStep::Change(TableChange::Recreate(_))
            ) {
                self.drop_table(&database, &plan.table).await?;
            }
            let done = match &step.table {
                TableStep::Change(TableChange::Keep) | TableStep::Refill(_) => Ok(()),
                TableStep::Change(TableChange::Add(columns)) => {
                    self.warehouse.add_columns(plan, columns).await
                }
                _ => self.warehouse.create_table(plan).await,
            };
            done.map_err(DeployError::Warehouse)?;
        }
        Ok(())
    }

    /// Drops a table, and what a resync or a verification may have left beside it.
    async fn drop_table(&self, database: &str, table: &str) -> Result<(), DeployError> {
        for suffix in ["", SHADOW_SUFFIX, VERIFY_SUFFIX] {
            self.warehouse
                .drop_table(database, &format!("{table}{suffix}"))
                .await
                .map_err(DeployError::Warehouse)?;
        }
        Ok(())
    }

    /// Starts every mirror that should run. A worker that runs with the same plan is left alone.
    async fn start_mirrors(&self, workspace: &Workspace, steps: &[Step<'_>], report: &mut Report) {
        if !self.has_credentials {
            return;
        }
        let mut asked = Vec::new();
        for step in steps {
            let Some(row) = step.mirror.as_ref().filter(|row| !row.stopped) else {
                continue;
            };
            let spec = match self.settle_refill(row.clone()).await {
                Ok(row) => self.mirror_spec(workspace, &row, step.datasource),
                // The project is live: the next start tries again.
                Err(error) => {
                    report.remark(Level::Warning, &step.datasource.path, error.to_string());
                    continue;
                }
            };
            if let Err(error) = self.start_spec(row, spec).await {
                report.remark(Level::Warning, &step.datasource.path, error.to_string());
            }
            if step.mirror_is_new {
                asked.push((step, row));
            }
        }
        let mut waiting = Vec::new();
        for (_, row) in &asked {
            waiting.push(self.supervisor.export_arn(&row.id, EXPORT_ARN_WAIT_MS));
        }
        let arns = futures::future::join_all(waiting).await;
        for ((step, row), arn) in asked.into_iter().zip(arns) {
            let name = &row.datasource;
            let id = report.datasources.iter().find(|d| d.name == *name);
            let datasource_id = id.map(|d| d.id.clone()).unwrap_or_default();
            match arn {
                Some(export_arn) => report.exports.push(StartedExport {
                    datasource: name.clone(),
                    datasource_id,
                    export_arn,
                }),
                None => report.remark(
                    Level::Warning,
                    &step.datasource.path,
                    format!(
                        "DynamoDB initial export backfill for data source '{name}' is about to start; AWS has not named the export yet. See how it goes with: tb datasource ls"
                    ),
                ),
            }
        }
    }

    /// The whole project as it will be stored; what was there keeps its id.
    fn resource_rows(&self, live: &Live, wanted: &Wanted) -> Vec<ResourceRow> {
        let now_ms = self.clock.now_ms();
        let row = |wanted: WantedResource| {
            let kind = wanted.kind.extension();
            let known = live.resource(kind, &wanted.name);
            let same = known.is_some_and(|row| row.text == wanted.text);
            ResourceRow {
                kind: kind.to_owned(),
                id: known.map_or_else(|| new_id(wanted.kind), |row| row.id.clone()),
                sha256: hex(&Sha256::digest(wanted.text.as_bytes())),
                created_at_ms: known.map_or(now_ms, |row| row.created_at_ms),
                updated_at_ms: known
                    .filter(|_| same)
                    .map_or(now_ms, |row| row.updated_at_ms),
                name: wanted.name,
                path: wanted.path,
                text: wanted.text,
            }
        };
        wanted_resources(wanted).into_iter().map(row).collect()
    }
}

fn plan_steps<'a>(live: &'a Live, wanted: &'a Wanted, connections: bool) -> Vec<Step<'a>> {
    let step = |datasource: &'a datafile::Datasource| {
        let import = wanted.imports.get(&datasource.name)?;
        let table = match live.with_table(&datasource.name) {
            _ if live.unfinished.contains(&datasource.name) => TableStep::Redo,
            None => TableStep::Create,
            // What a sample holds would never be deleted: the mirror begins with an empty table.
            Some(_) if connections && live.is_only_sampled(&datasource.name) => TableStep::Redo,
            Some(old) => {
                let old_arn = live.table_arn(old);
                let new_arn = &import.source.table_arn;
                TableStep::Change(diff::table_change(old, &old_arn, datasource, new_arn))
            }
        };
        Some(Step {
            datasource,
            import,
            table,
            old_mirror: live.mirror(&datasource.name),
            mirror: None,
            mirror_is_new: false,
            plan: None,
        })
    };
    wanted.project.datasources.iter().filter_map(step).collect()
}

/// Data sources that have a table now and will not have one.
fn dropped_tables(live: &Live, wanted: &Wanted) -> Vec<String> {
    let names = live.project.datasources.iter().map(|live| &live.name);
    names
        .filter(|name| live.with_table(name).is_some() && !wanted.imports.contains_key(*name))
        .cloned()
        .collect()
}

fn wanted_resources(wanted: &Wanted) -> Vec<WantedResource> {
    let make = |kind, name: &String, path: &String, text: &String| WantedResource {
        kind,
        name: name.clone(),
        path: path.clone(),
        text: text.clone(),
    };
    let project = &wanted.project;
    let connections = project.connections.iter();
    let datasources = project.datasources.iter();
    let pipes = project.pipes.iter();
    connections
        .map(|c| make(ResourceKind::Connection, &c.name, &c.path, &c.text))
        .chain(datasources.map(|d| make(ResourceKind::Datasource, &d.name, &d.path, &d.text)))
        .chain(pipes.map(|p| make(ResourceKind::Pipe, &p.name, &p.path, &p.text)))
        .collect()
}

fn named(resources: &[ResourceRow], kind: ResourceKind) -> Vec<NamedResource> {
    let of_kind = resources.iter().filter(|row| row.kind == kind.extension());
    let name = |row: &ResourceRow| NamedResource {
        id: row.id.clone(),
        name: row.name.clone(),
    };
    of_kind.map(name).collect()
}

fn new_id(kind: ResourceKind) -> String {
    let prefix = match kind {
        ResourceKind::Connection => "c",
        ResourceKind::Datasource => "t",
        ResourceKind::Pipe => "p",
    };
    format!("{prefix}_{}", uuid::Uuid::new_v4().simple())
}
