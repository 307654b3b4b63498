use ring_core::{Capture, Timeout};

fn main() -> Result<(), ring_core::Error> {
    let mut capture = Capture::open("lo")?;
    let first = capture.next_block(Timeout::Never)?;
    let second = capture.next_block(Timeout::Never)?;
    println!("{first:?} {second:?}");
    Ok(())
}
