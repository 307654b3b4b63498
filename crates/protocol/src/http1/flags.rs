//! Unusual properties of an exchange.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// A set of things that are unusual about an exchange. Receivers differ in how they read several of
/// them, which is what request smuggling uses (RFC 9112, 11.2).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(u32);

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $word:literal;)*) => {
        impl Flags {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*

            const NAMES: &[(Self, &str)] = &[$((Self::$name, $word)),*];
        }
    };
}

flags! {
    /// Both `Transfer-Encoding` and `Content-Length`: the former counts (RFC 9112, 6.3).
    BOTH_LENGTHS = 0, "both-lengths";
    /// `Content-Length` several times with one value, which counts (RFC 9112, 6.3).
    REPEATED_LENGTH = 1, "repeated-length";
    /// `Content-Length` with different values: the length is not known (RFC 9112, 6.3).
    DIFFERENT_LENGTHS = 2, "different-lengths";
    /// `Content-Length` that is not a decimal number: the length is not known (RFC 9112, 6.3).
    INVALID_LENGTH = 3, "invalid-length";
    /// `Transfer-Encoding` whose last coding is not `chunked`. The length of a request is not known
    /// then; a response ends with the connection (RFC 9112, 6.3).
    NOT_CHUNKED = 4, "not-chunked";
    /// `Transfer-Encoding` in HTTP/1.0 (RFC 9112, 6.1).
    TRANSFER_ENCODING_IN_1_0 = 5, "transfer-encoding-in-1.0";
    /// A field value over several lines, joined by spaces (RFC 9112, 5.2).
    OBS_FOLD = 6, "obs-fold";
    /// A line that ends with a line feed alone, which counts as its end (RFC 9112, 2.2).
    BARE_LF = 7, "bare-lf";
    /// A carriage return or a NUL within a line, read as a space (RFC 9110, 5.5).
    BARE_CR = 8, "bare-cr";
    /// White space between a field's name and its colon, which is removed (RFC 9112, 5.1).
    SPACE_BEFORE_COLON = 9, "space-before-colon";
    /// White space before the first field; the line is ignored (RFC 9112, 2.2).
    SPACE_BEFORE_FIELDS = 10, "space-before-fields";
    /// A line that is no field; it is ignored.
    INVALID_FIELD = 11, "invalid-field";
    /// More than one `Host` (RFC 9112, 3.2).
    SEVERAL_HOSTS = 12, "several-hosts";
    /// A start line with more white space than one space between its parts (RFC 9112, 3).
    LOOSE_START_LINE = 13, "loose-start-line";
    /// A chunk whose size line or end is not as RFC 9112, 7.1, has it, but is understood.
    LOOSE_CHUNK = 14, "loose-chunk";
    /// A request and a response that are reported alone, though both were captured, since too many
    /// requests waited.
    UNPAIRED = 15, "unpaired";
    /// A request and a response that may not belong together: bytes between them are missing.
    UNCERTAIN_PAIR = 16, "uncertain-pair";
    /// A header section whose end was not captured, or did not come.
    INCOMPLETE_HEAD = 17, "incomplete-head";
    /// A header section beyond the limit: further fields are left out.
    LONG_HEAD = 18, "long-head";
    /// Fields of HTTP/2 that refer to bytes that were not captured, or that are not kept. They are
    /// left out (RFC 7541, 2.3.2).
    UNKNOWN_FIELDS = 19, "unknown-fields";
}

impl Flags {
    /// Returns `true` if all of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns `true` if nothing is unusual.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the names of the flags that are set: lower case, words joined by hyphens.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().filter(move |(flag, _)| self.contains(*flag)).map(|(_, name)| *name)
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}
