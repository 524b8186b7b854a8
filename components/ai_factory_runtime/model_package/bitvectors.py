"""Bitvectors: boosted trees answered for a hundred rows at a time, by whole-array operations in place of walks.

QuickScorer (Lucchese et al., SIGIR 2015): the leaves of a tree, from left to right, are the bits of a word. A test that a row
fails rules out the leaves on its left; of the bits that are left the lowest is the row's leaf. Here the words of all tests of a
feature are combined beforehand for each place that a value can have among the feature's thresholds, so a row costs one line
of a table and one `and` for each feature, whatever the trees' depth. Sums may differ from a walk's in their last bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ai_factory_runtime.data.rows import Floats

MOST_LEAVES = 64
MOST_BYTES = 16 * 1024 * 1024  # of all tables; larger ones leave the processor's cache, and the walk is quicker
_LEAF, _NUMERICAL, _AT_MOST = 0, 1, 3  # treelite's node types, and its operator <=

Words = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Feature:
    """The words of a feature by the place of a value: `words[i]` where i thresholds are below it, the last for a missing one."""

    column: int
    thresholds: Floats
    words: Words


@dataclass(frozen=True, slots=True)
class _Test:
    """A test `value <= threshold` of one tree; `word` has the bits that stay where it fails."""

    tree: int
    feature: int
    threshold: float
    missing_fails: bool
    word: int


def make_bitvectors(forest: Any) -> Callable[[Floats], Floats] | None:
    """What sums up the trees of a treelite model: (rows, features) -> (rows, outputs). It may be called from any thread.

    None where the model is none of summed trees of at most MOST_LEAVES leaves with tests on numbers, or too large.
    """
    header = forest.get_header_accessor()
    if header.get_field("average_tree_output")[0] or header.get_field("leaf_vector_shape").tolist() != [1, 1]:
        return None
    trees = [forest.get_tree_accessor(i) for i in range(forest.num_tree)]
    leaves = [int((tree.get_field("node_type") == _LEAF).sum()) for tree in trees]
    tests = [t for i, tree in enumerate(trees) if leaves[i] <= MOST_LEAVES for t in _tests(i, tree)]
    if max(leaves) > MOST_LEAVES or sum(leaves) - len(leaves) > len(tests):
        return None
    kind = np.uint32 if max(leaves) <= 32 else np.uint64
    if (len(tests) + 2 * forest.num_feature) * len(trees) * np.dtype(kind).itemsize > MOST_BYTES:
        return None
    features = [_feature(f, [t for t in tests if t.feature == f], len(trees), kind) for f in range(forest.num_feature)]
    values = np.zeros((len(trees), max(leaves)))
    for i, tree in enumerate(trees):
        values[i, : leaves[i]] = tree.get_field("leaf_value")[_leaves(tree)]
    outputs = np.eye(header.get_field("base_scores").size)[header.get_field("class_id")]
    return _summing([f for f in features if f.thresholds.size], values, outputs, header.get_field("base_scores"), kind)


def _summing(
    features: list[_Feature], values: Floats, outputs: Floats, base: Floats, kind: type[Any]
) -> Callable[[Floats], Floats]:
    flat, starts, one = values.ravel(), np.arange(len(values)) * values.shape[1], kind(1)

    def total(matrix: Floats) -> Floats:
        left = np.full((len(matrix), len(values)), np.iinfo(kind).max, dtype=kind)
        words, columns = np.empty_like(left), np.ascontiguousarray(matrix.T)
        missing = np.isnan(columns)
        some_missing = np.asarray(missing.any(axis=1))
        for feature in features:
            places = feature.thresholds.searchsorted(columns[feature.column])
            if some_missing[feature.column]:
                places[missing[feature.column]] = len(feature.thresholds) + 1
            feature.words.take(places, axis=0, out=words, mode="clip")
            left &= words
        lowest = left & (~left + one)
        leaf = (lowest.astype(np.float64).view(np.int64) >> 52) - 1023  # the exponent of a power of two
        leaf += starts
        return np.asarray(flat.take(leaf) @ outputs + base)

    return total


def _feature(column: int, tests: list[_Test], trees: int, kind: type[Any]) -> _Feature:
    """The words of one feature, those of its tests combined for each place among their thresholds."""
    thresholds = np.unique(np.array([t.threshold for t in tests], dtype=np.float64))
    words = np.full((len(thresholds) + 2, trees), np.iinfo(kind).max, dtype=kind)
    for test, place in zip(tests, np.searchsorted(thresholds, [t.threshold for t in tests]), strict=True):
        words[place + 1, test.tree] &= kind(test.word & int(np.iinfo(kind).max))
    np.bitwise_and.accumulate(words[:-1], axis=0, out=words[:-1])
    words[-1] = np.iinfo(kind).max
    for test in tests:
        if test.missing_fails:
            words[-1, test.tree] &= kind(test.word & int(np.iinfo(kind).max))
    return _Feature(column, thresholds, words)


def _tests(number: int, tree: Any) -> Iterator[_Test]:
    """The tests of a tree; one that is no `<=` on a number is left out."""
    left, types, cmp = (tree.get_field(name) for name in ("cleft", "node_type", "cmp"))
    split, threshold, default = (tree.get_field(name) for name in ("split_index", "threshold", "default_left"))
    place = {node: i for i, node in enumerate(_leaves(tree))}
    for node in np.flatnonzero((types == _NUMERICAL) & (cmp == _AT_MOST)):
        ruled_out = sum(1 << place[leaf] for leaf in _leaves(tree, int(left[node])))
        yield _Test(number, int(split[node]), float(threshold[node]), not default[node], ~ruled_out)


def _leaves(tree: Any, below: int = 0) -> list[int]:
    """The leaves below a node, from left to right."""
    left, right, found, waiting = tree.get_field("cleft"), tree.get_field("cright"), [], [below]
    while waiting:
        node = waiting.pop()
        if left[node] < 0:
            found.append(node)
        else:
            waiting += [int(right[node]), int(left[node])]
    return found
