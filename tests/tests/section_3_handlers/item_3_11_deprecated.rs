//! 3.11: a deprecated handler is named in one warning and flagged in every listing.

use std::io::Write;
use std::sync::Mutex;

use super::*;

#[derive(ExtensionPoint)]
struct Aged;

#[extension_handler(Aged)]
#[deprecated(since = "0.3.0", note = "use the new one")]
fn old_one(_: &mut Aged) {}

#[extension_handler(Aged)]
fn new_one(_: &mut Aged) {}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);
impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn it_is_warned_of_once_at_start_up_and_flagged() {
    if !tests::kit::is_alone("item_3_11_deprecated::it_is_warned_of_once_at_start_up_and_flagged") {
        return;
    }
    let sink = Sink::default();
    let writer = sink.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(move || writer.clone())
        .finish();
    let ext = {
        let _guard = tracing::subscriber::set_default(subscriber);
        let (ext, _queue) = on_memory(discovered()).await;
        ext.fire(Aged).await.unwrap();
        ext.fire(Aged).await.unwrap();
        ext
    };
    let said = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    assert_eq!(said.matches("Aged/old_one (use the new one)").count(), 1, "{said}");
    assert!(!said.contains("new_one"), "{said}");
    let flags: Vec<_> = ext
        .handlers_of::<Aged>()
        .iter()
        .map(|info| (info.name.to_string(), info.deprecated.and_then(|deprecated| deprecated.since)))
        .collect();
    assert_eq!(flags, [("new_one".into(), None), ("old_one".into(), Some("0.3.0"))]);
}
