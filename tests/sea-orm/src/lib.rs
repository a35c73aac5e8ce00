//! The guide's page on SeaORM, whose code is tested here: the facade itself does not depend on a database driver.

#[cfg(doctest)]
#[doc = include_str!("../../../extensions/src/docs/sea_orm.md")]
mod guide {}
