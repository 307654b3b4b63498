//! One file a direction.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use conversation::Chunk;
use flow::{Endpoint, FlowSide};

use super::view::{Talk, View};
use crate::Error;

/// A folder that conversations are written into. Its first error sticks, so that views need not carry it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    error: RefCell<Option<Error>>,
}

/// The two files of a conversation. A direction that carried nothing has none.
///
/// They are open only while something is written: there may be more conversations than a process may have open files.
#[derive(Debug)]
pub(super) struct Files {
    folder: Rc<Folder>,
    /// By side.
    paths: [PathBuf; 2],
    begun: [bool; 2],
}

impl Folder {
    /// Makes it where it is not there yet.
    pub(super) fn create(path: &Path) -> Result<Self, Error> {
        fs::create_dir_all(path)
            .map_err(|source| Error::Write { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), error: RefCell::new(None) })
    }

    /// The files of a conversation, whose names begin with its number.
    pub(super) fn files(self: &Rc<Self>, talk: &Talk) -> Files {
        let paths = [FlowSide::Initiator, FlowSide::Responder].map(|side| {
            let (from, to) = talk.ends(side);
            self.path.join(format!("{:06}-{}-{}", talk.number, name(from), name(to)))
        });
        Files { folder: Rc::clone(self), paths, begun: [false; 2] }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.error.borrow().is_some()
    }

    /// Tells the first error.
    pub(super) fn finish(&self) -> Result<(), Error> {
        self.error.borrow_mut().take().map_or(Ok(()), Err)
    }
}

impl Files {
    fn write(&mut self, side: FlowSide, bytes: &[u8], offset: u64) {
        if self.folder.has_failed() {
            return;
        }
        let (path, begun) = (&self.paths[side as usize], &mut self.begun[side as usize]);
        let result = open(path, !*begun).and_then(|file| file.write_all_at(bytes, offset));
        *begun = true;
        if let Err(source) = result {
            *self.folder.error.borrow_mut() = Some(Error::Write { path: path.clone(), source });
        }
    }
}

impl View for Files {
    fn chunk(&mut self, chunk: &Chunk) {
        match chunk {
            Chunk::Initiator(data) => self.write(FlowSide::Initiator, data, data.offset()),
            Chunk::Responder(data) => self.write(FlowSide::Responder, data, data.offset()),
            // What came late fills its hole after all; what lies before the beginning has no place.
            Chunk::Late { side, data, .. } if data.offset().cast_signed() >= 0 => {
                self.write(*side, data, data.offset());
            }
            _ => {}
        }
    }
}

fn open(path: &Path, new: bool) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(new).open(path)
}

/// An address and a port as a part of a file's name, as tcpflow has it but for colons, which some file systems and
/// programs give a meaning.
fn name(endpoint: Endpoint) -> String {
    let address = endpoint.address.to_string().replace(':', "_");
    format!("{address}.{}", endpoint.port)
}
