"""Pieces in files: written aside, found again, never trusted when they were damaged."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from branchline.runtime.radix_cache.disk_tier import DiskTier, Piece
from branchline.runtime.radix_cache.host_tier import HostTier

MODEL = "model-a"


def piece(first: int, length: int = 8) -> Piece:
    tokens = np.arange(first, first + length, dtype=np.int32)
    return Piece(
        tokens.tobytes(), {"0": torch.arange(first, first + 2 * length).view(2, length, 1)}
    )


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def same(found: Piece | None, expected: Piece) -> bool:
    return (
        found is not None
        and found.tokens == expected.tokens
        and found.kv.keys() == expected.kv.keys()
        and all(torch.equal(found.kv[name], tensor) for name, tensor in expected.kv.items())
    )


def written(folder: Path, count: int = 1, max_bytes: int = 10_000) -> DiskTier:
    tier = DiskTier(folder, max_bytes, MODEL)
    for number in range(count):
        tier.put("", key(number), piece(100 * number))
    tier.wait()
    return tier


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_piece_can_be_read_before_and_after_it_is_written(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path, 10_000, MODEL)
    tier.put("", key(1), piece(5))
    assert same(tier.read(key(1)), piece(5))
    tier.wait()
    assert len(files(tmp_path)) == 1
    assert same(tier.read(key(1)), piece(5))
    assert tier.tokens(key(1)) == piece(5).tokens


def test_a_later_process_finds_what_an_earlier_one_left(tmp_path: Path) -> None:
    written(tmp_path, 3)
    later = DiskTier(tmp_path, 10_000, MODEL)
    assert all(same(later.read(key(number)), piece(100 * number)) for number in range(3))


def test_another_model_finds_nothing(tmp_path: Path) -> None:
    written(tmp_path)
    assert DiskTier(tmp_path, 10_000, "model-b").read(key(0)) is None


def test_a_longer_piece_takes_the_place_of_a_shorter_one_and_not_the_other_way(
    tmp_path: Path,
) -> None:
    tier = written(tmp_path)
    tier.put("", key(0), piece(0, 12))
    tier.put("", key(0), piece(0, 4))
    tier.wait()
    assert same(tier.read(key(0)), piece(0, 12))
    assert same(DiskTier(tmp_path, 10_000, MODEL).read(key(0)), piece(0, 12))


def test_the_least_recently_used_give_way_when_there_is_no_room(tmp_path: Path) -> None:
    size = 8 * 4 + 16 * 8
    tier = DiskTier(tmp_path, 3 * size, MODEL)
    for number in range(5):
        tier.put("", key(number), piece(100 * number))
        tier.read(key(0))
    tier.wait()
    assert [tier.tokens(key(number)) is not None for number in range(5)] == [
        *(True, False, False, True, True)
    ]
    assert len(files(tmp_path)) == 3
    assert tier.num_bytes == 3 * size


def test_others_do_not_drive_out_what_a_quota_holds_not_even_after_a_restart(
    tmp_path: Path,
) -> None:
    size = 400 * 4 + 2 * 400 * 8  # of a piece, without what a file adds
    for start in (0, 10):
        tier = DiskTier(tmp_path, 9 * size // 2, MODEL, {"ours": 2 * size})
        if not start:
            for number in range(3):
                tier.put("ours", key(number), piece(1_000 * number, 400))
        for number in range(start + 3, start + 9):
            tier.put("other", key(number), piece(1_000 * number, 400))
        tier.wait()
        assert [tier.tokens(key(number)) is not None for number in range(3)] == [
            *(False, True, True)
        ]
    assert len(files(tmp_path)) == 4


def test_what_is_larger_than_all_room_is_not_kept(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path, 100, MODEL)
    tier.put("", key(0), piece(0))
    assert tier.read(key(0)) is None
    assert tier.num_bytes == 0


def test_forgetting_everything_leaves_no_file(tmp_path: Path) -> None:
    tier = written(tmp_path, 4)
    tier.put("", key(9), piece(900))
    tier.clear()
    tier.wait()
    assert files(tmp_path) == []
    assert tier.read(key(9)) is None


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_file_is_as_if_it_had_never_been(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    tier = written(tmp_path)
    [file] = files(tmp_path)
    data = bytearray(file.read_bytes())
    if seed % 2:
        del data[rng.randrange(len(data)) :]
    else:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    file.write_bytes(data)
    assert tier.read(key(0)) is None
    assert tier.tokens(key(0)) is None
    file.write_bytes(data)
    assert DiskTier(tmp_path, 10_000, MODEL).read(key(0)) is None


def test_a_file_that_is_gone_is_as_if_it_had_never_been(tmp_path: Path) -> None:
    tier = written(tmp_path)
    files(tmp_path)[0].unlink()
    assert tier.read(key(0)) is None
    assert tier.num_bytes == 0


def test_a_file_that_was_half_written_is_removed_at_the_next_start(tmp_path: Path) -> None:
    written(tmp_path)
    [file] = files(tmp_path)
    (file.parent / f"{file.stem}.123").write_bytes(b"half")
    DiskTier(tmp_path, 10_000, MODEL)
    assert files(tmp_path) == [file]


def test_others_cannot_look_into_the_folder(tmp_path: Path) -> None:
    written(tmp_path / "cache")
    [file] = files(tmp_path)
    assert file.parent.stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_made_is_an_error_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(OSError, match="taken"):
        DiskTier(tmp_path / "taken", 10_000, MODEL)


def test_a_piece_too_large_for_the_memory_above_drives_nothing_out_of_it(tmp_path: Path) -> None:
    def read_kv(slots: np.ndarray) -> dict[str, torch.Tensor]:
        return {"0": torch.zeros(1, len(slots), 1)}

    tier = HostTier(10, read_kv, lambda slots, kv: None, DiskTier(tmp_path, 10_000, MODEL))
    small, large = np.arange(8, dtype=np.int32), np.arange(100, 120, dtype=np.int32)
    tier.take("", small.tobytes(), 0, np.arange(8))
    tier.take("", large.tobytes(), 0, np.arange(20))
    assert tier.num_tokens == 8
    assert [tier.num_next("", tokens, 0) for tokens in (small, large)] == [8, 20]
