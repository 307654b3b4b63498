//! A vector that grows without moving its elements.

use std::ops::{Index, IndexMut};

/// The number of elements in a chunk.
const CHUNK: usize = 4096;
const SHIFT: u32 = CHUNK.trailing_zeros();

/// A vector in chunks. Growing costs one allocation, without a copy or a pause, and wastes at most
/// one chunk.
#[derive(Debug)]
pub(crate) struct Chunked<T> {
    chunks: Vec<Vec<T>>,
    len: usize,
}

impl<T> Chunked<T> {
    pub(crate) const fn new() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        self.chunks.get((index >> SHIFT) as usize)?.get(index as usize & (CHUNK - 1))
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.chunks.get_mut((index >> SHIFT) as usize)?.get_mut(index as usize & (CHUNK - 1))
    }

    pub(crate) fn push(&mut self, value: T) {
        if self.len.is_multiple_of(CHUNK) {
            // The first chunk starts small, because most tables of a short capture have only a few
            // flows.
            let capacity = if self.len == 0 { 4 } else { CHUNK };
            self.chunks.push(Vec::with_capacity(capacity));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(value);
        }
        self.len += 1;
    }
}

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Index<u32> for Chunked<T> {
    type Output = T;

    #[inline(always)]
    fn index(&self, index: u32) -> &T {
        &self.chunks[(index >> SHIFT) as usize][index as usize & (CHUNK - 1)]
    }
}

impl<T> IndexMut<u32> for Chunked<T> {
    #[inline(always)]
    fn index_mut(&mut self, index: u32) -> &mut T {
        &mut self.chunks[(index >> SHIFT) as usize][index as usize & (CHUNK - 1)]
    }
}
