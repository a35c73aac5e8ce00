#[allow(deprecated)]
const _: () = {
    use ::extensions::__private as __ext;
    static __EXT_SLOT: __ext::PointSlot = __ext::PointSlot::new();
    static __EXT_INFO: __ext::PointInfo = __ext::PointInfo {
        name: "catalog.import",
        type_name: "ImportCatalog",
        module_path: __ext::module_path!(),
        location: __ext::Location {
            file: __ext::file!(),
            line: __ext::line!(),
            column: __ext::column!(),
        },
        queued: true,
        interruptible: false,
        version: 2u32,
        fields: &["catalogId", "source"],
        unique_by: &["catalogId", "source"],
        upcast: __ext::Some(import_from_v1),
        deprecated: __ext::Some(__ext::Deprecation {
            since: __ext::Some("1.2.0"),
            note: __ext::Some("fire `ImportCatalogs`"),
        }),
    };
    #[automatically_derived]
    impl __ext::ExtensionPoint for ImportCatalog {
        type Output = ();
        #[inline]
        fn info() -> &'static __ext::PointInfo {
            &__EXT_INFO
        }
        #[inline]
        fn __slot() -> &'static __ext::PointSlot {
            &__EXT_SLOT
        }
        fn __view(
            &self,
        ) -> __ext::Option<
            __ext::Result<__ext::serde_json::Value, __ext::serde_json::Error>,
        > {
            __ext::Optionally(self).__ext_view()
        }
        fn __copy(&self) -> __ext::Option<Self> {
            __ext::Optionally(self).__ext_copy()
        }
    }
    fn __ext_register(__ext_registrar: &mut __ext::Registrar<'_>) {
        __ext_registrar.point::<ImportCatalog>();
    }
    __ext::inventory::submit! {
        __ext::LinkedPoint { info : & __EXT_INFO, register : __ext_register }
    }
    #[automatically_derived]
    impl __ext::QueuedType for ImportCatalog {}
    use ::extensions::__private::typetag;
    #[typetag::serde(name = "catalog.import")]
    #[automatically_derived]
    impl __ext::QueuedPoint for ImportCatalog {
        fn point_info(&self) -> &'static __ext::PointInfo {
            &__EXT_INFO
        }
        fn __fire_boxed(
            self: __ext::Box<Self>,
            __ext_extensions: &__ext::Extensions,
        ) -> __ext::DynFire<'_> {
            __ext::fire_boxed(*self, __ext_extensions)
        }
        fn __plan_boxed(&self, __ext_extensions: &__ext::Extensions) -> __ext::Plan {
            __ext::plan_boxed(self, __ext_extensions)
        }
    }
};
