//! The HTTP API: the contract of the official clients, and our own additions beside it.
//!
//! One file per resource. Trailing slashes and unknown query parameters mean nothing, bodies are read by shape
//! and not by header, and every failure is `{"error": "text"}`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use mirror::clock::Clock;
use mirror::sink::Sink;
use mirror::source::{CallerIdentity, Sources};
use mirror::warehouse::{Verifier, Warehouse};
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;

use crate::deploy::Deployer;
use crate::jobs::Jobs;
use crate::secrets::Keyring;
use crate::settings::Settings;
use crate::store::{Installation, SqliteStore};
use crate::telemetry;
use crate::worker::Supervisor;

mod absent;
mod build;
mod caller;
mod connectors;
mod datasources;
mod deployments;
mod doctor;
mod environments;
mod error;
mod health;
mod integrations;
mod jobs;
mod local_tokens;
mod logs;
mod mirrors;
mod params;
mod pipes;
mod policies;
mod quarantine;
mod samples;
mod sql;
mod tokens;
mod unread;
mod upload;
mod variables;
mod verifications;
mod wire;
mod workspaces;

pub(crate) use local_tokens::write_file as write_tokens_file;
pub(crate) use wire::iso_time;

/// Largest body of a request, bytes: a project of thousands of files.
const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;

/// What handlers work with.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) keys: Arc<Keyring>,
    pub(crate) installation: Installation,
    pub(crate) deployer: Arc<Deployer>,
    pub(crate) supervisor: Arc<Supervisor>,
    pub(crate) warehouse: Arc<dyn Warehouse>,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) verifier: Arc<dyn Verifier>,
    /// Verifications, running and over.
    pub(crate) jobs: Jobs,
    pub(crate) sources: Option<Arc<dyn Sources>>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Work that goes on when its client has gone away.
    pub(crate) tasks: TaskTracker,
    /// The last answer about our own AWS identity and when it was given.
    pub(crate) identity: Mutex<Option<(i64, Result<CallerIdentity, String>)>>,
}

/// The whole API.
pub(crate) fn router(app: Arc<App>) -> Router {
    let routes = Router::new()
        .merge(tinybird_routes())
        .merge(own_routes())
        .merge(absent::routes())
        .fallback(error::no_such_endpoint)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&app),
            note_request,
        ))
        .with_state(app);
    // The layer must see a request before its path is matched, which layers of a router with routes do not.
    Router::new()
        .fallback_service(routes)
        .layer(middleware::from_fn(params::lift_form_token))
        .layer(middleware::map_request(without_trailing_slash))
        .layer(middleware::from_fn(unread::read_to_the_end))
}

fn tinybird_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/tokens", get(local_tokens::show))
        .route("/version", get(health::version))
        .route("/v0/health", get(health::liveness))
        .route("/v0/regions", get(health::regions))
        .route("/v0/jobs", get(jobs::list))
        .route("/v0/jobs/{id}", get(jobs::show).delete(jobs::cancel))
        .route("/v0/jobs/{id}/cancel", post(jobs::cancel))
        .route("/v0/auth", get(tokens::auth))
        .route("/v0/tokens", get(tokens::list).post(tokens::create))
        .route(
            "/v0/tokens/{id}",
            get(tokens::show).put(tokens::update).delete(tokens::remove),
        )
        .route("/v0/tokens/{id}/refresh", post(tokens::refresh))
        .route(
            "/v0/environments",
            get(environments::list).post(environments::create),
        )
        .route(
            "/v1/environments",
            get(environments::list).post(environments::create),
        )
        .route(
            "/v0/environments/{branch}",
            get(environments::show).delete(environments::remove),
        )
        .route(
            "/v1/environments/{branch}",
            get(environments::show).delete(environments::remove),
        )
        .route("/v1/user/workspaces", get(workspaces::list))
        .route("/v1/workspaces", post(workspaces::create))
        .route(
            "/v1/workspaces/{id}",
            axum::routing::delete(workspaces::remove),
        )
        .route("/v1/workspace", get(workspaces::current))
        .route("/v0/workspace", get(workspaces::current_classic))
        .route(
            "/v0/variables",
            get(variables::list).post(variables::create),
        )
        .route(
            "/v0/variables/{name}",
            get(variables::show)
                .put(variables::update)
                .delete(variables::remove),
        )
        .route("/v1/build", post(build::build))
        .route("/v1/deploy", post(deployments::deploy))
        .route("/v1/deployments", get(deployments::list))
        .route(
            "/v1/deployments/{id}",
            get(deployments::show).delete(deployments::discard),
        )
        .route("/v1/deployments/{id}/set-live", post(deployments::set_live))
        .route(
            "/v0/datasources",
            get(datasources::list).post(absent::rows_sent),
        )
        .route("/v0/datasources/{name}", get(datasources::show))
        .route("/v0/datasources/{name}/stop", post(datasources::stop))
        .route("/v0/datasources/{name}/start", post(datasources::start))
        .route("/v0/datasources/{name}/sample", post(samples::begin))
        .route("/v0/pipes", get(pipes::list))
        .route("/v1/pipes", get(pipes::list))
        .route("/v0/pipes/{name}", get(pipes::show).post(pipes::run))
        .route("/v1/pipes/{name}", get(pipes::show))
        .route("/v0/pipes/{name}/{*part}", post(pipes::run_part))
        .route("/v0/sql", get(sql::get).post(sql::post))
        .route("/v0/connectors", get(connectors::list))
        .route("/v0/connectors/{name}", get(connectors::show))
        .route("/v0/integrations/s3/settings", get(integrations::settings))
        .route(
            "/v0/integrations/dynamodb/policies/{policy}",
            get(policies::show),
        )
        .route(
            "/v1/integrations/dynamodb/validate",
            post(integrations::validate),
        )
}

fn own_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v0/health/readiness", get(health::readiness))
        .route("/v0/logs", get(logs::list))
        .route(
            "/v1/integrations/dynamodb/assume-role",
            post(integrations::assume_role),
        )
        .route("/v1/integrations/dynamodb/doctor", post(doctor::examine))
        .route("/v0/mirrors", get(mirrors::list))
        .route("/v0/mirrors/{datasource}", get(mirrors::show))
        .route("/v0/datasources/{name}/resync", post(datasources::resync))
        .route("/v0/datasources/{name}/verify", post(verifications::verify))
        .route("/v0/datasources/{name}/quarantine", get(quarantine::list))
        .route(
            "/v0/datasources/{name}/quarantine/replay",
            post(quarantine::replay),
        )
}

/// Tells the log about a request, without its query: tokens travel there.
async fn note_request(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let started_ms = app.clock.now_ms();
    let response = next.run(request).await;
    let elapsed_ms = app.clock.now_ms() - started_ms;
    telemetry::request_answered(&method, &path, response.status(), elapsed_ms);
    response
}

/// `/v1/user/workspaces/?x` is `/v1/user/workspaces?x`.
async fn without_trailing_slash(mut request: Request) -> Request {
    let uri = request.uri();
    let path = uri.path();
    let trimmed = path.trim_end_matches('/');
    if trimmed.len() == path.len() || trimmed.is_empty() {
        return request;
    }
    let text = match uri.query() {
        Some(query) => format!("{trimmed}?{query}"),
        None => trimmed.to_owned(),
    };
    if let Ok(path_and_query) = PathAndQuery::try_from(text) {
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(path_and_query);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}
