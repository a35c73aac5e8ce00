::core::compile_error! {
    "`#[scheduled]` is not supported yet; remove it"
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
    "expected a string; write `\"production\"`"
}
::core::compile_error! {
    "expected a path; write `is_large` without quotes"
}
::core::compile_error! {
    "the condition is missing; write it: `#[when(env = \"production\")]`"
}
::core::compile_error! {
    "a breaker opens after at least 1 failure; write `threshold = 1`, or `#[circuit_breaker(off)]` for no breaker"
}
::core::compile_error! {
    "`threshold` has no effect without a breaker; remove it, or remove `off`"
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
