"""A rehearsal for reading: lines for the terminal, Markdown with a Mermaid diagram, and one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

from ai_factory_infra.rehearsal.diagram import mermaid, svg
from ai_factory_infra.rehearsal.record import Record, StackRecord

EMULATOR_IS = (
    "An emulator takes the calls and remembers them; it runs no container, holds no request against IAM, and is laxer than AWS. "
    "What stands here is well-formed and in order; that it works is seen in an account."
)
STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --good: #17803d; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --good: #5fd38d; --bad: #ff8a80; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
svg { font: 14px system-ui, sans-serif; fill: currentColor; margin-bottom: 1rem; } .box { fill: var(--soft); stroke: var(--line); }
.stacks { display: flex; gap: 1rem; flex-wrap: wrap; align-items: flex-start; }
.stack { border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; flex: 1 1 12rem; background: var(--soft); }
.stack h3 { margin: 0 0 .25rem; font-size: 1rem; } .stack p { margin: 0 0 .5rem; font-size: .85rem; opacity: .8; }
.stack ul { margin: 0; padding-left: 1.1rem; font-size: .85rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .88rem; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
.good { color: var(--good); } .bad { color: var(--bad); } code { overflow-wrap: anywhere; }
"""


def text(record: Record) -> str:
    """A few lines for the terminal."""
    return "\n".join(_lines(record))


def _lines(record: Record) -> Iterator[str]:
    yield f"{'stack':<12} {'made':>5} {'found':>6} {'used':>5} {'failed':>7} {'seconds':>8}"
    for s in record.stacks:
        found, used = sum(m.found == "there" for m in s.made), sum(bool(m.used) for m in s.made)
        yield f"{s.stack:<12} {len(s.made):>5} {found:>6} {used:>5} {len(s.failed):>7} {s.seconds:>8.0f}"
    yield f"{record.made} resources, {record.seconds:.0f} s in all."
    lacking = list(_lacking(record))
    if lacking:
        yield "What the emulator could not do:"
        yield from (f"  {line}" for line in lacking)


def _lacking(record: Record) -> Iterator[str]:
    """What was not made, is not there when asked for, or was called and not answered, because of the emulator."""
    for s in record.stacks:
        yield from (f"{f.kind} {f.name}: not made: {f.reason.splitlines()[0]}" for f in s.failed if f.is_emulators)
        yield from (f"{m.kind} {m.name}: {m.found}" for m in s.made if m.lost)
    for call, times in record.unanswered:
        yield f"call {call.service} {call.operation}: status {call.status}, {'once' if times == 1 else f'{times} times'}"


def markdown(record: Record) -> str:
    """The report as GitHub shows it."""
    rows = [f"| {s.stack} | {m.kind} | {m.name} | {m.found} | {m.used} |" for s in record.stacks for m in s.made]
    lacking = [f"- {line}" for line in _lacking(record)] or ["Nothing."]
    faults = [f"- {line}" for line in record.faults] or ["Nothing."]
    head = f"{record.made} resources of {len(record.stacks)} stacks, made and destroyed in {record.seconds:.0f} s."
    parts = (
        [f"# Rehearsal of {record.stage}", "", head, EMULATOR_IS, "", "```mermaid", mermaid(record), "```"],
        ["## What was wrong", "", *faults],
        ["## What the emulator could not do", "", *lacking],
        ["## What was made", "", "| stack | kind | name | asked after | used |", "|---|---|---|---|---|", *rows],
    )
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def html(record: Record) -> str:
    """The report as one page without scripts and without anything from elsewhere."""
    faults = "".join(f"<li class=bad>{escape(f)}</li>" for f in record.faults) or "<li class=good>Nothing.</li>"
    lacking = "".join(f"<li>{escape(line)}</li>" for line in _lacking(record)) or "<li>Nothing.</li>"
    rows = "".join(
        f"<tr><td>{escape(s.stack)}<td>{escape(m.kind)}<td><code>{escape(m.name)}</code>"
        f"<td class={'bad' if m.lost else 'good'}>{escape(m.found)}<td>{escape(m.used)}</tr>"
        for s in record.stacks
        for m in s.made
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Rehearsal of {escape(record.stage)}</title><style>{STYLE}</style>"
        f"<h1>Rehearsal of {escape(record.stage)}</h1>"
        f"<p>{record.made} resources of {len(record.stacks)} stacks, made and destroyed in {record.seconds:.0f} s, "
        f"as account {escape(record.account)} in {escape(record.region)}, on this machine.</p><p>{EMULATOR_IS}</p>"
        f"<h2>The stacks, in order</h2><div class=wide>{svg(record)}</div><div class=stacks>{''.join(map(_card, record.stacks))}</div>"
        f"<h2>What was wrong</h2><ul>{faults}</ul><h2>What the emulator could not do</h2><ul>{lacking}</ul>"
        f"<h2>What was made</h2><div class=wide><table><thead><tr><th>stack<th>kind<th>name<th>asked after<th>used</tr></thead>"
        f"<tbody>{rows}</tbody></table></div></html>"
    )


def _card(s: StackRecord) -> str:
    kinds = "".join(f"<li>{n} × {escape(kind)}</li>" for kind, n in s.kinds.most_common())
    reads = f"reads {', '.join(s.reads)}" if s.reads else "reads no other"
    gone = "destroyed" if s.destroyed == "destroyed" else "not all of it was destroyed"
    return (
        f"<section class=stack><h3>{escape(s.stack)}</h3>"
        f"<p>{len(s.made)} made in {s.seconds:.0f} s, {gone}; {escape(reads)}</p><ul>{kinds}</ul></section>"
    )


def write(record: Record, out: Path) -> Path:
    """Write index.html, report.md and diagram.mmd into `out`; returns the page."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.md").write_text(markdown(record), encoding="utf-8")
    (out / "diagram.mmd").write_text(mermaid(record) + "\n", encoding="utf-8")
    page = out / "index.html"
    page.write_text(html(record), encoding="utf-8")
    return page
