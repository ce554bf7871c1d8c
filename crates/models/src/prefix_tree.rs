//! Which tokens rows have in common at their beginning.

use std::ops::Range;

/// A common beginning is a node of its own where it saves at least one in so many tokens: each level of the tree is a
/// further pass of the network.
const WORTH: usize = 5;

/// A run of tokens that is the same in some rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// Which rows, as places in [`PrefixTree::order`].
    pub(crate) rows: Range<usize>,
    /// Which of their tokens; never empty.
    pub(crate) tokens: Range<usize>,
    /// What follows, for the rows that go on.
    pub(crate) children: Vec<Self>,
}

/// Rows by their common beginnings: every row is the tokens of the nodes on one way down.
#[derive(Debug)]
pub(crate) struct PrefixTree {
    /// The rows, sorted by their tokens.
    pub(crate) order: Vec<usize>,
    /// Nodes that begin at the first token.
    pub(crate) roots: Vec<Node>,
}

impl PrefixTree {
    /// Finds what rows share; none of them is empty.
    pub(crate) fn new(rows: &[&[u32]]) -> Self {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|&row| (rows[row], row));
        let sorted: Vec<&[u32]> = order.iter().map(|&row| rows[row]).collect();
        let in_common = |pair: &[&[u32]]| pair[0].iter().zip(pair[1]).take_while(|(a, b)| a == b).count();
        let n_shared: Vec<usize> = sorted.windows(2).map(in_common).collect();
        let roots = match rows.is_empty() {
            true => Vec::new(),
            false => Builder { sorted: &sorted, n_shared: &n_shared }.nodes(0..sorted.len(), 0),
        };
        Self { order, roots }
    }
}

struct Builder<'a> {
    sorted: &'a [&'a [u32]],
    /// Tokens that each row has in common with the next.
    n_shared: &'a [usize],
}

impl Builder<'_> {
    /// The nodes of rows that are the same before `start`.
    fn nodes(&self, rows: Range<usize>, start: usize) -> Vec<Node> {
        let longest = self.sorted[rows.end - 1].len();
        let between = &self.n_shared[rows.start..rows.end - 1];
        let end = between.iter().copied().min().unwrap_or(longest);
        if end == longest {
            // All are the same; sorted, a row that others go on from would stand before them.
            let node = Node { rows, tokens: start..end, children: Vec::new() };
            return if start < end { vec![node] } else { Vec::new() };
        }
        let n_saved = (end - start) * (rows.len() - 1);
        let n_tokens: usize = self.sorted[rows.clone()].iter().map(|row| row.len() - start).sum();
        let is_worth = n_saved * WORTH >= n_tokens;
        let mut parts = Vec::new();
        let mut from = rows.start;
        for (idx, &n_shared) in between.iter().enumerate() {
            if n_shared == end {
                parts.push(from..rows.start + idx + 1);
                from = rows.start + idx + 1;
            }
        }
        parts.push(from..rows.end);
        let next = if is_worth { end } else { start };
        let below = parts.into_iter().flat_map(|part| self.nodes(part, next)).collect();
        if is_worth { vec![Node { rows, tokens: start..end, children: below }] } else { below }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows as the tree spells them.
    fn spelled(rows: &[&[u32]]) -> Vec<Vec<u32>> {
        fn walk(tree: &PrefixTree, nodes: &[Node], rows: &[&[u32]], found: &mut [Vec<u32>]) {
            for node in nodes {
                assert!(!node.tokens.is_empty());
                for &row in &tree.order[node.rows.clone()] {
                    if rows[row].len() > node.tokens.start {
                        assert_eq!(found[row].len(), node.tokens.start);
                        found[row].extend(&rows[row][node.tokens.clone()]);
                    }
                }
                walk(tree, &node.children, rows, found);
            }
        }
        let tree = PrefixTree::new(rows);
        let mut found = vec![Vec::new(); rows.len()];
        walk(&tree, &tree.roots, rows, &mut found);
        found
    }

    #[test]
    fn every_row_is_the_tokens_on_its_way() {
        let rows: [&[u32]; 9] = [
            &[1, 2, 3, 4],
            &[1, 2, 3],
            &[9],
            &[1, 2, 3, 5, 6],
            &[1, 2, 3, 4],
            &[1, 7],
            &[9, 9],
            &[1],
            &[8, 1, 2, 3],
        ];
        assert_eq!(spelled(&rows), rows.map(<[u32]>::to_vec));
    }

    #[test]
    fn what_is_shared_stands_once() {
        let rows: [&[u32]; 4] = [&[1, 2, 3, 4, 10], &[1, 2, 3, 4, 11], &[1, 2, 3, 5, 12], &[1, 2, 3, 5, 13]];
        let tree = PrefixTree::new(&rows);
        let [root] = &tree.roots[..] else { panic!("one root expected: {tree:?}") };
        assert_eq!((root.tokens.clone(), root.children.len()), (0..3, 2));
        assert_eq!(root.children[0].children.len(), 2);
    }

    #[test]
    fn a_short_common_beginning_is_not_worth_a_pass() {
        let rows: Vec<Vec<u32>> = (0..2).map(|row| [vec![1], vec![row + 2; 20]].concat()).collect();
        let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let tree = PrefixTree::new(&rows);
        assert_eq!(tree.roots.len(), 2);
        assert!(tree.roots.iter().all(|root| root.tokens == (0..21)));
        assert!(PrefixTree::new(&[]).roots.is_empty());
    }
}
