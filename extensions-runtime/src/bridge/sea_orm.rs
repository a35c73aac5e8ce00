//! Rows of a database as fields of points, with [SeaORM](https://www.sea-ql.org/SeaORM): what is stored is the primary key, and
//! what a handler loads is the row as it is then.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use sea_orm::sea_query::FromValueTuple;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, ModelTrait, PrimaryKeyTrait};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::handler::{Context, HandlerError, HandlerResult};
use crate::worker::Job;

/// The value of an entity's primary key: a tuple where the key has several columns.
pub type Key<E> = <<E as EntityTrait>::PrimaryKey as PrimaryKeyTrait>::ValueType;

/// A row of the entity `E`, by its primary key.
///
/// As a field of a point (`order: ModelRef<orders::Entity>`) it is written as the bare key: a number, a string, or a list for a key
/// of several columns (`{"order":7}`). A handler [loads](Self::load) the row as it is then: a job may run long after its fire.
pub struct ModelRef<E: EntityTrait>(Key<E>);

impl<E: EntityTrait> ModelRef<E> {
    /// The reference to a row, which should be stored before the point is fired: a worker may look for it at once.
    #[must_use]
    pub fn new<M: ModelTrait<Entity = E>>(model: &M) -> Self {
        Self(Key::<E>::from_value_tuple(model.get_primary_key_value()))
    }

    /// The reference to the row with the key, whether there is one or not.
    #[must_use]
    pub fn from_key(key: impl Into<Key<E>>) -> Self {
        Self(key.into())
    }

    /// The primary key.
    #[must_use]
    pub const fn key(&self) -> &Key<E> {
        &self.0
    }
}

impl<E: EntityTrait> ModelRef<E>
where
    Key<E>: Clone,
{
    /// The row as it is now, or `None` if it is gone. `db` is a connection or a transaction.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn find(&self, db: &impl ConnectionTrait) -> Result<Option<E::Model>, DbErr> {
        E::find_by_id(self.0.clone()).one(db).await
    }

    /// The row as it is now. `db` is a connection or a transaction.
    ///
    /// # Errors
    ///
    /// If the row is gone, [`HandlerError::missing`]: a job is dead at once, or cancelled with `missing = "discard"`. What the
    /// database says is an ordinary error: the attempt has failed, and another one is made.
    pub async fn load(&self, db: &impl ConnectionTrait) -> HandlerResult<E::Model> {
        self.find(db).await?.ok_or_else(|| self.missing())
    }

    /// The row as it is now, by the [`DatabaseConnection`] among the instance's resources; `from` is the handler's [`Job`] or
    /// [`Context`].
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load); an ordinary error if there is no such resource.
    pub async fn load_from(&self, from: &impl HasDatabase) -> HandlerResult<E::Model> {
        let db = from.database()?;
        self.load(&*db).await
    }

    fn missing(&self) -> HandlerError {
        HandlerError::missing(format!("the row of `{}` with the key {:?}", E::default().table_name(), self.0))
    }
}

/// What a handler gets its database from.
pub trait HasDatabase {
    /// The database, as it was given to the instance: `.resource(db)`.
    ///
    /// # Errors
    ///
    /// If there is none, an error that says so.
    fn database(&self) -> HandlerResult<Arc<DatabaseConnection>>;
}

impl HasDatabase for Job {
    fn database(&self) -> HandlerResult<Arc<DatabaseConnection>> {
        given(self.resource())
    }
}

impl HasDatabase for Context {
    fn database(&self) -> HandlerResult<Arc<DatabaseConnection>> {
        given(self.resource())
    }
}

fn given(db: Option<Arc<DatabaseConnection>>) -> HandlerResult<Arc<DatabaseConnection>> {
    db.ok_or_else(|| {
        "there is no `DatabaseConnection` among the resources; add `.resource(db)` to the builder".into()
    })
}

impl<M: ModelTrait> From<&M> for ModelRef<M::Entity> {
    fn from(model: &M) -> Self {
        Self::new(model)
    }
}

impl<E: EntityTrait> Clone for ModelRef<E>
where
    Key<E>: Clone,
{
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: EntityTrait> PartialEq for ModelRef<E> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<E: EntityTrait> Eq for ModelRef<E> where Key<E>: Eq {}

impl<E: EntityTrait> Hash for ModelRef<E>
where
    Key<E>: Hash,
{
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<E: EntityTrait> fmt::Debug for ModelRef<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ModelRef").field(&E::default().table_name()).field(&self.0).finish()
    }
}

impl<E: EntityTrait> Serialize for ModelRef<E>
where
    Key<E>: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, E: EntityTrait> Deserialize<'de> for ModelRef<E>
where
    Key<E>: Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Key::<E>::deserialize(deserializer).map(Self)
    }
}
