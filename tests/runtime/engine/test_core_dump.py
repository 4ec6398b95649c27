"""The tree told to people: text, hits, owners, ages."""

from __future__ import annotations

from world import World

from branchline.runtime.engine.process import execute
from branchline.runtime.engine_protocol import EngineDump, EngineDumped

TRUNK = [5, 9, 2, 7, 7, 1, 30, 12]


def two_branches() -> World:
    world = World()
    for last in (20, 21):
        world.submit([*TRUNK, last, last + 10], 0)
        world.run()
    return world


def test_a_dump_tells_text_hits_depth_and_parents_before_children() -> None:
    world = two_branches()
    trunk, *branches = world.core.dump_tree()
    assert trunk.text == world.tokenizer.decode(TRUNK)
    assert (trunk.parent, trunk.depth, trunk.num_tokens, trunk.hits) == (None, 0, 8, 1)
    assert {node.parent for node in branches} == {trunk.id}
    assert [(node.depth, node.num_tokens, node.hits) for node in branches] == [(8, 2, 0)] * 2


def test_a_dump_names_the_running_sequences_that_hold_a_prefix() -> None:
    world = two_branches()
    heard = world.submit([*TRUNK, 40, 41], 9, ignore_eos=True)
    world.step()
    owned = [node for node in world.core.dump_tree() if node.owners]
    assert [node.owners for node in owned] == [[heard.submit.sid]]
    assert all(node.leased and node.age_s == 0 for node in owned)


def test_ages_count_from_the_last_use() -> None:
    world = two_branches()
    now = world.core.cache.clock()
    world.core.cache.clock = lambda: now + 100
    assert min(node.age_s for node in world.core.dump_tree()) >= 99


def test_a_dump_with_little_room_says_what_it_left_out() -> None:
    world = two_branches()
    (trunk,) = world.core.dump_tree(max_nodes=1, max_chars=3)
    assert trunk.num_left_out == 2
    assert len(trunk.text) == 3


def test_the_engine_process_answers_with_the_dump() -> None:
    world = two_branches()
    answer = execute(world.core, EngineDump(seq=4))
    assert isinstance(answer, EngineDumped)
    assert (answer.seq, answer.num_nodes, answer.num_tokens) == (4, 3, 12)
    assert len(answer.nodes) == 3
