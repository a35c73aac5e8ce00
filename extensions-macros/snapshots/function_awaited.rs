#[allow(clippy::trivially_copy_pass_by_ref, clippy::unused_async)]
pub(crate) async fn reserve(cx: &Context, db: &Res<Db>, order: &mut OrderPlaced) {
    half::typed
}
const _: () = {
    use ::extensions::__private as __ext;
    const _: () = {
        struct __ExtHandler(Res<Db>);
        #[automatically_derived]
        #[diagnostic::do_not_recommend]
        impl __ext::AwaitedHandler<OrderPlaced> for __ExtHandler {
            async fn handle(
                &self,
                __ext_point: &mut OrderPlaced,
                __ext_companion: &__ext::Context,
            ) -> __ext::HandlerResult<<OrderPlaced as __ext::ExtensionPoint>::Output> {
                <_ as __ext::IntoOutput<
                    <OrderPlaced as __ext::ExtensionPoint>::Output,
                >>::into_output(reserve(__ext_companion, &self.0, __ext_point).await)
            }
        }
        fn __ext_make(
            __ext_injector: &mut __ext::Injector<'_>,
        ) -> __ext::Option<__ExtHandler> {
            let __ext_0 = __ext_injector.field::<Res<Db>>("db");
            __ext::Some(__ExtHandler(__ext_0?))
        }
        static __EXT_DECL: __ext::HandlerDecl = __ext::HandlerDecl {
            name: "reserve",
            aliases: &[],
            priority: 100i32,
            tags: &[],
            group: __ext::None,
            on_unavailable: __ext::OnUnavailable::Deny,
            deprecated: __ext::None,
            type_name: "reserve",
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
                .awaited::<OrderPlaced, __ExtHandler>(&__EXT_DECL, __ext_make, &[]);
        }
        __ext::inventory::submit! {
            __ext::LinkedHandler { decl : & __EXT_DECL, register : __ext_register }
        }
    };
};
