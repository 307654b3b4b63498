//! The attributes of an answer.

/// `NLA_TYPE_MASK` of `linux/netlink.h`.
const TYPE_MASK: u16 = libc::NLA_TYPE_MASK as u16;

/// Iterator over the attributes in a byte slice, as type and value. Ends early at an invalid
/// length.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// Returns the attributes that begin at `offset` of an answer's payload.
    #[must_use]
    pub fn at(payload: &'a [u8], offset: usize) -> Self {
        Self { rest: payload.get(offset..).unwrap_or_default() }
    }

    /// Returns the value of the first attribute of the type `kind`.
    #[must_use]
    pub fn find(mut self, kind: u16) -> Option<&'a [u8]> {
        self.find_map(|(found, value)| (found == kind).then_some(value))
    }

    /// Returns the attributes nested in the first attribute of the type `kind`. Empty if there is
    /// no such attribute.
    #[must_use]
    pub fn inside(self, kind: u16) -> Self {
        Self { rest: self.find(kind).unwrap_or_default() }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16::from_ne_bytes(*self.rest.first_chunk()?));
        let kind = u16::from_ne_bytes(*self.rest.get(2..)?.first_chunk()?) & TYPE_MASK;
        let value = self.rest.get(4..length)?;
        self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::Request;

    #[test]
    fn what_a_request_holds_is_found() {
        let bytes = Request::new(1, 0, &[9; 3])
            .attribute(5, &[1, 2, 3])
            .nested(6, |inner| inner.raw(&[7; 5]).text(8, "veth"))
            .attribute(7, &[])
            .into_bytes(3);
        assert_eq!(bytes.len() % 4, 0);
        let all = Attributes::at(&bytes, 20);
        assert_eq!(all.find(5), Some(&[1, 2, 3][..]));
        assert_eq!(all.find(7), Some(&[][..]));
        assert_eq!(all.find(9), None);
        let inner = Attributes::at(all.find(6).unwrap(), 8);
        assert_eq!(inner.find(8), Some(&b"veth\0"[..]));
    }

    #[test]
    fn lengths_that_make_no_sense_end_the_walk() {
        for bytes in
            [&[][..], &[4], &[3, 0, 1, 0], &[0, 0, 0, 0], &[9, 0, 1, 0, 5, 5], &[255, 255, 1, 0, 1]]
        {
            assert_eq!(Attributes::at(bytes, 0).count(), 0, "{bytes:?}");
        }
        assert_eq!(Attributes::at(&[1; 4], 5).count(), 0);
    }
}
