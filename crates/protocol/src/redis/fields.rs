//! The table of Redis's fields.

use super::Command;
use crate::field::FieldOf;
use crate::value::{Kind, Value};

pub(crate) static FIELDS: &[FieldOf<Command>] = &[
    FieldOf::new("redis.command", Kind::Text, "Name of the command.", |it, _, each| {
        each(Value::text(&it.name));
    }),
    FieldOf::new("redis.key", Kind::Text, "First argument, usually a key.", |it, _, each| {
        if let Some(key) = &it.key {
            each(Value::text(key));
        }
    }),
    FieldOf::new("redis.arguments", Kind::Number, "Number of arguments.", |it, _, each| {
        each(it.arguments.into());
    }),
    FieldOf::new(
        "redis.reply",
        Kind::Text,
        "Type of the reply: status, error, number, string, array or null.",
        |it, _, each| {
            if let Some(reply) = &it.reply {
                each(reply.kind.as_str().into());
            }
        },
    ),
    FieldOf::new("redis.text", Kind::Text, "Text of a status or an error.", |it, _, each| {
        if let Some(text) = it.reply.as_ref().and_then(|reply| reply.text.as_ref()) {
            each(Value::text(text));
        }
    }),
    FieldOf::new("redis.request_bytes", Kind::Number, "Bytes of the command.", |it, _, each| {
        each(it.request_bytes.into());
    }),
    FieldOf::new("redis.response_bytes", Kind::Number, "Bytes of the reply.", |it, _, each| {
        if let Some(reply) = &it.reply {
            each(reply.bytes.into());
        }
    }),
    FieldOf::new(
        "redis.latency",
        Kind::Duration,
        "Time from the command's last byte to the reply's first.",
        |_, message, each| {
            if let Some(latency) = message.latency() {
                each(latency.into());
            }
        },
    ),
];
