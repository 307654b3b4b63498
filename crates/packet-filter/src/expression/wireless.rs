//! Fields of 802.11 frames (IEEE 802.11, section 9.2.4.1).

/// An address field of an 802.11 frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WirelessAddress {
    /// `addr1`: the first address.
    First,
    /// `addr2`: the second address.
    Second,
    /// `addr3`: the third address.
    Third,
    /// `addr4`: the fourth address, which only frames between access points have.
    Fourth,
    /// `ra`: the receiver of a data frame.
    Receiver,
    /// `ta`: the transmitter of a data frame.
    Transmitter,
}

impl WirelessAddress {
    const ALL: [Self; 6] =
        [Self::First, Self::Second, Self::Third, Self::Fourth, Self::Receiver, Self::Transmitter];

    /// The field for a keyword, which may be `address1` instead of `addr1`.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        let number = word.strip_prefix("address");
        Self::ALL.into_iter().find(|one| {
            one.keyword() == word
                || number.is_some_and(|n| one.keyword().strip_prefix("addr") == Some(n))
        })
    }

    /// The keyword.
    pub fn keyword(self) -> &'static str {
        // The name of the primitive without `wlan`.
        self.primitive().split_at(5).1
    }

    /// The name of the primitive in messages.
    pub(crate) fn primitive(self) -> &'static str {
        match self {
            Self::First => "wlan addr1",
            Self::Second => "wlan addr2",
            Self::Third => "wlan addr3",
            Self::Fourth => "wlan addr4",
            Self::Receiver => "wlan ra",
            Self::Transmitter => "wlan ta",
        }
    }
}

/// The bits of the first byte that hold the type, and those that hold the subtype.
pub(crate) const TYPE_MASK: u8 = 0x0c;
pub(crate) const SUBTYPE_MASK: u8 = 0xf0;

/// The types. The first name of a number is the one that is printed.
pub(crate) const TYPES: &[(&str, u8)] =
    &[("mgt", 0x00), ("management", 0x00), ("ctl", 0x04), ("control", 0x04), ("data", 0x08)];

/// The subtypes of a type.
pub(crate) fn subtypes(kind: u8) -> &'static [(&'static str, u8)] {
    match kind {
        0x00 => MANAGEMENT,
        0x04 => CONTROL,
        0x08 => DATA,
        _ => &[],
    }
}

const MANAGEMENT: &[(&str, u8)] = &[
    ("assoc-req", 0x00),
    ("assocreq", 0x00),
    ("assoc-resp", 0x10),
    ("assocresp", 0x10),
    ("reassoc-req", 0x20),
    ("reassocreq", 0x20),
    ("reassoc-resp", 0x30),
    ("reassocresp", 0x30),
    ("probe-req", 0x40),
    ("probereq", 0x40),
    ("probe-resp", 0x50),
    ("proberesp", 0x50),
    ("beacon", 0x80),
    ("atim", 0x90),
    ("disassoc", 0xa0),
    ("disassociation", 0xa0),
    ("auth", 0xb0),
    ("authentication", 0xb0),
    ("deauth", 0xc0),
    ("deauthentication", 0xc0),
];

const CONTROL: &[(&str, u8)] = &[
    ("ps-poll", 0xa0),
    ("rts", 0xb0),
    ("cts", 0xc0),
    ("ack", 0xd0),
    ("cf-end", 0xe0),
    ("cf-end-ack", 0xf0),
];

const DATA: &[(&str, u8)] = &[
    ("data", 0x00),
    ("data-cf-ack", 0x10),
    ("data-cf-poll", 0x20),
    ("data-cf-ack-poll", 0x30),
    ("null", 0x40),
    ("cf-ack", 0x50),
    ("cf-poll", 0x60),
    ("cf-ack-poll", 0x70),
    ("qos-data", 0x80),
    ("qos-data-cf-ack", 0x90),
    ("qos-data-cf-poll", 0xa0),
    ("qos-data-cf-ack-poll", 0xb0),
    ("qos", 0xc0),
    ("qos-cf-poll", 0xe0),
    ("qos-cf-ack-poll", 0xf0),
];

/// The values of the bits for the direction.
pub(crate) const DIRECTIONS: &[(&str, u8)] =
    &[("nods", 0), ("tods", 1), ("fromds", 2), ("dstods", 3)];
