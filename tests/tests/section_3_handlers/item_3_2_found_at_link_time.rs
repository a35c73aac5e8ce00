//! 3.2: what is linked is found, and the order of linking never shows.

use super::*;

#[derive(ExtensionPoint)]
struct Linked(Vec<&'static str>);

#[extension_handler(Linked)]
fn c_is_written_first(point: &mut Linked) {
    point.0.push("c");
}
#[extension_handler(Linked)]
fn a_is_written_second(point: &mut Linked) {
    point.0.push("a");
}
#[extension_handler(Linked, priority = 99)]
fn z_runs_before(point: &mut Linked) {
    point.0.push("z");
}
#[extension_handler(Linked)]
fn b_is_written_last(point: &mut Linked) {
    point.0.push("b");
}

#[tokio::test]
async fn they_run_by_priority_and_name_and_only_where_they_are_discovered() {
    let (ext, _queue) = on_memory(discovered()).await;
    assert_eq!(ext.fire(Linked(vec![])).await.unwrap().point().0, ["z", "a", "b", "c"]);
    let (ext, _queue) = on_memory(Extensions::builder()).await;
    assert!(ext.fire(Linked(vec![])).await.unwrap().point().0.is_empty());
}
