//! Bodies as files, and the index that describes them: `docs/messages.md`.

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use conversation::{BodyPart, FlowNumber};
use flow::{FlowSide, Timestamp};
use protocol::BodyHead;
use protocol::coding::{BodyDecoder, Coding, DecodeLimits, Decoded};
use serde_json::{Map, Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::Talk;
use crate::Error;
use crate::follow::files::{Folder, OneFile};

/// The name of the index.
const INDEX: &str = "index.jsonl";
/// Bytes of a body that are collected before its file is opened.
const COLLECTED: usize = 16 << 10;
/// Collected bytes of all bodies; beyond it each piece is written when it comes.
const ALL_COLLECTED: usize = 32 << 20;
/// Memory of all decoders. A window of br or zstd takes megabytes, so that of many bodies at a time
/// it must be shared.
const DECODERS: usize = 256 << 20;
/// Characters of a file's name that the peer chose.
const NAME: usize = 64;

/// The bodies that are being written.
#[derive(Debug)]
pub(super) struct Objects {
    folder: Rc<Folder>,
    index: OneFile,
    /// Bytes of the index.
    indexed: u64,
    open: HashMap<FlowNumber, Vec<Object>>,
    shared: Shared,
}

/// The memory that all bodies share.
#[derive(Debug, Default)]
struct Shared {
    decoders: usize,
    collected: usize,
}

/// A body.
#[derive(Debug)]
struct Object {
    side: FlowSide,
    number: u64,
    talk: Talk,
    began: Timestamp,
    head: BodyHead,
    file: OneFile,
    decoder: BodyDecoder,
    /// The memory of `decoder` when it was measured last.
    memory: usize,
    /// It was given up since there was no memory for it.
    without_memory: bool,
    collected: Vec<u8>,
    /// Position of the bytes that are written next.
    offset: u64,
    hash: Sha256,
    /// Bytes that were not captured.
    missing: u64,
    /// The reader was too slow, so that an unknown part is missing.
    lagged: bool,
}

impl Objects {
    pub(super) fn create(path: &Path, overwrite: bool) -> Result<Self, Error> {
        let folder = Rc::new(Folder::create_for(path, overwrite, is_ours)?);
        let index = folder.file(INDEX.to_owned());
        let shared = Shared::default();
        Ok(Self { folder, index, indexed: 0, open: HashMap::new(), shared })
    }

    /// Takes a part of a body.
    pub(super) fn part(
        &mut self,
        talk: &Talk,
        (id, side, number): (FlowNumber, FlowSide, u64),
        part: BodyPart,
        time: Timestamp,
    ) {
        let open = self.open.entry(id).or_default();
        let at = open.iter().position(|object| (object.side, object.number) == (side, number));
        match (part, at) {
            (BodyPart::Begin(head), None) => {
                let file = self.folder.file(file_name(talk.number, number, &head));
                open.push(Object::new(*talk, side, number, time, *head, file));
            }
            (BodyPart::Data(bytes), Some(at)) => open[at].data(&bytes, &mut self.shared),
            (BodyPart::Gap(len), Some(at)) => open[at].gap(len, &mut self.shared),
            (BodyPart::End(complete), Some(at)) => {
                let object = open.swap_remove(at);
                self.complete(object, complete);
            }
            _ => {}
        }
        if self.open.get(&id).is_some_and(Vec::is_empty) {
            self.open.remove(&id);
        }
    }

    /// Takes notice that a conversation is over.
    pub(super) fn ended(&mut self, id: FlowNumber) {
        for object in self.open.remove(&id).unwrap_or_default() {
            self.complete(object, false);
        }
    }

    /// Takes notice that an unknown part of what goes on is missing.
    pub(super) fn lagged(&mut self) {
        for object in self.open.values_mut().flatten() {
            object.flush(&mut self.shared);
            object.decoder.gap();
            object.lagged = true;
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.folder.has_failed()
    }

    /// Completes all files. Returns the first error.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        for object in std::mem::take(&mut self.open).into_values().flatten() {
            self.complete(object, false);
        }
        self.folder.finish()
    }

    fn complete(&mut self, mut object: Object, complete: bool) {
        object.flush(&mut self.shared);
        self.shared.decoders = self.shared.decoders.saturating_sub(object.memory);
        let mut line = object.describe(complete && !object.lagged).to_string();
        line.push('\n');
        self.index.write(line.as_bytes(), self.indexed);
        self.indexed += line.len() as u64;
    }
}

impl Object {
    fn new(
        talk: Talk,
        side: FlowSide,
        number: u64,
        began: Timestamp,
        head: BodyHead,
        file: OneFile,
    ) -> Self {
        let decoder = BodyDecoder::new(&head.codings, DecodeLimits::default());
        Self {
            side,
            number,
            talk,
            began,
            head,
            file,
            decoder,
            memory: 0,
            without_memory: false,
            collected: Vec::new(),
            offset: 0,
            hash: Sha256::new(),
            missing: 0,
            lagged: false,
        }
    }

    fn data(&mut self, bytes: &[u8], shared: &mut Shared) {
        if self.lagged {
            return;
        }
        let Self { decoder, collected, hash, offset, file, .. } = self;
        let before = collected.len();
        decoder.data(bytes, &mut |decoded| {
            hash.update(decoded);
            collected.extend_from_slice(decoded);
            // A short piece may decode to megabytes.
            if collected.len() >= 4 * COLLECTED {
                file.write(collected, *offset);
                *offset += collected.len() as u64;
                collected.clear();
            }
        });
        shared.collected = shared.collected - before + self.collected.len();
        if self.collected.len() >= COLLECTED || shared.collected >= ALL_COLLECTED {
            self.flush(shared);
        }
        if !self.head.codings.is_empty() {
            self.measure(shared);
        }
    }

    /// Counts the memory of the decoder, and gives it up if all of them have too much.
    fn measure(&mut self, shared: &mut Shared) {
        let now = self.decoder.memory();
        shared.decoders = shared.decoders - std::mem::replace(&mut self.memory, now) + now;
        if shared.decoders > DECODERS && !self.decoder.is_stopped() {
            self.without_memory = true;
            self.decoder.gap();
            shared.decoders -= std::mem::replace(&mut self.memory, 0);
        }
    }

    fn gap(&mut self, len: u64, shared: &mut Shared) {
        self.flush(shared);
        self.missing = self.missing.saturating_add(len);
        self.decoder.gap();
        if self.head.codings.is_empty() || self.head.codings.contains(&Coding::Other) {
            self.offset = self.offset.saturating_add(len);
        }
        self.measure(shared);
    }

    /// Writes what was collected.
    fn flush(&mut self, shared: &mut Shared) {
        if !self.collected.is_empty() {
            self.file.write(&self.collected, self.offset);
            self.offset += self.collected.len() as u64;
            shared.collected = shared.collected.saturating_sub(self.collected.len());
            self.collected = Vec::new();
        }
    }

    /// The line of the index.
    fn describe(&mut self, complete: bool) -> Json {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let asking = if self.head.of_request == (self.side == FlowSide::Initiator) {
            protocol::Side::Initiator
        } else {
            protocol::Side::Responder
        };
        let [client, server] = self.talk.ends(asking).map(|end| end.to_string());
        let mut line = Map::new();
        let mut put = |name: &str, value: Json| line.insert(name.to_owned(), value);
        put("file", self.file.made().into());
        put("time", self.began.to_string().into());
        put("conversation", self.talk.number.into());
        put("client", client.into());
        put("server", server.into());
        put("of", if self.head.of_request { "request" } else { "response" }.into());
        put("number", self.number.into());
        for (name, value) in [
            ("host", self.head.host.as_deref()),
            ("path", self.head.path.as_deref()),
            ("name", self.head.name()),
            ("type", self.head.media_type.as_deref()),
        ] {
            if let Some(value) = value {
                put(name, text(value).into());
            }
        }
        put("size", self.offset.into());
        let decoded = match self.decoder.finish() {
            _ if self.without_memory => "memory",
            decoded => decoded.as_str(),
        };
        if !self.head.codings.is_empty() {
            let codings: Vec<&str> = self.head.codings.iter().map(|it| it.as_str()).collect();
            put("codings", json!(codings));
            put("decoded", decoded.into());
        }
        let decodes = self.head.codings.is_empty()
            || decoded == Decoded::Complete.as_str()
            || decoded == Decoded::Unsupported.as_str();
        put("complete", (complete && decodes && !self.file.is_given_up()).into());
        if self.missing > 0 {
            put("missing", self.missing.into());
        }
        // A sum over bytes that nobody captured would be one of nothing that was sent.
        if self.missing == 0 && !self.lagged {
            let sum = std::mem::take(&mut self.hash).finalize();
            let digits: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
            put("sha256", digits.into());
        }
        line.into()
    }
}

/// The name of a body's file. The last part is the peer's choice, of which only letters, digits
/// and a few signs remain, so that it is one name, and no option, hidden file or device.
fn file_name(conversation: u64, number: u64, head: &BodyHead) -> String {
    let of = if head.of_request { "request" } else { "response" };
    let safe = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => *byte as char,
        _ => '_',
    };
    let name: String = head.name().unwrap_or(b"body").iter().take(NAME).map(safe).collect();
    format!("{conversation:06}-{of}{number}-{name}")
}

/// `true` for names of files that [`Objects`] makes.
fn is_ours(name: &str) -> bool {
    let Some((number, rest)) = name.split_once('-') else { return name == INDEX };
    let body = ["request", "response"].iter().find_map(|of| rest.strip_prefix(of));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    number.len() >= 6
        && digits(number)
        && body.and_then(|body| body.split_once('-')).is_some_and(|(number, _)| digits(number))
}
