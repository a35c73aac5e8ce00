::core::compile_error! {
    "`#[when]` is not supported yet; remove it"
}
::core::compile_error! {
    "unknown option `prioritty`; did you mean `priority`?"
}
::core::compile_error! {
    "expected a string; write `\"emails\"`"
}
::core::compile_error! {
    "attempts include the first one, so there is at least 1; write `1` for no retry"
}
::core::compile_error! {
    "unknown unit `hour`; valid are `ms`, `s`, `m`, `h` and `d`"
}
::core::compile_error! {
    "`unique_for` has no effect without uniqueness; add `unique = true`"
}
::core::compile_error! {
    "a handler is either awaited by the fire or run by a worker; remove `awaited` or `#[async_handler]`"
}
struct Wrong {
    db: Arc<Db>,
}
