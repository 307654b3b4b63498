//! The two ends of a wire.

/// One of the two interfaces that a [`Bridge`](crate::Bridge) or an
/// [`xdp::Tap`](crate::xdp::Tap) joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The first interface.
    Left,
    /// The second interface.
    Right,
}
