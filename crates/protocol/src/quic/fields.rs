//! The fields of QUIC connections.

use super::Connection;
use crate::field::FieldOf;
use crate::tls::{ClientHello, ServerHello, cipher_name};
use crate::value::{Kind, Value};

type Each<'a> = &'a mut dyn FnMut(Value<'_>);

/// All of them.
pub(crate) const FIELDS: &[FieldOf<Connection>] = &[
    FieldOf::new("quic.version", Kind::Text, "The version.", |quic: &Connection, _, each| {
        each(quic.version.to_string().into());
    }),
    FieldOf::new(
        "quic.version_number",
        Kind::Number,
        "The number of the version.",
        |quic: &Connection, _, each| each(quic.version.0.into()),
    ),
    FieldOf::new(
        "quic.dcid",
        Kind::Bytes,
        "The destination connection identifier of the client's first packet.",
        |quic: &Connection, _, each| each(Value::Bytes((&quic.destination_id[..]).into())),
    ),
    FieldOf::new(
        "quic.scid",
        Kind::Bytes,
        "The client's connection identifier.",
        |quic: &Connection, _, each| each(Value::Bytes((&quic.source_id[..]).into())),
    ),
    FieldOf::new(
        "quic.server_id",
        Kind::Bytes,
        "The server's connection identifier.",
        |quic: &Connection, _, each| {
            each_of(quic.server_id.as_deref().map(|id| Value::Bytes(id.into())), each);
        },
    ),
    FieldOf::new(
        "quic.sni",
        Kind::Text,
        "The server's name that the client requested.",
        |quic: &Connection, _, each| {
            each_of(quic.client.as_ref().and_then(|hello| hello.server_name.as_deref()), each);
        },
    ),
    FieldOf::new(
        "quic.alpn",
        Kind::Text,
        "The application protocols that the client offers.",
        |quic: &Connection, _, each| {
            for protocol in quic.client.iter().flat_map(|hello| &hello.alpn) {
                each(protocol.as_str().into());
            }
        },
    )
    .many(),
    FieldOf::new(
        "quic.cipher",
        Kind::Text,
        "The cipher suite that the server selected.",
        |quic: &Connection, _, each| {
            if let Some(hello) = &quic.server {
                match cipher_name(hello.cipher) {
                    Some(name) => each(name.into()),
                    None => each(format!("0x{:04x}", hello.cipher).into()),
                }
            }
        },
    ),
    FieldOf::new(
        "quic.ja3",
        Kind::Text,
        "The JA3 of the client's hello.",
        |quic: &Connection, _, each| {
            each_of(quic.client.as_ref().map(ClientHello::ja3), each);
        },
    ),
    FieldOf::new(
        "quic.ja3s",
        Kind::Text,
        "The JA3S of the server's hello.",
        |quic: &Connection, _, each| {
            each_of(quic.server.as_ref().map(ServerHello::ja3s), each);
        },
    ),
    FieldOf::new(
        "quic.ja4",
        Kind::Text,
        "The JA4 of the client's hello.",
        |quic: &Connection, _, each| {
            each_of(quic.client.as_ref().map(ClientHello::ja4_quic), each);
        },
    ),
    FieldOf::new(
        "quic.ech",
        Kind::Bool,
        "True if the hello has an encrypted one inside; quic.sni is then the outer name.",
        |quic: &Connection, _, each| {
            each_of(quic.client.as_ref().map(|hello| hello.encrypted_hello), each);
        },
    ),
    FieldOf::new(
        "quic.retry",
        Kind::Bool,
        "True if the server made the client prove its address.",
        |quic: &Connection, _, each| each(quic.retry.into()),
    ),
    FieldOf::new(
        "quic.version_negotiation",
        Kind::Bool,
        "True if the server refused a version.",
        |quic: &Connection, _, each| each(quic.version_negotiation.into()),
    ),
];

fn each_of<'a, T: Into<Value<'a>>>(value: Option<T>, each: Each<'_>) {
    if let Some(value) = value {
        each(value.into());
    }
}
