//! What the programs of the peers share: the payload, what a handler does, the cases and how they are timed, the arguments.

mod cases;
mod command;
mod figures;
mod handler;
mod order;
mod peer;

pub use cases::run;
pub use command::{Case, Command, Durability};
pub use figures::{Figures, answer, answer_with};
pub use handler::handle;
pub use order::Order;
pub use peer::{Peer, Producer};

/// Any error: what is said of it is all that counts here.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
