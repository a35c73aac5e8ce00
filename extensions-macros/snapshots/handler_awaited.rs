#[cfg(feature = "stock")]
#[allow(dead_code)]
struct ReserveStock {
    db: Arc<Db>,
    count: AtomicU64,
    #[cfg(feature = "cache")]
    cache: Res<dyn Cache>,
}
#[cfg(feature = "stock")]
#[allow(dead_code)]
const _: () = {
    use ::extensions::__private as __ext;
    fn __ext_make(
        __ext_injector: &mut __ext::Injector<'_>,
    ) -> __ext::Option<ReserveStock> {
        let __ext_0 = __ext_injector.field::<Arc<Db>>("db");
        #[cfg(feature = "cache")]
        let __ext_2 = __ext_injector.field::<Res<dyn Cache>>("cache");
        __ext::Some(ReserveStock {
            db: __ext_0?,
            count: <AtomicU64 as __ext::FieldDefault>::field_default(),
            #[cfg(feature = "cache")]
            cache: __ext_2?,
        })
    }
    const _: () = {
        static __EXT_DECL: __ext::HandlerDecl = __ext::HandlerDecl {
            name: "reserve",
            aliases: &["Reserve"],
            priority: -20i32,
            tags: &[],
            group: __ext::Some("stock"),
            on_unavailable: __ext::OnUnavailable::Deny,
            deprecated: __ext::None,
            type_name: "ReserveStock",
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
                .awaited::<OrderPlaced, ReserveStock>(&__EXT_DECL, __ext_make, &[]);
        }
        __ext::inventory::submit! {
            __ext::LinkedHandler { decl : & __EXT_DECL, register : __ext_register }
        }
    };
};
