//! Header and trailer sections out of the fields of header blocks.

use super::Limits;
use crate::http1::{Flags, Head, Headers, Place, Role, place_of};

/// The protocol version of a head, in tenths.
const VERSION: u8 = 20;

/// The fields of a section.
#[derive(Debug, Default)]
pub(super) struct Section {
    bytes: Vec<u8>,
    fields: Vec<(Place, Place)>,
    method: Option<Place>,
    path: Option<Place>,
    authority: Option<Place>,
    status: Option<Place>,
    flags: Flags,
}

impl Section {
    /// Takes a field. A name or a value that is not known is `None`.
    pub(super) fn field(&mut self, name: Option<&[u8]>, value: Option<&[u8]>, limits: &Limits) {
        let (Some(name), Some(value)) = (name, value) else {
            self.flags |= Flags::UNKNOWN_FIELDS;
            return;
        };
        let size = self.bytes.len() + name.len() + value.len();
        if size > limits.head_bytes || self.fields.len() >= limits.headers {
            self.flags |= Flags::LONG_HEAD;
            return;
        }
        let pseudo = match name {
            b":method" => Some(&mut self.method),
            b":path" => Some(&mut self.path),
            b":authority" => Some(&mut self.authority),
            b":status" if is_status(value) => Some(&mut self.status),
            _ => None,
        };
        let start = self.bytes.len();
        if let Some(place) = pseudo {
            self.bytes.extend_from_slice(value);
            place.get_or_insert(place_of(start..self.bytes.len()));
        } else if !name.starts_with(b":") {
            self.bytes.extend_from_slice(name);
            let middle = self.bytes.len();
            self.bytes.extend_from_slice(value);
            let value = place_of(middle..self.bytes.len());
            self.fields.push((place_of(start..middle), value));
        }
    }

    /// Returns `true` for the section of an interim response.
    pub(super) fn interim(&self) -> Option<u16> {
        let (from, to) = self.status?;
        let status = &self.bytes[from as usize..to as usize];
        let number = status.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
        (100..200).contains(&number).then_some(number)
    }

    /// Returns `true` if the section begins a message.
    pub(super) const fn begins(&self, role: Role) -> bool {
        match role {
            Role::Request => self.method.is_some(),
            Role::Response => self.status.is_some(),
        }
    }

    pub(super) const fn flags(&self) -> Flags {
        self.flags
    }

    pub(super) fn into_head(self, role: Role) -> Head {
        let none = (0, 0);
        let (first, second) = match role {
            Role::Request => (self.method, self.path.or(self.authority)),
            Role::Response => (self.status, None),
        };
        let headers = Headers::new(self.bytes, self.fields);
        let head = Head::new(first.unwrap_or(none), second.unwrap_or(none), VERSION, headers);
        head.with_authority(self.authority)
    }

    pub(super) fn into_headers(self) -> Headers {
        Headers::new(self.bytes, self.fields)
    }
}

fn is_status(value: &[u8]) -> bool {
    value.len() == 3 && value.iter().all(u8::is_ascii_digit)
}
