#[extension_handler(BeforeOrderSubmit, priority = 5, on_unavailable = "allow")]
fn order_limit(order: &mut BeforeOrderSubmit) -> Verdict {
    if order.total_cents > 5_000_000 { Verdict::veto("over the limit") } else { Verdict::Continue }
}
