//! Start line and header section.

use std::fmt;
use std::ops::Range;

use httparse::{EMPTY_HEADER, Error, ParserConfig, Status};

use super::Limits;
use super::flags::Flags;
use super::lenient;

/// The fields that are parsed without memory of their own.
const USUAL: usize = 64;

/// A start line with a header section.
#[derive(Clone, PartialEq, Eq)]
pub struct Head {
    /// Method or status code, in the bytes of `headers`.
    first: Place,
    /// Target or reason.
    second: Place,
    /// In tenths: 10, 11 or 20.
    version: u8,
    /// HTTP/2: the host, apart from the header fields.
    authority: Option<Place>,
    headers: Headers,
}

/// A header or trailer section: fields in the order in which they were sent.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    bytes: Box<[u8]>,
    fields: Box<[(Place, Place)]>,
}

/// A range of a head's bytes, which are fewer than 4 GiB.
pub(crate) type Place = (u32, u32);

/// The kind of message that a head begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Request,
    Response,
}

/// The reason why bytes are not a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defect {
    Syntax,
    TooManyHeaders,
}

impl Head {
    /// Parses a head whose last line is empty. `bytes` begins with its start line.
    pub(super) fn parse(
        bytes: &[u8],
        role: Role,
        limits: &Limits,
    ) -> Result<(Self, Flags), Defect> {
        let mut few = [EMPTY_HEADER; USUAL];
        let parsed = Self::strict(bytes, role, &mut few[..limits.headers.min(USUAL)]);
        let parsed = match parsed {
            Err(Error::TooManyHeaders) if limits.headers > USUAL => {
                Self::strict(bytes, role, &mut vec![EMPTY_HEADER; limits.headers])
            }
            parsed => parsed,
        };
        match parsed {
            Ok(head) => Ok((head, bare_lf(bytes))),
            Err(Error::TooManyHeaders) => Err(Defect::TooManyHeaders),
            Err(_) => lenient::head(bytes, role, limits),
        }
    }

    fn strict<'a>(
        bytes: &'a [u8],
        role: Role,
        headers: &mut [httparse::Header<'a>],
    ) -> Result<Self, Error> {
        let base = bytes.as_ptr().addr();
        // The parser's slices are parts of `bytes`.
        let place = |part: &[u8]| {
            let from = part.as_ptr().addr().wrapping_sub(base);
            place_of(from..from + part.len())
        };
        let config = ParserConfig::default();
        let (first, second, minor_version, headers) = match role {
            Role::Request => {
                let mut request = httparse::Request::new(headers);
                if !matches!(config.parse_request(&mut request, bytes)?, Status::Complete(_)) {
                    return Err(Error::NewLine);
                }
                let [method, path] = [request.method, request.path].map(Option::unwrap_or_default);
                let version = request.version.unwrap_or_default();
                (place(method.as_bytes()), place(path.as_bytes()), version, request.headers)
            }
            Role::Response => {
                let mut response = httparse::Response::new(headers);
                if !matches!(config.parse_response(&mut response, bytes)?, Status::Complete(_)) {
                    return Err(Error::NewLine);
                }
                // The code is at a fixed place: `HTTP/1.1 200`.
                let reason = match response.reason {
                    Some("") | None => (0, 0),
                    Some(reason) => place(reason.as_bytes()),
                };
                ((9, 12), reason, response.version.unwrap_or_default(), response.headers)
            }
        };
        let fields = headers.iter().map(|field| (place(field.name.as_bytes()), place(field.value)));
        let headers = Headers { fields: fields.collect(), bytes: bytes.into() };
        Ok(Self::new(first, second, 10 + minor_version, headers))
    }

    /// Creates a head. `version` is in tenths.
    pub(crate) fn new(first: Place, second: Place, version: u8, headers: Headers) -> Self {
        Self { first, second, version, authority: None, headers }
    }

    pub(crate) fn with_authority(mut self, authority: Option<Place>) -> Self {
        self.authority = authority;
        self
    }

    pub(super) fn authority(&self) -> Option<&[u8]> {
        self.authority.map(|place| self.headers.at(place))
    }

    pub(super) const fn version(&self) -> &'static str {
        match self.version {
            10 => "1.0",
            11 => "1.1",
            _ => "2",
        }
    }

    pub(super) fn first(&self) -> &[u8] {
        self.headers.at(self.first)
    }

    pub(super) fn second(&self) -> &[u8] {
        self.headers.at(self.second)
    }

    pub(super) const fn minor_version(&self) -> u8 {
        self.version % 10
    }

    pub(super) const fn headers(&self) -> &Headers {
        &self.headers
    }

    pub(super) fn memory(&self) -> usize {
        self.headers.memory()
    }
}

impl Headers {
    pub(crate) fn new(bytes: Vec<u8>, fields: Vec<(Place, Place)>) -> Self {
        Self { bytes: bytes.into(), fields: fields.into() }
    }

    /// The value of the first field of this name; upper and lower case are the same.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// Returns the values of all fields of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = self.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|(_, value)| value)
    }

    /// Returns names and values in the order in which they were sent.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|&(name, value)| (self.at(name), self.at(value)))
    }

    /// The number of fields.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.fields.len()
    }

    /// Returns `true` if there are no fields.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Returns `true` if a list in the fields of this name has the token.
    pub(super) fn has_token(&self, name: &str, token: &str) -> bool {
        let tokens = self.all(name).flat_map(|value| value.split(|&byte| byte == b','));
        tokens.into_iter().any(|own| own.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }

    fn at(&self, (from, to): Place) -> &[u8] {
        self.bytes.get(from as usize..to as usize).unwrap_or_default()
    }

    pub(super) fn memory(&self) -> usize {
        self.bytes.len() + size_of_val(&*self.fields)
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = Box<dyn Iterator<Item = Self::Item> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = [self.first(), self.second()].map(String::from_utf8_lossy);
        f.debug_struct("Head")
            .field("first", &first)
            .field("second", &second)
            .field("version", &self.version)
            .field("headers", &self.headers)
            .finish()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy;
        f.debug_map().entries(self.iter().map(|(name, value)| (text(name), text(value)))).finish()
    }
}

pub(crate) fn place_of(range: Range<usize>) -> Place {
    (range.start as u32, range.end as u32)
}

/// The flag for a line that ends with a line feed alone.
fn bare_lf(bytes: &[u8]) -> Flags {
    let bare = bytes.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r');
    if bare { Flags::BARE_LF } else { Flags::default() }
}
