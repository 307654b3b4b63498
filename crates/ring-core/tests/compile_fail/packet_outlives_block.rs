use ring_core::{Capture, Timeout};

fn main() -> Result<(), ring_core::Error> {
    let mut capture = Capture::open("lo")?;
    let mut kept = None;
    while let Some(block) = capture.next_block(Timeout::Never)? {
        kept = block.packets().next();
    }
    println!("{kept:?}");
    Ok(())
}
