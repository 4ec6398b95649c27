"""Sets of characters: the classes of Python's re, character by character."""

from __future__ import annotations

from branchline.runtime.constrained import charset


def members(ranges: charset.CharSet) -> set[int]:
    return {code for low, high in ranges for code in range(low, high + 1)}


def test_unicode_s_classes_are_those_of_its_characters():
    codes = [code for low, high in charset.ALL for code in range(low, high + 1)]
    digit, word, space = charset.unicode_classes()
    assert members(digit) == {code for code in codes if chr(code).isdecimal()}
    assert members(word) == {code for code in codes if chr(code).isalnum() or chr(code) == "_"}
    assert members(space) == {code for code in codes if chr(code).isspace()} | {0xFEFF}
