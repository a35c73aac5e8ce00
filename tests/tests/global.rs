//! The installed instance; a process of its own, as there is only one.

use extensions::prelude::*;

#[derive(ExtensionPoint)]
struct Ping(u32);

#[extension_handler(Ping)]
fn pong(ping: &mut Ping) {
    ping.0 += 1;
}

#[tokio::test]
async fn an_installed_instance_is_fired_through_from_anywhere() {
    assert!(std::panic::catch_unwind(|| extensions::fire_sync(Ping(0))).is_err());
    let ext = Extensions::builder().discover().build().await.unwrap();
    ext.install_global();
    ext.install_global();
    assert_eq!(extensions::fire(Ping(1)).await.unwrap().point().0, 2);
    assert_eq!(extensions::fire_sync(Ping(2)).unwrap().point().0, 3);
    let other = Extensions::builder().build().await.unwrap();
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| other.install_global())).is_err());
}
