"""The text of one sequence as its tokens arrive: detokenized, held back where a stop string may
begin, cut at the end. Used by requests.py."""

from __future__ import annotations

from msgspec import Struct

from ..protocol import FinishReason, Output, SamplingParams, TokenLogprob
from ..stop_pattern import stop_pattern
from ..tokenizer import StreamDecoder, Tokenizer


class Piece(Struct, gc=False):
    """What a stream may show next: text that stays, and the tokens that stand for it."""

    text: str
    token_ids: list[int]
    logprobs: list[TokenLogprob] | None


class OutputText:
    """One sequence's output.

    A stream calls `more` for each step: `push`, and `take` for what may be shown. Whoever wants
    only the end calls `push` and `finish`: then tokens are decoded once, together.
    """

    def __init__(self, tokenizer: Tokenizer, sampling: SamplingParams, *, stream: bool) -> None:
        self._tokenizer = tokenizer
        self._stop = sampling.stop
        self._longest_held = max(map(len, sampling.stop), default=1) - 1
        self._stop_regex = sampling.stop_regex
        self._skip_special_tokens = sampling.skip_special_tokens
        self._stream = stream
        self._decoder = StreamDecoder(tokenizer, sampling.skip_special_tokens)
        self._whole_texts = tokenizer.whole_texts[sampling.skip_special_tokens]
        self._token_ids: list[int] = []
        self._logprobs: list[TokenLogprob] | None = None
        self._text = ""
        # How many characters stand after each token (a token in mid-character adds none).
        self._marks: list[int] = []
        # Whether each token ends in mid-character.
        self._open: list[bool] = []
        self._num_last_ids = 0
        self._num_shown_chars = 0
        self._num_shown_ids = 0
        # Whether all that came was shown, and the texts of tokens that were only noted since.
        self._is_even = False
        self._noted: list[str] = []

    def push(self, token_ids: list[int], logprobs: list[TokenLogprob] | None) -> None:
        """Take one step's tokens, the end token excluded."""
        self._settle()
        if not token_ids:
            return
        self._token_ids += token_ids
        self._num_last_ids = len(token_ids)
        if logprobs is not None:
            self._logprobs = (self._logprobs or []) + logprobs[: len(token_ids)]
        if self._stream:
            self._text += self._decode(self._decoder, token_ids)

    def more(self, token_ids: list[int], logprobs: list[TokenLogprob] | None) -> Piece | None:
        """`push` and `take`. Where nothing is held back, a token that is whole characters is only
        noted: that takes a fifth of the time."""
        if self._is_even and len(token_ids) == 1 and logprobs is None:
            text = self._whole_texts.get(token_ids[0])
            if text:
                self._token_ids += token_ids
                self._noted.append(text)
                return Piece(text, token_ids, None)
        self.push(token_ids, logprobs)
        piece = self.take()
        # A token that ends in mid-character is not shown.
        self._is_even = not self._longest_held and self._num_shown_ids == len(self._token_ids)
        return piece

    def _settle(self) -> None:
        """Let what was only noted be as if it had been pushed and taken."""
        if not self._noted:
            return
        for text in self._noted:
            self._num_shown_chars += len(text)
            self._marks.append(self._num_shown_chars)
        self._open += [False] * len(self._noted)
        self._text += "".join(self._noted)
        self._num_shown_ids, self._num_last_ids = len(self._token_ids), 1
        self._noted.clear()

    def take(self) -> Piece | None:
        """What a stream may show now that it has not shown before; None when there is nothing."""
        end = len(self._text) - self._num_held_chars()
        if end <= self._num_shown_chars:
            return None
        return self._show(end, self._last_whole_token(end))

    def finish(
        self, reason: FinishReason, matched_stop: str | int | None
    ) -> tuple[Output, Piece | None]:
        """The whole output, and for a stream the rest of it that was not shown yet."""
        self._settle()
        if not self._stream:
            self._text = self._decoder.push(self._token_ids)
        self._text += self._decoder.finish()
        token_ids, logprobs = self._token_ids, self._logprobs
        if isinstance(matched_stop, str):
            if not self._stream:
                # The marks are needed after all: where each token's text ends.
                self._decode(StreamDecoder(self._tokenizer, self._skip_special_tokens), token_ids)
            cut = self._find_stop(matched_stop)
            if cut < len(self._text):
                self._text = self._text[:cut]
                token_ids, logprobs = self._tokens_of_cut_text(cut)
        output = Output(
            text=self._text,
            token_ids=token_ids,
            finish_reason=reason,
            matched_stop=matched_stop,
            logprobs=logprobs,
        )
        self._token_ids, self._logprobs = token_ids, logprobs
        unshown = len(self._text) > self._num_shown_chars or len(token_ids) > self._num_shown_ids
        if not self._stream or not unshown:
            return output, None
        return output, self._show(len(self._text), len(token_ids))

    def _decode(self, decoder: StreamDecoder, token_ids: list[int]) -> str:
        """Decode token by token and note where each token's text ends."""
        pieces: list[str] = []
        num_chars = self._marks[-1] if self._marks else 0
        for token_id in token_ids:
            if decoder.waits:
                self._cut_off(self._tokenizer.bytes_of([token_id], self._skip_special_tokens))
            pieces.append(decoder.push_one(token_id))
            num_chars += len(pieces[-1])
            self._marks.append(num_chars)
            self._open.append(decoder.waits)
        return "".join(pieces)

    def _cut_off(self, following: bytes) -> None:
        """A character that was begun and does not go on is a replacement character of the tokens
        before. Were they held back for its rest, so would be a long run of beginnings."""
        if not following or 0x80 <= following[0] < 0xC0:
            return
        for place in range(len(self._marks) - 1, -1, -1):
            self._marks[place] += 1
            self._open[place] = False
            token = self._token_ids[place : place + 1]
            if self._tokenizer.bytes_of(token, self._skip_special_tokens):
                break

    def _show(self, end_char: int, end_id: int) -> Piece:
        start_char, start_id = self._num_shown_chars, self._num_shown_ids
        end_id = max(end_id, start_id)
        self._num_shown_chars, self._num_shown_ids = end_char, end_id
        logprobs = None if self._logprobs is None else self._logprobs[start_id:end_id]
        return Piece(self._text[start_char:end_char], self._token_ids[start_id:end_id], logprobs)

    def _num_held_chars(self) -> int:
        """The longest end of the text that could be the beginning of a stop string."""
        text = self._text
        for length in range(self._longest_held, 0, -1):
            if any(len(stop) > length and text.endswith(stop[:length]) for stop in self._stop):
                return min(length, len(text))
        return 0

    def _find_stop(self, stop: str) -> int:
        """Where the stop string begins that ended the sequence, or its stop pattern's match ends.

        It ends within the last step's tokens: one that ended earlier was allowed to stand (the
        engine ignores stops before `min_new_tokens`).
        """
        num_earlier = len(self._token_ids) - self._num_last_ids
        settled = self._marks[num_earlier - 1] if num_earlier > 0 else 0
        if stop in self._stop_regex and stop not in self._stop:
            ends = stop_pattern(stop).ends(self._text)
            return next((end for end in ends if end > settled), len(self._text))
        start = self._text.find(stop, max(0, settled - len(stop) + 1))
        return max(start, self._num_shown_chars) if start >= 0 else len(self._text)

    def _tokens_of_cut_text(self, cut: int) -> tuple[list[int], list[TokenLogprob] | None]:
        """The tokens for the first `cut` characters: those kept whole, and the rest of the text
        tokenized anew where the cut runs through a token."""
        kept = self._last_whole_token(cut)
        rest = self._text[self._marks[kept - 1] if kept else 0 : cut]
        token_ids = self._token_ids[:kept]
        if rest:
            token_ids = token_ids + self._tokenizer.encode_text(rest)
        logprobs = self._logprobs
        if logprobs is not None:
            logprobs = logprobs[: kept + 1 if rest else kept]
        return token_ids, logprobs

    def _last_whole_token(self, num_chars: int) -> int:
        """The greatest number of tokens whose text ends by `num_chars` and in no mid-character."""
        count = self._num_shown_ids
        while count < len(self._marks) and self._marks[count] <= num_chars:
            count += 1
        while count > self._num_shown_ids and self._open[count - 1]:
            count -= 1
        return count
