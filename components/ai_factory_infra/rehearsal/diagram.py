"""The stacks and who reads whom, drawn: as Mermaid for GitHub, as SVG for a page that loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from ai_factory_infra.rehearsal.record import Record, StackRecord

WIDTH, HEIGHT, GAP_X, GAP_Y = 150, 56, 70, 24  # of a box, and between boxes, in pixels
KINDS_SHOWN = 6


def mermaid(record: Record) -> str:
    """The stacks, what each made most of, and who reads whom."""
    lines = ["flowchart LR"]
    for s in record.stacks:
        kinds = "<br/>".join(f"{n} × {kind}" for kind, n in s.kinds.most_common(KINDS_SHOWN))
        more = len(s.kinds) - KINDS_SHOWN
        lines.append(f'  {s.stack}["<b>{s.stack}</b><br/>{kinds}{f"<br/>and {more} kinds more" if more > 0 else ""}"]')
    lines += [f"  {read} --> {s.stack}" for s in record.stacks for read in s.reads]
    return "\n".join(lines)


def levels(stacks: Sequence[StackRecord]) -> Mapping[str, int]:
    """How many stacks must stand before each: its column. `stacks` are in order."""
    found: dict[str, int] = {}
    for s in stacks:
        found[s.stack] = 1 + max((found[r] for r in s.reads), default=-1)
    return found


def direct(stacks: Sequence[StackRecord]) -> Sequence[tuple[str, str]]:
    """Who reads whom, without what follows: foundation -> monitoring where serving, which monitoring reads, reads it too."""
    reads = {s.stack: set(s.reads) for s in stacks}
    above: dict[str, set[str]] = {}
    for s in stacks:
        above[s.stack] = set(s.reads).union(*(above[r] for r in s.reads))
    return [(r, s) for s, own in reads.items() for r in sorted(own) if not any(r in above[o] for o in own)]


def svg(record: Record) -> str:
    """Boxes in columns by what must stand before them, with an arrow from each stack to those that read it."""
    column = levels(record.stacks)
    rows = {s.stack: [t.stack for t in record.stacks if column[t.stack] == column[s.stack]] for s in record.stacks}
    at = {s: (c * (WIDTH + GAP_X) + 1, rows[s].index(s) * (HEIGHT + GAP_Y) + 1) for s, c in column.items()}
    width = max(x for x, _ in at.values()) + WIDTH + 1
    height = max(y for _, y in at.values()) + HEIGHT + 1
    arrows = "".join(_arrow(*at[a], *at[b]) for a, b in direct(record.stacks))
    boxes = "".join(_box(s, *at[s.stack]) for s in record.stacks)
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="The stacks and who reads whom">'
        '<defs><marker id="end" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0 8 4 0 8z" fill="currentColor"/></marker></defs>{arrows}{boxes}</svg>'
    )


def _arrow(ax: int, ay: int, bx: int, by: int) -> str:
    x, y, to_x, to_y = ax + WIDTH, ay + HEIGHT // 2, bx, by + HEIGHT // 2
    bend = (to_x - x) // 2
    path = f"M{x} {y} C{x + bend} {y} {to_x - bend} {to_y} {to_x} {to_y}"
    return f'<path d="{path}" fill="none" stroke="currentColor" opacity=".6" marker-end="url(#end)"/>'


def _box(s: StackRecord, x: int, y: int) -> str:
    middle = x + WIDTH // 2
    return (
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="7" class="box"/>'
        f'<text x="{middle}" y="{y + 24}" text-anchor="middle" font-weight="600">{escape(s.stack)}</text>'
        f'<text x="{middle}" y="{y + 43}" text-anchor="middle" font-size="12">{len(s.made)} made in {s.seconds:.0f} s</text>'
    )
