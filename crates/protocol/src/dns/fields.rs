//! The fields of DNS messages.

use super::{Exchange, RecordType, rcode_name};
use crate::field::FieldOf;
use crate::message::Message;
use crate::value::{Kind, Value};

type Each<'a> = &'a mut dyn FnMut(Value<'_>);

/// All of them.
pub(crate) const FIELDS: &[FieldOf<Exchange>] = &[
    FieldOf::new(
        "dns.transport",
        Kind::Text,
        "The variety: udp, tcp, mdns or llmnr.",
        |dns: &Exchange, _, each| {
            each(dns.transport.as_str().into());
        },
    ),
    FieldOf::new(
        "dns.id",
        Kind::Number,
        "The identification of query and response.",
        |dns: &Exchange, _, each| {
            each_of(dns.last().map(|last| last.id), each);
        },
    ),
    FieldOf::new(
        "dns.opcode",
        Kind::Number,
        "The operation; 0 is a query.",
        |dns: &Exchange, _, each| {
            each_of(dns.last().map(|last| last.opcode), each);
        },
    )
    .alias(&["dns.flags.opcode"]),
    FieldOf::new("dns.qname", Kind::Text, "The name asked for.", |dns: &Exchange, _, each| {
        questions(dns, |question| each(question.name.as_str().into()));
    })
    .alias(&["dns.qry.name"])
    .many(),
    FieldOf::new(
        "dns.qtype",
        Kind::Text,
        "The type of record asked for, as AAAA.",
        |dns: &Exchange, _, each| {
            questions(dns, |question| each(question.qtype.to_string().into()));
        },
    )
    .many(),
    FieldOf::new(
        "dns.qtype_number",
        Kind::Number,
        "The number of that type.",
        |dns: &Exchange, _, each| {
            questions(dns, |question| each(question.qtype.0.into()));
        },
    )
    .alias(&["dns.qry.type"])
    .many(),
    FieldOf::new(
        "dns.qclass",
        Kind::Text,
        "The class asked for; IN is the Internet.",
        |dns: &Exchange, _, each| {
            questions(dns, |question| each(question.qclass.to_string().into()));
        },
    )
    .many(),
    FieldOf::new(
        "dns.qclass_number",
        Kind::Number,
        "The number of that class.",
        |dns: &Exchange, _, each| {
            questions(dns, |question| each(question.qclass.0.into()));
        },
    )
    .alias(&["dns.qry.class"])
    .many(),
    FieldOf::new(
        "dns.query",
        Kind::Bool,
        "True if the query was captured.",
        |dns: &Exchange, _, each| {
            each(dns.query.is_some().into());
        },
    ),
    FieldOf::new(
        "dns.response",
        Kind::Bool,
        "True if the response was captured.",
        |dns: &Exchange, _, each| {
            each(dns.response.is_some().into());
        },
    )
    .alias(&["dns.flags.response"]),
    FieldOf::new(
        "dns.rcode",
        Kind::Text,
        "The response code, as NXDOMAIN.",
        |dns: &Exchange, _, each| {
            if let Some(response) = &dns.response {
                each(match rcode_name(response.rcode) {
                    Some(name) => name.into(),
                    None => format!("RCODE{}", response.rcode).into(),
                });
            }
        },
    ),
    FieldOf::new(
        "dns.rcode_number",
        Kind::Number,
        "The number of the response code, with the bits of EDNS.",
        |dns: &Exchange, _, each| {
            each_of(dns.response.as_ref().map(|response| response.rcode), each);
        },
    )
    .alias(&["dns.flags.rcode"]),
    FieldOf::new(
        "dns.authoritative",
        Kind::Bool,
        "True if an authority answered.",
        |dns: &Exchange, _, each| {
            each_of(dns.response.as_ref().map(|response| response.authoritative), each);
        },
    )
    .alias(&["dns.flags.authoritative"]),
    FieldOf::new(
        "dns.truncated",
        Kind::Bool,
        "True if the message was cut to fit.",
        |dns: &Exchange, _, each| {
            each_of(dns.last().map(|last| last.truncated), each);
        },
    )
    .alias(&["dns.flags.truncated"]),
    FieldOf::new(
        "dns.recursion_desired",
        Kind::Bool,
        "True if recursion was requested.",
        |dns: &Exchange, _, each| {
            each_of(dns.last().map(|last| last.recursion_desired), each);
        },
    )
    .alias(&["dns.flags.recdesired"]),
    FieldOf::new(
        "dns.authentic",
        Kind::Bool,
        "True if the data was verified (AD).",
        |dns: &Exchange, _, each| {
            each_of(dns.response.as_ref().map(|response| response.authentic), each);
        },
    )
    .alias(&["dns.flags.authenticated"]),
    FieldOf::new(
        "dns.answer",
        Kind::Text,
        "The data of each answer as text.",
        |dns: &Exchange, _, each| {
            answers(dns, None, |_, data| each(data.into()));
        },
    )
    .many(),
    FieldOf::new(
        "dns.answer_type",
        Kind::Text,
        "The type of each answer.",
        |dns: &Exchange, _, each| {
            answers(dns, None, |rtype, _| each(rtype.to_string().into()));
        },
    )
    .many(),
    FieldOf::new(
        "dns.a",
        Kind::Address,
        "The IPv4 addresses in the answer.",
        |dns: &Exchange, _, each| {
            answers(dns, Some(RecordType::A), |_, data| each_address(data, each));
        },
    )
    .many(),
    FieldOf::new(
        "dns.aaaa",
        Kind::Address,
        "The IPv6 addresses in the answer.",
        |dns: &Exchange, _, each| {
            answers(dns, Some(RecordType::AAAA), |_, data| each_address(data, each));
        },
    )
    .many(),
    FieldOf::new(
        "dns.cname",
        Kind::Text,
        "The canonical names in the answer.",
        |dns: &Exchange, _, each| {
            answers(dns, Some(RecordType::CNAME), |_, data| each(data.into()));
        },
    )
    .many(),
    FieldOf::new(
        "dns.ttl",
        Kind::Number,
        "The lifetime of each answer, in seconds.",
        |dns: &Exchange, _, each| {
            for record in dns.response.iter().flat_map(|response| &response.answers) {
                each(record.ttl.into());
            }
        },
    )
    .alias(&["dns.resp.ttl"])
    .many(),
    FieldOf::new(
        "dns.answer_count",
        Kind::Number,
        "The number of answers announced.",
        |dns: &Exchange, _, each| {
            each_of(dns.response.as_ref().map(|response| response.answer_count), each);
        },
    )
    .alias(&["dns.count.answers"]),
    FieldOf::new(
        "dns.edns_udp_size",
        Kind::Number,
        "The UDP payload the client accepts, in bytes.",
        |dns: &Exchange, _, each| {
            let edns = dns.query.as_ref().and_then(|query| query.edns);
            each_of(edns.map(|edns| edns.udp_size), each);
        },
    ),
    FieldOf::new(
        "dns.retransmissions",
        Kind::Number,
        "The number of times the query was sent again before its response.",
        |dns: &Exchange, _, each| each(dns.retransmissions.into()),
    ),
    FieldOf::new(
        "dns.malformed",
        Kind::Bool,
        "True if a message could not be read to its end.",
        |dns: &Exchange, _, each| {
            each(dns.query.iter().chain(&dns.response).any(|message| message.malformed).into());
        },
    ),
    FieldOf::new("dns.latency", Kind::Duration, "The time from query to response.", latency)
        .alias(&["dns.time"]),
];

fn latency(_: &Exchange, message: &Message, each: Each<'_>) {
    each_of(message.latency(), each);
}

fn each_of<'a, T: Into<Value<'a>>>(value: Option<T>, each: Each<'_>) {
    if let Some(value) = value {
        each(value.into());
    }
}

fn each_address(data: &str, each: Each<'_>) {
    if let Ok(address) = data.parse() {
        each(Value::Address(address));
    }
}

fn questions(dns: &Exchange, mut each: impl FnMut(&super::Question)) {
    // The response repeats the questions of its query.
    let messages = dns.query.iter().chain(&dns.response);
    let with = messages.into_iter().find(|message| !message.questions.is_empty());
    with.into_iter().flat_map(|message| &message.questions).for_each(&mut each);
}

fn answers(dns: &Exchange, only: Option<RecordType>, mut each: impl FnMut(RecordType, &str)) {
    // Announcements of multicast DNS are responses; its queries list the answers that are known.
    for record in dns.response.iter().flat_map(|response| &response.answers) {
        if only.is_none_or(|only| only == record.rtype) {
            each(record.rtype, &record.data);
        }
    }
}
