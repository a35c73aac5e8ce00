//! What programs need for tests of their own handlers.

mod assertions;
mod fake;
mod faulty;
mod plan;
mod record;

pub use self::faulty::FaultyQueue;
pub use self::plan::Injected;
pub(crate) use self::record::Fake;
pub use self::record::RecordedFire;
