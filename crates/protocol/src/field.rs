//! Fields of messages, by name.

use std::fmt;

use crate::dns;
use crate::http1;
use crate::message::{Content, Message};
use crate::opening;
use crate::quic;
use crate::redis;
use crate::registry::Protocol;
use crate::tls;
use crate::value::{Kind, Value};
use crate::websocket;

/// The description of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldInfo {
    /// The name, such as `http.host`. The part before the first dot is the protocol's name.
    pub name: &'static str,
    /// Other names of the same field: Wireshark's.
    pub aliases: &'static [&'static str],
    /// The kind of its values.
    pub kind: Kind,
    /// `true` if a message may have several values of it.
    pub many: bool,
    /// The meaning, in one sentence.
    pub about: &'static str,
}

/// A field of messages, found by its name with [`Field::find`].
///
/// Looking a name up takes longer than reading the field: look up once, read often.
#[derive(Clone, Copy)]
pub struct Field(Entry);

/// One entry of a protocol's table.
#[derive(Clone, Copy)]
enum Entry {
    Http(&'static FieldOf<http1::Exchange>),
    Dns(&'static FieldOf<dns::Exchange>),
    Tls(&'static FieldOf<tls::Handshake>),
    Quic(&'static FieldOf<quic::Connection>),
    Opening(Protocol, &'static FieldOf<opening::Opening>),
    Redis(&'static FieldOf<redis::Command>),
    WebSocket(&'static FieldOf<websocket::WebSocketMessage>),
}

/// The function that passes the values of a field to another function.
pub(crate) type Read<M> = fn(&M, &Message, &mut dyn FnMut(Value<'_>));

/// A field of messages of the type `M`: its description and the function that reads it.
pub(crate) struct FieldOf<M> {
    pub(crate) info: FieldInfo,
    pub(crate) read: Read<M>,
}

impl<M> FieldOf<M> {
    pub(crate) const fn new(
        name: &'static str,
        kind: Kind,
        about: &'static str,
        read: Read<M>,
    ) -> Self {
        Self { info: FieldInfo { name, aliases: &[], kind, many: false, about }, read }
    }

    pub(crate) const fn alias(mut self, aliases: &'static [&'static str]) -> Self {
        self.info.aliases = aliases;
        self
    }

    pub(crate) const fn many(mut self) -> Self {
        self.info.many = true;
        self
    }
}

impl Field {
    /// Finds a field by its name or one of its aliases; upper and lower case are the same.
    ///
    /// # Examples
    ///
    /// ```
    /// use protocol::Field;
    ///
    /// let host = Field::find("http.host").unwrap();
    /// assert_eq!(Field::find("http.request.method").unwrap().info().name, "http.method");
    /// assert!(Field::find("http.nothing").is_none());
    /// ```
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::all().find(|field| {
            let FieldInfo { name: own, aliases, .. } = field.info();
            aliases.iter().chain([own]).any(|known| known.eq_ignore_ascii_case(name))
        })
    }

    /// Returns all fields of all protocols, those of a protocol together.
    pub fn all() -> impl Iterator<Item = Self> {
        let http = http1::FIELDS.iter().map(Entry::Http);
        let dns = dns::FIELDS.iter().map(Entry::Dns);
        let tls = tls::FIELDS.iter().map(Entry::Tls);
        let quic = quic::FIELDS.iter().map(Entry::Quic);
        let openings = opening::TABLES.into_iter();
        let openings = openings.flat_map(|(protocol, fields)| {
            fields.iter().map(move |field| Entry::Opening(protocol, field))
        });
        let redis = redis::FIELDS.iter().map(Entry::Redis);
        let websocket = websocket::FIELDS.iter().map(Entry::WebSocket);
        let fields = http.chain(dns).chain(tls).chain(quic).chain(openings);
        fields.chain(redis).chain(websocket).map(Self)
    }

    /// Returns the fields of a protocol.
    pub fn of(protocol: Protocol) -> impl Iterator<Item = Self> {
        Self::all().filter(move |field| field.protocol() == protocol)
    }

    /// The field's description.
    #[must_use]
    pub fn info(&self) -> &'static FieldInfo {
        match self.0 {
            Entry::Http(field) => &field.info,
            Entry::Dns(field) => &field.info,
            Entry::Tls(field) => &field.info,
            Entry::Quic(field) => &field.info,
            Entry::Opening(_, field) => &field.info,
            Entry::Redis(field) => &field.info,
            Entry::WebSocket(field) => &field.info,
        }
    }

    /// The protocol whose messages have the field.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match self.0 {
            Entry::Http(_) => Protocol::HTTP,
            Entry::Dns(_) => Protocol::DNS,
            Entry::Tls(_) => Protocol::TLS,
            Entry::Quic(_) => Protocol::QUIC,
            Entry::Opening(protocol, _) => protocol,
            Entry::Redis(_) => Protocol::REDIS,
            Entry::WebSocket(_) => Protocol::WEBSOCKET,
        }
    }

    /// Calls `each` with every value of the field in `message`. A message of another protocol has
    /// none.
    pub fn read(&self, message: &Message, each: &mut dyn FnMut(Value<'_>)) {
        match (self.0, &message.content) {
            (Entry::Http(field), Content::Http(http)) => (field.read)(http, message, each),
            (Entry::Dns(field), Content::Dns(dns)) => (field.read)(dns, message, each),
            (Entry::Tls(field), Content::Tls(tls)) => (field.read)(tls, message, each),
            (Entry::Quic(field), Content::Quic(quic)) => (field.read)(quic, message, each),
            (Entry::Redis(field), Content::Redis(redis)) => (field.read)(redis, message, each),
            (Entry::WebSocket(field), Content::WebSocket(it)) => (field.read)(it, message, each),
            (Entry::Opening(protocol, field), Content::Opening(opening))
                if opening.protocol == protocol =>
            {
                (field.read)(opening, message, each);
            }
            _ => {}
        }
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Field").field(&self.info().name).finish()
    }
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        self.info().name == other.info().name
    }
}

impl Eq for Field {}
