"""What people are shown of the token tree: columns, holders, a prompt's way through it."""

from __future__ import annotations

from array import array

import numpy as np
import pytest

from branchline.runtime.engine.inspection import view_path, view_tree
from branchline.runtime.memory.allocator import SlotAllocator
from branchline.runtime.radix_cache.tree import RadixCache
from branchline.runtime.views import PathQuery, TreeQuery


class Garden:
    """A cache that grows by prompts."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.cache = RadixCache(SlotAllocator(1_000), clock=lambda: self.now_s)

    def plant(self, *tokens: int, namespace: str = "") -> None:
        slots = self.cache.allocator.allocate(len(tokens))
        assert slots is not None
        present = self.cache.insert(namespace, np.array(tokens, np.int32), slots)
        self.cache.allocator.free(slots[:present])

    def hit(self, *tokens: int) -> None:
        match = self.cache.match_prefix("", np.array(tokens, np.int32))
        self.cache.count_hit(match.node)


@pytest.fixture
def garden() -> Garden:
    """Three prompts, two of which begin alike."""
    garden = Garden()
    garden.plant(1, 2, 3, 4)
    garden.plant(1, 2, 7)
    garden.plant(9)
    return garden


def test_nodes_come_as_columns_with_parents_first(garden: Garden) -> None:
    view = view_tree(garden.cache, [], "", TreeQuery())
    shown = {
        tuple(array("i", head)): (parent, size)
        for head, parent, size in zip(view.heads, view.parents, view.sizes, strict=True)
    }
    upper = [tuple(array("i", head)) for head in view.heads].index((1, 2))
    assert shown == {(1, 2): (-1, 2), (3, 4): (upper, 2), (7,): (upper, 1), (9,): (-1, 1)}
    assert all(parent < index for index, parent in enumerate(view.parents))


def test_a_hit_warms_the_whole_way_to_it(garden: Garden) -> None:
    garden.now_s += 5
    garden.hit(1, 2, 7)
    view = view_tree(garden.cache, [], "", TreeQuery())
    heat = {
        tuple(array("i", head)): (hits, idle_s)
        for head, hits, idle_s in zip(view.heads, view.hits, view.idle_s, strict=True)
    }
    assert heat == {(1, 2): (1, 0.0), (7,): (1, 0.0), (3, 4): (0, 5.0), (9,): (0, 5.0)}


def test_a_nodes_id_survives_its_split(garden: Garden) -> None:
    before = view_tree(garden.cache, [], "", TreeQuery())
    garden.plant(1, 5)
    after = view_tree(garden.cache, [], "", TreeQuery())
    place = [tuple(array("i", head)) for head in before.heads].index((1, 2))
    again = [tuple(array("i", head)) for head in after.heads].index((1,))
    assert before.ids[place] == after.ids[again]
    assert len(set(after.ids)) == len(after.ids)


def test_another_namespace_is_counted_but_not_shown(garden: Garden) -> None:
    garden.plant(42, 43, namespace="other")
    view = view_tree(garden.cache, [], "", TreeQuery())
    assert 42 not in [array("i", head)[0] for head in view.heads]
    assert (len(view.ids), view.num_nodes) == (4, 5)
    assert view_tree(garden.cache, [], "nobody", TreeQuery()).ids == []


def test_of_a_big_tree_the_nodes_nearest_to_the_root_are_shown(garden: Garden) -> None:
    view = view_tree(garden.cache, [], "", TreeQuery(max_nodes=2))
    assert (view.parents, view.truncated) == ([-1, -1], True)


def test_heads_are_cut_to_what_was_asked_for(garden: Garden) -> None:
    view = view_tree(garden.cache, [], "", TreeQuery(head_tokens=1))
    assert {tuple(array("i", head)) for head in view.heads} == {(1,), (3,), (7,), (9,)}


def test_a_prompts_way_shows_where_others_left_it(garden: Garden) -> None:
    tokens = array("i", [1, 2, 3, 4, 8]).tobytes()
    view = view_path(garden.cache, "", PathQuery(tokens, num_cached=2))
    assert [segment.size for segment in view.segments] == [2, 2]
    assert [array("i", other.head).tolist() for other in view.siblings] == [[7]]


def test_a_prompt_that_ends_inside_a_node_is_followed_that_far(garden: Garden) -> None:
    view = view_path(garden.cache, "", PathQuery(array("i", [1, 2, 3]).tobytes(), num_cached=3))
    assert [segment.size for segment in view.segments] == [2, 1]
    assert view.siblings == []


def test_a_prompt_that_begins_like_nothing_sees_all_beginnings(garden: Garden) -> None:
    view = view_path(garden.cache, "", PathQuery(array("i", [5]).tobytes(), num_cached=0))
    assert (view.segments, view.num_siblings) == ([], 2)


def test_looking_does_not_change_what_is_evicted_next(garden: Garden) -> None:
    view_path(garden.cache, "", PathQuery(array("i", [1, 2, 3, 4]).tobytes(), num_cached=2))
    view_tree(garden.cache, [], "", TreeQuery())
    garden.cache.evict(2)
    left = view_tree(garden.cache, [], "", TreeQuery())
    assert {tuple(array("i", head)) for head in left.heads} == {(1, 2), (7,), (9,)}
