//! The evaluation of a condition for one flow, while it goes on.

mod compare;
mod messages;

use flow::{Flow, FlowRecord, FlowSide, Orientation, Timestamp, protocol};

use ::protocol::MessageSink;

use self::compare::{at_least, holds};
use self::messages::{Talk, Values, is_for_all};
use crate::condition::{Check, Condition};
use crate::expression::Value;
use crate::field::{Field, Stage};
use crate::key::{KeyFields, tunnels, vlans};
use crate::pattern::{Pattern, State};
use crate::verdict::Verdict;

/// The evaluation of a [`Condition`] for one flow.
///
/// It takes what a [`FlowHandler`](flow::FlowHandler) is called with, in the same order, and keeps
/// a few bytes for each test of the expression, none of the stream. Once the verdict is not
/// [`Undecided`](Verdict::Undecided) it never changes. At the end of the flow it is decided.
#[derive(Debug)]
pub struct Evaluation {
    condition: Condition,
    checks: Vec<Progress>,
    verdict: Verdict,
    protocol: u8,
    started: Timestamp,
    /// Bytes of each side.
    bytes: [u64; 2],
    gap_bytes: u64,
    /// The time of the last event.
    now: Timestamp,
    /// The parsers, if a check is about messages and the verdict is open.
    talk: Option<Box<Talk>>,
}

/// The state of a check.
#[derive(Clone, Copy, Debug)]
enum Progress {
    Known(bool),
    /// Decided by a counter, or at the end.
    Later,
    /// A search in the streams of both sides.
    Search([Stream; 2]),
    /// Decided by values of messages; `true` if there was one.
    Values(bool),
}

/// A search in one stream.
#[derive(Clone, Copy, Debug)]
enum Stream {
    /// No byte has come.
    Fresh,
    At(State),
    /// The bytes before the next one are missing.
    Gap,
}

impl Evaluation {
    /// Begins with the first packet of a flow.
    #[must_use]
    pub fn new<K: KeyFields>(condition: &Condition, flow: &Flow<'_, K>) -> Self {
        let checks = condition.checks().iter().map(|check| first(check, flow)).collect();
        let mut evaluation = Self {
            condition: condition.clone(),
            checks,
            verdict: Verdict::Undecided,
            protocol: flow.protocol,
            started: flow.started,
            bytes: [0; 2],
            gap_bytes: 0,
            now: flow.started,
            talk: None,
        };
        evaluation.count(flow.started);
        if evaluation.decide() == Verdict::Undecided
            && evaluation.checks.iter().any(|check| matches!(check, Progress::Values(_)))
        {
            evaluation.talk = Some(Box::new(Talk::new(flow)));
        }
        evaluation
    }

    /// Notes that the flow was picked up midway: parsers search for the beginning of a message. To
    /// be called before anything else.
    #[must_use]
    pub fn midway(mut self) -> Self {
        if let Some(talk) = &mut self.talk {
            talk.midway();
        }
        self
    }

    /// The memory in bytes that parsers hold. The rest does not depend on the flow.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.talk.as_ref().map_or(0, |talk| talk.memory())
    }

    /// The condition.
    #[must_use]
    pub const fn condition(&self) -> &Condition {
        &self.condition
    }

    /// The verdict so far.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Takes the next bytes of a side's stream.
    pub fn data(&mut self, side: FlowSide, bytes: &[u8], time: Timestamp) -> Verdict {
        if self.verdict != Verdict::Undecided {
            return self.verdict;
        }
        self.bytes[side as usize] += bytes.len() as u64;
        self.now = time;
        self.search(side, |stream, pattern| stream.feed(pattern, bytes));
        self.count(time);
        if self.decide() == Verdict::Undecided {
            self.parse(|talk, sink| talk.data(side, time, bytes, sink));
        }
        self.verdict
    }

    /// The next bytes of a side's stream are missing: no match extends over them.
    pub fn gap(&mut self, side: FlowSide, len: u64) -> Verdict {
        if self.verdict != Verdict::Undecided {
            return self.verdict;
        }
        self.gap_bytes = self.gap_bytes.saturating_add(len);
        self.search(side, Stream::interrupt);
        self.count(self.started);
        if self.decide() == Verdict::Undecided {
            let now = self.now;
            self.parse(|talk, sink| talk.gap(side, now, len, sink));
        }
        self.verdict
    }

    /// A side's stream is complete.
    pub fn finish(&mut self, side: FlowSide) -> Verdict {
        if self.verdict == Verdict::Undecided {
            let now = self.now;
            self.parse(|talk, sink| talk.finish(side, now, sink));
        }
        self.verdict
    }

    /// Takes a packet of a flow that is not TCP, with the bytes of its payload that were captured
    /// and their number on the wire. Each packet is searched alone.
    pub fn datagram(
        &mut self,
        side: FlowSide,
        bytes: &[u8],
        wire_len: u32,
        time: Timestamp,
    ) -> Verdict {
        if self.verdict != Verdict::Undecided {
            return self.verdict;
        }
        self.bytes[side as usize] += u64::from(wire_len);
        let is_whole = bytes.len() as u64 >= u64::from(wire_len);
        if !bytes.is_empty() {
            self.search(side, |_, pattern| {
                let mut state = pattern.begin();
                // Of a packet that was cut off, the end is missing.
                pattern.feed(&mut state, bytes)
                    || if is_whole { pattern.finish(state) } else { pattern.interrupt(state) }
            });
        }
        self.now = time;
        self.count(time);
        if self.decide() == Verdict::Undecided {
            self.parse(|talk, sink| talk.datagram(side, time, (bytes, wire_len), sink));
        }
        self.verdict
    }

    /// The flow has ended: the verdict is decided.
    pub fn end<K>(&mut self, record: &FlowRecord<K>) -> Verdict {
        if self.verdict != Verdict::Undecided {
            return self.verdict;
        }
        self.parse(Talk::end);
        for (check, progress) in self.condition.checks().iter().zip(&mut self.checks) {
            let found = match progress {
                Progress::Known(_) => continue,
                Progress::Values(seen) => *seen && is_for_all(&check.comparison),
                Progress::Search(streams) => {
                    let ends = |stream: &Stream| stream.ends(check.search.as_ref());
                    streams.iter().any(ends)
                }
                Progress::Later => {
                    let value = last(check.field, self.protocol, record);
                    value.is_some_and(|value| holds(&check.comparison, &[value]))
                }
            };
            *progress = Progress::Known(found);
        }
        self.decide()
    }

    fn decide(&mut self) -> Verdict {
        let checks = &self.checks;
        self.verdict = self.condition.verdict(|check| match checks[check] {
            Progress::Known(holds) => holds.into(),
            _ => Verdict::Undecided,
        });
        if self.verdict != Verdict::Undecided {
            self.talk = None;
        }
        self.verdict
    }

    /// Advances the parsers, and decides by what they find.
    fn parse(&mut self, step: impl FnOnce(&mut Talk, &mut dyn MessageSink)) {
        let Some(mut talk) = self.talk.take() else { return };
        let mut values = Values { checks: self.condition.checks(), progress: &mut self.checks };
        step(&mut talk, &mut values);
        talk.note_applications(&mut values);
        // With TLS this is so after the handshake, long before the end of the flow.
        if talk.is_over() {
            values.end();
        }
        self.talk = Some(talk);
        self.decide();
    }

    /// Advances the searches in a side's stream. Returns `true` for a match.
    fn search(&mut self, side: FlowSide, mut step: impl FnMut(&mut Stream, &Pattern) -> bool) {
        for (check, progress) in self.condition.checks().iter().zip(&mut self.checks) {
            if let (Progress::Search(streams), Some(pattern)) = (&mut *progress, &check.search)
                && covers(check.field, side)
                && step(&mut streams[side as usize], pattern)
            {
                *progress = Progress::Known(true);
            }
        }
    }

    /// Decides the checks of counters, which only grow, as soon as they are beyond a limit.
    fn count(&mut self, time: Timestamp) {
        let [initiator, responder] = self.bytes;
        for (check, progress) in self.condition.checks().iter().zip(&mut self.checks) {
            if !matches!(progress, Progress::Later) {
                continue;
            }
            let so_far = match check.field {
                Field::Bytes => Value::Number(initiator + responder),
                Field::InitiatorBytes => Value::Number(initiator),
                Field::ResponderBytes => Value::Number(responder),
                Field::GapBytes => Value::Number(self.gap_bytes),
                Field::Duration => Value::Duration(time.saturating_duration_since(self.started)),
                Field::Payload | Field::InitiatorPayload | Field::ResponderPayload => {
                    let sides = [FlowSide::Initiator, FlowSide::Responder];
                    let mut covered = sides.iter().filter(|side| covers(check.field, **side));
                    if covered.any(|side| self.bytes[*side as usize] > 0) {
                        *progress = Progress::Known(true);
                    }
                    continue;
                }
                _ => continue,
            };
            if let Some(holds) = at_least(&check.comparison, &so_far) {
                *progress = Progress::Known(holds);
            }
        }
    }
}

impl Stream {
    fn feed(&mut self, pattern: &Pattern, bytes: &[u8]) -> bool {
        let mut state = match *self {
            Self::Fresh => pattern.begin(),
            Self::Gap => pattern.resume(),
            Self::At(state) => state,
        };
        let found = pattern.feed(&mut state, bytes);
        *self = Self::At(state);
        found
    }

    fn interrupt(&mut self, pattern: &Pattern) -> bool {
        let found = matches!(*self, Self::At(state) if pattern.interrupt(state));
        *self = Self::Gap;
        found
    }

    /// Returns `true` if a match ends with the stream.
    fn ends(&self, pattern: Option<&Pattern>) -> bool {
        matches!((self, pattern), (Self::At(state), Some(pattern)) if pattern.finish(*state))
    }
}

/// Returns `true` if a field is about the stream of a side.
const fn covers(field: Field, side: FlowSide) -> bool {
    match side {
        FlowSide::Initiator => matches!(field, Field::Payload | Field::InitiatorPayload),
        FlowSide::Responder => matches!(field, Field::Payload | Field::ResponderPayload),
    }
}

/// The state of a check after the first packet.
fn first<K: KeyFields>(check: &Check, flow: &Flow<'_, K>) -> Progress {
    if check.field.description().stage > Stage::FirstPacket {
        if matches!(check.field, Field::Application | Field::Message(_)) {
            return Progress::Values(false);
        }
        let is_search = check.search.is_some();
        return if is_search { Progress::Search([Stream::Fresh; 2]) } else { Progress::Later };
    }
    let turned = |[a, b]: [Value; 2]| match flow.initiator {
        Orientation::Forward => [a, b],
        Orientation::Reverse => [b, a],
    };
    let addresses = || flow.key.addresses().map(|both| turned(both.map(Value::from)));
    let ports = || flow.key.ports().map(|both| turned(both.map(Value::from)));
    let values: Vec<Value> = match check.field {
        Field::Address => addresses().into_iter().flatten().collect(),
        Field::Source => addresses().map(|[initiator, _]| initiator).into_iter().collect(),
        Field::Destination => addresses().map(|[_, responder]| responder).into_iter().collect(),
        Field::Version => {
            let version = |[a, _]: [std::net::IpAddr; 2]| if a.is_ipv4() { 4_u64 } else { 6 };
            flow.key.addresses().map(version).map(Value::from).into_iter().collect()
        }
        Field::Port => ports().into_iter().flatten().collect(),
        Field::InitiatorPort => ports().map(|[initiator, _]| initiator).into_iter().collect(),
        Field::ResponderPort => ports().map(|[_, responder]| responder).into_iter().collect(),
        Field::Protocol => vec![Value::Number(flow.protocol.into())],
        Field::Vlan => vlans(flow.key.scope()).into_iter().map(Value::from).collect(),
        Field::Tunnel => {
            tunnels(flow.key.scope()).iter().map(|name| Value::from(&**name)).collect()
        }
        _ => Vec::new(),
    };
    let found = match &check.search {
        Some(pattern) => {
            values.iter().any(|value| matches!(value, Value::Text(text) if pattern.is_in(text)))
        }
        None => holds(&check.comparison, &values),
    };
    Progress::Known(found)
}

/// The value of a field at the end. `None` if the flow does not have it.
fn last<K>(field: Field, protocol: u8, record: &FlowRecord<K>) -> Option<Value> {
    let bytes = |side: &flow::SideCounters| {
        if protocol == protocol::TCP { side.delivered_bytes } else { side.payload_bytes }
    };
    let (initiator, responder) = (&record.initiator, &record.responder);
    Some(match field {
        Field::Bytes => Value::Number(bytes(initiator) + bytes(responder)),
        Field::InitiatorBytes => Value::Number(bytes(initiator)),
        Field::ResponderBytes => Value::Number(bytes(responder)),
        Field::Packets => Value::Number(initiator.packets + responder.packets),
        Field::GapBytes => Value::Number(initiator.gap_bytes.saturating_add(responder.gap_bytes)),
        Field::Retransmitted => Value::Number(initiator.retransmitted + responder.retransmitted),
        Field::Duration => Value::Duration(record.ended.saturating_duration_since(record.started)),
        Field::Rtt => Value::Duration(record.handshake_rtt?),
        Field::End => Value::End(record.reason),
        _ => return None,
    })
}

const _: () = assert!(size_of::<Progress>() <= 24);
