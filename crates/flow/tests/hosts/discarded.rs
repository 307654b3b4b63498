//! Insertion attacks with packets that every host discards, and some packets that are only unusual.

use flow::{Defect, OverlapPolicy, UnplacedCause, VerifyChecksums};

use crate::wire::*;

/// Both IP versions.
const VERSIONS: [bool; 2] = [false, true];

/// Sends a segment that the server discards in place of the right one.
#[track_caller]
fn insert(six: bool, defect: Defect, change: impl Fn(&mut Segment)) {
    insert_for(OverlapPolicy::First, six, defect, change);
}

#[track_caller]
fn insert_for(policy: OverlapPolicy, six: bool, defect: Defect, change: impl Fn(&mut Segment)) {
    let mut wire = Wire::open(six, |table| table.overlap_policy(policy).verify_checksums(true));
    wire.send(&client(0, "first"));
    wire.send(&server(0, 5, ""));
    wire.send(&client(5, "EVIL").with(change));
    wire.send(&client(5, "good"));
    wire.send(&server(0, 9, ""));
    wire.finish();
    assert_eq!((wire.seen.text.as_str(), wire.seen.flows), ("firstgood", 1), "{defect:?} {six}");
    assert_eq!(wire.seen.unplaced, [("EVIL".to_owned(), UnplacedCause::Discarded)]);
    assert_eq!(wire.discarded(defect), 1);
    assert_eq!(wire.table.statistics().unplaced_bytes, 4);
}

/// Sends a segment that is unusual but accepted.
#[track_caller]
fn accept(policy: OverlapPolicy, six: bool, change: impl Fn(&mut Segment)) {
    let mut wire = Wire::open(six, |table| table.overlap_policy(policy).verify_checksums(true));
    wire.send(&client(0, "good").with(change));
    wire.send(&server(0, 4, ""));
    wire.finish();
    assert_eq!((wire.seen.text.as_str(), wire.seen.flows), ("good", 1));
    assert_eq!(wire.table.statistics().discarded.total(), 0);
}

#[test]
fn segments_need_an_acknowledgement() {
    for six in VERSIONS {
        for flags in [0, PSH, FIN, URG, FIN | PSH | URG, SYN | FIN, SYN | FIN | ACK, SYN | RST] {
            let extra = u32::from(flags & SYN != 0);
            insert(six, Defect::Flags, |segment| {
                segment.flags = flags;
                segment.at += extra;
            });
        }
    }
}

#[test]
fn odd_flags_begin_no_flow() {
    let mut wire = Wire::new(false, |table| table.overlap_policy(OverlapPolicy::Linux));
    for flags in [0, FIN, PSH | URG, SYN | FIN] {
        wire.send(&client(0, "EVIL").with(|segment| segment.flags = flags));
    }
    wire.finish();
    assert_eq!((wire.seen.flows, wire.discarded(Defect::Flags)), (0, 4));
}

#[test]
fn checksums_are_verified_on_request() {
    for six in VERSIONS {
        insert(six, Defect::Checksum, |segment| segment.checksum_error = 0x1234);
    }
    insert(false, Defect::IpChecksum, |segment| segment.ip_checksum_error = 0x1234);
    let mut wire = Wire::open(false, |table| table);
    wire.send(&client(0, "good").with(|segment| segment.checksum_error = 1));
    wire.send(&client(4, "good").with(|segment| segment.ip_checksum_error = 1));
    assert_eq!(wire.seen.text, "goodgood");
}

#[test]
fn malformed_ip_options_are_discarded() {
    for options in [
        &[7, 1, 4, 0][..],           // shorter than itself
        &[7, 40, 4, 0],              // longer than the header
        &[1, 1, 1, 7],               // without a length
        &[7, 7, 3, 0, 0, 0, 0, 0],   // pointer into the option's own head
        &[68, 8, 4, 0, 0, 0, 0, 0],  // the same for time stamps
        &[131, 7, 1, 0, 0, 0, 0, 0], // the same for source routes
        &[7, 2, 1, 1],               // no room for the pointer
    ] {
        insert(false, Defect::IpOptions, |segment| segment.extra = options.to_vec());
    }
    for options in [&[148, 4, 0, 0][..], &[7, 7, 4, 0, 0, 0, 0, 0], &[1, 1, 1, 0], &[0, 7, 0, 0]] {
        accept(OverlapPolicy::First, false, |segment| segment.extra = options.to_vec());
    }
}

/// The route is exhausted, so the destination is already the server.
#[test]
fn source_routes_are_discarded_unless_the_connection_uses_them() {
    let route = [131, 7, 8, 192, 0, 2, 9, 0];
    for kind in [131, 137] {
        insert(false, Defect::SourceRoute, |segment| {
            segment.extra = [&[kind], &route[1..]].concat();
        });
    }
    let mut wire = Wire::new(false, |table| table);
    let routed = |segment: &mut Segment| segment.extra = route.to_vec();
    wire.send(&client(0, "").with(|syn| syn.flags = SYN).with(routed));
    wire.send(&server(0, 0, "").with(|syn| syn.flags = SYN | ACK));
    wire.send(&client(0, "routed").with(routed));
    assert_eq!(wire.seen.text, "routed");
}

#[test]
fn routing_headers_of_type_0_are_discarded() {
    // To the server by way of another host.
    let mut header = vec![6, 2, 0, 1, 0, 0, 0, 0];
    header.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    insert(true, Defect::SourceRoute, |segment| {
        segment.first_header = 43;
        segment.extra = header.clone();
    });
    // An exhausted header requires no processing (RFC 5095, section 3).
    header[3] = 0;
    accept(OverlapPolicy::First, true, |segment| {
        segment.first_header = 43;
        segment.extra = header.clone();
    });
}

/// The capture may have truncated the packets and lost their length.
#[test]
fn the_longest_packets_may_have_been_cut() {
    for six in VERSIONS {
        let mut wire = Wire::open(six, |table| table);
        wire.send(&client(0, "cut").with(|segment| segment.length_error = 3));
        wire.send(&server(0, 6, ""));
        wire.send(&client(6, "more").with(|segment| segment.length_error = 2));
        wire.finish();
        assert!(wire.seen.text.starts_with("cut___more"), "{}", wire.seen.text);
    }
}

#[test]
fn a_length_of_zero_needs_an_adapter() {
    for six in VERSIONS {
        // Without captured packets of the receiver, its policy is unknown.
        let mut wire = Wire::new(six, |table| table);
        wire.send(&client(0, "first"));
        wire.send(&client(5, "EVIL").with(|segment| segment.length = Some(0)));
        wire.send(&client(5, "good"));
        wire.finish();
        assert_eq!(wire.seen.text, "firstgood");
        assert_eq!(wire.seen.unplaced, [("EVIL".to_owned(), UnplacedCause::Discarded)]);
        assert_eq!(wire.discarded(Defect::NoLength), 1);
        // Left to the adapter, like the checksum.
        let mut wire = Wire::open(six, |table| table);
        wire.send(&client(0, "offloaded").with(|segment| {
            segment.length = Some(0);
            segment.checksum_error = 0x4321;
        }));
        assert_eq!(wire.seen.text, "offloaded");
    }
}

#[test]
fn padding_of_the_frame_is_no_payload() {
    for six in VERSIONS {
        let mut wire = Wire::open(six, |table| table);
        let frame = [client(0, "good").frame(six), b"EVIL".to_vec()].concat();
        wire.frame(&frame);
        wire.send(&client(4, "more"));
        assert_eq!(wire.seen.text, "goodmore");
    }
}

#[test]
fn a_data_offset_outside_the_segment_is_malformed() {
    for six in VERSIONS {
        for error in [-1, -5, 2, 10] {
            let mut wire = Wire::open(six, |table| table);
            wire.send(&client(0, "EVIL").with(|segment| segment.data_offset_error = error));
            wire.send(&client(0, "good"));
            assert_eq!(wire.seen.text, "good");
            assert_eq!(wire.table.statistics().unparsed, 1);
        }
    }
}

#[test]
fn extension_headers_that_no_host_accepts() {
    let padding = [6, 0, 1, 4, 0, 0, 0, 0];
    let option = |kind: u8| vec![6, 0, kind, 4, 0, 0, 0, 0];
    for kind in [0x40, 0x80, 0xc0, 0x5e, 0xfe] {
        for number in [0, 60] {
            insert(true, Defect::ExtensionHeader, |segment| {
                segment.first_header = number;
                segment.extra = option(kind);
            });
        }
    }
    // Hop-by-hop options after destination options, or twice.
    for first in [60, 0] {
        insert(true, Defect::ExtensionHeader, |segment| {
            segment.first_header = first;
            segment.extra = [&[0], &padding[1..], &padding].concat();
        });
    }
    // An option that ends outside its header.
    insert(true, Defect::ExtensionHeader, |segment| {
        segment.first_header = 60;
        segment.extra = vec![6, 0, 1, 5, 0, 0, 0, 0];
    });
    for (number, kind) in [(0, 0x05), (60, 0x04), (60, 0x1e), (0, 0x3e)] {
        accept(OverlapPolicy::First, true, |segment| {
            segment.first_header = number;
            segment.extra = option(kind);
        });
    }
}

/// Linux treats unusual padding as a covert channel and drops it.
#[test]
fn padding_that_linux_refuses() {
    for header in
        [[6, 0, 1, 4, 0, 0, 0, 1].to_vec(), [6, 1, 1, 12].iter().copied().chain([0; 12]).collect()]
    {
        let with = |segment: &mut Segment| {
            segment.first_header = 60;
            segment.extra = header.clone();
        };
        insert_for(OverlapPolicy::Linux, true, Defect::Padding, with);
        accept(OverlapPolicy::Windows, true, with);
    }
}

#[test]
fn signatures_in_a_connection_that_uses_none() {
    let md5 = [&[1, 1, 19, 18][..], &[7; 16]].concat();
    let authentication = [&[29, 16, 1, 1][..], &[7; 12]].concat();
    for six in VERSIONS {
        for option in [&md5, &authentication] {
            insert(six, Defect::Signature, |segment| segment.options = option.clone());
            let mut wire = Wire::open_with(six, option, |table| table);
            wire.send(&client(0, "signed").with(|segment| segment.options = option.clone()));
            assert_eq!(wire.seen.text, "signed");
        }
    }
}

/// Linux searches for signatures while there is room for one, and drops a segment if it finds a
/// malformed option before that.
#[test]
fn malformed_tcp_options_are_discarded_by_linux() {
    let with =
        |options: &'static [u8]| move |segment: &mut Segment| segment.options = options.to_vec();
    let long = &[8, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1];
    for six in VERSIONS {
        insert_for(OverlapPolicy::Linux, six, Defect::TcpOptions, with(long));
        accept(OverlapPolicy::Windows, six, with(long));
        accept(OverlapPolicy::Linux, six, with(&[8, 0, 1, 1]));
    }
}

/// Sends `right` valid segments, then a damaged one in place of the last.
fn automatic(right: u32, damage: impl Fn(&mut Segment)) -> String {
    let mut wire = Wire::open(false, |table| table.verify_checksums(VerifyChecksums::Auto));
    for at in 0..right {
        wire.send(&client(at, "."));
    }
    wire.send(&client(right, "X").with(&damage));
    wire.send(&client(right, "."));
    wire.seen.text
}

#[test]
fn senders_whose_checksums_were_right_are_held_to_them() {
    let damages: [fn(&mut Segment); 3] = [
        |segment| segment.checksum_error = 7,
        |segment| segment.ip_checksum_error = 7,
        // The partial checksum that is left for an adapter, but this sender has no such adapter.
        |segment| segment.ip_checksum_error = checksum_of_v4(segment),
    ];
    for damage in damages {
        // The handshake has two segments of the client.
        assert_eq!(automatic(2, damage), "...");
        assert_eq!(automatic(1, damage), ".X");
        assert_eq!(automatic(0, damage), "X");
    }
}

/// Received segments that an adapter or the host has coalesced have the checksum of one of them.
#[test]
fn segments_that_were_joined_are_kept() {
    let mut wire = Wire::open(false, |table| table.verify_checksums(VerifyChecksums::Auto));
    for at in 0..5 {
        wire.send(&client(at, "."));
    }
    wire.send(&client(5, "joined").with(|segment| segment.checksum_error = 7));
    // By now it is known that checksums are meaningless here.
    wire.send(&client(11, "+").with(|segment| segment.checksum_error = 7));
    assert_eq!(wire.seen.text, ".....joined+");
}

/// A capture at the sender, whose adapter computes the checksums: the first one is already wrong.
#[test]
fn senders_with_an_adapter_are_never_held_to_checksums() {
    let mut wire = Wire::new(false, |table| table.verify_checksums(VerifyChecksums::Auto));
    let damage = |segment: &mut Segment| segment.checksum_error = 0x5555;
    wire.send(&client(0, "").with(|syn| syn.flags = SYN).with(damage));
    wire.send(&server(0, 0, "").with(|syn| syn.flags = SYN | ACK));
    for at in 0..6 {
        wire.send(&client(at, "."));
    }
    wire.send(&client(6, "data").with(damage));
    assert_eq!(wire.seen.text, "......data");
}
