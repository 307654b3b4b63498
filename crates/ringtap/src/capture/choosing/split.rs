//! A capture file for each conversation.
//!
//! There may be more conversations than a process may have open files, so a file is open only
//! while it is among those that were written to last.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use capture_file::{CaptureWriter, FileInterface, InterfaceDescription};
use flow::{FiveTupleKey, Flow};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use ring_core::{LinkType, Packet, Timestamp};

use super::super::parties::Parties;
use crate::Error;
use crate::follow::files::Folder;

/// Files that are open at a time, fewer than any usual limit of a process.
const OPEN: usize = 64;

/// A folder, and what all files in it have in common.
pub(super) struct Split {
    pool: Arc<Mutex<Pool>>,
    path: PathBuf,
    /// The packet expression.
    expression: String,
    /// The reason for which conversations are taken.
    reason: String,
    is_live: bool,
    /// The number of the next conversation.
    next: u64,
    /// The interfaces that a file describes.
    interfaces: Vec<InterfaceDescription>,
}

/// A conversation that packets are written of.
#[derive(Debug)]
pub(super) struct Conversation {
    number: u64,
    parties: Parties,
    started: Timestamp,
    file: RefCell<Option<Written>>,
}

/// A file that was begun.
struct Written {
    writer: CaptureWriter,
    /// The interfaces that it describes.
    described: Vec<(u32, LinkType)>,
}

/// The files that are open, those used last at the end.
#[derive(Debug)]
struct Pool {
    folder: Folder,
    open: VecDeque<(u64, File)>,
}

/// A file that is opened again as needed. What has its name later is not written to.
struct Reopened {
    pool: Arc<Mutex<Pool>>,
    number: u64,
    name: String,
    /// Device and inode, once the file was made.
    made: Option<(u64, u64)>,
}

impl Split {
    pub(super) fn create(
        path: &Path,
        expression: String,
        reason: Option<String>,
        is_live: bool,
    ) -> Result<Self, Error> {
        let folder = Folder::create(path, false)?;
        let pool = Arc::new(Mutex::new(Pool { folder, open: VecDeque::new() }));
        let reason = reason.map_or_else(
            || "taken because all conversations are".to_owned(),
            |condition| format!("taken because of --where {condition}"),
        );
        let (path, next, interfaces) = (path.to_owned(), 0, Vec::new());
        Ok(Self { pool, path, expression, reason, is_live, next, interfaces })
    }

    /// Numbers a conversation that begins. It has no file before its first packet is written.
    pub(super) fn begin(&mut self, flow: &Flow<'_, FiveTupleKey>) -> Rc<Conversation> {
        let number = self.next;
        self.next += 1;
        Rc::new(Conversation {
            number,
            parties: Parties::of(flow),
            started: flow.started,
            file: RefCell::default(),
        })
    }

    /// Takes the interfaces that the file that is read describes.
    pub(super) fn describe(&mut self, found: &[FileInterface]) {
        for interface in found.iter().skip(self.interfaces.len()) {
            let mut description = InterfaceDescription::new(interface.link_type);
            (description.name, description.fcs_len) = (interface.name.clone(), interface.fcs_len);
            self.interfaces.push(description);
        }
    }

    /// Writes a packet to the file of a conversation.
    pub(super) fn write(
        &self,
        conversation: &Conversation,
        packet: &Packet<'_>,
    ) -> Result<(), Error> {
        let mut place = conversation.file.borrow_mut();
        let failed = |source: capture_file::Error| Error::Save {
            name: self.path.join(conversation.name()).display().to_string(),
            source: source.into(),
        };
        if place.is_none() {
            *place = Some(self.open(conversation).map_err(failed)?);
        }
        let Some(file) = place.as_mut() else { return Ok(()) };
        let key @ (index, link_type) = (packet.meta().interface, packet.link_type());
        if !file.described.contains(&key) {
            file.writer.add_interface(index, self.interface(index, link_type)).map_err(failed)?;
            file.described.push(key);
        }
        file.writer.write(packet).map_err(failed)
    }

    fn open(&self, conversation: &Conversation) -> Result<Written, capture_file::Error> {
        let comment = format!("{}\n{}", conversation.title(), self.reason);
        let reopened = Reopened {
            pool: Arc::clone(&self.pool),
            number: conversation.number,
            name: conversation.name(),
            made: None,
        };
        // Without a buffer of its own: there may be hundreds of thousands.
        let writer = CaptureWriter::builder()
            .application(concat!("ringtap ", env!("CARGO_PKG_VERSION")))
            .comment(comment)
            .buffer(0)
            .to_writer(reopened)?;
        Ok(Written { writer, described: Vec::new() })
    }

    fn interface(&self, index: u32, link_type: LinkType) -> InterfaceDescription {
        let known =
            self.interfaces.get(index as usize).filter(|known| known.link_type == link_type);
        let mut description =
            known.cloned().unwrap_or_else(|| InterfaceDescription::new(link_type));
        if self.is_live {
            description.name = ring_sys::interface::name(index).ok();
        }
        if self.expression.is_empty() {
            description
        } else {
            description.filter(self.expression.clone())
        }
    }
}

impl Conversation {
    /// The name of the file: number, time of the first packet in seconds since 1970 and
    /// microseconds, protocol, initiator and responder.
    fn name(&self) -> String {
        let nanos = self.started.as_nanos();
        let (seconds, micros) = (nanos / 1_000_000_000, nanos / 1_000 % 1_000_000);
        let parties = self.parties.file_name();
        format!("{:06}-{seconds}.{micros:06}-{parties}.pcapng", self.number)
    }

    fn title(&self) -> String {
        format!("conversation {}: {}", self.number, self.parties)
    }
}

impl Pool {
    /// The file, made or opened if it is not open.
    fn file(&mut self, wanted: &mut Reopened) -> io::Result<&mut File> {
        let at = self.open.iter().rposition(|(number, _)| *number == wanted.number);
        let entry = if let Some(entry) = at.and_then(|at| self.open.remove(at)) {
            entry
        } else {
            if self.open.len() >= OPEN {
                self.open.pop_front();
            }
            (wanted.number, wanted.open(&self.folder)?)
        };
        self.open.push_back(entry);
        self.open.back_mut().map(|(_, file)| file).ok_or_else(|| Errno::EBADF.into())
    }
}

impl Reopened {
    fn open(&mut self, folder: &Folder) -> io::Result<File> {
        let Some(made) = self.made else {
            let file = folder.make(&self.name)?;
            let metadata = file.metadata()?;
            self.made = Some((metadata.dev(), metadata.ino()));
            return Ok(file);
        };
        let file = folder.open(&self.name, OFlag::O_APPEND)?;
        let metadata = file.metadata()?;
        if (metadata.dev(), metadata.ino()) == made { Ok(file) } else { Err(Errno::ESTALE.into()) }
    }
}

impl Write for Reopened {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let pool = Arc::clone(&self.pool);
        // Nothing in it is left half done by a panic.
        let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.file(self)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Written").field("described", &self.described).finish_non_exhaustive()
    }
}
