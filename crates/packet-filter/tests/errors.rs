//! Errors point at the column and name the cause.

use packet_filter::{CompileError, Filter, LinkType, MAX_NESTING, Options, ParseErrorKind};

fn error(text: &str) -> (usize, String) {
    let error = text.parse::<Filter>().expect_err(text);
    (error.column, error.kind.to_string())
}

#[test]
fn errors_point_at_their_cause() {
    for (text, column, says) in [
        ("tcp prot 80", 5, "expected"),
        ("tcp port", 9, "end"),
        ("port 99999", 6, "65535"),
        ("port 80 or 99999", 12, "65535"),
        ("host www.example.com", 6, "not looked up"),
        ("gateway 10.0.0.1", 1, "not supported"),
        ("llc foo", 5, "802.2"),
        ("byte 5 = 3", 1, "not supported"),
        ("vxlan 3", 1, "udp port 4789"),
        ("ra 1:2:3:4:5:6", 4, "ether host"),
        ("wlan ra 10.0.0.1", 9, "cannot qualify"),
        ("ra host 10.0.0.1", 9, "`ra` cannot qualify"),
        ("ra net 10", 8, "`ra` cannot qualify"),
        ("addr1 port 80", 12, "`addr1` cannot qualify"),
        ("ta proto 6", 4, "expected `host`"),
        ("type 5", 6, "an 802.11 type"),
        ("type 256", 6, "an 802.11 type"),
        ("type ctl subtype beacon", 18, "a subtype of that 802.11 type"),
        ("subtype 0x80", 9, "the name of an 802.11 subtype"),
        ("subtype \x1b", 9, "cannot stand"),
        ("dir 4", 5, "`tods`"),
        ("ip type mgt", 4, "`and`, `or` or the end"),
        ("ip on em0", 4, "`and`, `or` or the end"),
        ("on ip", 4, "the name of an interface"),
        ("on em0123456789abcd", 4, "at most 15 bytes"),
        ("rnr -1", 5, "the number of a rule"),
        ("reason map-failed", 8, "a reason"),
        ("action 1", 8, "an action"),
        ("radio", 1, "radio[offset]"),
        ("decnet host 64.1", 13, "63"),
        ("decnet host 1.1024", 13, "1023"),
        ("decnet host 10", 13, "cannot qualify"),
        ("host 10.1023", 6, "no address"),
        ("tcp port nosuch", 10, "no port"),
        ("tcp port bootps", 10, "not known for tcp"),
        ("ip proto nosuch", 10, "no protocol"),
        ("net 10.0.0.1/8", 5, "outside its mask"),
        ("host 10.0.0.0/8", 6, "`net`"),
        ("net 10.0.0.0/40", 14, "32"),
        ("vlan 5000", 6, "4095"),
        ("icmp port 80", 11, "cannot qualify"),
        ("ip host fe80::1", 9, "cannot qualify"),
        ("host 02:00:00:00:00:01", 6, "ether host"),
        ("80", 3, "comparison"),
        ("10.0.0.1", 1, "say what"),
        ("(port 80) and 10.0.0.1", 15, "say what"),
        ("tcp[0:3] = 1", 7, "1, 2 or 4"),
        ("stp[0] = 1", 1, "cannot be indexed"),
        ("is-is[0] = 1", 1, "`isis` cannot be indexed"),
        ("tcp or vci 3", 8, "`vci` is not supported: it is for raw ATM"),
        ("oamf4sc", 1, "`oamf4sc` is not supported: it is for raw ATM"),
        ("tcp and (udp", 13, "end"),
        ("tcp)", 4, "expected"),
        ("tcp or or udp", 8, "expected"),
        ("tcp ;", 5, "cannot stand"),
    ] {
        let (at, message) = error(text);
        assert_eq!(at, column, "{text}: {message}");
        assert!(message.contains(says), "{text}: {message}");
    }
}

#[test]
fn nesting_is_bounded() {
    for (open, middle, close) in
        [("(", "tcp", ")"), ("not ", "tcp", ""), ("ip[", "0", "]"), ("-", "1", ""), ("(", "1", ")")]
    {
        let deep = [open.repeat(100_000).as_str(), middle, close.repeat(100_000).as_str()].concat();
        let error = deep.parse::<Filter>().expect_err("too deep");
        assert_eq!(error.kind, ParseErrorKind::TooDeep { limit: MAX_NESTING }, "{open}");
    }
    let alternating = vec!["tcp and udp or"; 10_000].join(" ") + " ip";
    assert!(matches!(
        alternating.parse::<Filter>().expect_err("too deep").kind,
        ParseErrorKind::TooDeep { .. }
    ));
    let chain = vec!["tcp"; 10_000].join(" or ");
    assert!(chain.parse::<Filter>().is_ok());
}

#[test]
fn what_a_link_type_cannot_tell_is_an_error() {
    let compile = |text: &str, link_type, options: Options| {
        let filter: Filter = text.parse().expect(text);
        filter.compile(link_type, &options).expect_err(text)
    };
    let file = Options::file();
    assert!(matches!(
        compile("ether host 1:2:3:4:5:6", LinkType::RAW, file),
        CompileError::LinkType { .. }
    ));
    assert!(matches!(compile("vlan", LinkType::LINUX_SLL, file), CompileError::LinkType { .. }));
    assert!(matches!(compile("llc ui", LinkType::LINUX_SLL2, file), CompileError::LinkType { .. }));
    assert!(matches!(
        compile("pppoes and llc", LinkType::ETHERNET, file),
        CompileError::Encapsulated { .. }
    ));
    assert!(matches!(
        compile("mpls and decnet src 1.1", LinkType::ETHERNET, file),
        CompileError::Encapsulated { .. }
    ));
    assert!(matches!(compile("inbound", LinkType::ETHERNET, file), CompileError::LiveOnly { .. }));
    assert!(matches!(
        compile("mpls and vlan", LinkType::ETHERNET, file),
        CompileError::Encapsulated { .. }
    ));
    assert!(matches!(
        compile("pppoes and ether multicast", LinkType::ETHERNET, file),
        CompileError::Encapsulated { .. }
    ));
    assert_eq!(compile("ip broadcast", LinkType::ETHERNET, file), CompileError::NetmaskUnknown);
    assert!(matches!(
        compile("len / 0 = 1", LinkType::ETHERNET, file),
        CompileError::Arithmetic { .. }
    ));
    assert!(matches!(
        compile("len >> 32 = 1", LinkType::ETHERNET, file),
        CompileError::Arithmetic { .. }
    ));
    assert!(matches!(
        compile("ether[0xfffff030] = 1", LinkType::ETHERNET, file),
        CompileError::Offset { .. }
    ));
}
