struct Bill;
const _: () = {
    use ::extensions::__private as __ext;
    fn __ext_make(__ext_injector: &mut __ext::Injector<'_>) -> __ext::Option<Bill> {
        __ext::Some(Bill)
    }
    const _: () = {
        static __EXT_DECL: __ext::HandlerDecl = __ext::HandlerDecl {
            name: "Bill",
            aliases: &[],
            priority: 100i32,
            tags: &[],
            group: __ext::None,
            on_unavailable: __ext::OnUnavailable::Deny,
            deprecated: __ext::None,
            type_name: "Bill",
            module_path: __ext::module_path!(),
            location: __ext::Location {
                file: __ext::file!(),
                line: __ext::line!(),
                column: __ext::column!(),
            },
            conditions: &[
                __ext::ConditionDecl::Environment(&["staging", "production"]),
                __ext::ConditionDecl::Feature("new-billing"),
                __ext::ConditionDecl::NotFeature("old-billing"),
            ],
            breaker: __ext::BreakerDecl {
                off: false,
                threshold: __ext::Some(3u32),
                timeout: __ext::Some(__ext::Duration::from_secs(30u64)),
                half_open_max: __ext::Some(1u32),
            },
        };
        fn __ext_register(__ext_registrar: &mut __ext::Registrar<'_>) {
            let __ext_predicates: &[__ext::Predicate<OrderPlaced>] = &[
                Bill::is_large,
                rules::from_europe,
            ];
            __ext_registrar
                .inline::<OrderPlaced, Bill>(&__EXT_DECL, __ext_make, __ext_predicates);
        }
        __ext::inventory::submit! {
            __ext::LinkedHandler { decl : & __EXT_DECL, register : __ext_register }
        }
    };
    const _: () = {
        static __EXT_DECL: __ext::HandlerDecl = __ext::HandlerDecl {
            name: "Bill",
            aliases: &[],
            priority: 100i32,
            tags: &[],
            group: __ext::None,
            on_unavailable: __ext::OnUnavailable::Deny,
            deprecated: __ext::None,
            type_name: "Bill",
            module_path: __ext::module_path!(),
            location: __ext::Location {
                file: __ext::file!(),
                line: __ext::line!(),
                column: __ext::column!(),
            },
            conditions: &[
                __ext::ConditionDecl::Environment(&["staging", "production"]),
                __ext::ConditionDecl::Feature("new-billing"),
                __ext::ConditionDecl::NotFeature("old-billing"),
            ],
            breaker: __ext::BreakerDecl {
                off: false,
                threshold: __ext::Some(3u32),
                timeout: __ext::Some(__ext::Duration::from_secs(30u64)),
                half_open_max: __ext::Some(1u32),
            },
        };
        fn __ext_register(__ext_registrar: &mut __ext::Registrar<'_>) {
            let __ext_predicates: &[__ext::Predicate<OrderChanged>] = &[
                Bill::is_large,
                rules::from_europe,
            ];
            __ext_registrar
                .awaited::<
                    OrderChanged,
                    Bill,
                >(&__EXT_DECL, __ext_make, __ext_predicates);
        }
        __ext::inventory::submit! {
            __ext::LinkedHandler { decl : & __EXT_DECL, register : __ext_register }
        }
    };
};
