//! Real servers for tests: started in temporary folders on free ports of this machine, killed, frozen, restarted and cut off.
//!
//! They run beside whatever else runs here, and end with the process that started them, also where that is killed.

mod postgres;
mod program;
mod proxy;
mod redis;
mod server;
mod watchdog;

pub use self::postgres::Postgres;
pub use self::program::PASSWORD;
pub use self::proxy::Proxy;
pub use self::redis::{Persistence, Redis};
pub use self::server::Server;
