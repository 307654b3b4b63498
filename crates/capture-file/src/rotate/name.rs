//! Names of a capture's files.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::Rotation;
use crate::system::{Identity, KNOWS_LOCAL_TIME, format_local};
use crate::write::create;
use crate::{Error, Timestamp, Unwritable};

/// Names the files and creates them.
pub(crate) struct Names {
    name: PathBuf,
    timed: bool,
    files: Option<u32>,
    /// Minimum number of digits of the count. With 0 the first file has no count.
    width: usize,
    /// The previous file's name, with the time filled in but without the count, and its count.
    last: Option<(OsString, u32)>,
    /// The files that exist, if the oldest are to be removed.
    kept: VecDeque<PathBuf>,
}

impl Names {
    pub(crate) fn new(name: &Path, rotation: &Rotation) -> Self {
        let timed =
            rotation.interval.is_some() && name.as_os_str().as_encoded_bytes().contains(&b'%');
        let highest = rotation.files.map_or(0, |files| files - 1);
        let counted = rotation.size.is_some() || !timed;
        let width = if counted && highest > 0 { highest.to_string().len() } else { 0 };
        let width = width.max(rotation.digits);
        Self {
            name: name.to_owned(),
            timed,
            files: rotation.files,
            width,
            last: None,
            kept: VecDeque::new(),
        }
    }

    /// `true` if the names contain a time.
    pub(crate) fn are_timed(&self) -> bool {
        self.timed
    }

    /// Creates the next file, which starts at this time.
    pub(crate) fn open(
        &mut self,
        at: Timestamp,
        input: Option<Identity>,
    ) -> Result<(PathBuf, File), Error> {
        let stem = self.stem(at)?;
        let mut count = match &self.last {
            Some((last, count)) if *last == stem => count.wrapping_add(1),
            _ => 0,
        };
        if let (false, Some(files)) = (self.timed, self.files) {
            count %= files;
        }
        loop {
            let path = self.path(&stem, count);
            let mut options = OpenOptions::new();
            options.write(true);
            // The same local time can occur twice, after a change of the clock or the end of summer
            // time. The earlier files must not be overwritten.
            if self.timed {
                options.create_new(true);
            } else {
                options.create(true);
            }
            match create(&path, &options, input) {
                Ok(file) => {
                    self.last = Some((stem, count));
                    if self.timed && self.files.is_some() {
                        self.kept.push_back(path.clone());
                    }
                    return Ok((path, file));
                }
                Err(Error::Open { source, .. })
                    if self.timed
                        && source.kind() == io::ErrorKind::AlreadyExists
                        && count < u32::MAX =>
                {
                    count += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes the oldest file from the list and returns it, if there are too many.
    pub(crate) fn superfluous(&mut self) -> Option<PathBuf> {
        let files = self.files? as usize;
        if self.kept.len() > files { self.kept.pop_front() } else { None }
    }

    fn stem(&self, at: Timestamp) -> Result<OsString, Error> {
        if !self.timed {
            return Ok(self.name.clone().into_os_string());
        }
        if !KNOWS_LOCAL_TIME {
            return Err(Unwritable::LocalTime { name: self.name.clone() }.into());
        }
        i64::try_from(at.seconds())
            .ok()
            .and_then(|seconds| format_local(seconds, self.name.as_os_str()))
            .ok_or_else(|| Unwritable::FileName { name: self.name.clone() }.into())
    }

    fn path(&self, stem: &OsString, count: u32) -> PathBuf {
        let mut path = stem.clone();
        if count > 0 || self.width > 0 {
            path.push(format!("{count:0width$}", width = self.width));
        }
        path.into()
    }
}
