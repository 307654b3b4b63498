//! Our flow table in a separate process: it reassembles a capture file and hashes each byte.

use std::error::Error;

use capture_file::CaptureFile;
use flow::{Data, FiveTuple, FiveTupleKey, Flow, FlowHandler, FlowRecord, FlowSide, FlowTable};
use ring_core::{Next, PacketBatch as _, PacketSource as _, Timeout};

use crate::memory;
use crate::processes::{Contents, StreamHash};

pub(super) const ROLE: &str = "read-streams";

/// The hashes of both directions, by the flow's slot.
#[derive(Default)]
struct Hashes {
    open: Vec<[StreamHash; 2]>,
    contents: Contents,
}

impl FlowHandler<FiveTupleKey> for Hashes {
    fn on_start(&mut self, flow: &Flow<'_, FiveTupleKey>) {
        let (slot, new) = (flow.id.slot(), || [StreamHash::new(), StreamHash::new()]);
        if slot >= self.open.len() {
            self.open.resize_with(slot + 1, new);
        }
        self.open[slot] = new();
    }

    #[inline]
    fn on_data(&mut self, flow: &Flow<'_, FiveTupleKey>, side: FlowSide, data: Data<'_>) {
        self.contents.bytes += data.bytes.len() as u64;
        self.open[flow.id.slot()][side as usize].update(data.bytes);
    }

    fn on_end(&mut self, flow: &Flow<'_, FiveTupleKey>, _: &FlowRecord<FiveTupleKey>) {
        for hash in &mut self.open[flow.id.slot()] {
            let hash = std::mem::replace(hash, StreamHash::new()).finish();
            self.contents.hash = self.contents.hash.wrapping_add(hash);
        }
    }
}

/// Reads the file in the command line if this role is selected. `None` for another role or a group.
pub(crate) fn play() -> Option<Result<(), Box<dyn Error>>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [role, file] if role == ROLE => Some(read(file)),
        _ => None,
    }
}

fn read(file: &str) -> Result<(), Box<dyn Error>> {
    // The peers' allocators do not count either.
    memory::stop_counting();
    let mut source = CaptureFile::open(file)?;
    let mut table = FlowTable::builder(FiveTuple::bidirectional()).build();
    let mut hashes = Hashes::default();
    while let Next::Batch(batch) = source.next_batch(Timeout::Never)? {
        table.process(batch.packets(), &mut hashes);
    }
    table.finish(&mut hashes);
    hashes.contents.packets = table.statistics().packets;
    println!("{}", serde_json::to_string(&hashes.contents)?);
    Ok(())
}
