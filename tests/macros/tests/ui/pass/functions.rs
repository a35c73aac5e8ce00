//! Every shape of a function handler.
#![deny(warnings)]
#![forbid(unsafe_code)]

use std::sync::Arc;

use extensions::prelude::*;
use serde::{Deserialize, Serialize};

mod shop {
    use super::{Deserialize, ExtensionPoint, Serialize};

    #[derive(Serialize, Deserialize, ExtensionPoint)]
    #[extension_point(queued)]
    pub struct OrderPlaced(pub u64);

    #[derive(ExtensionPoint)]
    #[extension_point(output = u64)]
    pub struct Tax;
}

use shop::{OrderPlaced, Tax};

struct Db;

#[extension_handler(OrderPlaced)]
fn nothing() {}

#[extension_handler(OrderPlaced)]
const fn constant(_order: &OrderPlaced) {}

#[extension_handler(shop::OrderPlaced)]
fn by_path(order: &OrderPlaced) -> HandlerResult {
    if order.0 == 0 { Err("no order".into()) } else { Ok(()) }
}

#[extension_handler(OrderPlaced)]
fn by_longer_path(order: &mut crate::shop::OrderPlaced) -> Result<(), std::num::ParseIntError> {
    order.0 = "7".parse()?;
    Ok(())
}

#[extension_handler(OrderPlaced)]
fn any_order(cx: &Context, a: Res<Db>, order: &OrderPlaced, b: &Arc<Db>, c: Option<Res<Db>>) -> Result<(), String> {
    let _ = (cx.depth(), &*a, order.0, b, c.is_some());
    Ok(())
}

#[extension_handler(OrderPlaced)]
async fn awaited(order: &mut OrderPlaced, cx: &Context, _db: Res<Db>) -> anyhow::Result<()> {
    std::future::ready(()).await;
    order.0 += u64::from(cx.depth());
    Ok(())
}

#[extension_handler(OrderPlaced, awaited)]
async fn awaited_twice() {}

#[extension_handler(OrderPlaced)]
#[async_handler(blocking)]
fn blocking(_order: &OrderPlaced, job: &Job, _db: &Res<Db>) -> HandlerResult {
    let _ = job.attempt();
    Ok(())
}

#[async_handler]
#[extension_handler(OrderPlaced)]
async fn attributes_swapped<'a>(_job: &'a Job) {}

#[extension_handler(Tax, priority = -1)]
fn tax() -> u64 {
    1900
}

#[extension_handler(Tax)]
fn fallible_tax(_: &Tax) -> Result<u64, BoxError> {
    Ok(700)
}

#[extension_handler(OrderPlaced, name = "count_orders")]
#[extension_handler(shop::OrderPlaced, name = "count_again")]
fn count(_cx: &Context) {}

#[extension_handler(OrderPlaced)]
#[must_use]
pub(crate) fn r#match(OrderPlaced(id): &OrderPlaced) -> Result<(), &'static str> {
    if *id == 0 { Err("nothing") } else { Ok(()) }
}

fn main() {
    assert_eq!(tax(), 1900);
    assert!(r#match(&OrderPlaced(0)).is_err());
}
