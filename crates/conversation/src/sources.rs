//! Several sources as one.

use ring_core::{Capture, CaptureGroup, Error, PacketSource, XdpGroup, XdpSocket};

/// Anything that can be turned into sources which together show one wire: the members of a group, or a `Vec` of sources.
///
/// Each gets an engine, and a flow table, of its own, so both directions of a flow must come to the same source, as they
/// do with [`FanoutMode::Hash`](ring_core::FanoutMode::Hash). Where they do not, each is a conversation with one
/// direction.
pub trait IntoPacketSources {
    /// One of the sources.
    type Source: PacketSource + Send + 'static;

    /// The sources, at least one.
    ///
    /// # Errors
    /// When one of them cannot be handed over.
    fn into_packet_sources(self) -> Result<Vec<Self::Source>, Error>;
}

impl IntoPacketSources for CaptureGroup {
    type Source = Capture;

    fn into_packet_sources(self) -> Result<Vec<Capture>, Error> {
        Ok(self.into_members())
    }
}

impl IntoPacketSources for XdpGroup {
    type Source = XdpSocket;

    fn into_packet_sources(self) -> Result<Vec<XdpSocket>, Error> {
        Ok(self.into_members())
    }
}

impl<S: PacketSource + Send + 'static> IntoPacketSources for Vec<S> {
    type Source = S;

    fn into_packet_sources(self) -> Result<Self, Error> {
        Ok(self)
    }
}
