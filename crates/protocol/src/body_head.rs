//! The known facts when a body begins.

use crate::coding::Coding;

/// The known facts when a body begins, from the head of its message and of its request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BodyHead {
    /// `true` for the body of a request, `false` for that of a response.
    pub of_request: bool,
    /// The host that is asked, with its port if one was sent.
    pub host: Option<Box<[u8]>>,
    /// The path that is asked, without query. With `host` it names the body.
    pub path: Option<Box<[u8]>>,
    /// The value of `Content-Type`.
    pub media_type: Option<Box<[u8]>>,
    /// The codings of its bytes in the order in which they were applied: content codings, then
    /// transfer codings other than `chunked`.
    pub codings: Vec<Coding>,
    /// The length in bytes that was announced.
    pub len: Option<u64>,
}

impl BodyHead {
    /// The last segment of the path; `None` if it is empty or the path is not known.
    #[must_use]
    pub fn name(&self) -> Option<&[u8]> {
        let name = self.path.as_deref()?.rsplit(|&byte| byte == b'/').next()?;
        (!name.is_empty()).then_some(name)
    }
}
