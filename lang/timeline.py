"""`state.timeline()`: what each call of a program waited for and took, as a table in text or as an
HTML page of its own; and the HTML form of a state for notebooks. Called by state.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from .printable import printable
from .record import CallRecord
from .transcript import Span

_COLUMNS = (
    "branch", "op", "line", "queued", "started", "first token", "finished", "cached", "extend",
    "decode", "forced", "waited",
)  # fmt: skip

_MAX_OP = 32


@dataclass(frozen=True)
class TimelineRow:
    """One call. Times are seconds since the program's first op was appended.

    queued: when the program appended it. started: when the ops before it were done.
    first_token: None where nobody could tell. finished: None while it runs.
    waited: seconds of these that it waited in the runtime for its turn. cached, extend: tokens of
    the prompt that were in the runtime's cache, and that were computed. decode: tokens generated,
    of which `forced` were the only ones that the grammar allowed. None where a backend does not
    tell.
    """

    path: tuple[str, ...]
    op: str
    variable: str | None
    source: str | None
    queued: float
    started: float
    first_token: float | None
    finished: float | None
    waited: float | None
    cached: int | None
    extend: int | None
    decode: int | None
    forced: int | None
    error: str | None

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as the table shows it."""
        place = self.source.rsplit("/", 1)[-1] if self.source else ""
        return (
            " / ".join(self.path) or "main",
            _short(self.op) if self.error is None else f"{_short(self.op)} {self.error}",
            place,
            _ms(self.queued),
            _ms(self.started),
            _ms(self.first_token),
            _ms(self.finished),
            _number(self.cached),
            _number(self.extend),
            _number(self.decode),
            _number(self.forced),
            _ms(self.waited),
        )


@dataclass(frozen=True)
class Timeline:
    """The calls of a state, of its branches and of the programs that it called, in the order in
    which they began. `print(timeline)` shows a table; `to_html()` is a page without any outside
    resource; notebooks show it by themselves."""

    program: str
    rows: tuple[TimelineRow, ...]

    @classmethod
    def of(cls, program: str, records: Sequence[CallRecord]) -> Timeline:
        records = sorted(records, key=lambda record: record.started_s)
        start_s = min((record.queued_s for record in records), default=0.0)
        return cls(program, tuple(_row(record, start_s) for record in records))

    def __str__(self) -> str:
        table = [_COLUMNS, *(row.cells for row in self.rows)]
        widths = [max(len(line[i]) for line in table) for i in range(len(_COLUMNS))]
        lines = [
            "  ".join(
                cell.ljust(width) if i < 3 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in table
        ]
        return "\n".join([f"{self.program}: {len(self.rows)} calls, times in ms", *lines])

    def to_html(self) -> str:
        """A whole page, dark or light as the reader's system is."""
        title = f"{escape(self.program)}: timeline"
        return (
            "<!doctype html>\n"
            f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            f"<style>body{{margin:2rem;background:Canvas;color:CanvasText}}"
            f":root{{color-scheme:light dark}}</style></head>"
            f"<body><h1>{title}</h1>{self._repr_html_()}</body></html>\n"
        )

    def save(self, path: str | Path) -> None:
        """Write `to_html()` to a file."""
        Path(path).write_text(self.to_html(), encoding="utf-8")

    def _repr_html_(self) -> str:
        heads = "".join(f"<th>{name}</th>" for name in (*_COLUMNS, ""))
        end = max((row.finished or row.started for row in self.rows), default=0.0)
        body = "".join(_html_row(row, end) for row in self.rows)
        return (
            f'<div class="bl-timeline"><style>{_TABLE_CSS}</style>'
            f"<p>{len(self.rows)} calls, times in ms. <span class=q>in the program's queue</span> "
            "<span class=e>waiting and extending</span> <span class=d>decoding</span></p>"
            f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
        )


def state_html(program: str, text: str, spans: Sequence[Span], error: object) -> str:
    """A state's text with what the model wrote marked, each mark titled by its variable."""
    pieces: list[str] = []
    end = 0
    for span in sorted(spans, key=lambda span: span.start):
        title = f' title="{escape(span.name)}"' if span.name is not None else ""
        pieces.append(escape(text[end : span.start]))
        pieces.append(f"<mark{title}>{escape(text[max(end, span.start) : span.end])}</mark>")
        end = max(end, span.end)
    pieces.append(escape(text[end:]))
    note = (
        "" if error is None else f"<p><b>{escape(type(error).__name__)}</b>: {escape(str(error))}"
    )
    return printable(
        f'<div class="bl-state"><style>{_STATE_CSS}</style>'
        f"<b>{escape(program)}</b><pre>{''.join(pieces)}</pre>{note}</div>"
    )


# Colours that keep their contrast on a light and on a dark page.
_TABLE_CSS = (
    ".bl-timeline table{width:100%;border-collapse:collapse;font:13px ui-monospace,monospace}"
    ".bl-timeline th,.bl-timeline td{padding:2px 8px;text-align:right;"
    "border-bottom:1px solid #8884;white-space:nowrap}"
    ".bl-timeline th:nth-child(-n+3),.bl-timeline td:nth-child(-n+3){text-align:left}"
    ".bl-timeline .bar{position:relative;width:40%;min-width:14em}"
    ".bl-timeline .bar i{position:absolute;top:4px;bottom:4px;min-width:1px}"
    ".bl-timeline .q{background:#8886}.bl-timeline .e{background:#d98c2b}"
    ".bl-timeline .d{background:#3f8fd2}.bl-timeline .error{color:#d33}"
    ".bl-timeline p span{padding:0 .4em}"
)
_STATE_CSS = (
    ".bl-state pre{white-space:pre-wrap;overflow-wrap:anywhere}"
    ".bl-state mark{background:#3f8fd244;color:inherit;border-radius:3px}"
)


def _row(record: CallRecord, start_s: float) -> TimelineRow:
    def since(moment_s: float | None) -> float | None:
        return None if moment_s is None else moment_s - start_s

    usage = record.usage
    return TimelineRow(
        path=record.path,
        op=record.origin.op,
        variable=record.origin.variable,
        source=record.origin.source,
        queued=record.queued_s - start_s,
        started=record.started_s - start_s,
        first_token=since(record.first_token_s),
        finished=since(record.finished_s),
        waited=None if usage is None else usage.queue_s,
        cached=None if usage is None else usage.cached_tokens,
        extend=None if usage is None else usage.prompt_tokens - usage.cached_tokens,
        decode=None if usage is None else usage.completion_tokens,
        forced=None if usage is None else usage.forced_tokens,
        error=record.error,
    )


def _html_row(row: TimelineRow, end: float) -> str:
    branch, op, *others = (escape(cell) for cell in row.cells)
    title = escape(row.op)
    cells = f'<td>{branch}</td><td title="{title}">{op}</td>'
    cells += "".join(f"<td>{cell}</td>" for cell in others)
    finished = row.finished if row.finished is not None else end
    # A call that generates nothing extends to its end.
    extended = row.first_token if row.first_token is not None else finished
    bars = "".join(
        f'<i class={kind} style="left:{_percent(start, end)};width:{_percent(stop - start, end)}">'
        "</i>"
        for kind, start, stop in (
            ("q", row.queued, row.started),
            ("e", row.started, extended),
            ("d", extended, finished),
        )
        if stop > start
    )
    shown = ' class="error"' if row.error is not None else ""
    return f'<tr{shown}>{cells}<td class="bar">{bars}</td></tr>'


def _percent(part: float, whole: float) -> str:
    return f"{100.0 * part / whole:.3f}%" if whole > 0 else "0%"


def _short(op: str) -> str:
    """With all of a selection's choices the columns behind it would leave the page."""
    return op if len(op) <= _MAX_OP else f"{op[: _MAX_OP - 1]}…"


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:.1f}"


def _number(count: int | None) -> str:
    return "" if count is None else str(count)
