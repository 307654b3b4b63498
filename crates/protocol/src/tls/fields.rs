//! The fields of TLS handshakes.

use super::{Certificate, ClientHello, Handshake, ServerHello, Version, cipher_name};
use crate::field::FieldOf;
use crate::message::Message;
use crate::value::{Kind, Value};

type Each<'a> = &'a mut dyn FnMut(Value<'_>);

/// All of them.
pub(crate) const FIELDS: &[FieldOf<Handshake>] = &[
    FieldOf::new(
        "tls.sni",
        Kind::Text,
        "The server's name that the client requested.",
        |tls: &Handshake, _, each| each_of(tls.server_name(), each),
    )
    .alias(&["tls.handshake.extensions_server_name"]),
    FieldOf::new(
        "tls.version",
        Kind::Text,
        "The version that the server selected, as TLS 1.3.",
        |tls: &Handshake, _, each| each_of(tls.version().map(|version| version.to_string()), each),
    ),
    FieldOf::new(
        "tls.version_number",
        Kind::Number,
        "The number of that version.",
        |tls: &Handshake, _, each| each_of(tls.version().map(|version| version.0), each),
    ),
    FieldOf::new(
        "tls.alpn",
        Kind::Text,
        "The application protocol that the server selected, or those that the client offers.",
        |tls: &Handshake, _, each| {
            if let Some(selected) = tls.server.as_ref().and_then(|hello| hello.alpn.as_deref()) {
                return each(selected.into());
            }
            offered_protocols(tls, each);
        },
    )
    .many(),
    FieldOf::new(
        "tls.alpn_offered",
        Kind::Text,
        "The application protocols that the client offers.",
        |tls: &Handshake, _, each| offered_protocols(tls, each),
    )
    .alias(&["tls.handshake.extensions_alpn_str"])
    .many(),
    FieldOf::new(
        "tls.cipher",
        Kind::Text,
        "The cipher suite that the server selected.",
        |tls: &Handshake, _, each| {
            if let Some(cipher) = cipher(tls) {
                match cipher_name(cipher) {
                    Some(name) => each(name.into()),
                    None => each(format!("0x{cipher:04x}").into()),
                }
            }
        },
    ),
    FieldOf::new(
        "tls.cipher_number",
        Kind::Number,
        "The number of that cipher suite.",
        |tls: &Handshake, _, each| each_of(cipher(tls), each),
    )
    .alias(&["tls.handshake.ciphersuite"]),
    FieldOf::new(
        "tls.client_hello",
        Kind::Bool,
        "True if the client's hello was captured.",
        |tls: &Handshake, _, each| each(tls.client.is_some().into()),
    ),
    FieldOf::new(
        "tls.server_hello",
        Kind::Bool,
        "True if the server's hello was captured. A request for another hello does not count.",
        |tls: &Handshake, _, each| {
            each(tls.server.as_ref().is_some_and(|hello| !hello.is_retry()).into());
        },
    ),
    FieldOf::new(
        "tls.ja3",
        Kind::Text,
        "The JA3 of the client's hello.",
        |tls: &Handshake, _, each| {
            each_of(records_client(tls).map(ClientHello::ja3), each);
        },
    )
    .alias(&["tls.handshake.ja3"]),
    FieldOf::new(
        "tls.ja3s",
        Kind::Text,
        "The JA3S of the server's hello.",
        |tls: &Handshake, _, each| {
            each_of(records_server(tls).map(ServerHello::ja3s), each);
        },
    )
    .alias(&["tls.handshake.ja3s"]),
    FieldOf::new(
        "tls.ja4",
        Kind::Text,
        "The JA4 of the client's hello.",
        |tls: &Handshake, _, each| {
            each_of(records_client(tls).map(ClientHello::ja4), each);
        },
    ),
    FieldOf::new(
        "tls.ech",
        Kind::Bool,
        "True if the hello has an encrypted one inside; tls.sni is then the outer name.",
        |tls: &Handshake, _, each| {
            each_of(tls.client.as_ref().map(|hello| hello.encrypted_hello), each);
        },
    ),
    FieldOf::new(
        "tls.hello_retry",
        Kind::Bool,
        "True if the server requested another hello.",
        |tls: &Handshake, _, each| each(tls.hello_retry.into()),
    ),
    FieldOf::new(
        "tls.early_data",
        Kind::Bool,
        "True if the client offers data before the handshake is complete.",
        |tls: &Handshake, _, each| each_of(tls.client.as_ref().map(|hello| hello.early_data), each),
    ),
    FieldOf::new(
        "tls.resumed",
        Kind::Bool,
        "True if an earlier session was resumed.",
        |tls: &Handshake, _, each| each(tls.resumed.into()),
    ),
    FieldOf::new(
        "tls.established",
        Kind::Bool,
        "True if both sides have come to encrypt.",
        |tls: &Handshake, _, each| each(tls.established.into()),
    ),
    FieldOf::new(
        "tls.subject",
        Kind::Text,
        "The holder of the server's certificate.",
        |tls: &Handshake, _, each| each_of(leaf(tls).map(|leaf| leaf.subject.as_str()), each),
    ),
    FieldOf::new(
        "tls.issuer",
        Kind::Text,
        "The issuer of the server's certificate.",
        |tls: &Handshake, _, each| each_of(leaf(tls).map(|leaf| leaf.issuer.as_str()), each),
    ),
    FieldOf::new(
        "tls.san",
        Kind::Text,
        "The alternative names of the server's certificate.",
        |tls: &Handshake, _, each| {
            for name in leaf(tls).into_iter().flat_map(|leaf| &leaf.names) {
                each(name.as_str().into());
            }
        },
    )
    .alias(&["x509ce.dNSName"])
    .many(),
    FieldOf::new(
        "tls.not_before",
        Kind::Number,
        "The first second of the certificate's validity, since 1970.",
        |tls: &Handshake, _, each| {
            each_of(leaf(tls).and_then(|leaf| u64::try_from(leaf.not_before).ok()), each);
        },
    ),
    FieldOf::new(
        "tls.not_after",
        Kind::Number,
        "The last second of the certificate's validity, since 1970.",
        |tls: &Handshake, _, each| {
            each_of(leaf(tls).and_then(|leaf| u64::try_from(leaf.not_after).ok()), each);
        },
    ),
    FieldOf::new(
        "tls.certificate_sha256",
        Kind::Text,
        "The SHA-256 of each certificate of the server.",
        |tls: &Handshake, _, each| {
            for certificate in &tls.certificates {
                each(certificate.sha256.as_str().into());
            }
        },
    )
    .many(),
    FieldOf::new(
        "tls.certificate_count",
        Kind::Number,
        "The number of certificates that the server sent.",
        |tls: &Handshake, _, each| each(tls.certificate_count.into()),
    ),
    FieldOf::new(
        "tls.client_subject",
        Kind::Text,
        "The holder of the client's certificate.",
        |tls: &Handshake, _, each| {
            each_of(tls.client_certificates.first().map(|first| first.subject.as_str()), each);
        },
    ),
    FieldOf::new(
        "tls.alert",
        Kind::Text,
        "The alerts that were not encrypted, as handshake_failure.",
        |tls: &Handshake, _, each| {
            for alert in &tls.alerts {
                match alert.name() {
                    Some(name) => each(name.into()),
                    None => each(alert.description.to_string().into()),
                }
            }
        },
    )
    .many(),
    FieldOf::new(
        "tls.alert_number",
        Kind::Number,
        "The numbers of those alerts.",
        |tls: &Handshake, _, each| {
            for alert in &tls.alerts {
                each(alert.description.into());
            }
        },
    )
    .alias(&["tls.alert_message.desc"])
    .many(),
    FieldOf::new(
        "tls.handshake_time",
        Kind::Duration,
        "The time from the client's hello until both sides encrypt.",
        |tls: &Handshake, _: &Message, each| each_of(tls.duration, each),
    ),
];

fn each_of<'a, T: Into<Value<'a>>>(value: Option<T>, each: Each<'_>) {
    if let Some(value) = value {
        each(value.into());
    }
}

fn offered_protocols(tls: &Handshake, each: Each<'_>) {
    for protocol in tls.client.iter().flat_map(|hello| &hello.alpn) {
        each(protocol.as_str().into());
    }
}

/// The hello of a client, if it has the format for which fingerprints are defined.
fn records_client(tls: &Handshake) -> Option<&ClientHello> {
    tls.client.as_ref().filter(|hello| !hello.ssl2_format)
}

fn records_server(tls: &Handshake) -> Option<&ServerHello> {
    tls.server.as_ref().filter(|hello| hello.legacy_version != Version::SSL_2)
}

/// SSL 2.0 lets the client choose, in a message that is not read.
fn cipher(tls: &Handshake) -> Option<u16> {
    records_server(tls).map(|hello| hello.cipher)
}

fn leaf(tls: &Handshake) -> Option<&Certificate> {
    tls.certificates.first()
}
