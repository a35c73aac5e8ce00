//! What programs need for tests of their own handlers.

mod faulty;
mod plan;

pub use self::faulty::FaultyQueue;
pub use self::plan::Injected;
