struct Count;
const _: () = {
    use ::extensions::__private as __ext;
    fn __ext_make(__ext_injector: &mut __ext::Injector<'_>) -> __ext::Option<Count> {
        __ext::Some(Count)
    }
    const _: () = {
        static __EXT_DECL: __ext::HandlerDecl = __ext::HandlerDecl {
            name: "Count",
            aliases: &[],
            priority: 100i32,
            tags: &[],
            group: __ext::None,
            on_unavailable: __ext::OnUnavailable::Deny,
            deprecated: __ext::None,
            type_name: "Count",
            module_path: __ext::module_path!(),
            location: __ext::Location {
                file: __ext::file!(),
                line: __ext::line!(),
                column: __ext::column!(),
            },
            conditions: &[],
            breaker: __ext::BreakerDecl {
                off: true,
                threshold: __ext::None,
                timeout: __ext::None,
                half_open_max: __ext::None,
            },
        };
        fn __ext_register(__ext_registrar: &mut __ext::Registrar<'_>) {
            __ext_registrar.inline::<OrderPlaced, Count>(&__EXT_DECL, __ext_make, &[]);
        }
        __ext::inventory::submit! {
            __ext::LinkedHandler { decl : & __EXT_DECL, register : __ext_register }
        }
    };
};
