//! Capturing inside a tokio runtime.

mod builder;
mod capture;
mod stream;

pub use self::builder::{
    AsyncBridgeBuilder, AsyncCaptureBuilder, AsyncInjectorBuilder, AsyncSocketBuilder,
};
pub use self::capture::AsyncCapture;
pub use self::stream::{OwnedPacket, PacketStream};
