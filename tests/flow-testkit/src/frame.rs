//! Builds frames byte by byte.

/// Wraps bytes in headers, from the inside out.
#[derive(Clone, Debug)]
pub struct Frame(pub Vec<u8>);

impl Frame {
    /// Starts with the innermost payload.
    pub fn new(payload: &[u8]) -> Self {
        Self(payload.to_vec())
    }

    /// Prepends a header.
    pub fn within(self, header: &[u8]) -> Self {
        Self([header, &self.0].concat())
    }

    /// Prepends a header that ends with the length of the bytes after it.
    pub fn within_with_len(self, header: &[u8], more: usize) -> Self {
        let len = ((self.0.len() + more) as u16).to_be_bytes();
        self.within(&[header, &len].concat())
    }

    /// Prepends a TCP header, from port 40000 to port 80.
    pub fn tcp(self, options: &[u8], flags: u8) -> Self {
        let words = 5 + options.len() / 4;
        let mut header = vec![0x9c, 0x40, 0x00, 0x50, 1, 2, 3, 4, 5, 6, 7, 8];
        header.extend([(words << 4) as u8, flags, 0x10, 0x00, 0, 0, 0, 0]);
        header.extend(options);
        self.within(&header)
    }

    /// Prepends a UDP header without a checksum.
    pub fn udp(self, source: u16, destination: u16) -> Self {
        let len = (8 + self.0.len()) as u16;
        self.within(&[source, destination, len, 0].map(u16::to_be_bytes).concat())
    }

    /// Prepends an IPv4 header, from 10.0.0.1 to 10.0.0.2.
    pub fn ipv4(self, protocol: u8) -> Self {
        self.ipv4_with(protocol, &[], 0, 0)
    }

    /// Prepends an IPv4 header with options and a fragment word.
    pub fn ipv4_with(self, protocol: u8, options: &[u8], id: u16, fragment_word: u16) -> Self {
        let len = 20 + options.len() + self.0.len();
        let mut header = vec![0x45 + (options.len() / 4) as u8, 0];
        header.extend((len as u16).to_be_bytes());
        header.extend(id.to_be_bytes());
        header.extend(fragment_word.to_be_bytes());
        header.extend([64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        header.extend(options);
        self.within(&header)
    }

    /// Fills in the checksum of an IPv4 header without options at the start.
    pub fn ipv4_checksum(mut self) -> Self {
        let words = self.0[..20].chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
        let sum: u32 = words.sum();
        let sum = (sum >> 16) + (sum & 0xffff);
        self.0[10..12].copy_from_slice(&(!(sum + (sum >> 16)) as u16).to_be_bytes());
        self
    }

    /// Prepends an IPv6 header, from 2001:db8::1 to 2001:db8::2.
    pub fn ipv6(self, next: u8) -> Self {
        let mut header = vec![0x60, 0, 0, 0];
        header.extend((self.0.len() as u16).to_be_bytes());
        header.extend([next, 64]);
        header.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        header.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        self.within(&header)
    }

    /// Prepends an Ethernet header: two addresses and a type.
    pub fn ethernet(self, ether_type: u16) -> Self {
        let mut header = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        header.extend(ether_type.to_be_bytes());
        self.within(&header)
    }
}
