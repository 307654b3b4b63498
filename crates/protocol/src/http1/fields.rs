//! The table of HTTP's fields.

use super::exchange::{Exchange, Request, Response};
use super::head::Headers;
use crate::field::FieldOf;
use crate::http2::Details;
use crate::message::Message;
use crate::value::{Kind, Value};

type Each<'a> = &'a mut dyn FnMut(Value<'_>);

fn request(exchange: &Exchange, each: Each<'_>, read: impl FnOnce(&Request) -> Option<Value<'_>>) {
    if let Some(value) = exchange.request.as_ref().and_then(read) {
        each(value);
    }
}

fn response(
    exchange: &Exchange,
    each: Each<'_>,
    read: impl FnOnce(&Response) -> Option<Value<'_>>,
) {
    if let Some(value) = exchange.response.as_ref().and_then(read) {
        each(value);
    }
}

fn details(exchange: &Exchange, each: Each<'_>, read: impl FnOnce(&Details) -> Option<Value<'_>>) {
    if let Some(value) = exchange.http2.as_deref().and_then(read) {
        each(value);
    }
}

fn header<'a>(headers: &'a Headers, name: &str) -> Option<Value<'a>> {
    headers.get(name).map(Value::text)
}

/// Text that is known.
fn known(text: &[u8]) -> Option<Value<'_>> {
    Some(Value::text(text)).filter(|_| !text.is_empty())
}

fn lines(headers: &Headers, each: Each<'_>) {
    for (name, value) in headers {
        let line = [name, b": ", value].concat();
        each(Value::text(&line));
    }
}

const fn field(
    name: &'static str,
    kind: Kind,
    about: &'static str,
    read: fn(&Exchange, &Message, Each<'_>),
) -> FieldOf<Exchange> {
    FieldOf::new(name, kind, about, read)
}

/// A field of the request's header section.
macro_rules! of_request {
    ($field:literal, $header:literal, $about:literal) => {
        field($field, Kind::Text, $about, |exchange: &Exchange, _: &Message, each| {
            request(exchange, each, |request| header(request.headers(), $header))
        })
    };
}

/// A field of the response's header section.
macro_rules! of_response {
    ($field:literal, $header:literal, $about:literal) => {
        field($field, Kind::Text, $about, |exchange: &Exchange, _: &Message, each| {
            response(exchange, each, |response| header(response.headers(), $header))
        })
    };
}

pub(crate) static FIELDS: &[FieldOf<Exchange>] = &[
    field("http.method", Kind::Text, "Method of the request.", |http, _, each| {
        // It is not known where bytes of HTTP/2 are missing.
        request(http, each, |request| known(request.method()));
    })
    .alias(&["http.request.method"]),
    field(
        "http.host",
        Kind::Text,
        "Host that is asked, with its port if sent.",
        |http, _, each| {
            request(http, each, |request| request.host().map(Value::text));
        },
    ),
    field("http.path", Kind::Text, "Path of the target, without query.", |http, _, each| {
        request(http, each, |request| known(request.path()));
    })
    .alias(&["http.request.uri.path"]),
    field("http.query", Kind::Text, "Query of the target.", |http, _, each| {
        request(http, each, |request| request.query().map(Value::text));
    })
    .alias(&["http.request.uri.query"]),
    field("http.uri", Kind::Text, "Target of the request as it was sent.", |http, _, each| {
        request(http, each, |request| known(request.target()));
    })
    .alias(&["http.request.uri"]),
    field(
        "http.version",
        Kind::Text,
        "Version of the request, or else of the response.",
        |http, _, each| {
            let request = http.request.as_ref().map(Request::version);
            let response = || http.response.as_ref().map(Response::version);
            if let Some(version) = request.or_else(response) {
                each(version.into());
            }
        },
    ),
    field("http.status", Kind::Number, "Status code of the response.", |http, _, each| {
        response(http, each, |response| {
            Some(response.status().into()).filter(|_| !response.head.first().is_empty())
        });
    })
    .alias(&["http.response.code"]),
    field("http.reason", Kind::Text, "Reason phrase of the response.", |http, _, each| {
        response(http, each, |response| Some(Value::text(response.reason())));
    })
    .alias(&["http.response.phrase"]),
    of_request!("http.user_agent", "user-agent", "User-Agent of the request."),
    of_request!("http.referer", "referer", "Referer of the request."),
    of_request!("http.origin", "origin", "Origin of the request."),
    of_request!("http.request_content_type", "content-type", "Content-Type of the request."),
    of_response!("http.content_type", "content-type", "Content-Type of the response."),
    of_response!("http.content_encoding", "content-encoding", "Content-Encoding of the response."),
    of_response!("http.server", "server", "Server of the response."),
    of_response!("http.location", "location", "Location of the response."),
    field(
        "http.request_bytes",
        Kind::Number,
        "Length of the request's body, missing bytes counted.",
        |http, _, each| {
            request(http, each, |request| Some(request.body().len().into()));
        },
    ),
    field(
        "http.response_bytes",
        Kind::Number,
        "Length of the response's body, missing bytes counted.",
        |http, _, each| {
            response(http, each, |response| Some(response.body().len().into()));
        },
    ),
    field(
        "http.missing_bytes",
        Kind::Number,
        "Bytes of both bodies that were not captured.",
        |http, _, each| {
            let request = http.request.as_ref().map_or(0, |request| request.body.missing);
            let response = http.response.as_ref().map_or(0, |response| response.body.missing);
            each(request.saturating_add(response).into());
        },
    ),
    field("http.complete", Kind::Bool, "Both messages came to their end.", |http, _, each| {
        let request = http.request.as_ref().is_some_and(|request| request.body.complete);
        let response = http.response.as_ref().is_some_and(|response| response.body.complete);
        each((request && response).into());
    }),
    field(
        "http.latency",
        Kind::Duration,
        "Time from the request's last byte to the response's first.",
        |_, message, each| {
            if let Some(latency) = message.latency() {
                each(latency.into());
            }
        },
    )
    .alias(&["http.time"]),
    field("http.interim", Kind::Number, "Status codes of interim responses.", |http, _, each| {
        for &status in &http.interim {
            each(status.into());
        }
    })
    .many(),
    field("http.flags", Kind::Text, "What is unusual about the exchange.", |http, _, each| {
        http.flags.names().for_each(|name| each(name.into()));
    })
    .many(),
    field("http.stream", Kind::Number, "Number of the stream, in HTTP/2.", |http, _, each| {
        details(http, each, |it| Some(it.stream.into()));
    })
    .alias(&["http2.streamid"]),
    field(
        "http.reset",
        Kind::Number,
        "Error code that ended the stream, in HTTP/2.",
        |http, _, each| details(http, each, |it| Some(it.reset?.into())),
    ),
    field(
        "http.pushed",
        Kind::Bool,
        "The server promised the response without a request, in HTTP/2.",
        |http, _, each| details(http, each, |it| Some(it.pushed.into())),
    ),
    field("http.grpc_status", Kind::Number, "Status code of a call of gRPC.", |http, _, each| {
        details(http, each, |it| Some(it.grpc.as_ref()?.status?.into()));
    })
    .alias(&["grpc.status_code"]),
    field(
        "http.grpc_message",
        Kind::Text,
        "Message of the status, percent-encoded.",
        |http, _, each| {
            details(http, each, |it| Some(Value::text(it.grpc.as_ref()?.message.as_ref()?)));
        },
    )
    .alias(&["grpc.status_message"]),
    field(
        "http.grpc_request_messages",
        Kind::Number,
        "Messages of gRPC from the client.",
        |http, _, each| {
            details(http, each, |it| Some(it.grpc.as_ref()?.request_messages?.into()));
        },
    ),
    field(
        "http.grpc_response_messages",
        Kind::Number,
        "Messages of gRPC from the server.",
        |http, _, each| {
            details(http, each, |it| Some(it.grpc.as_ref()?.response_messages?.into()));
        },
    ),
    field(
        "http.request_header",
        Kind::Text,
        "Each header field of the request: name, colon, space, value.",
        |http, _, each| {
            if let Some(request) = &http.request {
                lines(request.headers(), each);
            }
        },
    )
    .alias(&["http.request.line"])
    .many(),
    field(
        "http.response_header",
        Kind::Text,
        "Each header field of the response: name, colon, space, value.",
        |http, _, each| {
            if let Some(response) = &http.response {
                lines(response.headers(), each);
            }
        },
    )
    .alias(&["http.response.line"])
    .many(),
];
