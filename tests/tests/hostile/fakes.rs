use super::*;

/// Fires when a copy of it is dropped.
#[derive(Clone, ExtensionPoint)]
struct Last(Option<Extensions>);
impl Drop for Last {
    fn drop(&mut self) {
        if let Some(ext) = self.0.take() {
            ext.fire_sync(Beat).unwrap();
        }
    }
}

#[tokio::test]
async fn a_recorded_point_may_fire_when_it_is_forgotten() {
    let ext = built(Extensions::fake()).await;
    ext.fire(Last(Some(ext.clone()))).await.unwrap();
    let again = ext.clone();
    ends("the forgetting", move || again.forget_recorded());
    ext.assert_fired_times::<Last>(0);
    ext.forget_recorded();
}
