//! Backends around another one.

/// The named methods of [`QueueBackend`](super::QueueBackend) and [`QueueAdmin`](super::QueueAdmin), each as the same call of another
/// backend: by `self.through(operation, call)`, which gives `call` that backend.
macro_rules! forward {
    ($($method:ident)+) => { $($crate::queue::forward!(@ $method);)+ };
    (@ extend) => {
        $crate::queue::forward!(extend(claims: Vec<$crate::queue::Extend>, lease: std::time::Duration) -> Vec<$crate::queue::Extended>);
    };
    (@ wait) => { $crate::queue::forward!(wait(request: $crate::queue::WaitRequest) -> ()); };
    (@ maintain) => { $crate::queue::forward!(maintain(retention: $crate::queue::Retention) -> $crate::queue::Maintained); };
    (@ connection) => { fn connection(&self) -> $crate::queue::Connection { self.inner.connection() } };
    (@ reconnect) => { fn reconnect(&self) { self.inner.reconnect(); } };
    (@ store) => { fn store(&self) -> Option<&(dyn std::any::Any + Send + Sync)> { self.inner.store() } };
    (@ beat) => {
        $crate::queue::forward!(beat(worker: $crate::queue::WorkerInfo, done: Vec<$crate::queue::Tally>) -> ());
    };
    (@ leave) => { $crate::queue::forward!(leave(worker: $crate::job::WorkerId) -> ()); };
    (@ stats) => { $crate::queue::forward!(stats() -> Vec<$crate::queue::QueueStats>); };
    (@ list) => { $crate::queue::forward!(list(filter: $crate::queue::JobFilter) -> Vec<$crate::job::JobRecord>); };
    (@ get) => { $crate::queue::forward!(get(ids: Vec<$crate::job::JobId>) -> Vec<Option<$crate::job::JobRecord>>); };
    (@ retry) => { $crate::queue::forward!(retry(ids: Vec<$crate::job::JobId>) -> Vec<$crate::queue::AdminOutcome>); };
    (@ cancel) => {
        $crate::queue::forward!(cancel(ids: Vec<$crate::job::JobId>, reason: String) -> Vec<$crate::queue::AdminOutcome>);
    };
    (@ forget) => { $crate::queue::forward!(forget(ids: Vec<$crate::job::JobId>) -> Vec<$crate::queue::AdminOutcome>); };
    (@ prune) => { $crate::queue::forward!(prune(retention: $crate::queue::Retention, limit: u64) -> u64); };
    (@ pause) => { $crate::queue::forward!(pause(queue: $crate::job::QueueName) -> ()); };
    (@ resume) => { $crate::queue::forward!(resume(queue: $crate::job::QueueName) -> ()); };
    (@ history) => { $crate::queue::forward!(history(since: std::time::Duration) -> Vec<$crate::queue::HistoryEntry>); };
    (@ check) => { $crate::queue::forward!(check() -> Vec<$crate::queue::Finding>); };
    (@ now) => { $crate::queue::forward!(now() -> $crate::time::Timestamp); };
    (@ workers) => { $crate::queue::forward!(workers() -> Vec<$crate::queue::WorkerInfo>); };
    ($method:ident($($argument:ident: $type:ty),*) -> $answer:ty) => {
        fn $method(&self, $($argument: $type),*) -> $crate::queue::QueueFuture<'_, $answer> {
            self.through(stringify!($method), move |inner| inner.$method($($argument),*))
        }
    };
}

pub(crate) use forward;
