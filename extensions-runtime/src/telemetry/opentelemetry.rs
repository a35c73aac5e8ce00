//! Trace contexts between spans and the W3C `traceparent` that travels with jobs.
//!
//! Read and written here and not by a propagator: the SDK has those, and an application may have installed none.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The `traceparent` of the current span; of the one that OpenTelemetry itself knows where the subscriber's is not exported.
pub(crate) fn current() -> Option<String> {
    let of = |context: &Context| {
        let span = context.span();
        written(span.span_context())
    };
    of(&Span::current().context()).or_else(|| of(&Context::current()))
}

/// Makes a span the child of the one that a job's `traceparent` names. One that is none changes nothing.
pub(crate) fn adopt(span: &Span, traceparent: &str) {
    if let Some(parent) = read(traceparent) {
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

fn written(span: &SpanContext) -> Option<String> {
    let flags = span.trace_flags().to_u8();
    span.is_valid().then(|| format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id()))
}

/// Reads `version-trace-span-flags`. Later versions may have more behind it.
fn read(traceparent: &str) -> Option<SpanContext> {
    let mut fields = traceparent.split('-');
    let mut hex = |digits: usize| {
        let field = fields.next().filter(|field| field.len() == digits)?;
        field.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c)).then_some(field)
    };
    let (version, trace, span, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
    if version == "ff" || (version == "00" && fields.next().is_some()) {
        return None;
    }
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let sampled = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let context = SpanContext::new(trace, span, sampled, true, TraceState::NONE);
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::{read, written};

    #[test]
    fn a_trace_context_survives_the_store() {
        for text in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
        ] {
            assert_eq!(written(&read(text).unwrap()).as_deref(), Some(text));
        }
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-what-ever";
        assert!(read(later).is_some_and(|span| span.is_sampled()), "a later version has more behind it");
    }

    #[test]
    fn what_is_no_trace_context_is_ignored() {
        for text in [
            "",
            "-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47é6-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(written(&opentelemetry::trace::SpanContext::NONE), None);
    }
}
