//! A persistent ordered map that also counts: cheap to copy, and it knows ranks.
//!
//! A queue actor decides on a copy of its document and keeps the copy only when the store took the
//! change, and a caller wants to know its position among 100,000. So: copying is O(1) (subtrees are
//! shared), every change and the rank of a key are O(log n). No library has both.
//!
//! It is a weight-balanced tree: J. Nievergelt and E. Reingold, "Binary search trees of bounded
//! balance" (1973), with the parameters ⟨3, 2⟩ proved right by Y. Hirai and K. Yamamoto,
//! "Balancing weight-balanced trees" (2011).

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// A subtree may weigh at most this many times its sibling.
const DELTA: u32 = 3;
/// From this ratio of the inner to the outer grandchild on, one rotation is not enough.
const GAMMA: u32 = 2;

type Link<K, V> = Option<Arc<Node<K, V>>>;

#[derive(Clone)]
struct Node<K, V> {
    key: K,
    value: V,
    size: u32,
    left: Link<K, V>,
    right: Link<K, V>,
}

/// A persistent map ordered by key, at most 2^31 entries.
pub struct OrdMap<K, V> {
    root: Link<K, V>,
}

impl<K, V> Clone for OrdMap<K, V> {
    fn clone(&self) -> Self {
        Self { root: self.root.clone() }
    }
}

impl<K, V> Default for OrdMap<K, V> {
    fn default() -> Self {
        Self { root: None }
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for OrdMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for OrdMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

fn size<K, V>(link: &Link<K, V>) -> u32 {
    link.as_ref().map_or(0, |node| node.size)
}

fn weight<K, V>(link: &Link<K, V>) -> u32 {
    size(link) + 1
}

impl<K, V> OrdMap<K, V> {
    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        size(&self.root) as usize
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// All entries in order.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, K, V> {
        let mut iter = Iter { path: Vec::new() };
        iter.descend(&self.root);
        iter
    }

    /// The entry with the smallest key.
    #[must_use]
    pub fn first(&self) -> Option<(&K, &V)> {
        let mut node = self.root.as_deref()?;
        while let Some(left) = node.left.as_deref() {
            node = left;
        }
        Some((&node.key, &node.value))
    }
}

impl<K: Ord, V> OrdMap<K, V> {
    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        let mut link = &self.root;
        while let Some(node) = link {
            link = match key.cmp(&node.key) {
                Ordering::Less => &node.left,
                Ordering::Greater => &node.right,
                Ordering::Equal => return Some(&node.value),
            };
        }
        None
    }

    /// How many keys are smaller than this one.
    pub fn rank(&self, key: &K) -> usize {
        let mut link = &self.root;
        let mut before = 0;
        while let Some(node) = link {
            link = match key.cmp(&node.key) {
                Ordering::Less => &node.left,
                Ordering::Equal => return (before + size(&node.left)) as usize,
                Ordering::Greater => {
                    before += size(&node.left) + 1;
                    &node.right
                }
            };
        }
        before as usize
    }

    /// The entries from this key on, in order.
    pub fn iter_from(&self, key: &K) -> Iter<'_, K, V> {
        let mut iter = Iter { path: Vec::new() };
        let mut link = &self.root;
        while let Some(node) = link {
            link = match key.cmp(&node.key) {
                Ordering::Greater => &node.right,
                Ordering::Less => {
                    iter.path.push(node);
                    &node.left
                }
                Ordering::Equal => {
                    iter.path.push(node);
                    break;
                }
            };
        }
        iter
    }
}

impl<K: Ord + Clone, V: Clone> OrdMap<K, V> {
    /// Sets a key's value and returns the old one.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        insert(&mut self.root, key, value)
    }

    /// Removes a key and returns its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        // A miss must not copy the path down to where the key is not.
        self.get(key)?;
        remove(&mut self.root, key)
    }
}

fn insert<K: Ord + Clone, V: Clone>(link: &mut Link<K, V>, key: K, value: V) -> Option<V> {
    let Some(node) = link else {
        *link = Some(Arc::new(Node { key, value, size: 1, left: None, right: None }));
        return None;
    };
    let node = Arc::make_mut(node);
    let old = match key.cmp(&node.key) {
        Ordering::Less => insert(&mut node.left, key, value),
        Ordering::Greater => insert(&mut node.right, key, value),
        Ordering::Equal => Some(std::mem::replace(&mut node.value, value)),
    };
    if old.is_none() {
        node.size += 1;
        rebalance(link);
    }
    old
}

fn remove<K: Ord + Clone, V: Clone>(link: &mut Link<K, V>, key: &K) -> Option<V> {
    let node = Arc::make_mut(link.as_mut()?);
    let old = match key.cmp(&node.key) {
        Ordering::Less => remove(&mut node.left, key)?,
        Ordering::Greater => remove(&mut node.right, key)?,
        Ordering::Equal => {
            // The heavier side gives the successor, so balance suffers least.
            let heir = if size(&node.left) > size(&node.right) {
                pop(&mut node.left, Side::Last)
            } else {
                pop(&mut node.right, Side::First)
            };
            let Some((key, value)) = heir else {
                return link.take().map(|node| node.value.clone());
            };
            node.key = key;
            std::mem::replace(&mut node.value, value)
        }
    };
    node.size -= 1;
    rebalance(link);
    Some(old)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    First,
    Last,
}

fn pop<K: Ord + Clone, V: Clone>(link: &mut Link<K, V>, side: Side) -> Option<(K, V)> {
    let node = Arc::make_mut(link.as_mut()?);
    let inner = if side == Side::First { &mut node.left } else { &mut node.right };
    let popped = match pop(inner, side) {
        Some(popped) => popped,
        None => {
            let popped = (node.key.clone(), node.value.clone());
            *link = if side == Side::First { node.right.take() } else { node.left.take() };
            return Some(popped);
        }
    };
    node.size -= 1;
    rebalance(link);
    Some(popped)
}

fn rebalance<K: Ord + Clone, V: Clone>(link: &mut Link<K, V>) {
    let Some(node) = link else { return };
    if weight(&node.right) > DELTA * weight(&node.left) {
        let node = Arc::make_mut(node);
        if node.right.as_ref().is_some_and(|r| weight(&r.left) >= GAMMA * weight(&r.right)) {
            rotate(&mut node.right, Side::Last);
        }
        rotate(link, Side::First);
    } else if weight(&node.left) > DELTA * weight(&node.right) {
        let node = Arc::make_mut(node);
        if node.left.as_ref().is_some_and(|l| weight(&l.right) >= GAMMA * weight(&l.left)) {
            rotate(&mut node.left, Side::First);
        }
        rotate(link, Side::Last);
    }
}

/// Turns a node down towards the given side: `First` lifts its right child, `Last` its left.
fn rotate<K: Ord + Clone, V: Clone>(link: &mut Link<K, V>, down: Side) {
    let Some(mut lower) = link.take() else { return };
    let node = Arc::make_mut(&mut lower);
    let child = if down == Side::First { &mut node.right } else { &mut node.left };
    let Some(mut upper) = child.take() else {
        *link = Some(lower);
        return;
    };
    let raised = Arc::make_mut(&mut upper);
    let middle = if down == Side::First { &mut raised.left } else { &mut raised.right };
    *child = middle.take();
    let total = node.size;
    node.size = size(&node.left) + size(&node.right) + 1;
    *middle = Some(lower);
    raised.size = total;
    *link = Some(upper);
}

/// Entries in order.
pub struct Iter<'a, K, V> {
    path: Vec<&'a Node<K, V>>,
}

impl<'a, K, V> Iter<'a, K, V> {
    fn descend(&mut self, mut link: &'a Link<K, V>) {
        while let Some(node) = link {
            self.path.push(node);
            link = &node.left;
        }
    }
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        let node = self.path.pop()?;
        self.descend(&node.right);
        Some((&node.key, &node.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Height bound of a balanced tree, order and sizes; returns the size.
    fn check(link: &Link<u16, u32>, low: Option<u16>, high: Option<u16>) -> u32 {
        let Some(node) = link else { return 0 };
        assert!(low.is_none_or(|low| low < node.key) && high.is_none_or(|high| node.key < high));
        let left = check(&node.left, low, Some(node.key));
        let right = check(&node.right, Some(node.key), high);
        assert_eq!(node.size, left + right + 1);
        let heavy = left.max(right) + 1;
        assert!(heavy <= DELTA * (left.min(right) + 1), "{left} {right}");
        node.size
    }

    proptest! {
        #[test]
        fn behaves_like_a_btreemap(steps in prop::collection::vec((any::<bool>(), 0u16..200, any::<u32>()), 0..600)) {
            let mut model = BTreeMap::new();
            let mut map = OrdMap::default();
            for (put, key, value) in steps {
                let before = map.clone();
                let unchanged = model.clone();
                if put {
                    prop_assert_eq!(map.insert(key, value), model.insert(key, value));
                } else {
                    prop_assert_eq!(map.remove(&key), model.remove(&key));
                }
                check(&map.root, None, None);
                prop_assert!(before.iter().eq(unchanged.iter()), "a copy must not change");
                prop_assert_eq!(map.len(), model.len());
                prop_assert_eq!(map.first(), model.first_key_value());
                prop_assert_eq!(map.get(&key), model.get(&key));
                prop_assert_eq!(map.rank(&key), model.range(..key).count());
                prop_assert!(map.iter_from(&key).eq(model.range(key..)));
            }
            prop_assert!(map.iter().eq(model.iter()));
        }
    }

    #[test]
    fn stays_balanced_when_filled_in_order_and_emptied_from_the_front() {
        let mut map = OrdMap::default();
        for key in 0..5000u16 {
            map.insert(key, 0);
        }
        check(&map.root, None, None);
        for key in 0..4900u16 {
            assert_eq!(map.first().map(|(key, _)| *key), Some(key));
            map.remove(&key);
        }
        assert_eq!(check(&map.root, None, None), 100);
    }
}
