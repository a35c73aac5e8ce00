const _: () = {
    use ::extensions::__private as __ext;
    static __EXT_SLOT: __ext::PointSlot = __ext::PointSlot::new();
    static __EXT_INFO: __ext::PointInfo = __ext::PointInfo {
        name: "QuotePrice",
        type_name: "QuotePrice",
        module_path: __ext::module_path!(),
        location: __ext::Location {
            file: __ext::file!(),
            line: __ext::line!(),
            column: __ext::column!(),
        },
        queued: false,
        interruptible: false,
        version: 1u32,
        fields: &[],
        unique_by: &[],
        upcast: __ext::None,
        deprecated: __ext::None,
    };
    #[automatically_derived]
    impl __ext::ExtensionPoint for QuotePrice {
        type Output = Result<Option<u64>, String>;
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
    #[automatically_derived]
    impl __ext::WithOutput for QuotePrice {
        type Value = Result<Option<u64>, String>;
        fn __value(output: Self::Output) -> __ext::Option<Self::Value> {
            __ext::Some(output)
        }
        fn __peek(output: &Self::Output) -> __ext::Option<&Self::Value> {
            __ext::Some(output)
        }
    }
    fn __ext_register(__ext_registrar: &mut __ext::Registrar<'_>) {
        __ext_registrar.point::<QuotePrice>();
    }
    __ext::inventory::submit! {
        __ext::LinkedPoint { info : & __EXT_INFO, register : __ext_register }
    }
};
