#[allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)]
fn count(counter: Arc<Counter>) -> Result<(), Error> {
    counter.increment()
}
const _: () = {
    use ::ext::__private as __ext;
    const _: () = {
        struct __ExtHandler(Arc<Counter>);
        #[automatically_derived]
        #[diagnostic::do_not_recommend]
        impl __ext::BlockingHandler<OrderPlaced> for __ExtHandler {
            fn handle(
                &self,
                __ext_point: &OrderPlaced,
                __ext_companion: &__ext::Job,
            ) -> __ext::HandlerResult {
                <_ as __ext::IntoOutput<
                    (),
                >>::into_output(count(__ext::Clone::clone(&self.0)))
            }
        }
        fn __ext_make(
            __ext_injector: &mut __ext::Injector<'_>,
        ) -> __ext::Option<__ExtHandler> {
            let __ext_0 = __ext_injector.field::<Arc<Counter>>("counter");
            __ext::Some(__ExtHandler(__ext_0?))
        }
        static __EXT_DECL: __ext::HandlerDecl = __ext::HandlerDecl {
            name: "count",
            aliases: &[],
            priority: 100i32,
            tags: &[],
            group: __ext::None,
            on_unavailable: __ext::OnUnavailable::Deny,
            deprecated: __ext::None,
            type_name: "count",
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
                    __ExtHandler,
                >(&__EXT_DECL, __ext_make, __ext::AsyncOptions::new(), &[]);
        }
        __ext::inventory::submit! {
            __ext::LinkedHandler { decl : & __EXT_DECL, register : __ext_register }
        }
    };
    const _: () = {
        struct __ExtHandler(Arc<Counter>);
        #[automatically_derived]
        #[diagnostic::do_not_recommend]
        impl __ext::BlockingHandler<OrderChanged> for __ExtHandler {
            fn handle(
                &self,
                __ext_point: &OrderChanged,
                __ext_companion: &__ext::Job,
            ) -> __ext::HandlerResult {
                <_ as __ext::IntoOutput<
                    (),
                >>::into_output(count(__ext::Clone::clone(&self.0)))
            }
        }
        fn __ext_make(
            __ext_injector: &mut __ext::Injector<'_>,
        ) -> __ext::Option<__ExtHandler> {
            let __ext_0 = __ext_injector.field::<Arc<Counter>>("counter");
            __ext::Some(__ExtHandler(__ext_0?))
        }
        static __EXT_DECL: __ext::HandlerDecl = __ext::HandlerDecl {
            name: "count",
            aliases: &[],
            priority: 100i32,
            tags: &[],
            group: __ext::None,
            on_unavailable: __ext::OnUnavailable::Deny,
            deprecated: __ext::None,
            type_name: "count",
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
                    __ExtHandler,
                >(&__EXT_DECL, __ext_make, __ext::AsyncOptions::new(), &[]);
        }
        __ext::inventory::submit! {
            __ext::LinkedHandler { decl : & __EXT_DECL, register : __ext_register }
        }
    };
};
