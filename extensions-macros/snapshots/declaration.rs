const _: () = {
    use ::extensions::__private as __ext;
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
            .declare::<
                OrderPlaced,
            >(
                &__EXT_DECL,
                __ext::AsyncOptions::new()
                    .queue("documents")
                    .max_attempts(5u32)
                    .tags(["pdf"]),
            );
    }
    __ext::inventory::submit! {
        __ext::LinkedDeclaration { decl : & __EXT_DECL, register : __ext_register }
    }
};
