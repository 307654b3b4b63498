//! A connection's state and history, in Zeek's letters.

use flow::{EndReason, protocol};

use crate::Flow;

/// The state of one end of a TCP connection at its end, as far as `conn_state` distinguishes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Nothing was seen of it but, perhaps, segments from the middle of a connection.
    Inactive,
    /// Its SYN was seen, and no answer to it.
    SynSent,
    /// The connection was opened.
    Established,
    /// It sent a FIN.
    Closed,
    /// It sent a RST.
    Reset,
}

/// The value of the field `conn_state`, by its description in Zeek's manual.
#[must_use]
pub fn conn_state(flow: &Flow<'_>) -> &'static str {
    match flow.protocol {
        protocol::TCP => tcp_state(flow),
        protocol::UDP => match (flow.initiator.packets > 0, flow.responder.packets > 0) {
            (true, true) => "SF",
            (true, false) => "S0",
            (false, true) => "SHR",
            (false, false) => "OTH",
        },
        _ => "OTH",
    }
}

fn tcp_state(flow: &Flow<'_>) -> &'static str {
    let has = |letter| flow.history.contains(letter);
    // A SYN-ACK opens both ends, whether or not the last step of the handshake was captured.
    let is_open = has('S') && has('h');
    // A RST that the table did not believe ended nothing.
    let was_reset = flow.end == EndReason::Rst || !(has('F') && has('f'));
    let end = |reset, fin, opened: bool, syn| {
        if has(reset) && was_reset {
            End::Reset
        } else if has(fin) {
            End::Closed
        } else if opened {
            End::Established
        } else if has(syn) {
            End::SynSent
        } else {
            End::Inactive
        }
    };
    let initiator = end('R', 'F', is_open, 'S');
    // An end whose SYN-ACK was captured has opened the connection, even if the SYN was not.
    let responder = end('r', 'f', has('h'), 's');
    let answered = has('h') || flow.responder.stream_bytes > 0;
    match (initiator, responder) {
        (End::SynSent, End::Reset) if !has('h') => "REJ",
        (End::Inactive, End::Reset) if has('h') => "RSTRH",
        (_, End::Reset) => "RSTR",
        (End::Reset, _) if has('S') && !answered => "RSTOS0",
        (End::Reset, _) => "RSTO",
        (End::Closed, End::Closed) => "SF",
        (End::Closed, _) if has('S') && !answered => "SH",
        (End::Closed, _) => "S2",
        (End::Inactive | End::SynSent, End::Closed) if has('h') => "SHR",
        (_, End::Closed) => "S3",
        (End::SynSent, End::Inactive) => "S0",
        (End::Established, End::Established) => "S1",
        _ => "OTH",
    }
}

/// The value of the field `history`. Of TCP it is the flow's own, whose letters mean the same. Of
/// UDP it is D for a side that sent payload.
#[must_use]
pub fn history(flow: &Flow<'_>) -> String {
    if flow.protocol == protocol::TCP {
        // T and G have the same meaning in both.
        return flow.history.to_owned();
    }
    if flow.protocol != protocol::UDP {
        return String::new();
    }
    let sides = [(&flow.initiator, 'D'), (&flow.responder, 'd')];
    sides.into_iter().filter(|(side, _)| side.payload_bytes > 0).map(|(_, letter)| letter).collect()
}
