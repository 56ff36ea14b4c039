//! Pages that requests share, each with the answer that was written for it.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::Page;

/// The most bytes of an answer that is kept with its page.
const MAX_ROOM_BYTES: usize = 256 << 10;

/// A page of a list. To write the answer of a list of 1,000 names takes ten times as long as the rest of its request, so the answer
/// of a cached page is written once.
#[derive(Debug)]
pub struct SharedPage<T> {
    page: Page<T>,
    room_bytes: usize,
    answer: OnceLock<Bytes>,
}

impl<T> SharedPage<T> {
    /// Wraps a page that is read for one request. Its answer is not kept.
    pub fn for_one(page: Page<T>) -> Arc<Self> {
        Self::with_room(page, 0)
    }

    /// Wraps a page whose answer is kept, unless it has more than `room_bytes`, or more than 256 KiB.
    pub(super) fn with_room(page: Page<T>, room_bytes: usize) -> Arc<Self> {
        let room_bytes = if room_bytes > MAX_ROOM_BYTES { 0 } else { room_bytes };
        Arc::new(Self { page, room_bytes, answer: OnceLock::new() })
    }

    /// Returns the answer for this page. `write` must depend on nothing but the page and the list's name.
    pub fn answer(&self, write: impl FnOnce(&Page<T>) -> Vec<u8>) -> Bytes {
        if let Some(kept) = self.answer.get() {
            return kept.clone();
        }
        let answer = Bytes::from(write(&self.page).into_boxed_slice());
        if answer.len() <= self.room_bytes {
            // Another request may have been first. Its answer is the same.
            let _ = self.answer.set(answer.clone());
        }
        answer
    }

    /// Returns the most bytes that the answer takes up, also before it is written.
    pub(super) fn room_bytes(&self) -> usize {
        self.room_bytes
    }
}

impl<T> Deref for SharedPage<T> {
    type Target = Page<T>;

    fn deref(&self) -> &Page<T> {
        &self.page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page<String> {
        Page { items: vec!["t".to_owned()], more: false }
    }

    #[test]
    fn answer_is_written_once_if_it_has_room() {
        let shared = SharedPage::with_room(page(), 3);
        assert_eq!(shared.answer(|page| page.items[0].repeat(3).into_bytes()), "ttt");
        assert_eq!(shared.answer(|_| unreachable!("the answer was kept")), "ttt");
    }

    #[test]
    fn answer_without_room_is_written_again() {
        for shared in [SharedPage::for_one(page()), SharedPage::with_room(page(), MAX_ROOM_BYTES + 1)] {
            assert_eq!(shared.answer(|_| b"one".to_vec()), "one");
            assert_eq!(shared.answer(|_| b"two".to_vec()), "two");
            assert_eq!(shared.room_bytes(), 0);
        }
    }
}
