//! Paging: how a long list is handed out in pieces.

/// One page of a list, and where the next one starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries, at most as many as were asked for.
    pub items: Vec<T>,
    /// Present when more follow. Opaque to the client; the gateway seals it.
    pub next: Option<String>,
}

/// The token was not made here, or was made for another request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the page token is not one of this list: start again without it")]
pub struct PageError;

impl<T> Page<T> {
    /// Cuts a page from entries of which one more than `limit` may have been fetched.
    pub fn cut(mut items: Vec<T>, limit: usize, key: impl Fn(&T) -> String) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(key) } else { None };
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_page_has_no_successor() {
        let page = Page::cut(vec![1, 2], 2, ToString::to_string);
        assert_eq!(page, Page { items: vec![1, 2], next: None });
        let page = Page::cut(vec![1, 2, 3], 2, ToString::to_string);
        assert_eq!(page, Page { items: vec![1, 2], next: Some("2".into()) });
    }
}
