"""Whatever damage `check` finds, `repair` undoes it and harms nobody who has no part in it."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import pytest

from branchline.runtime.memory.allocator import SlotAllocator
from branchline.runtime.radix_cache.check import InvariantError, check
from branchline.runtime.radix_cache.node import Node
from branchline.runtime.radix_cache.order import is_valid
from branchline.runtime.radix_cache.repair import repair
from branchline.runtime.radix_cache.tree import RadixCache


@dataclass(eq=False)
class Runner:
    node: Node
    slots: np.ndarray
    num_leased: int

    def own_slots(self) -> np.ndarray:
        return self.slots[self.num_leased :]


class Scene:
    """A tree with four branches below one trunk, and three sequences that run on it."""

    def __init__(self) -> None:
        self.cache = RadixCache(SlotAllocator(64))
        for branch in range(4):
            self.put([1, 2, 3, 10 + branch, 20, 21])
        self.runners = [self.run([1, 2, 3, 10 + branch, 20], 3) for branch in range(3)]
        self.check()

    def put(self, tokens: list[int]) -> None:
        ids = np.array(tokens, np.int32)
        old = self.cache.match_prefix("", ids).slots
        new = self.cache.allocator.allocate(len(ids) - len(old))
        assert new is not None
        self.cache.insert("", ids, np.concatenate([old, new]))

    def run(self, tokens: list[int], num_own: int) -> Runner:
        match = self.cache.match_prefix("", np.array(tokens, np.int32))
        self.cache.lock(match.node)
        own = self.cache.allocator.allocate(num_own)
        assert own is not None
        return Runner(match.node, np.concatenate([match.slots, own]), len(match.slots))

    def check(self) -> None:
        leases = [runner.node for runner in self.runners]
        check(self.cache, [runner.own_slots() for runner in self.runners], leases)

    def leaf(self, branch: int) -> Node:
        ids = np.array([1, 2, 3, 10 + branch, 20, 21], np.int32)
        return self.cache.match_prefix("", ids).node


def lost_slots(scene: Scene) -> None:
    scene.cache.allocator.allocate(5)


def a_freed_slot_that_is_still_owned(scene: Scene) -> None:
    scene.cache.allocator.free(scene.runners[0].own_slots()[:1])


def two_sequences_with_one_slot(scene: Scene) -> None:
    scene.runners[0].slots[-1] = scene.runners[1].slots[-1]


def a_slot_of_the_tree_in_a_sequence(scene: Scene) -> None:
    scene.runners[0].slots[-1] = scene.leaf(3).slots[-1]


def a_node_with_a_slot_outside_of_the_pool(scene: Scene) -> None:
    scene.leaf(3).slots[-1] = 1_000


def a_node_with_fewer_slots_than_tokens(scene: Scene) -> None:
    leaf = scene.leaf(3)
    leaf.slots = leaf.slots[:-1]


def a_lease_too_few(scene: Scene) -> None:
    scene.runners[0].node.refs -= 1


def a_lease_too_many(scene: Scene) -> None:
    scene.leaf(3).refs += 1


def a_wrong_tally(scene: Scene) -> None:
    scene.cache.order.common.num_evictable += 3
    scene.cache.num_tokens += 1


def a_forgotten_place_in_the_order(scene: Scene) -> None:
    scene.cache.order.common.leaves.clear()


def a_node_under_the_wrong_token(scene: Scene) -> None:
    children = next(iter(scene.cache.roots.values())).children
    children[99] = children.pop(1)


def a_sequence_whose_node_left_the_tree(scene: Scene) -> None:
    node = scene.runners[0].node
    assert node.parent is not None
    del node.parent.children[node.first_token]


# What each damage may cost at most, in sequences.
DAMAGE = {
    lost_slots: 0,
    a_freed_slot_that_is_still_owned: 1,
    two_sequences_with_one_slot: 2,
    a_slot_of_the_tree_in_a_sequence: 1,
    a_node_with_a_slot_outside_of_the_pool: 0,
    a_node_with_fewer_slots_than_tokens: 0,
    a_lease_too_few: 0,
    a_lease_too_many: 0,
    a_wrong_tally: 0,
    a_forgotten_place_in_the_order: 0,
    a_node_under_the_wrong_token: 3,
    a_sequence_whose_node_left_the_tree: 1,
}


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_damage_is_repaired_and_costs_only_those_who_have_part_in_it(damage) -> None:  # type: ignore[no-untyped-def]
    scene = Scene()
    damage(scene)
    with pytest.raises(InvariantError):
        scene.check()
    done = repair(scene.cache, scene.runners)
    assert len(done.blamed) == DAMAGE[damage]
    scene.runners = [runner for runner in scene.runners if runner not in done.blamed]
    scene.check()
    for runner in scene.runners:
        scene.cache.unlock(runner.node)
        scene.cache.allocator.free(runner.own_slots())
    scene.cache.flush()
    assert scene.cache.allocator.num_free == 64


def going_order(scene: Scene) -> list[Node]:
    """The leaves in the order in which they would be evicted."""
    leaves = [entry for entry in scene.cache.order.common.leaves if is_valid(entry)]
    return [node for _, _, node in sorted(leaves)]


def test_a_sound_cache_stays_as_it_is() -> None:
    scene = Scene()
    order = going_order(scene)
    done = repair(scene.cache, scene.runners)
    assert (done.blamed, done.num_cut, done.num_regained) == ([], 0, 0)
    assert going_order(scene) == order
    scene.check()


@pytest.mark.parametrize("seed", range(30))
def test_several_random_damages_at_once_are_repaired(seed: int) -> None:
    rng = random.Random(seed)
    scene = Scene()
    for damage in rng.sample(list(DAMAGE), 3):
        try:
            damage(scene)
        except (AssertionError, RuntimeError, LookupError):
            continue  # one damage can leave no object for the next
    done = repair(scene.cache, scene.runners)
    scene.runners = [runner for runner in scene.runners if runner not in done.blamed]
    scene.check()
