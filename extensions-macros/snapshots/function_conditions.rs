#[allow(clippy::trivially_copy_pass_by_ref, clippy::unused_async)]
async fn confirm(order: &OrderPlaced) {}
const _: () = {
    use ::extensions::__private as __ext;
    const _: () = {
        struct __ExtHandler;
        #[automatically_derived]
        #[diagnostic::do_not_recommend]
        impl __ext::AsyncHandler<OrderPlaced> for __ExtHandler {
            async fn handle(
                &self,
                __ext_point: &OrderPlaced,
                __ext_companion: &__ext::Job,
            ) -> __ext::HandlerResult {
                <_ as __ext::IntoOutput<()>>::into_output(confirm(__ext_point).await)
            }
        }
        fn __ext_make(
            __ext_injector: &mut __ext::Injector<'_>,
        ) -> __ext::Option<__ExtHandler> {
            __ext::Some(__ExtHandler)
        }
        static __EXT_DECL: __ext::HandlerDecl = __ext::HandlerDecl {
            name: "confirm",
            aliases: &[],
            priority: 100i32,
            tags: &[],
            group: __ext::None,
            on_unavailable: __ext::OnUnavailable::Deny,
            deprecated: __ext::None,
            type_name: "confirm",
            module_path: __ext::module_path!(),
            location: __ext::Location {
                file: __ext::file!(),
                line: __ext::line!(),
                column: __ext::column!(),
            },
            conditions: &[__ext::ConditionDecl::Environment(&["production"])],
            breaker: __ext::BreakerDecl {
                off: false,
                threshold: __ext::None,
                timeout: __ext::Some(__ext::Duration::from_millis(1500u64)),
                half_open_max: __ext::None,
            },
        };
        fn __ext_register(__ext_registrar: &mut __ext::Registrar<'_>) {
            let __ext_predicates: &[__ext::Predicate<OrderPlaced>] = &[
                is_large::<OrderPlaced>,
            ];
            __ext_registrar
                .queued::<
                    OrderPlaced,
                    __ExtHandler,
                >(
                    &__EXT_DECL,
                    __ext_make,
                    __ext::AsyncOptions::new().queue("emails"),
                    __ext_predicates,
                );
        }
        __ext::inventory::submit! {
            __ext::LinkedHandler { decl : & __EXT_DECL, register : __ext_register }
        }
    };
};
