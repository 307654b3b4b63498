//! Capturing inside a tokio runtime.

mod capture;
mod stream;

pub use self::capture::AsyncCapture;
pub use self::stream::{OwnedPacket, PacketStream};
