//! URLs as they may be shown.

/// What stands for a secret.
const MASK: &str = "***";

/// The URL without passwords: neither that before the `@`, nor those of options.
///
/// It reads no URL but masks text: what is no URL, or a wrong one, keeps its secret as well. Rather too much is masked than too little.
pub(super) fn masked(url: &str) -> String {
    let url = match url.split_once('?') {
        Some((place, options)) => {
            format!("{place}?{}", options.split('&').map(option).collect::<Vec<_>>().join("&"))
        }
        None => url.to_owned(),
    };
    let start = url.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = url.split_at(start);
    // The last `@`, wherever it is: a password may hold what it should have encoded.
    let login = rest.rsplit_once('@').and_then(|(login, place)| Some((login.split_once(':')?.0, place)));
    match login {
        Some((user, place)) => format!("{scheme}{user}:{MASK}@{place}"),
        None => url,
    }
}

fn option(option: &str) -> String {
    let is_secret = |key: &str| {
        let key = key.to_ascii_lowercase();
        ["pass", "pasw", "pw", "secret", "token", "key"].iter().any(|word| key.contains(word))
    };
    match option.split_once('=') {
        Some((key, _)) if is_secret(key) => format!("{key}={MASK}"),
        _ => option.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn passwords_are_masked_and_the_rest_is_kept() {
        for (url, shown) in [
            ("sqlite://jobs.db?synchronous=full", "sqlite://jobs.db?synchronous=full"),
            ("sqlite:///var/lib/a@b.db", "sqlite:///var/lib/a@b.db"),
            ("memory:", "memory:"),
            ("postgres://me@host/db", "postgres://me@host/db"),
            ("postgres://me:hush@host:5432/db?schema=app", "postgres://me:***@host:5432/db?schema=app"),
            (
                "postgres://host/db?user=me&password=hush&sslmode=require",
                "postgres://host/db?user=me&password=***&sslmode=require",
            ),
            ("redis://:hush@host:6379/0", "redis://:***@host:6379/0"),
            ("redis-sentinel://me:hush@a:1,b:2/m/0", "redis-sentinel://me:***@a:1,b:2/m/0"),
        ] {
            assert_eq!(masked(url), shown);
        }
    }

    #[test]
    fn a_password_that_should_have_been_encoded_is_masked_too() {
        for url in [
            "redis://:hu@sh@host/0",
            "redis://:hu/sh@host/0",
            "redis://:hu?sh@host/0",
            "redis://:hu:sh@host/0",
            "me:hush@host",
            "postgres://h/d?PASSWORD=hush",
            "postgres://h/d?password=hu@sh",
            "postgres://h/d?pasword=hush",
            "redis-sentinel://a/m/0?sentinel-pw=hush",
        ] {
            let shown = masked(url);
            assert!(!shown.contains("hu") && !shown.contains("sh"), "{url}: {shown}");
        }
    }
}
