::core::compile_error! {
    "unknown option `nmae`; did you mean `name`?"
}
::core::compile_error! {
    "an extension point cannot be generic; write one type for each case, or box what differs"
}
::core::compile_error! {
    "`version` is of use only on queued points; add `queued`"
}
::core::compile_error! {
    "an interruptible point's output is `Verdict`; remove either `output` or `interruptible`"
}
const _: () = {
    use ::extensions::__private as __ext;
    static __EXT_SLOT: __ext::PointSlot = __ext::PointSlot::new();
    static __EXT_INFO: __ext::PointInfo = __ext::PointInfo {
        name: "Wrong",
        type_name: "Wrong",
        module_path: __ext::module_path!(),
        location: __ext::Location {
            file: __ext::file!(),
            line: __ext::line!(),
            column: __ext::column!(),
        },
        queued: false,
        interruptible: true,
        version: 2u32,
        fields: &[],
        unique_by: &[],
        upcast: __ext::None,
        deprecated: __ext::None,
    };
    #[automatically_derived]
    impl<T> __ext::ExtensionPoint for Wrong<T>
    where
        Self: __ext::Send + __ext::Sync + 'static,
    {
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
    }
    #[automatically_derived]
    impl<T> __ext::Interruptible for Wrong<T>
    where
        Self: __ext::Send + __ext::Sync + 'static,
    {}
};
