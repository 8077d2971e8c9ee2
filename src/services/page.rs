//! Lists that are read in pages: one row more than fits tells whether there is more.

/// Takes away the row beyond the page. Answers whether there was one.
pub(super) fn cut<M>(rows: &mut Vec<M>, limit: u64) -> bool {
    let more = rows.len() as u64 > limit;
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    more
}
