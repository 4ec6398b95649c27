"""The model's tokenizer; loaded from a model directory by the front and the engine process.

Prompts come in parts: token ids, the template's own markup, and everybody else's text. Control
tokens are recognised in markup only; the same characters in other text are spelled with
ordinary tokens, so that no document can end a turn or open a tool call.
"""

from __future__ import annotations

import json
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import tokenizers

from ..errors import RequestError
from ..protocol import Part, Text, Tokens
from ..reasoning import reasoning_tags
from .coders import TokenizerError, build_coder, without_controls, without_prefixes
from .roles import ChatMarkup, separate
from .sandbox import TemplateError
from .template import ChatTemplate, RoleMarkup
from .token_bytes import build_token_bytes
from .token_ids import TokenIds, token_ids
from .tools import render_tool_call

# 0.4 ms of encoding.
_LONG_CHARS = 1_000
_NAMED_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token")


class Tokenizer:
    """Text to ids, ids to bytes and text.

    vocab_size: one more than the highest id that has a token.
    token_bytes: the exact bytes of each id, empty for special tokens.
    special_ids: special tokens, left out of text by default.
    control_ids: all added tokens, special or not, that are not mere whitespace; user text never
    encodes to one, and a grammar never allows one.
    eos_ids: every token that ends a generation.
    """

    def __init__(
        self,
        spec: dict[str, Any],
        *,
        eos_ids: tuple[int, ...] = (),
        eos_token: str | None = None,
        template: str | None = None,
        named_tokens: dict[str, str] | None = None,
        encodes: bool = True,
    ) -> None:
        # Seldom looked at, and as objects twenty times as large.
        self._source = zlib.compress(json.dumps(spec).encode(), 1)
        if encodes:
            self.prepare()
        vocab, added = token_ids(spec) or self._known_tokens()
        contents = {index: content for index, (content, _) in added.items()}
        self.special_ids = frozenset(index for index, (_, special) in added.items() if special)
        self.control_ids = frozenset(index for index, text in contents.items() if text.strip())
        try:
            self.token_bytes = build_token_bytes(spec, vocab, contents, self.special_ids)
        except ValueError as error:
            raise TokenizerError(str(error)) from None
        self.vocab_size = len(self.token_bytes)
        unk = (spec.get("model") or {}).get("unk_token")
        self._unk_id = vocab.get(unk) if isinstance(unk, str) else None
        # By whether control tokens are skipped: what streams have met of tokens that are whole
        # characters.
        self.whole_texts: dict[bool, dict[int, str]] = {True: {}, False: {}}
        self._texts = {index: contents[index].encode() for index in self.special_ids}
        if eos_token is not None and eos_token in vocab:
            eos_ids = (*eos_ids, vocab[eos_token])
        self.eos_ids = tuple(dict.fromkeys(index for index in eos_ids if index < self.vocab_size))
        self._puts_space = without_prefixes(spec) != spec
        self._named_tokens = named_tokens or {}
        self._template_source = template
        first = '"prepend_scheme": "first"'
        self._spaces_first_only = first in json.dumps(spec.get("pre_tokenizer"))

    @cached_property
    def _tokenizer(self) -> tokenizers.Tokenizer:
        """The library's, which encodes; of 150,000 tokens it takes 36 MB and 0.2 s."""
        return build_coder(self._spec())

    def prepare(self) -> None:
        """Make now what encoding needs. Raises TokenizerError where the library cannot read it."""
        _ = self._tokenizer

    def _known_tokens(self) -> TokenIds:
        """What `token_ids` finds, as the library says it."""
        added = self._tokenizer.get_added_tokens_decoder()
        contents = {index: (token.content, token.special) for index, token in added.items()}
        return self._tokenizer.get_vocab(with_added_tokens=True), contents

    @cached_property
    def _start_ids(self) -> list[int]:
        """What the post-processor puts first."""
        with_start = self._tokenizer.encode("", add_special_tokens=True).ids
        return [index for index in with_start if index not in self.eos_ids]

    @classmethod
    def load(cls, model_dir: str | Path, *, encodes: bool = True) -> Tokenizer:
        """Read tokenizer.json and what stands beside it. encodes: now, or only when `prepare` is
        called. Raises TokenizerError."""
        folder = Path(model_dir)
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise TokenizerError(f"{folder} has no tokenizer.json; a Hugging Face model folder has")
        config = _read_json(folder / "tokenizer_config.json")
        eos_ids: list[int] = []
        for name in ("generation_config.json", "config.json"):
            value = _read_json(folder / name).get("eos_token_id")
            values = value if isinstance(value, list) else [value]
            eos_ids += [item for item in values if isinstance(item, int)]
        named = {name: _content(config.get(name)) for name in _NAMED_TOKENS}
        template = folder / "chat_template.jinja"
        source = template.read_text("utf-8") if template.is_file() else config.get("chat_template")
        if isinstance(source, list):  # several named templates
            source = {entry["name"]: entry["template"] for entry in source}.get("default")
        return cls(
            _read_json(path),
            eos_ids=tuple(eos_ids),
            eos_token=named["eos_token"],
            template=source,
            named_tokens={name: text for name, text in named.items() if text is not None},
            encodes=encodes,
        )

    # --- encoding ---------------------------------------------------------------------------

    def encode(self, parts: Iterable[Part]) -> list[int]:
        """Token ids of a prompt.

        Neighbouring Text parts are encoded as one text, with the result that the joined text
        would have, except that control tokens never arise from `markup=False` text. A prompt
        that starts with text gets the start token as transformers would give it: where the first
        part is markup, what the chat template starts with; else what the tokenizer's
        post-processor puts first. It is not added twice, and nothing is added at the end.
        """
        return self.encode_settled(parts)[0]

    def encode_settled(self, parts: Iterable[Part]) -> tuple[list[int], int]:
        """`encode`, and how many of the ids no text that is appended can change: those up to the
        end of the last Tokens part."""
        ids: list[int] = []
        run: list[Text] = []
        at_start = True
        for part in parts:
            if isinstance(part, Tokens):
                ids += self._encode_run(run, at_start)
                at_start = at_start and not run
                run = []
                ids += part.ids
                at_start = False
            elif part.text:
                run.append(part)
        return ids + self._encode_run(run, at_start), len(ids)

    def encode_text(self, text: str, *, markup: bool = False) -> list[int]:
        """Token ids of one stretch of text inside a sequence (no start token)."""
        return self._encode_run([Text(text, markup=markup)], False) if text else []

    def _encode_run(self, run: list[Text], at_start: bool) -> list[int]:
        if not run:
            return []
        if not at_start:
            return self._spell_on(run)
        ids = self._spell(run)
        start = self._start_ids
        if run[0].markup and self.chat_markup is not None:
            start = _encode(self._tokenizer, self.chat_markup.prelude).ids
        return ids if ids[: len(start)] == start else start + ids

    def _spell(self, run: list[Text]) -> list[int]:
        text = "".join(part.text for part in run)
        encoding = _encode(self._tokenizer, text)
        ids: list[int] = encoding.ids
        if self.control_ids.isdisjoint(ids) or all(part.markup for part in run):
            return ids
        foreign = _foreign_spans(run)
        offsets = encoding.offsets
        # Most tokens of a prompt are none, and of those that are most stand in markup alone.
        for place in [place for place, index in enumerate(ids) if index in self.control_ids]:
            begin, end = offsets[place]
            for start, stop in foreign:
                if (
                    begin < stop
                    and start < end
                    and self._covers(ids[place], text, (begin, end), (start, stop))
                ):
                    return self._spell_apart(run)
        return ids

    def _covers(
        self, index: int, text: str, token: tuple[int, int], stretch: tuple[int, int]
    ) -> bool:
        """Whether a token is a control token whose own text reaches into a stretch of text."""
        covered = text[slice(*token)]
        # Some control tokens swallow the white space beside them; that is not their text.
        begin = token[0] + len(covered) - len(covered.lstrip())
        end = token[1] - len(covered) + len(covered.rstrip())
        return self._is_control(index, covered) and begin < stretch[1] and stretch[0] < end

    def _is_control(self, index: int, covered: str) -> bool:
        """Whether a token that covers this text is a control token. The token for unknown
        characters is one only where its own text stands."""
        if index == self._unk_id and covered != self._texts.get(index, b"").decode():
            return False
        return index in self.control_ids

    def _spell_on(self, run: list[Text]) -> list[int]:
        """Spell text that continues a sequence. A tokenizer that puts a space before a text must
        not do so here; from the first control token on it is as in any text."""
        if not self._puts_space:
            return self._spell(run)
        head = ""
        for place, part in enumerate(run):
            if part.markup:
                encoding = _encode(self._tokenizer, part.text)
                for index, (begin, _) in zip(encoding.ids, encoding.offsets, strict=True):
                    if index in self.control_ids:
                        rest = [Text(part.text[begin:], markup=True), *run[place + 1 :]]
                        ids = self._spell_plain(self._plain_inner, head + part.text[:begin])
                        return ids + self._spell(rest)
            head += part.text
        return self._spell_plain(self._plain_inner, head)

    def _spell_apart(self, run: list[Text]) -> list[int]:
        """Spell text in which somebody wrote a control token: markup's own control tokens are
        set first, and the stretches between them are encoded by a tokenizer that knows none."""
        ids: list[int] = []
        stretch = ""
        for part in run:
            if not part.markup:
                stretch += part.text
                continue
            encoding = _encode(self._tokenizer, part.text)
            position = 0
            for index, (begin, end) in zip(encoding.ids, encoding.offsets, strict=True):
                if index in self.control_ids:
                    ids += self._spell_ordinary(stretch + part.text[position:begin], not ids)
                    ids.append(index)
                    stretch, position = "", end
            stretch += part.text[position:]
        return ids + self._spell_ordinary(stretch, not ids)

    def _spell_ordinary(self, text: str, at_start: bool) -> list[int]:
        """Ids of a stretch of text between control tokens, or at the start of a text."""
        # Most tokenizers treat such a stretch like a start of text; SentencePiece's "first"
        # scheme puts its space in front of the very first only.
        first = at_start or not self._spaces_first_only
        return self._spell_plain(self._plain_start if first else self._plain_inner, text)

    def _spell_plain(self, coder: tokenizers.Tokenizer, text: str) -> list[int]:
        if not text:
            return []
        encoding = _encode(coder, text)
        ids: list[int] = encoding.ids
        for index, (begin, end) in zip(ids, encoding.offsets, strict=True):
            # A vocabulary may hold the text of a control token as a piece of its own
            # (SentencePiece): cut inside it, so that no piece spells it whole.
            if self._is_control(index, text[begin:end]):
                cut = (begin + end) // 2
                if cut == begin:
                    raise RequestError(
                        "invalid_request",
                        f"{text[begin:end]!r} is a control token of this model and has no other "
                        "spelling; remove it from the text",
                        pointer="prompt",
                    )
                return self._spell_plain(coder, text[:cut]) + self._spell_plain(
                    self._plain_inner, text[cut:]
                )
        return ids

    @cached_property
    def _plain_start(self) -> tokenizers.Tokenizer:
        """Encodes every character as ordinary text, at the start of a text."""
        return build_coder(without_controls(self._spec()), controls=False)

    @cached_property
    def _plain_inner(self) -> tokenizers.Tokenizer:
        """The same inside a text, where no space is put in front."""
        spec = without_controls(self._spec())
        return build_coder(without_prefixes(spec), controls=False)

    def _spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = json.loads(zlib.decompress(self._source))
        return spec

    # --- decoding ---------------------------------------------------------------------------

    def bytes_of(self, ids: Iterable[int], skip_special_tokens: bool = True) -> bytes:
        """The bytes that the ids stand for; ids beyond the vocabulary stand for nothing."""
        return b"".join(self._pieces(ids, skip_special_tokens))

    def _pieces(self, ids: Iterable[int], skip_special_tokens: bool) -> Iterator[bytes]:
        for index in ids:
            if index in self._texts:
                if not skip_special_tokens:
                    yield self._texts[index]
            elif 0 <= index < self.vocab_size:
                yield self.token_bytes[index]

    def goes_on(self, data: bytes) -> bool:
        """Whether some token begins with these bytes and has more."""
        place = bisect_right(self._sorted_bytes, data)
        found = self._sorted_bytes[place : place + 1]
        return bool(found) and found[0].startswith(data)

    @cached_property
    def _sorted_bytes(self) -> list[bytes]:
        return sorted(data for data in self.token_bytes if data)

    def decode(self, ids: Iterable[int], skip_special_tokens: bool = True) -> str:
        """Text of the ids as the continuation of a text: a leading space stays a space. Bytes
        that are not UTF-8 become replacement characters."""
        return self.bytes_of(ids, skip_special_tokens).decode("utf-8", "replace")

    # --- chat -------------------------------------------------------------------------------

    @cached_property
    def template(self) -> ChatTemplate | None:
        """The chat template, or None when the model has none that can be used."""
        if not isinstance(self._template_source, str):
            return None
        try:
            return ChatTemplate(self._template_source, self._named_tokens)
        except TemplateError:
            # The model serves all the same; who asks it for roles is told that it has none.
            return None

    @cached_property
    def chat_markup(self) -> ChatMarkup | None:
        """The template taken apart; None without a template or when it cannot be."""
        bos = self._named_tokens.get("bos_token", "")
        return separate(self.template, bos) if self.template is not None else None

    def render_roles(self) -> RoleMarkup | None:
        """Role to (prefix, suffix); None without a template or when it cannot be taken apart."""
        return self.chat_markup.roles if self.chat_markup is not None else None

    @cached_property
    def tool_call_example(self) -> str | None:
        """How the template writes the protocol's example of a tool call; None when it does not."""
        if self.template is None or self.chat_markup is None:
            return None
        return render_tool_call(self.template, self.chat_markup)

    @property
    def reasoning_tags(self) -> tuple[str, str] | None:
        """The tags that the template has for thinking; None when it has none."""
        source = self._template_source
        return reasoning_tags(source) if isinstance(source, str) else None

    @property
    def default_system_prompt(self) -> str | None:
        """The system prompt that the template adds by itself to a conversation without one."""
        return self.chat_markup.default_system_prompt if self.chat_markup is not None else None


def _encode(coder: tokenizers.Tokenizer, text: str) -> tokenizers.Encoding:
    """Encode a text as it is. A long one as a batch of one, because only `encode_batch` releases
    the GIL: a million characters take a second, in which the front process must go on serving
    others. To get the GIL back takes longer than a short text."""
    encoding: tokenizers.Encoding
    if len(text) < _LONG_CHARS:
        encoding = coder.encode(text, add_special_tokens=False)
    else:
        encoding = coder.encode_batch([text], add_special_tokens=False)[0]
    return encoding


def _foreign_spans(run: list[Text]) -> list[tuple[int, int]]:
    """Character ranges of the parts that are not markup, in the joined text."""
    spans = []
    position = 0
    for part in run:
        if not part.markup:
            spans.append((position, position + len(part.text)))
        position += len(part.text)
    return spans


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise TokenizerError(f"{path} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise TokenizerError(f"{path} must hold a JSON object, not {type(value).__name__}")
    return value


def _content(value: Any) -> str | None:
    """Special tokens are written as a string or as an object with `content`."""
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else None
