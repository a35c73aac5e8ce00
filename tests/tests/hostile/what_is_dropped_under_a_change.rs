use super::*;

/// Holds a guard, and so changes the instance when it goes.
struct Holds {
    _registration: Registration,
    _mute: SwitchGuard,
}
impl Handler<Tick> for Holds {
    fn handle(&self, _: &mut Tick, _: &Context) -> HandlerResult {
        Ok(())
    }
}

fn holds(ext: &Extensions) -> Holds {
    let _registration = ext.register_fn::<Beat>("beat", |_, _| Ok(()), HandlerOptions::new()).unwrap();
    Holds { _registration, _mute: ext.mute_named("beat") }
}

#[tokio::test]
async fn a_handler_that_is_refused_may_change_the_instance_when_it_is_dropped() {
    let taken = |_: &mut Tick, _: &Context| Ok(());
    let ext = built(Extensions::builder().register_fn::<Tick>("taken", taken, at(1))).await;
    let again = ext.clone();
    ends("the refusal", move || {
        again.register::<Tick, _>(holds(&again), at(1).name("taken")).unwrap_err();
    });
    assert!(!ext.has_handlers::<Beat>());
    assert!(ext.switched_off().muted.is_empty());
}

#[tokio::test]
async fn a_handler_that_a_scope_refuses_may_change_the_scope_when_it_is_dropped() {
    struct Leaves(Option<extensions::Scope>);
    impl Handler<Tick> for Leaves {
        fn handle(&self, _: &mut Tick, _: &Context) -> HandlerResult {
            Ok(())
        }
    }
    impl Drop for Leaves {
        fn drop(&mut self) {
            if let Some(scope) = self.0.take() {
                scope.register_fn::<Beat>("last", |_, _| Ok(()), HandlerOptions::new());
            }
        }
    }
    let ext = built(Extensions::builder()).await;
    ends("the refusal", move || {
        let scope = ext.scope("import");
        scope.register_fn::<Tick>("taken", |_, _| Ok(()), at(1));
        let leaves = Leaves(Some(ext.scope("import")));
        let refused = Registrations::new().register::<Tick, _>(leaves, at(1).name("taken"));
        scope.register_many(refused).unwrap_err();
    });
}

#[tokio::test]
async fn a_handler_without_a_queue_may_change_the_instance_when_it_is_dropped() {
    struct Later(#[allow(dead_code)] SwitchGuard);
    impl AsyncHandler<Sent> for Later {
        async fn handle(&self, _: &Sent, _: &Job) -> HandlerResult {
            Ok(())
        }
    }
    let ext = built(Extensions::builder()).await;
    ends("the refusal", move || {
        let later = Later(ext.mute_named("nobody"));
        ext.register_async::<Sent, _>(later, AsyncOptions::new()).unwrap_err();
        let later = Later(ext.mute_named("nobody"));
        ext.register_async::<Sent, _>(later, AsyncOptions::new().priority(77)).unwrap_err();
    });
}
