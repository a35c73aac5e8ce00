#[allow(
    clippy::needless_pass_by_value,
    clippy::trivially_copy_pass_by_ref,
    clippy::unnecessary_wraps,
    clippy::unused_async
)]
async fn generate_invoice(
    order: &OrderPlaced,
    pdf: Res<PdfRenderer>,
    job: &Job,
) -> HandlerResult {
    Ok(())
}
const _: () = {
    use ::extensions::__private as __ext;
    const _: () = {
        struct __ExtHandler(Res<PdfRenderer>);
        #[automatically_derived]
        #[diagnostic::do_not_recommend]
        impl __ext::AsyncHandler<OrderPlaced> for __ExtHandler {
            async fn handle(
                &self,
                __ext_point: &OrderPlaced,
                __ext_companion: &__ext::Job,
            ) -> __ext::HandlerResult {
                <_ as __ext::IntoOutput<
                    (),
                >>::into_output(
                    generate_invoice(
                            __ext_point,
                            __ext::Clone::clone(&self.0),
                            __ext_companion,
                        )
                        .await,
                )
            }
        }
        fn __ext_make(
            __ext_injector: &mut __ext::Injector<'_>,
        ) -> __ext::Option<__ExtHandler> {
            let __ext_0 = __ext_injector.field::<Res<PdfRenderer>>("pdf");
            __ext::Some(__ExtHandler(__ext_0?))
        }
        static __EXT_DECL: __ext::HandlerDecl = __ext::HandlerDecl {
            name: "generate_invoice",
            aliases: &[],
            priority: 100i32,
            tags: &[],
            group: __ext::None,
            on_unavailable: __ext::OnUnavailable::Deny,
            deprecated: __ext::None,
            type_name: "generate_invoice",
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
                    __ExtHandler,
                >(
                    &__EXT_DECL,
                    __ext_make,
                    __ext::AsyncOptions::new()
                        .queue("documents")
                        .max_attempts(5u32)
                        .backoff(
                            __ext::Backoff::list([
                                __ext::Duration::from_secs(10u64),
                                __ext::Duration::from_secs(30u64),
                                __ext::Duration::from_secs(60u64),
                                __ext::Duration::from_secs(300u64),
                            ]),
                        ),
                    &[],
                );
        }
        __ext::inventory::submit! {
            __ext::LinkedHandler { decl : & __EXT_DECL, register : __ext_register }
        }
    };
};
