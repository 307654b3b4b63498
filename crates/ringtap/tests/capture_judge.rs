//! Packets that `capture --where` writes, judged by tshark.
//!
//! `RINGTAP_CORPUS` is a folder with captures. For each of a few files and conditions, the frames
//! that are written are those of the streams of which tshark's display filter passes a packet, in
//! the same order and with the same bytes, times and lengths.
//!
//! Differences of streams, which the comparison leaves out by name:
//!
//! - An ICMP error, which tshark counts to the stream that it is about. It is not a packet of it.
//! - Fragments other than the last: tshark names the stream in the packet that completes the
//!   datagram alone.
