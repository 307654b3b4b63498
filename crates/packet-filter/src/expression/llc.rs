//! Types of 802.2 frames.

macro_rules! llc_types {
    ($($(#[doc = $doc:literal])+ $name:ident = $keyword:literal, $mask:literal, $control:literal;)+) => {
        /// The type of an 802.2 frame, which its control field encodes (IEEE 802.2, section 5).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum LlcType {
            $($(#[doc = $doc])+ $name,)+
        }

        impl LlcType {
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)+];

            /// The keyword that follows `llc`.
            pub fn keyword(self) -> &'static str {
                match self {
                    $(Self::$name => $keyword,)+
                }
            }

            /// The mask of the bits in the first control byte that encode the type, and their
            /// value.
            pub(crate) fn control(self) -> (u32, u32) {
                match self {
                    $(Self::$name => ($mask, $control),)+
                }
            }
        }
    };
}

llc_types! {
    /// Information: any frame of this format.
    Information = "i", 0x01, 0x00;
    /// Supervisory: any frame of this format.
    Supervisory = "s", 0x03, 0x01;
    /// Unnumbered: any frame of this format.
    Unnumbered = "u", 0x03, 0x03;
    /// Receiver ready.
    ReceiverReady = "rr", 0x0f, 0x01;
    /// Receiver not ready.
    ReceiverNotReady = "rnr", 0x0f, 0x05;
    /// Reject.
    Reject = "rej", 0x0f, 0x09;
    /// Unnumbered information.
    UnnumberedInformation = "ui", 0xef, 0x03;
    /// Unnumbered acknowledgement.
    UnnumberedAcknowledgement = "ua", 0xef, 0x63;
    /// Disconnect.
    Disconnect = "disc", 0xef, 0x43;
    /// Disconnected mode.
    DisconnectedMode = "dm", 0xef, 0x0f;
    /// Set asynchronous balanced mode extended.
    SetBalancedMode = "sabme", 0xef, 0x6f;
    /// Test.
    Test = "test", 0xef, 0xe3;
    /// Exchange identification.
    ExchangeIdentification = "xid", 0xef, 0xaf;
    /// Frame reject.
    FrameReject = "frmr", 0xef, 0x87;
}

impl LlcType {
    /// The type for a keyword, in any case.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.keyword().eq_ignore_ascii_case(word))
    }
}
