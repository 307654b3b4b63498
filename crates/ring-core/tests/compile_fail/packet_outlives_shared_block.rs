use ring_core::{Packet, SharedBlock};

fn first(block: SharedBlock) -> Option<Packet<'static>> {
    block.packets().next()
}

fn main() {
    let _ = first;
}
