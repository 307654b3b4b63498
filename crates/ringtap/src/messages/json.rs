//! A message as a JSON object: `docs/messages.md` describes it.

use std::io::{self, Write};

use flow::Timestamp;
use protocol::{Content, Field, Message, Side, Span, Value};
use serde_json::{Map, Value as Json, json};

use super::Talk;
use crate::names;

/// Prints a message. `completed` is the time of the packet that completed it.
pub(super) fn print(
    w: &mut dyn Write,
    talk: &Talk,
    message: &Message,
    completed: Timestamp,
) -> io::Result<()> {
    serde_json::to_writer(&mut *w, &object(talk, message, completed))?;
    w.write_all(b"\n")
}

fn object(talk: &Talk, message: &Message, completed: Timestamp) -> Json {
    let [client, server] = talk.ends(message.side).map(|end| end.to_string());
    let mut object = json!({
        "time": message.times.first().unwrap_or(completed).to_string(),
        "conversation": talk.number,
        "client": client,
        "server": server,
        "protocol": message.protocol().name(),
    });
    let mut put = |name: &str, value: Json| {
        object[name] = value;
    };
    if let Some(scope) = names::scope(talk.scope) {
        put("scope", scope.into());
    }
    if let Some(within) = message.within {
        put("within", within.name().into());
    }
    for (name, side) in [("sent", message.side), ("received", message.side.other())] {
        if let Some(Span { first, last }) = message.times.side(side) {
            put(name, json!({ "first": first.to_string(), "last": last.to_string() }));
        }
    }
    if let Some(latency) = message.latency() {
        put("latency", latency.as_secs_f64().into());
    }
    if let Content::Lost(lost) = message.content {
        let from = match message.side {
            Side::Initiator => "initiator",
            Side::Responder => "responder",
        };
        put("lost", json!({ "from": from, "offset": lost.offset, "cause": lost.cause.as_str() }));
        return object;
    }
    let mut fields = Map::new();
    message.fields(&mut |name, value| {
        let many = Field::find(name).is_some_and(|field| field.info().many);
        insert(&mut fields, name, many, plain(value));
    });
    if let Json::Object(object) = &mut object {
        // The name of the protocol is the first part of each field's name.
        object.extend(fields);
    }
    object
}

/// Inserts a value at the place that the parts of a name describe: `http.host`.
fn insert(fields: &mut Map<String, Json>, name: &str, many: bool, value: Json) {
    match name.split_once('.') {
        Some((first, rest)) => {
            let inner = fields.entry(first).or_insert_with(|| Json::Object(Map::new()));
            if let Json::Object(inner) = inner {
                insert(inner, rest, many, value);
            }
        }
        None if many => {
            let list = fields.entry(name).or_insert_with(|| Json::Array(Vec::new()));
            if let Json::Array(list) = list {
                list.push(value);
            }
        }
        None => {
            fields.insert(name.to_owned(), value);
        }
    }
}

fn plain(value: Value<'_>) -> Json {
    match value {
        Value::Number(number) => number.into(),
        Value::Bool(bool) => bool.into(),
        Value::Duration(time) => time.as_secs_f64().into(),
        other => other.to_string().into(),
    }
}
