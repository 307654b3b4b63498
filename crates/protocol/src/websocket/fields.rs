//! The table of WebSocket's fields.

use super::WebSocketMessage;
use crate::field::FieldOf;
use crate::value::{Kind, Value};

pub(crate) static FIELDS: &[FieldOf<WebSocketMessage>] = &[
    FieldOf::new(
        "websocket.type",
        Kind::Text,
        "Type of the message: text, binary, close, ping or pong.",
        |it: &WebSocketMessage, _, each| each(it.kind().into()),
    ),
    FieldOf::new(
        "websocket.opcode",
        Kind::Number,
        "The same as a number.",
        |it: &WebSocketMessage, _, each| {
            each(it.opcode.into());
        },
    ),
    FieldOf::new("websocket.from", Kind::Text, "Side that sent it.", |_, message, each| {
        each(match message.side {
            crate::Side::Initiator => "initiator".into(),
            crate::Side::Responder => "responder".into(),
        });
    }),
    FieldOf::new(
        "websocket.bytes",
        Kind::Number,
        "Bytes of the payload as sent.",
        |it: &WebSocketMessage, _, each| {
            each(it.bytes.into());
        },
    )
    .alias(&["websocket.payload_length"]),
    FieldOf::new(
        "websocket.length",
        Kind::Number,
        "Bytes of the payload, decompressed.",
        |it: &WebSocketMessage, _, each| {
            if let Some(len) = it.len {
                each(len.into());
            }
        },
    ),
    FieldOf::new(
        "websocket.frames",
        Kind::Number,
        "Frames that it came in.",
        |it: &WebSocketMessage, _, each| {
            each(it.frames.into());
        },
    ),
    FieldOf::new(
        "websocket.compressed",
        Kind::Bool,
        "It was sent compressed.",
        |it: &WebSocketMessage, _, each| {
            each(it.compressed.into());
        },
    ),
    FieldOf::new(
        "websocket.missing_bytes",
        Kind::Number,
        "Bytes that were not captured.",
        |it: &WebSocketMessage, _, each| each(it.missing.into()),
    ),
    FieldOf::new(
        "websocket.complete",
        Kind::Bool,
        "It came to its end.",
        |it: &WebSocketMessage, _, each| {
            each(it.complete.into());
        },
    ),
    FieldOf::new(
        "websocket.text",
        Kind::Text,
        "First KiB of a text, or the reason of a close.",
        |it: &WebSocketMessage, _, each| match it.opcode {
            1 => each(Value::text(&it.beginning)),
            8 if it.beginning.len() > 2 => each(Value::text(&it.beginning[2..])),
            _ => {}
        },
    ),
    FieldOf::new(
        "websocket.close_code",
        Kind::Number,
        "Status code of a close.",
        |it: &WebSocketMessage, _, each| {
            if let Some(code) = it.close_code() {
                each(code.into());
            }
        },
    )
    .alias(&["websocket.payload.close.status_code"]),
];
