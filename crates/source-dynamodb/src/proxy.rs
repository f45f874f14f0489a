//! The proxy that a company may have between us and AWS, from the variables that everybody uses.
//!
//! Only `https` goes through it, which is all of AWS. Endpoints of simulators and the metadata services of EC2 and ECS, which
//! no proxy can reach, are plain `http`.

use aws_smithy_http_client::proxy::ProxyConfig;

/// `HTTPS_PROXY`, or else `ALL_PROXY`, but for the hosts in `NO_PROXY`; names in small letters count too.
///
/// # Errors
/// What is wrong with the variable. Its value may hold a password and is not quoted.
pub(crate) fn from_environment() -> Result<ProxyConfig, String> {
    let Some((name, url)) = variable(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
    else {
        return Ok(ProxyConfig::disabled());
    };
    let url = match url.contains("://") {
        true => url,
        false => format!("http://{url}"),
    };
    let proxy = ProxyConfig::https(url).map_err(|_| {
        format!("use the proxy in {name}: it is no URL; set it like http://proxy.example.com:3128")
    })?;
    Ok(match variable(&["NO_PROXY", "no_proxy"]) {
        Some((_, hosts)) => proxy.no_proxy(hosts),
        None => proxy,
    })
}

fn variable(names: &[&'static str]) -> Option<(&'static str, String)> {
    let value = |name: &&'static str| Some((*name, std::env::var(name).ok()?));
    names
        .iter()
        .filter_map(value)
        .find(|(_, value)| !value.trim().is_empty())
}
