//! Headers of link types that few captures have.

/// Headers that say that a payload of this EtherType follows; `None` for link types without any. The numbers are libpcap's.
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
    Some(match link_type {
        6 => vec![behind(&[0x10, 0x40, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1], &llc)],
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
        122 => vec![behind(&[2; 16], &llc)],
        9 | 50 | 166 => vec![behind(&[0xff, 3], &ppp)],
        10 => vec![behind(&[0x50, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1], &llc)],
        11 | 19 => vec![llc],
        51 => vec![behind(&[0x11, 0, 0, 7, 0, 40], &ppp)],
        104 => vec![behind(&[0x0f, 0], &kind)],
        105 => frames(&llc),
        109 => vec![behind(&u32::to_le_bytes(family), &[0; 8])],
        117 => {
            let mut header = vec![0; 64];
            (header[0], header[1]) = (61, family as u8);
            vec![header]
        }
        119 => {
            let prism = [&[0x44, 0, 0, 0, 144, 0, 0, 0][..], &[0; 136]].concat();
            frames(&llc)
                .iter()
                .flat_map(|frame| [behind(&prism, frame), behind(&avs(), frame)])
                .collect()
        }
        123 => vec![behind(&[0x82, 0, 0, 5], &llc), behind(&[0x85, 0, 0, 5], &llc)],
        127 => {
            // Without and with flags, with a time stamp before them; the second of each says that frames are padded.
            let radiotap = |present: u8, fields: &[u8]| {
                let len = 8 + fields.len() as u8;
                [&[0, 0, len, 0, present, 0, 0, 0], fields].concat()
            };
            let stamped = |flags: u8| radiotap(3, &[&[7; 8], &[flags, 0, 0, 0][..]].concat());
            let headers =
                [radiotap(0, &[]), radiotap(2, &[0, 0]), radiotap(2, &[0x20, 0]), stamped(0x20)];
            let frames = frames(&llc);
            headers
                .iter()
                .flat_map(|header| frames.iter().map(|frame| behind(header, frame)))
                .collect()
        }
        138 => vec![behind(&[2; 16], &kind)],
        163 => frames(&llc).iter().map(|frame| behind(&avs(), frame)).collect(),
        240 => vec![behind(&[0; 4], &ethernet)],
        241 => vec![behind(&[0; 12], &ethernet)],
        _ => return None,
    })
}

/// 802.11 frames: data with and without quality of service, a management frame.
fn frames(llc: &[u8]) -> Vec<Vec<u8>> {
    let header = |control: u8, len: usize| {
        let mut header = vec![control, 1];
        header.resize(len, 7);
        header
    };
    let padded = [header(0x88, 26), vec![0, 0]].concat();
    [header(0x08, 24), header(0x88, 26), padded, header(0x80, 24), header(0x94, 24)]
        .into_iter()
        .map(|header| [&header, llc].concat())
        .collect()
}

fn avs() -> Vec<u8> {
    let mut header = vec![0x80, 0x21, 0x10, 1, 0, 0, 0, 64];
    header.resize(64, 0);
    header
}
