//! System calls, kernel structures and mappings for packet rings on Linux.
