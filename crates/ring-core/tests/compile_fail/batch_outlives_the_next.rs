use ring_core::{Next, PacketBatch as _, PacketSource, Timeout};

fn two<S: PacketSource>(source: &mut S) -> Result<(), S::Error> {
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
