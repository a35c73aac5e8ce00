//! Where the server is and how it is used.

use std::fmt;
use std::time::Duration;

use crate::backend::options::duration;
use crate::queue::{QueueError, QueueErrorKind};

/// How the servers behind a URL are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topology {
    Single,
    Sentinel,
    Cluster,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) topology: Topology,
    /// URLs of the client library, passwords included: one server, or the known nodes.
    pub(super) nodes: Vec<String>,
    /// The master's name, for Sentinel.
    pub(super) service: String,
    pub(super) prefix: String,
    pub(super) timeout: Duration,
    /// Whether the store may be made.
    pub(super) migrate: bool,
}

const SCHEMES: &[(&str, Topology, &str)] = &[
    ("redis", Topology::Single, "redis"),
    ("rediss", Topology::Single, "rediss"),
    ("redis-sentinel", Topology::Sentinel, "redis"),
    ("rediss-sentinel", Topology::Sentinel, "rediss"),
    ("redis-cluster", Topology::Cluster, "redis"),
    ("rediss-cluster", Topology::Cluster, "rediss"),
];

const LONGEST_TIMEOUT: Duration = Duration::from_secs(3600);

impl Config {
    /// Reads `redis://user:password@host:6379/0?prefix=jobs&timeout=5s` and its relatives.
    pub(super) fn from_url(url: &str) -> Result<Self, QueueError> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| invalid("the URL has no `://`; write `redis://host:6379/0`"))?;
        let (_, topology, plain) = SCHEMES.iter().find(|(known, ..)| *known == scheme).ok_or_else(|| {
            invalid(format!("`{scheme}:` is no scheme of Redis; write `redis://host:6379/0`"))
        })?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = place.split_once('/').unwrap_or((place, ""));
        let (login, hosts) =
            authority.rsplit_once('@').map_or((None, authority), |(login, hosts)| (Some(login), hosts));
        if hosts.is_empty() {
            return Err(invalid("the URL names no server; write `redis://host:6379/0`"));
        }
        let (service, database) = match topology {
            Topology::Sentinel => path.split_once('/').unwrap_or((path, "")),
            _ => ("", path),
        };
        if *topology == Topology::Sentinel && service.is_empty() {
            return Err(invalid("the URL names no master; write `redis-sentinel://host:26379/mymaster/0`"));
        }
        let login = login.map(|login| format!("{login}@")).unwrap_or_default();
        let hosts: Vec<_> = hosts.split(',').collect();
        if *topology == Topology::Single && hosts.len() > 1 {
            return Err(invalid(
                "the URL names more than one server; write `redis-cluster://` or `redis-sentinel://`",
            ));
        }
        let nodes = hosts.into_iter().map(|host| format!("{plain}://{login}{host}/{database}")).collect();
        let mut config = Self {
            topology: *topology,
            nodes,
            service: service.to_owned(),
            prefix: "extensions".to_owned(),
            timeout: Duration::from_secs(5),
            migrate: true,
        };
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            config.set(key, value)?;
        }
        config.checked()
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), QueueError> {
        match key {
            "prefix" => value.clone_into(&mut self.prefix),
            "timeout" => self.timeout = duration(key, value)?,
            unknown => {
                return Err(invalid(format!("unknown option `{unknown}`; there are `prefix` and `timeout`")));
            }
        }
        Ok(())
    }

    pub(super) fn checked(mut self) -> Result<Self, QueueError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
        if self.prefix.is_empty() || !self.prefix.chars().all(plain) {
            return Err(invalid(format!(
                "`prefix={}` cannot be used; write letters, digits, `_`, `-`, `.` and `:`",
                self.prefix
            )));
        }
        if self.timeout.is_zero() {
            return Err(invalid("`timeout=0` leaves no time for an answer; write it like `5s`"));
        }
        self.timeout = self.timeout.min(LONGEST_TIMEOUT);
        for node in &self.nodes {
            redis::IntoConnectionInfo::into_connection_info(node.as_str())
                .map_err(|error| invalid(format!("{}: {error}", without_login(node))))?;
        }
        Ok(self)
    }

    /// The key that all scripts are given; what is in the braces decides on the slot in a cluster.
    pub(super) fn base_key(&self) -> String {
        format!("{{{}}}", self.prefix)
    }

    /// For people: no user, no password.
    pub(super) fn place(&self) -> String {
        let nodes: Vec<_> = self.nodes.iter().map(|node| without_login(node)).collect();
        let service = if self.service.is_empty() { String::new() } else { format!(" {}", self.service) };
        format!("redis {}{service} {}", nodes.join(","), self.prefix)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("place", &self.place())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// `host:port/database` of a node's URL.
fn without_login(node: &str) -> &str {
    let place = node.split_once("://").map_or(node, |(_, place)| place);
    place.rsplit_once('@').map_or(place, |(_, place)| place).trim_end_matches('/')
}

fn invalid(context: impl Into<String>) -> QueueError {
    QueueError::new(QueueErrorKind::InvalidConfig, "connect", context)
}

#[cfg(test)]
mod tests {
    use super::{Config, Topology};
    use crate::queue::QueueErrorKind;
    use std::time::Duration;

    #[test]
    fn urls_name_servers_and_options() {
        let plain = Config::from_url("redis://localhost").unwrap();
        assert_eq!(
            (plain.topology, &*plain.prefix, plain.timeout),
            (Topology::Single, "extensions", Duration::from_secs(5))
        );
        let full =
            Config::from_url("rediss://me:s%40cret@db.example:6380/3?prefix=shop&timeout=250ms").unwrap();
        assert_eq!(full.nodes, ["rediss://me:s%40cret@db.example:6380/3"]);
        assert_eq!((&*full.base_key(), full.timeout), ("{shop}", Duration::from_millis(250)));
        let sentinel = Config::from_url("redis-sentinel://:pw@a:1,b:2/main/4").unwrap();
        assert_eq!((sentinel.topology, &*sentinel.service), (Topology::Sentinel, "main"));
        assert_eq!(sentinel.nodes, ["redis://:pw@a:1/4", "redis://:pw@b:2/4"]);
        let cluster = Config::from_url("rediss-cluster://a:1,b:2").unwrap();
        assert_eq!((cluster.topology, cluster.nodes.len()), (Topology::Cluster, 2));
    }

    #[test]
    fn nothing_shows_the_password() {
        for url in
            ["redis://me:secret@a:1/0", "redis-sentinel://:secret@a:1,b:2/m", "redis-cluster://x:secret@a,b"]
        {
            let config = Config::from_url(url).unwrap();
            let shown = format!("{config:?} {config:#?} {}", config.place());
            assert!(!shown.contains("secret") && shown.contains('a'), "{shown}");
        }
        let error = Config::from_url("redis://me:secret@a:nonsense/0").unwrap_err();
        assert!(!format!("{error:?} {error:#?} {error}").contains("secret"), "{error:#?}");
    }

    #[test]
    fn what_is_wrong_is_refused_with_what_to_write() {
        let table = [
            ("redis:", "redis://host:6379/0"),
            ("redis://", "names no server"),
            ("mysql://x", "is no scheme of Redis"),
            ("redis://a,b/0", "redis-cluster://"),
            ("redis-sentinel://a:1", "mymaster"),
            ("redis://a?prefx=b", "there are `prefix` and `timeout`"),
            ("redis://a?prefix=", "letters, digits"),
            ("redis://a?prefix={b}", "letters, digits"),
            ("redis://a?timeout=5", "like `5s` or `500ms`"),
            ("redis://a?timeout=0s", "no time for an answer"),
            ("redis://a:99999999", "a:99999999"),
        ];
        for (url, hint) in table {
            let error = Config::from_url(url).unwrap_err();
            assert_eq!(error.kind(), QueueErrorKind::InvalidConfig, "{url}");
            assert!(error.to_string().contains(hint), "{url}: {error}");
        }
    }
}
