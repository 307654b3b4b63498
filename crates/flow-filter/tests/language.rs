//! Expressions of the language: what they mean, and the errors of those that mean nothing.

use flow_filter::{Expression, Field, MAX_DEPTH, MAX_EXPRESSION_LEN, Member, ParseErrorKind};

fn parse(text: &str) -> Expression {
    text.parse()
        .unwrap_or_else(|error: flow_filter::ParseError| panic!("{error}\n{}", error.pointed(text)))
}

/// The printed form of an expression.
fn printed(text: &str) -> String {
    let expression = parse(text);
    let printed = expression.to_string();
    assert_eq!(parse(&printed), expression, "{printed} is not the same as {text}");
    printed
}

/// The message and place of an error.
fn fails(text: &str, column: usize, message: &str) {
    let error = text.parse::<Expression>().expect_err(text);
    let found = error.to_string();
    assert_eq!(error.column(), column, "{text}: {found}");
    assert!(found.contains(message), "{text}: {found}");
}

#[test]
fn operators_have_the_names_and_signs_of_wireshark() {
    for (name, sign) in
        [("eq", "=="), ("any_eq", "=="), ("ne", "!="), ("all_ne", "!="), ("lt", "<")]
    {
        assert_eq!(printed(&format!("port {name} 80")), format!("port {sign} 80"));
    }
    for (name, sign) in
        [("le", "<="), ("gt", ">"), ("ge", ">="), ("all_eq", "==="), ("any_ne", "!==")]
    {
        assert_eq!(printed(&format!("port {name} 80")), format!("port {sign} 80"));
        assert_eq!(printed(&format!("port{sign}80")), format!("port {sign} 80"));
    }
    assert_eq!(printed("!(tcp&&port==1||udp)"), "not (proto == tcp and port == 1 or proto == udp)");
    assert_eq!(printed("payload ~ \"x\""), "payload matches \"x\"");
}

#[test]
fn not_binds_tighter_than_and_which_binds_tighter_than_or() {
    assert_eq!(
        printed("not tcp and udp or icmp"),
        "not proto == tcp and proto == udp or proto == icmp"
    );
    assert_eq!(parse("vlan or tunnel and payload"), parse("vlan or (tunnel and payload)"));
    assert_ne!(parse("(vlan or tunnel) and payload"), parse("vlan or tunnel and payload"));
    assert_eq!(parse("vlan and (tunnel and payload)"), parse("vlan and tunnel and payload"));
    assert_eq!(printed("not not vlan"), "not not vlan");
}

#[test]
fn names_of_wireshark_are_fields_of_one_kind_of_flow() {
    assert_eq!(printed("tcp.port == 443"), "proto == tcp and port == 443");
    assert_eq!(printed("not udp.dstport == 53"), "not (proto == udp and responder.port == 53)");
    assert_eq!(
        printed("ipv6.addr == 2001:db8::/32"),
        "ip.version == 6 and ip.addr == 2001:db8::/32"
    );
    assert_eq!(printed("tcp.payload contains GET"), "proto == tcp and payload contains \"GET\"");
    assert_eq!(printed("ip.proto == 17 or ip.proto == 200"), "proto == udp or proto == 200");
    assert_eq!(printed("vlan.id == 7"), "vlan == 7");
    assert_eq!(printed("tcp.port not in {1}"), "not (proto == tcp and port in {1})");
}

#[test]
fn numbers_and_times_have_units() {
    for (text, same) in
        [("1500k", "1500k"), ("1.5M", "1500k"), ("2K", "2k"), ("4096", "4Ki"), ("0x10", "16")]
    {
        assert_eq!(printed(&format!("bytes > {text}")), format!("bytes > {same}"));
    }
    for (text, same) in
        [("90", "90s"), ("60", "1m"), ("0.25", "250ms"), ("1.5h", "90m"), ("7us", "7us")]
    {
        assert_eq!(printed(&format!("duration < {text}")), format!("duration < {same}"));
    }
    assert_eq!(printed("duration > 0"), "duration > 0");
    fails("bytes > 1.0001k", 9, "a number, as");
    fails("bytes > 99999999T", 9, "a number, as");
    fails("duration > 5x", 12, "a time, as");
}

#[test]
fn sets_have_values_and_ranges() {
    assert_eq!(printed("port in {22, 80..90,443}"), "port in {22, 80..90, 443}");
    assert_eq!(printed("port in {22 80}"), "port in {22, 80}");
    assert_eq!(printed("port not in {22}"), "not port in {22}");
    assert_eq!(printed("ip.addr in {10.0.0.0/8 ::1}"), "ip.addr in {10.0.0.0/8, ::1}");
    assert_eq!(printed("end in {rst, capture-ended}"), "end in {rst, capture-ended}");
    fails("port in {}", 6, "the set is empty");
    fails("port in {9..1}", 10, "its end is below its beginning");
    fails("port in 9", 9, "expected \"{\"");
    fails("ip.addr in {10.0.0.0..10.0.0.9}", 13, "no operator ..");
    fails("payload in {1}", 9, "contains and matches");
}

#[test]
fn texts_have_escapes() {
    assert_eq!(
        printed(r#"payload contains "\x16\x03\n\t\"\\é\xff""#),
        r#"payload contains "\x16\x03\n\t\"\\é\xff""#
    );
    assert_eq!(printed(r#"tunnel == r"a\b""#), r#"tunnel == "a\\b""#);
    assert_eq!(printed(r#"payload matches "a\"b\d\\\\""#), r#"payload matches "a\"b\\d\\\\""#);
    // As Wireshark's manual has it, and without the second backslash.
    assert_eq!(parse(r#"payload matches "a\\.b""#), parse(r#"payload matches "a\.b""#));
    assert_eq!(parse(r#"payload matches r"\d""#), parse(r#"payload matches "\d""#));
    fails(r#"payload contains "a\qb""#, 20, "is no escape");
    fails(r#"payload contains "\x4"#, 18, "no closing quotation mark");
    fails(r#"payload contains "\x4g""#, 19, "is no escape");
    fails("payload contains \"\"", 18, "an empty text");
}

#[test]
fn errors_point_at_their_place() {
    fails("", 1, "found the end");
    fails("port == 443 and", 16, "found the end");
    fails("port == 443 port == 80", 13, "expected \"and\", \"or\" or the end");
    fails("(port == 443", 13, "\")\"");
    fails("port == 443)", 12, "\")\"");
    fails("port = 443", 6, "cannot stand in an expression");
    fails("prot == tcp", 1, "did you mean \"proto\"");
    fails("proto == tpc", 10, "tcp or 6");
    fails("proto == icmpv", 10, "did you mean \"icmp\"");
    fails("end == rts", 8, "rst");
    fails("ip.addr == 192.0.2.1/24", 12, "without bits after its prefix");
    fails("ip.addr < 192.0.2.1", 9, "no operator <");
    fails("port == 65536", 9, "up to 65535");
    fails("port contains 1", 6, "no operator contains");
    fails("payload == 1", 9, "contains and matches");
    fails("payload matches \"(\"", 17, "unclosed group");
    fails("payload matches \"(?u)\\\\w{1000}{1000}\"", 17, "cannot be used");
    fails("http.hots contains \"x\"", 1, "unknown field");
    // Columns count characters, and carets stand below them.
    let text = "tunnel == \"é\" and prot";
    let error = text.parse::<Expression>().unwrap_err();
    assert_eq!(error.pointed(text), format!("{text}\n{}^^^^", " ".repeat(18)));
}

#[test]
fn depth_and_length_are_limited() {
    let nested = |depth: usize| format!("{}vlan{}", "(".repeat(depth), ")".repeat(depth));
    assert!(nested(MAX_DEPTH).parse::<Expression>().is_ok());
    let error = nested(MAX_DEPTH + 1).parse::<Expression>().unwrap_err();
    assert_eq!(error.kind, ParseErrorKind::TooDeep);
    let error = "not ".repeat(20_000).parse::<Expression>().unwrap_err();
    assert_eq!((error.kind, error.span.start), (ParseErrorKind::TooLong, 0));
    assert!("not ".repeat(MAX_EXPRESSION_LEN / 4).parse::<Expression>().is_err());
}

#[test]
fn trees_that_are_built_have_checked_types() {
    assert!(Expression::compare(Field::Port, flow_filter::Operator::Equal, "text").is_err());
    assert!(Expression::contains(Field::Port, "x").is_err());
    let long = std::time::Duration::MAX;
    assert!(Expression::compare(Field::Rtt, flow_filter::Operator::Less, long).is_err());
    assert!(Expression::one_of(Field::Port, [Member::Range(1_u16.into(), 9_u16.into())]).is_ok());
}
