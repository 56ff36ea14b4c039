//! Spans in the format of OTLP (opentelemetry-proto 1.x, `collector/trace/v1/trace_service.proto` and `trace/v1/trace.proto`).

use super::protobuf::{Field, Message, find};
use crate::base::trace::{EndedSpan, Kind, Value};

/// The flags of a span that say whether its parent is of another process (`SpanFlags`).
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// The status of failed work (`Status.StatusCode`).
const ERROR: u64 = 2;

/// Returns the attributes of the server, encoded once.
pub(super) fn resource(attributes: &[(String, String)]) -> Vec<u8> {
    let mut resource = Message::default();
    for (name, value) in attributes {
        resource.message(1, |pair| key_value(pair, name, |any| any.bytes(1, value.as_bytes())));
    }
    resource.into_bytes()
}

/// Encodes a request with spans (`ExportTraceServiceRequest`).
pub(super) fn request(resource: &[u8], spans: &[EndedSpan]) -> Vec<u8> {
    let mut request = Message::default();
    request.message(1, |of_resource| {
        of_resource.bytes(1, resource);
        of_resource.message(2, |of_scope| {
            of_scope.message(1, |scope| {
                scope.bytes(1, b"tidewater");
                scope.bytes(2, env!("CARGO_PKG_VERSION").as_bytes());
            });
            for span in spans {
                of_scope.message(2, |message| write_span(message, span));
            }
        });
    });
    request.into_bytes()
}

/// Returns how many spans the collector refused, from its answer (`ExportTraceServiceResponse`).
pub(super) fn refused(response: &[u8]) -> u64 {
    match find(response, 1) {
        Some(Field::Bytes(partial)) => match find(partial, 1) {
            Some(Field::Number(refused)) => refused,
            _ => 0,
        },
        _ => 0,
    }
}

fn write_span(message: &mut Message, span: &EndedSpan) {
    message.bytes(1, &span.trace_id().to_be_bytes());
    message.bytes(2, &span.span_id().to_be_bytes());
    let state: Vec<&str> = span.state().iter().filter_map(|value| value.to_str().ok()).collect();
    if !state.is_empty() {
        message.bytes(3, state.join(",").as_bytes());
    }
    let mut flags = u32::from(span.flags()) | HAS_IS_REMOTE;
    if let Some(parent) = span.parent() {
        message.bytes(4, &parent.to_be_bytes());
        if span.has_remote_parent() {
            flags |= IS_REMOTE;
        }
    }
    message.bytes(5, span.name().as_bytes());
    let kind = match span.kind() {
        Kind::Internal => 1,
        Kind::Server => 2,
        Kind::Client => 3,
    };
    message.number(6, kind);
    let (began_ns, ended_ns) = span.times_ns();
    message.fixed64(7, began_ns);
    message.fixed64(8, ended_ns);
    span.attributes(|key, value| {
        message.message(9, |pair| {
            key_value(pair, key, |any| match value {
                Value::Text(text) => any.bytes(1, text.as_bytes()),
                Value::Boolean(truth) => any.number(2, u64::from(*truth)),
                Value::Integer(number) => any.number(3, number.cast_unsigned()),
            });
        });
    });
    if span.has_failed() {
        message.message(15, |status| status.number(3, ERROR));
    }
    message.fixed32(16, flags);
}

fn key_value(pair: &mut Message, key: &str, value: impl FnOnce(&mut Message)) {
    pair.bytes(1, key.as_bytes());
    pair.message(2, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_spans_are_read_from_the_answer() {
        let mut answer = Message::default();
        answer.message(1, |partial| {
            partial.number(1, 300);
            partial.bytes(2, b"too many");
        });
        assert_eq!(refused(&answer.into_bytes()), 300);
        assert_eq!((refused(b""), refused(b"\x0a\x00"), refused(b"<html>")), (0, 0, 0));
    }
}
