//! From parsed arguments to a command with plain values.

use std::future::Future;
use std::path::PathBuf;

use crate::args::{
    BranchCommand, Cli, Command, ConnectionCommand, CreateCommand, DatasourceCommand,
    DeploymentCommand, Global, JobCommand, LocalCommand, QuarantineCommand, SecretCommand,
    TokenCommand, WaitArgs, Wanted, WorkspaceCommand,
};
use crate::commands::connection::environments::Sessions;
use crate::commands::connection::{add_table, doctor, list, policy, remove, wizard};
use crate::commands::{
    branch, build, check, completions, datasource, deploy, deployment, explain, fmt, info, job,
    local, login, logs, open, plan, quarantine, resync, sample, secret, server, sql, token, verify,
    workspaces,
};
use crate::env_vars;
use crate::failure::{Exit, Failure, Outcome};
use crate::files;
use crate::printer::Printer;
use crate::resolve::{self, Environment, TargetFlags};
use crate::workspace::Session;

/// The printer that the flags and the environment ask for.
pub(crate) fn printer_for(cli: &Cli) -> Printer {
    let colour = resolve::colour(cli.global.no_color, &Environment::of_process());
    Printer::new(cli.global.output, colour, cli.global.verbose)
}

/// Runs the command.
pub(crate) fn run(cli: Cli, printer: &Printer) -> Outcome {
    let env = Environment::of_process();
    let global = cli.global;
    match cli.command {
        Command::Local(command) => run_local(command, &env, printer),
        Command::Server(args) => {
            let flags = server::Flags {
                config: args.config,
                local: args.local,
                state_dir: args.state_dir,
                host: args.host,
                port: args.port,
                no_aws: args.no_aws,
                detached: args.detached,
            };
            server::run(flags, &env, printer)
        }
        Command::Check => {
            let folder = folder(&global, &env)?;
            check::run(&folder, &files::tinyb_file(&folder), printer)
        }
        Command::Explain { code } => explain::run(&code, printer),
        Command::Build(args) => {
            let options = build::Options {
                with_connections: args.with_connections,
                allow_destructive: args.allow_destructive_operations,
                wait: waits(args.wait, printer),
            };
            let session = session(&global, &env)?;
            build::refuse_cloud(&session)?;
            wait_for(build::run(&session, options, printer))
        }
        Command::Deploy(args) => {
            if args.check {
                let session = session(&global, &env)?;
                return wait_for(plan::run(
                    &session,
                    args.allow_destructive_operations,
                    printer,
                ));
            }
            let options = deploy::Options {
                allow_destructive: args.allow_destructive_operations,
                promote: !args.no_auto,
                wait_live: !args.wait.no_wait,
                wait_backfill: waits(args.wait, printer),
            };
            let session = session(&global, &env)?;
            wait_for(deploy::run(&session, options, printer))
        }
        Command::Sql(args) => {
            let session = session(&global, &env)?;
            wait_for(sql::run(&session, &args.query, args.rows_limit, printer))
        }
        Command::Connection(command) => run_connection(command, &global, &env, printer),
        Command::Datasource(command) => {
            let session = session(&global, &env)?;
            run_datasource(command, &session, &global, &env, printer)
        }
        Command::Secret(command) => {
            let session = session(&global, &env)?;
            match command {
                SecretCommand::Set { name, value } => {
                    let value = secret::value(&name, value)?;
                    wait_for(secret::set(&session, &name, &value, printer))
                }
                SecretCommand::Ls => wait_for(secret::ls(&session, printer)),
                SecretCommand::Rm { name } => wait_for(secret::rm(&session, &name, printer)),
            }
        }
        Command::Plan(args) => {
            let session = session(&global, &env)?;
            wait_for(plan::run(
                &session,
                args.allow_destructive_operations,
                printer,
            ))
        }
        Command::Deployment(command) => run_deployment(command, &session(&global, &env)?, printer),
        Command::Fmt(args) => {
            let folder = folder(&global, &env)?;
            let tinyb = files::tinyb_file(&folder);
            fmt::run(&folder, &tinyb, &args.files, args.check, printer)
        }
        Command::Token(command) => run_token(command, &session(&global, &env)?, printer),
        Command::Job(command) => {
            let session = session(&global, &env)?;
            match command {
                JobCommand::Ls => wait_for(job::ls(&session, printer)),
                JobCommand::Show { id } => wait_for(job::show(&session, &id, printer)),
                JobCommand::Cancel { id } => wait_for(job::cancel(&session, &id, printer)),
            }
        }
        Command::Logs(args) => {
            let session = session(&global, &env)?;
            wait_for(logs::run(&session, args.lines, printer))
        }
        Command::Workspace(command) => {
            let session = session(&global, &env)?;
            match command {
                WorkspaceCommand::Ls => wait_for(workspaces::ls(&session, printer)),
                WorkspaceCommand::Current => wait_for(workspaces::current(&session, printer)),
            }
        }
        Command::Branch(command) => {
            if global.local {
                return Err(Failure::new(
                    Exit::Usage,
                    "branches are made from a Cloud workspace: leave --local away",
                ));
            }
            // Branches are the Cloud's, with --cloud or without.
            let cloud = Global {
                cloud: true,
                ..global
            };
            let session = session(&cloud, &env)?;
            match command {
                BranchCommand::Create { name } => {
                    wait_for(branch::create(&session, &name, printer))
                }
                BranchCommand::Ls => wait_for(branch::ls(&session, printer)),
                BranchCommand::Rm { name, yes } => {
                    wait_for(branch::rm(&session, &name, yes, printer))
                }
            }
        }
        Command::Login => {
            let (folder, flags) = (folder(&global, &env)?, flags(&global));
            login::checked(&flags)?;
            wait_for(login::login(&folder, &flags, &env, printer))
        }
        Command::Logout => login::logout(&folder(&global, &env)?, printer),
        Command::Open { no_browser } => {
            open::run(&session(&global, &env)?, no_browser, &env, printer)
        }
        Command::Completions { shell } => completions::run(shell, printer),
        Command::Info => wait_for(info::run(&session(&global, &env)?, printer)),
    }
}

fn run_local(command: LocalCommand, env: &Environment, printer: &Printer) -> Outcome {
    match command {
        LocalCommand::Start(args) => {
            let options = local::Options::resolve(args.use_aws_creds, args.port, env)?;
            wait_for(local::start(&options, env, printer))
        }
        LocalCommand::Restart(args) => {
            let options = local::Options::resolve(args.use_aws_creds, args.port, env)?;
            wait_for(local::restart(&options, env, printer))
        }
        LocalCommand::Stop => wait_for(local::stop(env, printer)),
        LocalCommand::Status => wait_for(local::status(env, printer)),
        LocalCommand::Remove { yes } => wait_for(local::remove(yes, env, printer)),
        LocalCommand::Logs(args) => wait_for(local::logs(args.lines, args.follow, env, printer)),
        LocalCommand::Version => wait_for(local::version(env, printer)),
    }
}

fn run_deployment(command: DeploymentCommand, session: &Session, printer: &Printer) -> Outcome {
    match command {
        DeploymentCommand::Ls { include_deleted } => {
            wait_for(deployment::ls(session, include_deleted, printer))
        }
        DeploymentCommand::Create {
            allow_destructive_operations,
        } => {
            let options = deploy::Options {
                allow_destructive: allow_destructive_operations,
                promote: false,
                wait_live: false,
                wait_backfill: false,
            };
            wait_for(deploy::run(session, options, printer))
        }
        DeploymentCommand::Promote { id, wait } => {
            let wait = waits(wait, printer);
            wait_for(deployment::promote(session, id.as_deref(), wait, printer))
        }
        DeploymentCommand::Discard { id } => {
            wait_for(deployment::discard(session, id.as_deref(), printer))
        }
    }
}

fn run_token(command: TokenCommand, session: &Session, printer: &Printer) -> Outcome {
    match command {
        TokenCommand::Ls { show_tokens } => wait_for(token::ls(session, show_tokens, printer)),
        TokenCommand::Create { name, scopes } => {
            wait_for(token::create(session, &name, &scopes, printer))
        }
        TokenCommand::Rm { name, yes } => wait_for(token::rm(session, &name, yes, printer)),
        TokenCommand::Refresh { name, yes } => {
            wait_for(token::refresh(session, &name, yes, printer))
        }
    }
}

fn run_datasource(
    command: DatasourceCommand,
    session: &Session,
    global: &Global,
    env: &Environment,
    printer: &Printer,
) -> Outcome {
    match command {
        DatasourceCommand::Create(args) => {
            let options = add_table::Options {
                connection: args.connection_name,
                given: add_table::Given {
                    table_arn: args.dynamodb_table_arn,
                    bucket: args.dynamodb_export_bucket,
                    datasource: args.name,
                },
                overwrite: args.overwrite,
                yes: args.yes,
            };
            let sessions = sessions(global, env)?;
            wait_for(add_table::run(&sessions, options, printer))
        }
        DatasourceCommand::Ls => wait_for(datasource::ls(session, printer)),
        DatasourceCommand::Show { name } => wait_for(datasource::show(session, &name, printer)),
        DatasourceCommand::Data { name, limit } => {
            wait_for(datasource::data(session, &name, limit, printer))
        }
        DatasourceCommand::Sample { name, rows, wait } => {
            // Nobody wants to look at a table before its rows are there, a script least of all.
            let wait = wait.wait || !wait.no_wait;
            wait_for(sample::run(session, &name, rows, wait, printer))
        }
        DatasourceCommand::Stop { name } => wait_for(datasource::stop(session, &name, printer)),
        DatasourceCommand::Start { name } => wait_for(datasource::start(session, &name, printer)),
        DatasourceCommand::Resync {
            name,
            reason,
            yes,
            wait,
        } => {
            let options = resync::Options {
                reason,
                yes,
                wait: waits(wait, printer),
            };
            wait_for(resync::run(session, &name, &options, printer))
        }
        DatasourceCommand::Verify(args) => {
            let sample = (!args.full).then_some(args.sample);
            wait_for(verify::run(
                session,
                &args.name,
                sample,
                args.repair,
                printer,
            ))
        }
        DatasourceCommand::Quarantine(command) => match command {
            QuarantineCommand::Ls { name, limit } => {
                wait_for(quarantine::ls(session, &name, limit, printer))
            }
            QuarantineCommand::Show {
                name,
                origin,
                position,
            } => wait_for(quarantine::show(
                session, &name, &origin, &position, printer,
            )),
            QuarantineCommand::Replay { name, dry_run } => {
                wait_for(quarantine::replay(session, &name, dry_run, printer))
            }
        },
    }
}

fn run_connection(
    command: ConnectionCommand,
    global: &Global,
    env: &Environment,
    printer: &Printer,
) -> Outcome {
    let sessions = sessions(global, env)?;
    match command {
        ConnectionCommand::Create(CreateCommand::Dynamodb(args)) => {
            let options = wizard::Options {
                name: args.name,
                table: args.table,
                bucket: args.bucket,
                region: args.region,
                env: args.env,
                role_arn: args.role_arn,
                table_arn: args.table_arn,
                datasource: args.datasource,
                overwrite: args.overwrite,
                yes: args.yes,
            };
            wait_for(wizard::run(&sessions, options, printer))
        }
        ConnectionCommand::Ls => wait_for(list::run(&sessions, printer)),
        ConnectionCommand::Rm {
            name,
            with_datasources,
            yes,
        } => remove::run(&sessions, &name, with_datasources, yes, printer),
        ConnectionCommand::Policy(args) => {
            let format = match (args.cli, args.terraform, args.cloudformation) {
                (true, ..) => policy::Format::Cli,
                (_, true, _) => policy::Format::Terraform,
                (.., true) => policy::Format::CloudFormation,
                _ => policy::Format::Documents,
            };
            let options = policy::Options {
                name: args.name,
                tables: args.table,
                buckets: args.bucket,
                region: args.region,
                env: args.env,
                role_name: args.role_name,
                format,
            };
            wait_for(policy::run(&sessions, &options, printer))
        }
        ConnectionCommand::Doctor(args) => wait_for(doctor::run(
            &sessions,
            &args.name,
            args.table_arn,
            args.bucket,
            printer,
        )),
    }
}

fn waits(args: WaitArgs, printer: &Printer) -> bool {
    args.wait || (!args.no_wait && printer.err_is_terminal())
}

fn folder(global: &Global, env: &Environment) -> Outcome<PathBuf> {
    let named = global.cwd.clone().or_else(|| env.path(env_vars::TB_CWD));
    let folder = match named {
        Some(folder) => folder,
        None => std::env::current_dir().map_err(|error| {
            Failure::new(Exit::Usage, "the current folder is gone").because(&error)
        })?,
    };
    if folder.is_dir() {
        Ok(folder)
    } else {
        Err(
            Failure::new(Exit::Usage, format!("{} is not a folder", folder.display()))
                .hint("check --cwd or TB_CWD"),
        )
    }
}

fn session(global: &Global, env: &Environment) -> Outcome<Session> {
    let folder = folder(global, env)?;
    let tinyb = files::tinyb_file(&folder);
    let target = resolve::target(&flags(global), env, &tinyb)?;
    Ok(Session {
        target,
        folder,
        tinyb,
        branch: global.branch.clone(),
    })
}

fn flags(global: &Global) -> TargetFlags {
    TargetFlags {
        cloud: global.cloud,
        local: global.local,
        branch: global.branch.clone(),
        host: global.host.clone(),
        token: global.token.clone(),
    }
}

/// Both servers that a connection may be used on. A token on the command line is that of the server the flags choose.
fn sessions(global: &Global, env: &Environment) -> Outcome<Sessions> {
    let folder = folder(global, env)?;
    let tinyb = files::tinyb_file(&folder);
    let branch = |cloud: bool| global.branch.clone().filter(|_| cloud);
    let to_cloud =
        global.cloud || global.branch.is_some() || global.host.is_some() && !global.local;
    let session = |cloud: bool| {
        let flags = TargetFlags {
            cloud,
            local: !cloud,
            branch: branch(cloud),
            host: global.host.clone().filter(|_| cloud),
            token: global.token.clone().filter(|_| cloud == to_cloud),
        };
        let target = resolve::target(&flags, env, &tinyb)?;
        Ok(Session {
            target,
            folder: folder.clone(),
            tinyb: tinyb.clone(),
            branch: branch(cloud),
        })
    };
    let chosen = match (to_cloud, global.local) {
        (true, _) => Some(Wanted::Cloud),
        (_, true) => Some(Wanted::Local),
        _ => None,
    };
    Ok(Sessions {
        local: session(false)?,
        cloud: session(true),
        chosen,
    })
}

/// Runs a command that talks to a server. One thread is plenty, and none is started before it is needed.
fn wait_for(command: impl Future<Output = Outcome>) -> Outcome {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Server, "cannot start the runtime").because(&error))?
        .block_on(command)
}
