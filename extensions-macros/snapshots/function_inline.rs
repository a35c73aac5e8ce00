#[allow(clippy::trivially_copy_pass_by_ref, clippy::unnecessary_wraps)]
fn order_limit(order: &mut BeforeOrderSubmit) -> Verdict {
    if order.total_cents > 5_000_000 {
        Verdict::veto("over the limit")
    } else {
        Verdict::Continue
    }
}
const _: () = {
    use ::extensions::__private as __ext;
    const _: () = {
        struct __ExtHandler;
        #[automatically_derived]
        #[diagnostic::do_not_recommend]
        impl __ext::Handler<BeforeOrderSubmit> for __ExtHandler {
            fn handle(
                &self,
                __ext_point: &mut BeforeOrderSubmit,
                __ext_companion: &__ext::Context,
            ) -> __ext::HandlerResult<
                <BeforeOrderSubmit as __ext::ExtensionPoint>::Output,
            > {
                <_ as __ext::IntoOutput<
                    <BeforeOrderSubmit as __ext::ExtensionPoint>::Output,
                >>::into_output(order_limit(__ext_point))
            }
        }
        fn __ext_make(
            __ext_injector: &mut __ext::Injector<'_>,
        ) -> __ext::Option<__ExtHandler> {
            __ext::Some(__ExtHandler)
        }
        static __EXT_DECL: __ext::HandlerDecl = __ext::HandlerDecl {
            name: "order_limit",
            aliases: &[],
            priority: 5i32,
            tags: &[],
            group: __ext::None,
            on_unavailable: __ext::OnUnavailable::Allow,
            deprecated: __ext::None,
            type_name: "order_limit",
            module_path: __ext::module_path!(),
            location: __ext::Location {
                file: __ext::file!(),
                line: __ext::line!(),
                column: __ext::column!(),
            },
            conditions: &[],
            breaker: __ext::BreakerDecl::DEFAULT,
        };
        const _: () = __ext::assert_interruptible::<BeforeOrderSubmit>();
        fn __ext_register(__ext_registrar: &mut __ext::Registrar<'_>) {
            __ext_registrar
                .inline::<BeforeOrderSubmit, __ExtHandler>(&__EXT_DECL, __ext_make, &[]);
        }
        __ext::inventory::submit! {
            __ext::LinkedHandler { decl : & __EXT_DECL, register : __ext_register }
        }
    };
};
