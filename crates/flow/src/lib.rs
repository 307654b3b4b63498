//! Flow tracking and TCP reassembly without I/O: packets and time go in, events come out.
