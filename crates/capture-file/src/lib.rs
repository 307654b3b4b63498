#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod batch;
mod error;
mod read;
mod rotate;
mod system;
mod write;

pub use batch::{FileBatch, FileInterface};
pub use error::{Damage, Error, ForeignFormat, Unwritable};
pub use packet::{
    Direction, Interrupter, LinkType, Next, Packet, PacketBatch, PacketMeta, PacketSink,
    PacketSource, SinkStatistics, Statistics, Timeout, Timestamp, VlanTag,
};
pub use read::{CaptureFile, FileFormat};
pub use rotate::{RotatingWriter, Rotation};
pub use write::{Annotation, CaptureWriter, CaptureWriterBuilder, InterfaceDescription};
