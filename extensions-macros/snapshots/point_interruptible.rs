const _: () = {
    use ::ext::__private as __ext;
    static __EXT_SLOT: __ext::PointSlot = __ext::PointSlot::new();
    static __EXT_INFO: __ext::PointInfo = __ext::PointInfo {
        name: "BeforeOrderSubmit",
        type_name: "BeforeOrderSubmit",
        module_path: __ext::module_path!(),
        location: __ext::Location {
            file: __ext::file!(),
            line: __ext::line!(),
            column: __ext::column!(),
        },
        queued: false,
        interruptible: true,
        version: 1u32,
        fields: &[],
        unique_by: &[],
        upcast: __ext::None,
        deprecated: __ext::None,
    };
    #[automatically_derived]
    impl __ext::ExtensionPoint for BeforeOrderSubmit {
        type Output = __ext::Verdict;
        #[inline]
        fn info() -> &'static __ext::PointInfo {
            &__EXT_INFO
        }
        #[inline]
        fn __slot() -> &'static __ext::PointSlot {
            &__EXT_SLOT
        }
        #[inline]
        fn __veto(output: &Self::Output) -> __ext::Option<&__ext::Veto> {
            __ext::Verdict::as_veto(output)
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
    impl __ext::Interruptible for BeforeOrderSubmit {}
    fn __ext_register(__ext_registrar: &mut __ext::Registrar<'_>) {
        __ext_registrar.point::<BeforeOrderSubmit>();
    }
    __ext::inventory::submit! {
        __ext::LinkedPoint { info : & __EXT_INFO, register : __ext_register }
    }
};
