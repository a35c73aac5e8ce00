//! The console as whoever types its commands sees it: real processes, transcripts of what they say, exit codes, shapes of JSON
//! (product 11.1).

mod code;
mod office;
mod shapes;
mod stateful;
mod store;
mod supervise;

/// A test of a story on every store that lasts.
macro_rules! on_every_store {
    ($($story:ident)+) => {
        mod sqlite {
            $(#[tokio::test] async fn $story() { super::$story(crate::office::Office::on_sqlite().made().await).await; })+
        }
        mod postgres {
            $(#[tokio::test] async fn $story() { super::$story(crate::office::Office::on_postgres().await.made().await).await; })+
        }
        mod redis {
            $(#[tokio::test] async fn $story() { super::$story(crate::office::Office::on_redis().await.made().await).await; })+
        }
    };
}
pub(crate) use on_every_store;
