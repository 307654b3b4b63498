//! Values of fields.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// The value of a field of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// Text. Bytes that are not UTF-8 are replaced by U+FFFD. It may hold control characters.
    Text(Cow<'a, str>),
    /// A number.
    Number(u64),
    /// An IP address.
    Address(IpAddr),
    /// `true` or `false`.
    Bool(bool),
    /// Bytes that are not text.
    Bytes(Cow<'a, [u8]>),
    /// A time span.
    Duration(Duration),
}

/// The kind of a field's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// [`Value::Text`].
    Text,
    /// [`Value::Number`].
    Number,
    /// [`Value::Address`].
    Address,
    /// [`Value::Bool`].
    Bool,
    /// [`Value::Bytes`].
    Bytes,
    /// [`Value::Duration`].
    Duration,
}

impl<'a> Value<'a> {
    /// Creates a text from bytes; what is not UTF-8 is replaced by U+FFFD.
    #[must_use]
    pub fn text(bytes: &'a [u8]) -> Self {
        Self::Text(String::from_utf8_lossy(bytes))
    }

    /// The kind of the value.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Number(_) => Kind::Number,
            Self::Address(_) => Kind::Address,
            Self::Bool(_) => Kind::Bool,
            Self::Bytes(_) => Kind::Bytes,
            Self::Duration(_) => Kind::Duration,
        }
    }

    /// The value without the lifetime of its message.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Text(text) => Value::Text(text.into_owned().into()),
            Self::Number(number) => Value::Number(number),
            Self::Address(address) => Value::Address(address),
            Self::Bool(bool) => Value::Bool(bool),
            Self::Bytes(bytes) => Value::Bytes(bytes.into_owned().into()),
            Self::Duration(duration) => Value::Duration(duration),
        }
    }
}

/// Text as it is, bytes in hexadecimal, a time span in seconds with nine decimals.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Address(address) => address.fmt(f),
            Self::Bool(bool) => bool.fmt(f),
            Self::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Self::Duration(time) => write!(f, "{}.{:09}", time.as_secs(), time.subsec_nanos()),
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

macro_rules! number {
    ($($type:ty),*) => {$(
        impl From<$type> for Value<'_> {
            fn from(number: $type) -> Self {
                Self::Number(number.into())
            }
        }
    )*};
}

number!(u8, u16, u32, u64);

impl From<bool> for Value<'_> {
    fn from(bool: bool) -> Self {
        Self::Bool(bool)
    }
}

impl From<IpAddr> for Value<'_> {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

impl From<Duration> for Value<'_> {
    fn from(duration: Duration) -> Self {
        Self::Duration(duration)
    }
}
