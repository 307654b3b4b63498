use ring_core::{Block, Capture, Timeout};

fn first(interface: &str) -> Result<Option<Block<'static>>, ring_core::Error> {
    let mut capture = Capture::open(interface)?;
    capture.next_block(Timeout::Never)
}

fn main() {
    let _ = first("lo");
}
