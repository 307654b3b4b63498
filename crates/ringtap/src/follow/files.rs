//! One file a direction.
//!
//! The folder may be one that others can write to, and the names are easy to guess: files are made
//! exclusively, beneath the folder's descriptor, and no link is followed. Otherwise captured bytes
//! would land in any file that the user may write.

use std::cell::{Cell, RefCell};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use conversation::Chunk;
use flow::{Endpoint, FlowSide};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::view::{MALLOC, Talk, View};
use crate::Error;
use crate::report;
use crate::text::escape::Escaped;

/// Extensions of capture files: their names are no names of folders.
const CAPTURES: [&str; 4] = ["pcap", "pcapng", "cap", "gz"];

/// Files that are reported one by one; of more there is only the number at the end.
const REPORTED: u64 = 10;

/// A folder that conversations are written into. Its first error sticks, so that views need not
/// carry it.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    directory: File,
    error: RefCell<Option<Error>>,
    /// Files that are not written to their ends.
    given_up: Cell<u64>,
}

/// The two files of a conversation. A direction that carried nothing has none.
///
/// They are open only while something is written: there may be more conversations than a process
/// may have open files.
#[derive(Debug)]
pub(super) struct Files {
    /// By side.
    files: [OneFile; 2],
}

/// A file of a folder, made at its first byte. It is open only while something is written.
#[derive(Debug)]
pub(crate) struct OneFile {
    folder: Rc<Folder>,
    name: String,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    New,
    /// Device and inode of the file that was made: whatever has its name later is not written to
    /// unless it is the same.
    Made(u64, u64),
    GivenUp,
}

impl Folder {
    /// Makes it where it is not there yet. One that has files of an earlier run is refused, or rid
    /// of them.
    pub(crate) fn create(path: &Path, overwrite: bool) -> Result<Self, Error> {
        Self::create_for(path, overwrite, is_ours)
    }

    /// Makes it where it is not there yet. `is_ours` recognizes the names of an earlier run.
    pub(crate) fn create_for(
        path: &Path,
        overwrite: bool,
        is_ours: impl Fn(&str) -> bool,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Write { path: path.to_owned(), source };
        let named = |extension: &OsStr| CAPTURES.iter().any(|known| extension == *known);
        let is_named_so = path.extension().is_some_and(named) || path.as_os_str() == "-";
        if !path.is_dir() && (is_named_so || path.exists()) {
            return Err(Error::NoFolder { path: path.to_owned() });
        }
        fs::create_dir_all(path).map_err(failed)?;
        let directory = File::options()
            .read(true)
            .custom_flags(OFlag::O_DIRECTORY.bits())
            .open(path)
            .map_err(failed)?;
        for entry in fs::read_dir(path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if !name.to_str().is_some_and(&is_ours) {
                continue;
            }
            if !overwrite {
                return Err(Error::OldFiles { path: path.to_owned() });
            }
            let removed = unlinkat(&directory, &name[..], UnlinkatFlags::NoRemoveDir);
            removed
                .map_err(|source| Error::Write { path: path.join(&name), source: source.into() })?;
        }
        let (error, given_up) = (RefCell::new(None), Cell::new(0));
        Ok(Self { path: path.to_owned(), directory, error, given_up })
    }

    /// The files of a conversation, whose names begin with its number.
    pub(super) fn files(self: &Rc<Self>, talk: &Talk) -> Files {
        let names = [FlowSide::Initiator, FlowSide::Responder].map(|side| {
            let (from, to) = talk.ends(side);
            format!("{:06}-{}-{}", talk.number, name(from), name(to))
        });
        Files { files: names.map(|name| self.file(name)) }
    }

    /// A file of this name, which must not be there when its first byte is written.
    pub(crate) fn file(self: &Rc<Self>, name: String) -> OneFile {
        OneFile { folder: Rc::clone(self), name, state: State::New }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.error.borrow().is_some()
    }

    /// Returns the first error.
    pub(crate) fn finish(&self) -> Result<(), Error> {
        match (self.error.borrow_mut().take(), self.given_up.get()) {
            (Some(error), _) => Err(error),
            (None, 0) => Ok(()),
            (None, files) => Err(Error::GivenUp { files }),
        }
    }

    /// Makes the file of a stream, which must not be there.
    pub(crate) fn make(&self, name: &str) -> io::Result<File> {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL;
        self.open(name, flags)
    }

    pub(crate) fn open(&self, name: &str, flags: OFlag) -> io::Result<File> {
        // Not blocking: a FIFO may have taken the place of a file.
        let flags =
            flags | OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let mode = Mode::from_bits_truncate(0o666);
        Ok(File::from(openat(&self.directory, name, flags, mode)?))
    }
}

impl OneFile {
    /// The name, if the file was made.
    pub(crate) fn made(&self) -> Option<&str> {
        (!matches!(self.state, State::New)).then_some(&self.name)
    }

    /// Returns `true` if a write has failed. The folder counts such files.
    pub(crate) const fn is_given_up(&self) -> bool {
        matches!(self.state, State::GivenUp)
    }

    /// Writes bytes at an offset. Errors are kept by the folder.
    pub(crate) fn write(&mut self, bytes: &[u8], offset: u64) {
        let (name, state) = (&self.name, &mut self.state);
        if self.folder.has_failed() || matches!(state, State::GivenUp) {
            return;
        }
        let written = state.file(&self.folder, name).and_then(|file| {
            // Offsets of files are signed.
            match offset.checked_add(bytes.len() as u64).map(i64::try_from) {
                Some(Ok(_)) => file.write_all_at(bytes, offset),
                _ => Err(Errno::EFBIG.into()),
            }
        });
        let Err(source) = written else { return };
        let path = self.folder.path.join(name);
        let why = match source.raw_os_error().map(Errno::from_raw) {
            // Both ends of a stream can forge jumps: one stream must not end the others.
            Some(Errno::EFBIG) => "no larger file is possible here",
            Some(Errno::EEXIST) => "the name is taken",
            // A file that cannot even be made: the folder is gone, and none of the others can be
            // made either.
            Some(Errno::ELOOP | Errno::ENOENT | Errno::ENXIO | Errno::ESTALE)
                if matches!(state, State::Made(..)) =>
            {
                "the file was replaced by something else"
            }
            _ => {
                *self.folder.error.borrow_mut() = Some(Error::Write { path, source });
                return;
            }
        };
        *state = State::GivenUp;
        let given_up = self.folder.given_up.get() + 1;
        self.folder.given_up.set(given_up);
        if given_up <= REPORTED {
            report::say(format_args!(
                "{}: given up at byte {offset} of the stream: {why}",
                Escaped(&path.display().to_string())
            ));
        }
    }
}

impl State {
    /// The file, made or opened again.
    fn file(&mut self, folder: &Folder, name: &str) -> io::Result<File> {
        let Self::Made(device, inode) = *self else {
            let file = folder.make(name)?;
            let metadata = file.metadata()?;
            *self = Self::Made(metadata.dev(), metadata.ino());
            return Ok(file);
        };
        let file = folder.open(name, OFlag::empty())?;
        let metadata = file.metadata()?;
        if (metadata.dev(), metadata.ino()) == (device, inode) {
            Ok(file)
        } else {
            Err(Errno::ESTALE.into())
        }
    }
}

impl View for Files {
    fn bytes(&self) -> usize {
        let names: usize = self.files.iter().map(|file| file.name.capacity() + MALLOC).sum();
        size_of::<Self>() + names
    }

    fn chunk(&mut self, chunk: &Chunk) {
        match chunk {
            Chunk::Initiator(data) => self.files[0].write(data, data.offset()),
            Chunk::Responder(data) => self.files[1].write(data, data.offset()),
            // What came late fills its hole after all; what lies before the beginning has no place.
            Chunk::Late { side, data, .. } if data.offset().cast_signed() >= 0 => {
                self.files[*side as usize].write(data, data.offset());
            }
            _ => {}
        }
    }
}

/// `true` for names as [`Folder::files`] gives them.
fn is_ours(name: &str) -> bool {
    let Some((number, ends)) = name.split_once('-') else { return false };
    number.len() >= 6 && number.bytes().all(|digit| digit.is_ascii_digit()) && ends.contains('-')
}

/// An address and a port as a part of a file's name, as tcpflow has it but for colons, which some
/// file systems and programs give a meaning.
pub(crate) fn name(endpoint: Endpoint) -> String {
    let address = endpoint.address.to_string().replace(':', "_");
    format!("{address}.{}", endpoint.port)
}
