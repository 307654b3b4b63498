//! Packet filters in the language of tcpdump: parsed, compiled to BPF, and interpreted.
