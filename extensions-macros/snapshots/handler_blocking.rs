struct Render(Connection);
const _: () = {
    use ::extensions::__private as __ext;
    fn __ext_make(__ext_injector: &mut __ext::Injector<'_>) -> __ext::Option<Render> {
        __ext_injector.construct::<Render>(Render::connect)
    }
    const _: () = {
        static __EXT_DECL: __ext::HandlerDecl = __ext::HandlerDecl {
            name: "Render",
            aliases: &[],
            priority: 100i32,
            tags: &[],
            group: __ext::None,
            on_unavailable: __ext::OnUnavailable::Deny,
            deprecated: __ext::None,
            type_name: "Render",
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
                .blocking::<
                    OrderPlaced,
                    Render,
                >(
                    &__EXT_DECL,
                    __ext_make,
                    __ext::AsyncOptions::new()
                        .backoff(
                            __ext::Backoff::linear(__ext::Duration::from_millis(1500u64))
                                .max(__ext::Duration::from_secs(5400u64))
                                .full_jitter(),
                        )
                        .no_timeout()
                        .priority(0u8)
                        .tags(["pdf", "slow"])
                        .unique(true)
                        .unique_by(["order_id", "email"])
                        .unique_until_start()
                        .retry_until(__ext::Duration::from_secs(86400u64))
                        .expires_in(__ext::Duration::from_secs(172800u64)),
                    &[],
                );
        }
        __ext::inventory::submit! {
            __ext::LinkedHandler { decl : & __EXT_DECL, register : __ext_register }
        }
    };
    const _: () = {
        static __EXT_DECL: __ext::HandlerDecl = __ext::HandlerDecl {
            name: "again",
            aliases: &[],
            priority: 100i32,
            tags: &[],
            group: __ext::None,
            on_unavailable: __ext::OnUnavailable::Deny,
            deprecated: __ext::None,
            type_name: "Render",
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
                .blocking::<
                    OrderChanged,
                    Render,
                >(
                    &__EXT_DECL,
                    __ext_make,
                    __ext::AsyncOptions::new()
                        .backoff(
                            __ext::Backoff::linear(__ext::Duration::from_millis(1500u64))
                                .max(__ext::Duration::from_secs(5400u64))
                                .full_jitter(),
                        )
                        .no_timeout()
                        .priority(0u8)
                        .tags(["pdf", "slow"])
                        .unique(true)
                        .unique_by(["order_id", "email"])
                        .unique_until_start()
                        .retry_until(__ext::Duration::from_secs(86400u64))
                        .expires_in(__ext::Duration::from_secs(172800u64)),
                    &[],
                );
        }
        __ext::inventory::submit! {
            __ext::LinkedHandler { decl : & __EXT_DECL, register : __ext_register }
        }
    };
};
