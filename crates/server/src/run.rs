//! The whole server: what starts after what, and what stops before what.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use mirror::clock::Clock;
use mirror::sink::Sink;
use mirror::source::Sources;
use mirror::store::Store;
use mirror::warehouse::{Verifier, Warehouse};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::{self, App};
use crate::deploy::{DeployError, Deployer, Report};
use crate::history::Historian;
use crate::jobs::Jobs;
use crate::secrets::Keyring;
use crate::settings::Settings;
use crate::state_dir::{StateDir, StateDirError};
use crate::store::{SqliteStore, StoreError};
use crate::telemetry;
use crate::worker::{Supervisor, WorkerPorts};

/// Requests that are being answered get this long when the server stops.
const GRACE: Duration = Duration::from_secs(10);

/// The outside world, as the command line assembled it.
#[derive(Clone)]
pub struct Parts {
    /// ClickHouse as a place of databases and queries.
    pub warehouse: Arc<dyn Warehouse>,
    /// ClickHouse as a place for rows.
    pub sink: Arc<dyn Sink>,
    /// ClickHouse as something to check.
    pub verifier: Arc<dyn Verifier>,
    /// DynamoDB; `None` when the server may not use AWS credentials.
    pub sources: Option<Arc<dyn Sources>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The state folder or its key file.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The metadata database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The port is taken.
    #[error(
        "listen on port {port}: something else listens there; see `tb local status`, or choose another port with TB_LOCAL_PORT"
    )]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// The address cannot be listened on.
    #[error("listen on {address}")]
    Listen {
        /// Address and port.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// A file in the state folder.
    #[error("write {}", path.display())]
    StateFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Accepting connections failed for good.
    #[error("serve requests")]
    Serve(#[source] io::Error),
}

/// Runs a server until `shutdown` is cancelled.
pub async fn run(
    settings: Settings,
    state: &StateDir,
    parts: Parts,
    shutdown: CancellationToken,
) -> Result<(), ServerError> {
    // The port comes first: whoever finds it taken must not have touched anything.
    let listeners = listen(settings.host, settings.port).await?;
    let address = listeners[0].1;

    // The key is made on the first start only, before the database that needs it.
    let keys = Arc::new(Keyring::new(&state.master_key()?));
    let store = Arc::new(SqliteStore::open(&state.database_path()).await?);
    let app = assemble(settings, &parts, keys, store).await?;

    // Mirrors first, requests after: a request finds them running. None of this waits for ClickHouse or AWS.
    close_interrupted_deployments(&app).await?;
    app.default_workspace().await?;
    if !app.settings.local {
        let path = state.tokens_file();
        let written = api::write_tokens_file(&app, &path).await;
        written.map_err(|source| ServerError::StateFile { path, source })?;
    }
    start_mirrors(&app).await?;
    finish_deletions(&app);

    let router = api::router(Arc::clone(&app));
    let stop_accepting = CancellationToken::new();
    let historian = Historian {
        store: Arc::clone(&app.store),
        supervisor: Arc::clone(&app.supervisor),
        clock: Arc::clone(&app.clock),
    };
    app.tasks.spawn(historian.run(stop_accepting.clone()));
    let servers = serve(listeners, &router, &stop_accepting);
    let server_file = state.server_file();
    write_server_file(&server_file, &app, address)?;
    telemetry::server_listens(address, &app.settings.version, app.sources.is_some());

    let mut servers = std::pin::pin!(servers);
    let outcome = tokio::select! {
        biased;
        () = shutdown.cancelled() => Ok(()),
        failed = &mut servers => failed,
    };

    // Stop order: no new requests, then workers, then the store they write to.
    telemetry::server_stops();
    let _ = std::fs::remove_file(&server_file);
    stop_accepting.cancel();
    app.jobs.cancel_all();
    if outcome.is_ok() {
        let _ = tokio::time::timeout(GRACE, &mut servers).await;
    }
    app.tasks.close();
    let _ = tokio::time::timeout(GRACE, app.tasks.wait()).await;
    app.supervisor.shut_down().await;
    app.store.close().await;
    outcome
}

async fn assemble(
    settings: Settings,
    parts: &Parts,
    keys: Arc<Keyring>,
    store: Arc<SqliteStore>,
) -> Result<Arc<App>, StoreError> {
    let installation = store.installation(parts.clock.now_ms()).await?;
    let ports = WorkerPorts {
        sources: parts.sources.clone(),
        sink: Arc::clone(&parts.sink),
        warehouse: Arc::clone(&parts.warehouse),
        store: Arc::clone(&store) as Arc<dyn Store>,
        clock: Arc::clone(&parts.clock),
    };
    let supervisor = Supervisor::new(ports, settings.worker.clone());
    let deployer = Deployer::new(
        Arc::clone(&store),
        Arc::clone(&keys),
        Arc::clone(&parts.warehouse),
        Arc::clone(&supervisor),
        Arc::clone(&parts.clock),
        parts.sources.is_some(),
        installation.user_id.clone(),
    )
    .with_prices(settings.prices);
    Ok(Arc::new(App {
        settings,
        store,
        keys,
        installation,
        deployer: Arc::new(deployer),
        supervisor,
        warehouse: Arc::clone(&parts.warehouse),
        sink: Arc::clone(&parts.sink),
        verifier: Arc::clone(&parts.verifier),
        jobs: Jobs::default(),
        sources: parts.sources.clone(),
        clock: Arc::clone(&parts.clock),
        tasks: TaskTracker::new(),
        identity: tokio::sync::Mutex::default(),
    }))
}

async fn close_interrupted_deployments(app: &App) -> Result<(), StoreError> {
    let mut report = Report::default();
    report.errors.push(crate::deploy::FileError {
        filename: "deployment".to_owned(),
        error: "the server stopped during this deployment; deploy again, which goes on where it stopped".to_owned(),
    });
    let result = serde_json::to_string(&report).unwrap_or_else(|_| "{}".to_owned());
    let now_ms = app.clock.now_ms();
    let closed = app
        .store
        .fail_interrupted_deployments(&result, now_ms)
        .await?;
    if closed > 0 {
        telemetry::deployments_interrupted(closed);
    }
    Ok(())
}

async fn start_mirrors(app: &App) -> Result<(), StoreError> {
    let mut inactive = 0;
    for workspace in app.store.workspaces().await? {
        for row in app.store.mirrors(&workspace.id).await? {
            if row.stopped {
                continue;
            }
            if app.sources.is_none() {
                inactive += 1;
                continue;
            }
            let name = format!("{}/{}", workspace.name, row.datasource);
            // One mirror that cannot be started must not keep the others from it.
            match app.deployer.start_stored(&workspace, &row).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => telemetry::mirror_not_started(&name, &error),
                Err(DeployError::Store(error)) => return Err(error),
                Err(error) => telemetry::mirror_not_started(&name, &error),
            }
        }
    }
    if inactive > 0 {
        telemetry::mirrors_inactive(inactive);
    }
    Ok(())
}

/// Deletes what is left of workspaces whose deletion was interrupted.
fn finish_deletions(app: &Arc<App>) {
    let app = Arc::clone(app);
    app.tasks.clone().spawn(async move {
        let Ok(workspaces) = app.store.deleting_workspaces().await else {
            return;
        };
        for workspace in workspaces {
            if let Err(error) = app.deployer.delete_workspace(&workspace).await {
                telemetry::workspace_deletion_unfinished(&workspace.name, &error.to_string());
            }
        }
    });
}

/// Listens on the address, and on `[::1]` as well as on 127.0.0.1: `localhost` may mean either.
async fn listen(host: IpAddr, port: u16) -> Result<Vec<(TcpListener, SocketAddr)>, ServerError> {
    let wanted = SocketAddr::new(host, port);
    let listener = bind(wanted).await?;
    let address = listener
        .local_addr()
        .map_err(|source| ServerError::Listen {
            address: wanted,
            source,
        })?;
    let mut listeners = vec![(listener, address)];
    if host == IpAddr::V4(Ipv4Addr::LOCALHOST) {
        let second = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), address.port());
        match TcpListener::bind(second).await {
            Ok(listener) => listeners.push((listener, second)),
            Err(error) => telemetry::second_address_unavailable(second, &error),
        }
    }
    Ok(listeners)
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address).await.map_err(|source| {
        if source.kind() == io::ErrorKind::AddrInUse {
            ServerError::PortTaken {
                port: address.port(),
            }
        } else {
            ServerError::Listen { address, source }
        }
    })
}

async fn serve(
    listeners: Vec<(TcpListener, SocketAddr)>,
    router: &Router,
    stop: &CancellationToken,
) -> Result<(), ServerError> {
    let servers = listeners.into_iter().map(|(listener, _)| {
        let server = axum::serve(
            listener,
            router
                .clone()
                .into_make_service_with_connect_info::<SocketAddr>(),
        );
        let stop = stop.clone();
        async move {
            server
                .with_graceful_shutdown(stop.cancelled_owned())
                .await
                .map_err(ServerError::Serve)
        }
    });
    futures::future::try_join_all(servers).await.map(drop)
}

/// Says where the server is, for the command line. Written beside and renamed: nobody reads half of it.
fn write_server_file(
    path: &std::path::Path,
    app: &App,
    address: SocketAddr,
) -> Result<(), ServerError> {
    let content = json!({
        "pid": std::process::id(),
        "host": address.ip().to_string(),
        "port": address.port(),
        "version": app.settings.version,
        "started_at": api::iso_time(app.clock.now_ms()),
        "aws_credentials": app.sources.is_some(),
    });
    let draft = path.with_extension("json.new");
    std::fs::write(&draft, format!("{content}\n"))
        .and_then(|()| std::fs::rename(&draft, path))
        .map_err(|source| ServerError::StateFile {
            path: path.to_owned(),
            source,
        })
}
