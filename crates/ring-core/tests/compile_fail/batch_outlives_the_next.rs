use ring_core::{Error, Next, PacketBatch as _, PacketSource, Timeout};

fn two(source: &mut impl PacketSource) -> Result<(), Error> {
    let first = source.next_batch(Timeout::Never)?;
    let second = source.next_batch(Timeout::Never)?;
    if let (Next::Batch(first), Next::Batch(second)) = (first, second) {
        println!("{} {}", first.packets().count(), second.packets().count());
    }
    Ok(())
}

fn main() {
    let _ = two(&mut ring_core::MemorySource::new(ring_core::LinkType::RAW));
}
