//! Zero-copy packet capture and injection on Linux: AF_PACKET rings, capture files, one trait for both.
