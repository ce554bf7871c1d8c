//! Token ids of a batch.

/// Rows of token ids, padded on one side to one width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRows {
    /// `[B, T]`, row-major.
    ids: Vec<u32>,
    width: usize,
    /// Slots before the first token of each row. `[B]`
    left_padding: Vec<usize>,
}

impl TokenRows {
    /// Rows that start together. Nothing sees the padding, as attention looks back only.
    ///
    /// # Panics
    /// When there is no row, or an empty one.
    pub fn right_padded<R: AsRef<[u32]>>(rows: &[R]) -> Self {
        let width = Self::width_of(rows);
        let padded = |row: &R| {
            let row = row.as_ref();
            row.iter().copied().chain(std::iter::repeat_n(0, width - row.len())).collect::<Vec<_>>()
        };
        Self { ids: rows.iter().flat_map(padded).collect(), width, left_padding: vec![0; rows.len()] }
    }

    /// Rows that end together, as generation needs them.
    ///
    /// # Panics
    /// When there is no row, or an empty one.
    pub fn left_padded<R: AsRef<[u32]>>(rows: &[R]) -> Self {
        let width = Self::width_of(rows);
        let padded = |row: &R| {
            let row = row.as_ref();
            std::iter::repeat_n(0, width - row.len()).chain(row.iter().copied()).collect::<Vec<_>>()
        };
        let left_padding = rows.iter().map(|row| width - row.as_ref().len()).collect();
        Self { ids: rows.iter().flat_map(padded).collect(), width, left_padding }
    }

    fn width_of<R: AsRef<[u32]>>(rows: &[R]) -> usize {
        let lengths = rows.iter().map(|row| row.as_ref().len());
        assert!(!rows.is_empty() && lengths.clone().all(|n| n > 0), "a batch has rows, and a row has tokens");
        lengths.max().expect("there is a row")
    }

    /// `[B, T]`, row-major; 0 where there is padding.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// B
    pub fn n_rows(&self) -> usize {
        self.left_padding.len()
    }

    /// T, with padding.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Slots before the first token of each row. `[B]`
    pub fn left_padding(&self) -> &[usize] {
        &self.left_padding
    }
}
