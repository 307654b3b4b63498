use ring_core::{Capture, Timeout};

fn main() -> Result<(), ring_core::Error> {
    let mut capture = Capture::open("lo")?;
    if let Some(block) = capture.next_block(Timeout::Never)? {
        let packets: Vec<_> = block.packets().collect();
        drop(block);
        println!("{packets:?}");
    }
    Ok(())
}
