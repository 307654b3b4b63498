//! The expressions under test.

/// A list of expressions, and combinations of their parts: more than five hundred.
pub fn expressions() -> Vec<String> {
    let lines = include_str!("expressions.txt").lines().map(str::trim);
    let list: Vec<&str> = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let mut expressions: Vec<String> = list.iter().map(|line| (*line).to_owned()).collect();
    for direction in ["src", "dst", "src or dst", "src and dst"] {
        for kind in
            ["host 192.0.2.1", "net 10.1.0.0/16", "net fe80::/16", "port 53", "portrange 20-80"]
        {
            expressions.push(format!("{direction} {kind}"));
        }
        for transport in ["tcp", "udp", "sctp"] {
            for kind in ["port 80", "portrange 53-1024"] {
                expressions.push(format!("{transport} {direction} {kind}"));
            }
        }
        for protocol in ["ip", "arp", "rarp"] {
            expressions.push(format!("{protocol} {direction} net 192.0.2.0/24"));
        }
    }
    let parts = [
        "tcp port 80",
        "host 192.0.2.1",
        "not ip6",
        "udp",
        "ip[8] > 32",
        "net 10",
        "icmp6 or arp",
        "len < 90",
    ];
    for one in parts {
        for other in parts {
            if one != other {
                expressions.push(format!("({one}) and ({other})"));
                expressions.push(format!("({one}) or not ({other})"));
            }
        }
    }
    for (index, header) in ["ip", "tcp", "udp", "icmp", "ip6", "arp", "ether"].iter().enumerate() {
        for width in [1, 2, 4] {
            for comparison in ["=", "!=", "<", "<=", ">", ">="] {
                expressions.push(format!(
                    "{header}[{}:{width}] {comparison} {}",
                    index + width,
                    1 << (4 * width)
                ));
            }
        }
    }
    expressions
}
