struct Reserve {
    stock: Arc<Stock>,
}
const _: () = {
    use ::extensions::__private as __ext;
    fn __ext_make(__ext_injector: &mut __ext::Injector<'_>) -> __ext::Option<Reserve> {
        let __ext_0 = __ext_injector.field::<Arc<Stock>>("stock");
        __ext::Some(Reserve { stock: __ext_0? })
    }
    const _: () = {
        static __EXT_DECL: __ext::HandlerDecl = __ext::HandlerDecl {
            name: "Reserve",
            aliases: &[],
            priority: 10i32,
            tags: &[],
            group: __ext::None,
            on_unavailable: __ext::OnUnavailable::Deny,
            deprecated: __ext::None,
            type_name: "Reserve",
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
            __ext_registrar.stage::<ProcessOrder, Reserve>(&__EXT_DECL, __ext_make, &[]);
        }
        __ext::inventory::submit! {
            __ext::LinkedHandler { decl : & __EXT_DECL, register : __ext_register }
        }
    };
};
