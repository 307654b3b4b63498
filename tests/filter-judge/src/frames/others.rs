//! Headers of rare link types.

/// Headers that precede a payload of this EtherType. `None` for link types without any. The numbers
/// are libpcap's.
pub(super) fn headers(link_type: i32, ether_type: u16) -> Option<Vec<Vec<u8>>> {
    let kind = ether_type.to_be_bytes();
    let ppp = match ether_type {
        0x0800 => [0, 0x21],
        0x86dd => [0, 0x57],
        _ => kind,
    };
    let family = match ether_type {
        0x0800 => 2,
        0x86dd => 10,
        _ => 99,
    };
    let llc = [&[0xaa, 0xaa, 3, 0, 0, 0][..], &kind].concat();
    let ethernet = [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1][..], &kind].concat();
    let behind = |header: &[u8], rest: &[u8]| [header, rest].concat();
    if let Some(frames) = with_llc(link_type, &llc, false) {
        return Some(frames);
    }
    Some(match link_type {
        7 | 129 => {
            let number = match ether_type {
                0x0800 => 212,
                0x86dd => 196,
                0x0806 => 213,
                0x8035 => 214,
                0x809b => 221,
                _ => 1,
            };
            let offset: &[u8] = if link_type == 129 { &[0, 0] } else { &[] };
            vec![[&[1, 2], offset, &[number, 0, 0, 1]].concat()]
        }
        8 => vec![vec![0; 16]],
        9 | 50 | 166 => vec![behind(&[0xff, 3], &ppp)],
        51 => vec![behind(&[0x11, 0, 0, 7, 0, 40], &ppp)],
        104 => vec![behind(&[0x0f, 0], &kind)],
        109 => vec![behind(&u32::to_le_bytes(family), &[0; 8])],
        117 => {
            let mut header = vec![0; 64];
            (header[0], header[1]) = (61, family as u8);
            let mut filled = header.clone();
            // Action, reason, interface, ruleset, numbers of the rules.
            (filled[2], filled[3]) = (1, 8);
            filled[4..20].copy_from_slice(b"vlan100:0123456\0");
            filled[20..26].copy_from_slice(b"spam.d");
            (filled[39], filled[43]) = (5, 7);
            vec![header, filled]
        }
        138 => vec![behind(&[2; 16], &kind)],
        240 => vec![behind(&[0; 4], &ethernet)],
        241 => vec![behind(&[0; 12], &ethernet)],
        _ => return None,
    })
}

/// Frames with an 802.2 header and its payload, for link types that have one. `None` for other link
/// types. With `addresses`, the frames vary in their link-layer addresses too.
pub(super) fn with_llc(link_type: i32, llc: &[u8], addresses: bool) -> Option<Vec<Vec<u8>>> {
    let pairs = [[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1], [0xff; 12], [1; 12]];
    let pairs = if addresses { &pairs[..] } else { &pairs[..1] };
    let behind = |header: &[u8], rest: &[u8]| [header, rest].concat();
    let addressed = |header: &[u8], source: &[u8]| {
        let frame = |pair: &[u8; 12]| [header, &pair[..6], source, &pair[6..], llc].concat();
        pairs.iter().map(frame).collect()
    };
    let frames = |llc: &[u8]| frames(llc, addresses);
    Some(match link_type {
        6 => addressed(&[0x10, 0x40], &[]),
        10 => addressed(&[0x50], &[]),
        11 | 19 => vec![llc.to_vec()],
        105 => frames(llc),
        122 => addressed(&[0, 0], &[0, 0]),
        119 => {
            let prism = [&[0x44, 0, 0, 0, 144, 0, 0, 0][..], &[0; 136]].concat();
            frames(llc)
                .iter()
                .flat_map(|frame| [behind(&prism, frame), behind(&avs(), frame)])
                .collect()
        }
        123 => vec![behind(&[0x82, 0, 0, 5], llc), behind(&[0x85, 0, 0, 5], llc)],
        127 => {
            // Without and with flags, with a time stamp before them. The second of each pair has
            // the flag for padded frames.
            let radiotap = |present: u8, fields: &[u8]| {
                let len = 8 + fields.len() as u8;
                [&[0, 0, len, 0, present, 0, 0, 0], fields].concat()
            };
            let stamped = |flags: u8| radiotap(3, &[&[7; 8], &[flags, 0, 0, 0][..]].concat());
            // Two words say which fields are present, so that the flags are behind the second.
            let several = [0, 0, 20, 0, 2, 0, 0, 0x80, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            let headers = [
                radiotap(0, &[]),
                radiotap(2, &[0, 0]),
                radiotap(2, &[0x20, 0]),
                stamped(0x20),
                several.to_vec(),
            ];
            let frames = frames(llc);
            headers
                .iter()
                .flat_map(|header| frames.iter().map(|frame| behind(header, frame)))
                .collect()
        }
        163 => frames(llc).iter().map(|frame| behind(&avs(), frame)).collect(),
        _ => return None,
    })
}

/// 802.11 frames: data with and without quality of service, a management frame.
fn frames(llc: &[u8], addresses: bool) -> Vec<Vec<u8>> {
    let header = |control: u8, len: usize| {
        let mut header = vec![control, 1];
        header.resize(len, 7);
        header
    };
    // To and from the distribution system, with an address in each place.
    let addressed = |control: u8, flags: u8| {
        let rest = [[2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1], [0xff; 6]];
        [&[control, flags, 0, 0][..], &rest.concat(), &[0, 0]].concat()
    };
    let ways = (0..3).flat_map(|flags| [0x08, 0x80, 0xb4].map(|control| addressed(control, flags)));
    let ways = ways.chain([0x40, 0xc4, 0xd4, 0x0c].map(|control| addressed(control, 3)));
    let padded = [header(0x88, 26), vec![0, 0]].concat();
    let mut frames: Vec<_> =
        [header(0x08, 24), header(0x88, 26), padded, header(0x80, 24), header(0x94, 24)]
            .into_iter()
            .chain(ways.filter(|_| addresses))
            .map(|header| [&header, llc].concat())
            .collect();
    // A control frame may be short.
    frames.push(vec![0xd4, 0, 0, 0, 2, 0, 0, 0, 0, 2]);
    frames
}

fn avs() -> Vec<u8> {
    let mut header = vec![0x80, 0x21, 0x10, 1, 0, 0, 0, 64];
    header.resize(64, 0);
    header
}
