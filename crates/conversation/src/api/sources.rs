//! The way from one source, or several as one, to a stream of flows.

use flow::FlowExtractor;
use ring_core::{Capture, CaptureGroup, Error, IntoPacketSource, PacketSource, xdp};

use crate::api::builder::FlowStreamBuilder;
use crate::api::conversations::Conversations;

/// Flows and conversations from anything that packets come from.
pub trait FlowStreamExt: IntoPacketSource + Sized {
    /// The flows of this source, told apart by `extractor`. Nothing runs until the result is
    /// turned into a stream of events or of conversations.
    fn flow_stream<E>(self, extractor: E) -> FlowStreamBuilder<Self::Source, E>
    where
        E: FlowExtractor + Send + 'static,
    {
        FlowStreamBuilder::new(self.into_packet_source(), extractor)
    }

    /// The conversations of this source: short for `flow_stream(extractor).into_conversations()`.
    fn flow_conversations<E>(self, extractor: E) -> Conversations<E::Key>
    where
        E: FlowExtractor + Send + 'static,
    {
        self.flow_stream(extractor).into_conversations()
    }
}

impl<T: IntoPacketSource> FlowStreamExt for T {}

/// Flows and conversations from several sources at once, each with an engine on a thread of its
/// own.
pub trait FlowGroupExt: IntoPacketSources + Sized {
    /// The flows of all these sources, told apart by `extractor`.
    ///
    /// Limits of conversations and bytes hold for all together, those of the flow table for each.
    fn flow_stream<E>(self, extractor: E) -> FlowStreamBuilder<Self::Source, E>
    where
        E: FlowExtractor + Clone + Send + 'static,
    {
        FlowStreamBuilder::merge(self.into_packet_sources(), extractor)
    }

    /// The conversations of all these sources: short for
    /// `flow_stream(extractor).into_conversations()`.
    fn flow_conversations<E>(self, extractor: E) -> Conversations<E::Key>
    where
        E: FlowExtractor + Clone + Send + 'static,
    {
        self.flow_stream(extractor).into_conversations()
    }
}

impl<T: IntoPacketSources> FlowGroupExt for T {}

/// Anything that can be turned into sources which together show one wire: the members of a group,
/// or a `Vec` of sources.
///
/// Each gets an engine, and a flow table, of its own, so both directions of a flow must come to the
/// same source, as they do with [`FanoutMode::Hash`](ring_core::FanoutMode::Hash). Where they do
/// not, each is a conversation with one direction.
pub trait IntoPacketSources {
    /// One of the sources.
    type Source: PacketSource + Send + 'static;

    /// The sources, at least one.
    ///
    /// # Errors
    /// The error of the first source that cannot be handed over.
    fn into_packet_sources(
        self,
    ) -> Result<Vec<Self::Source>, <Self::Source as PacketSource>::Error>;
}

impl IntoPacketSources for CaptureGroup {
    type Source = Capture;

    fn into_packet_sources(self) -> Result<Vec<Capture>, Error> {
        Ok(self.into_members())
    }
}

impl IntoPacketSources for xdp::Group {
    type Source = xdp::Socket;

    fn into_packet_sources(self) -> Result<Vec<xdp::Socket>, Error> {
        Ok(self.into_members())
    }
}

impl<S: PacketSource + Send + 'static> IntoPacketSources for Vec<S> {
    type Source = S;

    fn into_packet_sources(self) -> Result<Self, S::Error> {
        Ok(self)
    }
}
