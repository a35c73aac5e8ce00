struct SendConfirmation {
    mailer: Arc<Mailer>,
}
const _: () = {
    use ::extensions::__private as __ext;
    fn __ext_make(
        __ext_injector: &mut __ext::Injector<'_>,
    ) -> __ext::Option<SendConfirmation> {
        let __ext_0 = __ext_injector.field::<Arc<Mailer>>("mailer");
        __ext::Some(SendConfirmation {
            mailer: __ext_0?,
        })
    }
    const _: () = {
        static __EXT_DECL: __ext::HandlerDecl = __ext::HandlerDecl {
            name: "SendConfirmation",
            aliases: &[],
            priority: 100i32,
            tags: &[],
            group: __ext::None,
            on_unavailable: __ext::OnUnavailable::Deny,
            deprecated: __ext::Some(__ext::Deprecation {
                since: __ext::None,
                note: __ext::Some("write letters"),
            }),
            type_name: "SendConfirmation",
            module_path: __ext::module_path!(),
            location: __ext::Location {
                file: __ext::file!(),
                line: __ext::line!(),
                column: __ext::column!(),
            },
            conditions: &[],
            breaker: __ext::BreakerDecl::DEFAULT,
        };
        fn __ext_register(__ext_registrar: &mut __ext::Registrar<'_>) {
            __ext_registrar
                .queued::<
                    OrderPlaced,
                    SendConfirmation,
                >(
                    &__EXT_DECL,
                    __ext_make,
                    __ext::AsyncOptions::new()
                        .queue("emails")
                        .delay(__ext::Duration::from_secs(0u64))
                        .retries(3u32)
                        .backoff(
                            __ext::Backoff::exponential(
                                __ext::Duration::from_secs(10u64),
                            ),
                        )
                        .timeout(__ext::Duration::from_secs(120u64))
                        .unique(true)
                        .unique_for(__ext::Duration::from_secs(3600u64))
                        .discard_missing(true)
                        .on_failure::<OrderPlaced, _>(NotifyAdmin)
                        .on_retry::<OrderPlaced, _>(LogRetry),
                    &[],
                );
        }
        __ext::inventory::submit! {
            __ext::LinkedHandler { decl : & __EXT_DECL, register : __ext_register }
        }
    };
};
