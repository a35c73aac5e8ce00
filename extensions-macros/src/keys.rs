//! The words that the attributes know. Each is written here once.

pub(crate) const ALIASES: &str = "aliases";
pub(crate) const AWAITED: &str = "awaited";
pub(crate) const BACKOFF: &str = "backoff";
pub(crate) const BACKOFF_SECONDS: &str = "backoff_seconds";
pub(crate) const BATCH: &str = "batch";
pub(crate) const BLOCKING: &str = "blocking";
pub(crate) const CRATE: &str = "crate";
pub(crate) const DELAY: &str = "delay";
pub(crate) const ENCRYPT: &str = "encrypt";
pub(crate) const ENV: &str = "env";
pub(crate) const EXPIRES_IN: &str = "expires_in";
pub(crate) const FEATURE: &str = "feature";
pub(crate) const GROUP: &str = "group";
pub(crate) const HALF_OPEN_MAX: &str = "half_open_max";
pub(crate) const INTERRUPTIBLE: &str = "interruptible";
pub(crate) const JITTER: &str = "jitter";
pub(crate) const LIMIT_BY: &str = "limit_by";
pub(crate) const MAX: &str = "max";
pub(crate) const MAX_ATTEMPTS: &str = "max_attempts";
pub(crate) const MAX_CONCURRENCY: &str = "max_concurrency";
pub(crate) const MISSING: &str = "missing";
pub(crate) const NAME: &str = "name";
pub(crate) const NOT_FEATURE: &str = "not_feature";
pub(crate) const OFF: &str = "off";
pub(crate) const ON_FAILURE: &str = "on_failure";
pub(crate) const ON_RETRY: &str = "on_retry";
pub(crate) const ON_UNAVAILABLE: &str = "on_unavailable";
pub(crate) const OUTPUT: &str = "output";
pub(crate) const PREDICATE: &str = "predicate";
pub(crate) const PRIORITY: &str = "priority";
pub(crate) const QUEUE: &str = "queue";
pub(crate) const QUEUED: &str = "queued";
pub(crate) const RATE_LIMIT: &str = "rate_limit";
pub(crate) const REDACT: &str = "redact";
pub(crate) const RETRIES: &str = "retries";
pub(crate) const RETRY_UNTIL: &str = "retry_until";
pub(crate) const STAGE: &str = "stage";
pub(crate) const TAGS: &str = "tags";
pub(crate) const THRESHOLD: &str = "threshold";
pub(crate) const TIMEOUT: &str = "timeout";
pub(crate) const UNIQUE: &str = "unique";
pub(crate) const UNIQUE_BY: &str = "unique_by";
pub(crate) const UNIQUE_FOR: &str = "unique_for";
pub(crate) const UNIQUE_UNTIL: &str = "unique_until";
pub(crate) const UPCAST: &str = "upcast";
pub(crate) const VERSION: &str = "version";
pub(crate) const WITH: &str = "with";

/// Options of `#[extension_point(…)]`.
pub(crate) const POINT: &[&str] = &[QUEUED, INTERRUPTIBLE, OUTPUT, NAME, VERSION, UPCAST, UNIQUE_BY, CRATE];

/// Options of `#[extension_handler(Point, …)]`.
pub(crate) const HANDLER: &[&str] =
    &[NAME, ALIASES, PRIORITY, TAGS, GROUP, AWAITED, STAGE, ON_UNAVAILABLE, WITH, CRATE];

/// Options of `#[async_handler(…)]`.
pub(crate) const ASYNC: &[&str] = &[
    QUEUE,
    DELAY,
    RETRIES,
    MAX_ATTEMPTS,
    BACKOFF,
    BACKOFF_SECONDS,
    TIMEOUT,
    ON_FAILURE,
    ON_RETRY,
    UNIQUE,
    UNIQUE_FOR,
    UNIQUE_BY,
    UNIQUE_UNTIL,
    PRIORITY,
    TAGS,
    RETRY_UNTIL,
    EXPIRES_IN,
    MISSING,
    BLOCKING,
    CRATE,
];

/// Options of `#[async_handler(…)]` that are to come.
pub(crate) const ASYNC_LATER: &[&str] = &[RATE_LIMIT, MAX_CONCURRENCY, LIMIT_BY, ENCRYPT, BATCH];

/// Conditions of `#[when(…)]`.
pub(crate) const WHEN: &[&str] = &[ENV, FEATURE, NOT_FEATURE, PREDICATE];

/// Options of `#[circuit_breaker(…)]`.
pub(crate) const CIRCUIT_BREAKER: &[&str] = &[THRESHOLD, TIMEOUT, HALF_OPEN_MAX, OFF];

/// How an option that needs a value is written.
pub(crate) fn example(key: &str) -> &'static str {
    match key {
        ALIASES => "aliases = [\"OldName\"]",
        BACKOFF => "backoff = \"exponential\"",
        BACKOFF_SECONDS => "backoff_seconds = 10",
        CRATE => "crate = \"ext\"",
        DELAY => "delay = \"30s\"",
        EXPIRES_IN => "expires_in = \"10m\"",
        ENV => "env = \"production\"",
        FEATURE => "feature = \"new-billing\"",
        GROUP => "group = \"billing\"",
        HALF_OPEN_MAX => "half_open_max = 1",
        JITTER => "jitter = 0.1",
        MAX => "max = \"1h\"",
        MAX_ATTEMPTS => "max_attempts = 3",
        MISSING => "missing = \"discard\"",
        NAME => "name = \"order.placed\"",
        NOT_FEATURE => "not_feature = \"new-billing\"",
        ON_FAILURE => "on_failure = NotifyAdmin",
        ON_RETRY => "on_retry = LogRetry",
        ON_UNAVAILABLE => "on_unavailable = \"allow\"",
        OUTPUT => "output = Option<u64>",
        PREDICATE => "predicate = is_large",
        PRIORITY => "priority = 5",
        QUEUE => "queue = \"emails\"",
        RETRIES => "retries = 3",
        RETRY_UNTIL => "retry_until = \"1d\"",
        TAGS => "tags = [\"stock\"]",
        THRESHOLD => "threshold = 3",
        TIMEOUT => "timeout = \"2m\"",
        UNIQUE_BY => "unique_by = order_id",
        UNIQUE_FOR => "unique_for = \"1h\"",
        UNIQUE_UNTIL => "unique_until = \"start\"",
        UPCAST => "upcast = from_older_version",
        VERSION => "version = 2",
        WITH => "with = build_handler",
        _ => "key = value",
    }
}
