//! Every environment variable that `tb` reads, documented once.

/// Address of the server for `--cloud`; `--host` wins.
pub(crate) const TB_HOST: &str = "TB_HOST";
/// Token for `--cloud`; `--token` wins.
pub(crate) const TB_TOKEN: &str = "TB_TOKEN";
/// Project folder; `--cwd` wins.
pub(crate) const TB_CWD: &str = "TB_CWD";
/// Host of the Local server, `127.0.0.1` when unset.
pub(crate) const TB_LOCAL_HOST: &str = "TB_LOCAL_HOST";
/// Port of the Local server: 7181 when unset, a free one when 0.
pub(crate) const TB_LOCAL_PORT: &str = "TB_LOCAL_PORT";
/// Folder of the Local server's data, key, log and pid.
pub(crate) const TB_LOCAL_STATE: &str = "TB_LOCAL_STATE";
/// Base folder of user data; the Local state is `dynamirror/local` below it.
pub(crate) const XDG_DATA_HOME: &str = "XDG_DATA_HOME";
/// Used for the state folder when `XDG_DATA_HOME` is unset.
pub(crate) const HOME: &str = "HOME";
/// External ClickHouse; may hold `user:password@`. Unset means the embedded engine.
pub(crate) const CLICKHOUSE_URL: &str = "CLICKHOUSE_URL";
/// User of the external ClickHouse.
pub(crate) const CLICKHOUSE_USER: &str = "CLICKHOUSE_USER";
/// Password of the external ClickHouse.
pub(crate) const CLICKHOUSE_PASSWORD: &str = "CLICKHOUSE_PASSWORD";
// `TB_ENGINE_LIBRARY`, the file of the embedded engine, is read where the engine is: in `sink_clickhouse::engine`.

/// Any value but the empty one switches colour off.
pub(crate) const NO_COLOR: &str = "NO_COLOR";
/// `dumb` switches colour and moving lines off.
pub(crate) const TERM: &str = "TERM";

/// Set where there is an X server, so that a browser can be opened.
pub(crate) const DISPLAY: &str = "DISPLAY";
/// Set where there is a Wayland compositor.
pub(crate) const WAYLAND_DISPLAY: &str = "WAYLAND_DISPLAY";

/// The table in `tb --help`.
pub(crate) const HELP: &str = "\
Environment:
  TB_HOST, TB_TOKEN        server and token for --cloud and --branch, instead of those of `tb login`
  TB_CWD                   project folder, as --cwd
  TB_LOCAL_HOST            host of the Local server [127.0.0.1]
  TB_LOCAL_PORT            port of the Local server [7181]; 0 takes a free one
  TB_LOCAL_STATE           folder of the Local server; without it, dynamirror/local
                           in $XDG_DATA_HOME or ~/.local/share
  TB_ENGINE_LIBRARY        file of the embedded ClickHouse, libchdb.so; without it, beside `tb`,
                           in ../lib, or where `make engine` puts it
  CLICKHOUSE_URL, CLICKHOUSE_USER, CLICKHOUSE_PASSWORD
                           external ClickHouse of `tb server` and `tb local start`
  NO_COLOR                 no colour, as --no-color
  AWS_*                    only used by `tb server`, and by `tb local start --use-aws-creds`

Exit codes:
  0    done
  1    mistakes in the project, a refused build or deployment, a failed query
  2    wrong usage or settings
  3    the server cannot be reached
  4    refused: token, destructive change, missing confirmation
  5    the server failed, or could not be started or stopped
  130  interrupted

`tb explain CODE` says more about the codes of errors, states and exits.";
