//! The condition as a plain function of everything that a flow was.

use std::net::IpAddr;

use flow::{FiveTupleKey, Flow, FlowRecord, FlowSide, Orientation, protocol};
use flow_filter::{Comparison, Expression, Field, Member, Operator, Test, Value};
use regex_automata::Input;
use regex_automata::nfa::thompson::{self, pikevm::PikeVM};
use regex_automata::util::syntax;

/// Bytes of a stream without a gap between them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    pub(crate) bytes: Vec<u8>,
    /// The bytes before them are missing.
    pub(crate) after_gap: bool,
    /// The bytes behind them are missing.
    pub(crate) before_gap: bool,
}

/// All that was seen of a flow.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    key: FiveTupleKey,
    initiator: Orientation,
    /// The runs of each side.
    runs: [Vec<Run>; 2],
    payload: [bool; 2],
    /// The next bytes begin a run, and follow a gap.
    broken: [bool; 2],
}

impl Seen {
    pub(crate) fn new(flow: &Flow<'_, FiveTupleKey>) -> Self {
        let (runs, payload, broken) = Default::default();
        Self { key: *flow.key, initiator: flow.initiator, runs, payload, broken }
    }

    pub(crate) fn data(&mut self, side: FlowSide, bytes: &[u8]) {
        let runs = &mut self.runs[side as usize];
        if std::mem::take(&mut self.broken[side as usize]) || runs.is_empty() {
            let after_gap = !runs.is_empty() || self.payload[side as usize];
            runs.push(Run { after_gap, ..Run::default() });
        }
        if let Some(run) = runs.last_mut() {
            run.bytes.extend(bytes);
        }
        self.payload[side as usize] |= !bytes.is_empty();
    }

    pub(crate) fn gap(&mut self, side: FlowSide) {
        let runs = &mut self.runs[side as usize];
        match runs.last_mut() {
            Some(run) => run.before_gap = true,
            // A stream that begins with a gap: an empty run in front of it.
            None => runs.push(Run { before_gap: true, after_gap: true, ..Run::default() }),
        }
        self.broken[side as usize] = true;
    }

    pub(crate) fn datagram(&mut self, side: FlowSide, bytes: &[u8], wire_len: u32) {
        let before_gap = bytes.len() < wire_len as usize;
        self.runs[side as usize].push(Run { bytes: bytes.to_vec(), after_gap: false, before_gap });
        self.payload[side as usize] |= wire_len > 0;
    }

    pub(crate) fn accepts(
        &self,
        expression: &Expression,
        record: &FlowRecord<FiveTupleKey>,
    ) -> bool {
        match expression {
            Expression::Test(test) => self.test(test, record),
            Expression::Not(inner) => !self.accepts(inner, record),
            Expression::And(operands) => operands.iter().all(|inner| self.accepts(inner, record)),
            Expression::Or(operands) => operands.iter().any(|inner| self.accepts(inner, record)),
        }
    }

    fn test(&self, test: &Test, record: &FlowRecord<FiveTupleKey>) -> bool {
        let sides: &[usize] = match test.field() {
            Field::Payload => &[0, 1],
            Field::InitiatorPayload => &[0],
            Field::ResponderPayload => &[1],
            field => return compare(test.comparison(), &self.values(field, record)),
        };
        match test.comparison() {
            Comparison::Exists => sides.iter().any(|&side| self.payload[side]),
            Comparison::Contains(bytes) => {
                self.any(sides, |run| run.bytes.windows(bytes.len()).any(|window| window == bytes))
            }
            Comparison::Matches(pattern) => self.any(sides, |run| run.has(pattern.as_str())),
            _ => panic!("no comparison of bytes"),
        }
    }

    fn any(&self, sides: &[usize], holds: impl Fn(&Run) -> bool) -> bool {
        let mut runs = sides.iter().flat_map(|&side| &self.runs[side]);
        runs.any(|run| !run.bytes.is_empty() && holds(run))
    }

    fn values(&self, field: Field, record: &FlowRecord<FiveTupleKey>) -> Vec<Value> {
        let is_tcp = self.key.protocol == protocol::TCP;
        let has_ports = is_tcp || self.key.protocol == protocol::UDP;
        let mut ends = [self.key.a, self.key.b];
        if self.initiator == Orientation::Reverse {
            ends.reverse();
        }
        let addresses = ends.map(|end| end.address);
        let ports = ends.map(|end| end.port);
        let sides = [&record.initiator, &record.responder];
        let bytes =
            sides.map(|side| if is_tcp { side.delivered_bytes } else { side.payload_bytes });
        let port = |port: u16| if has_ports { vec![Value::from(port)] } else { Vec::new() };
        let number = |number: u64| vec![Value::Number(number)];
        match field {
            Field::Address => addresses.map(Value::from).to_vec(),
            Field::Source => vec![addresses[0].into()],
            Field::Destination => vec![addresses[1].into()],
            Field::Version => number(if matches!(addresses[0], IpAddr::V4(_)) { 4 } else { 6 }),
            Field::Port => ports.iter().flat_map(|one| port(*one)).collect(),
            Field::InitiatorPort => port(ports[0]),
            Field::ResponderPort => port(ports[1]),
            Field::Protocol => number(self.key.protocol.into()),
            Field::Bytes => number(bytes[0] + bytes[1]),
            Field::InitiatorBytes => number(bytes[0]),
            Field::ResponderBytes => number(bytes[1]),
            Field::Packets => number(sides.iter().map(|side| side.packets).sum()),
            Field::GapBytes => number(sides.iter().map(|side| side.gap_bytes).sum()),
            Field::Retransmitted => number(sides.iter().map(|side| side.retransmitted).sum()),
            Field::Duration => {
                let time = record.ended.saturating_duration_since(record.started);
                vec![Value::Duration(time)]
            }
            Field::Rtt => record.handshake_rtt.map(Value::Duration).into_iter().collect(),
            Field::End => vec![Value::End(record.reason)],
            // The packets of the script have none of these.
            Field::Vlan | Field::Tunnel | Field::Application => Vec::new(),
            other => panic!("{other} is not known here"),
        }
    }
}

fn compare(comparison: &Comparison, values: &[Value]) -> bool {
    let equal = |value: &Value, other: &Value| match (value, other) {
        (Value::Network(address), Value::Network(network)) => network.contains(address.address()),
        _ => value == other,
    };
    let key = |value: &Value| match value {
        Value::Number(number) => u128::from(*number),
        Value::Duration(time) => time.as_nanos(),
        other => panic!("{other} has no order"),
    };
    let in_range = |value: &Value, member: &Member| match member {
        Member::One(other) => equal(value, other),
        Member::Range(low, high) => (key(low)..=key(high)).contains(&key(value)),
    };
    match comparison {
        _ if values.is_empty() => false,
        Comparison::Exists => true,
        Comparison::Compare(operator, other) => match operator {
            Operator::Equal => values.iter().any(|value| equal(value, other)),
            Operator::NotEqual => !values.iter().any(|value| equal(value, other)),
            Operator::AllEqual => values.iter().all(|value| equal(value, other)),
            Operator::AnyNotEqual => !values.iter().all(|value| equal(value, other)),
            Operator::Less => values.iter().any(|value| key(value) < key(other)),
            Operator::LessOrEqual => values.iter().any(|value| key(value) <= key(other)),
            Operator::Greater => values.iter().any(|value| key(value) > key(other)),
            Operator::GreaterOrEqual => values.iter().any(|value| key(value) >= key(other)),
        },
        Comparison::In(members) => {
            values.iter().any(|value| members.iter().any(|member| in_range(value, member)))
        }
        _ => false,
    }
}

impl Run {
    /// Returns `true` if a pattern matches in the run, with a zero for the bytes that are missing.
    pub(crate) fn has(&self, pattern: &str) -> bool {
        let mut text = vec![0; usize::from(self.after_gap)];
        let start = text.len();
        text.extend(&self.bytes);
        let end = text.len();
        text.extend(self.before_gap.then_some(0));
        let syntax = syntax::Config::new().unicode(false).utf8(false).case_insensitive(true);
        let judge = PikeVM::builder()
            .syntax(syntax)
            .thompson(thompson::Config::new().utf8(false))
            .build(pattern)
            .expect("it was compiled before");
        judge.is_match(&mut judge.create_cache(), Input::new(&text).span(start..end))
    }
}
