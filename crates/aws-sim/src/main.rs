//! `aws-sim`: the simulator as a program.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use aws_sim::{Role, Sim, Trust, WorldConfig, serve};
use clap::Parser;

/// Simulates DynamoDB, DynamoDB Streams, S3 and STS on one port, in memory.
///
/// Point any AWS SDK at it with AWS_ENDPOINT_URL; every access key is accepted and acts as the account's root. Commands
/// that AWS does not have (splits, faults, clock) are under /_sim/.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Address to listen on
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Seconds from an export's request until it is COMPLETED
    #[arg(long, default_value_t = 5.0)]
    export_seconds: f64,
    /// Data files per export; 4, or one per 20,000 items, when absent
    #[arg(long)]
    export_files: Option<u32>,
    /// Seconds by which the snapshot of an export's partitions may be off either way
    #[arg(long, default_value_t = 0.0)]
    export_fuzz_seconds: f64,
    /// Seed of ids, sequence numbers, orders and chances
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Account id
    #[arg(long, default_value = "123456789012")]
    account: String,
    /// Region of the tables
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// Open shards a new stream starts with
    #[arg(long, default_value_t = 4)]
    shards: u32,
    /// Hours after which every shard is replaced by itself; 0 never does it
    #[arg(long, default_value_t = 4.0)]
    rollover_hours: f64,
    /// Seconds for which the children of a closed shard stay unlisted
    #[arg(long, default_value_t = 0.0)]
    children_delay_seconds: f64,
    /// ARN of a role that may be assumed; repeatable. Its trust is made of --principal and --external-id
    #[arg(long, value_name = "ARN")]
    role: Vec<String>,
    /// Account id or ARN trusted by the roles; repeatable
    #[arg(long)]
    principal: Vec<String>,
    /// External id accepted by the roles; repeatable, none needed when absent
    #[arg(long)]
    external_id: Vec<String>,
    /// Let everyone assume roles that were not declared (default: only when no --role is given)
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    open_roles: Option<bool>,
    /// Seconds by which the clock starts behind the wall clock; POST /_sim/advance brings it to the present
    #[arg(long, default_value_t = 0.0)]
    start_ago_seconds: f64,
    /// Bucket to create at the start, as NAME or NAME=REGION; repeatable
    #[arg(long)]
    bucket: Vec<String>,
    /// Enforce 10 DescribeStream calls a second per stream and 5 GetRecords calls a second per shard
    #[arg(long)]
    enforce_rates: bool,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "could not run the simulator");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> std::io::Result<()> {
    let address = SocketAddr::from((options.host, options.port));
    let sim = simulator(&options);
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::bind(address).await?;
        let mut out = std::io::stdout();
        writeln!(out, "listening on http://{}", listener.local_addr()?)?;
        out.flush()?;
        tokio::select! {
            result = serve(listener, sim) => result,
            result = tokio::signal::ctrl_c() => result,
        }
    })
}

fn simulator(options: &Options) -> Sim {
    let mut config = WorldConfig {
        seed: options.seed,
        account: options.account.clone(),
        region: options.region.clone(),
        open_roles: options.open_roles.unwrap_or(options.role.is_empty()),
        ..WorldConfig::default()
    };
    config.stream.shards = options.shards;
    config.stream.enforce_rates = options.enforce_rates;
    config.stream.children_delay_ms = millis(options.children_delay_seconds);
    config.stream.auto_rollover_ms =
        (options.rollover_hours > 0.0).then(|| millis(options.rollover_hours * 3600.0));
    config.export.duration_ms = millis(options.export_seconds);
    config.export.files = options.export_files;
    config.export.fuzz_ms = millis(options.export_fuzz_seconds);
    let sim = Sim::in_the_past(config, millis(options.start_ago_seconds));
    sim.with(|world| {
        for arn in &options.role {
            let mut role = Role::new(arn, "*", &[]);
            let principals = if options.principal.is_empty() {
                vec!["*".to_owned()]
            } else {
                options.principal.clone()
            };
            role.trust = vec![Trust {
                principals,
                external_ids: options.external_id.clone(),
            }];
            world.iam.add_role(role);
        }
        for bucket in &options.bucket {
            let (name, region) = bucket.split_once('=').unwrap_or((bucket, &options.region));
            world.s3.create_bucket(name, region);
        }
    });
    sim
}

fn millis(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}
