"""How the notebooks read: how long their cells are, and how soon each definition is shown at work.

    python nbs/_docs/rhythm.py            one table, ours beside what is wanted
    python nbs/_docs/rhythm.py --each     one line a notebook
    python nbs/_docs/rhythm.py NB.ipynb … only these, one line each
"""
import ast
import re
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[2]
METHODS = ('qa', 'tools')  # folders whose notebooks are a paper each
DIRECTIVE = re.compile(r'^[ ]*#\|[^\n]*\n?', re.M)
EXPORT = re.compile(r'^[ ]*#\|[ ]*exports?i?\b', re.M)


@dataclass(frozen=True)
class Cell:
    "One code cell"
    id: str
    exported: bool
    code: str  # without directives

    @property
    def lines(self) -> int: return len(self.code.splitlines())

    @property
    def imports(self) -> bool:
        "Nothing but imports: there is nothing to show"
        try: return all(isinstance(x, ast.Import | ast.ImportFrom) for x in ast.parse(self.code).body)
        except SyntaxError: return False # a magic


def cells(path: Path) -> list[Cell]:
    "The code cells of a notebook, imports left out"
    code = [c for c in nbformat.read(path, 4).cells if c.cell_type == 'code' and 'default_exp' not in c.source]
    found = [Cell(c.id, bool(EXPORT.search(c.source)), DIRECTIVE.sub('', c.source).strip('\n')) for c in code]
    return [c for c in found if c.code.strip() and not c.imports]


def shown(found: list[Cell]) -> list[bool]:
    "For each exported cell: is the next code cell a demonstration?"
    nexts = [*found[1:], None]
    return [bool(n and not n.exported) for c, n in zip(found, nexts, strict=True) if c.exported]


def first_look(found: list[Cell]) -> int:
    "Exported lines before the first demonstration"
    at = next((i for i, c in enumerate(found) if not c.exported), len(found))
    return sum(c.lines for c in found[:at])


def joined(code: str) -> int:
    "Statements that stand on a line with the one before them, after a semicolon"
    bodies = [getattr(x, f) for x in ast.walk(ast.parse(code)) for f in ('body', 'orelse', 'finalbody') if isinstance(getattr(x, f, None), list)]
    return sum(a.end_lineno == b.lineno for body in bodies for a, b in pairwise(body))


@dataclass(frozen=True)
class Rhythm:
    "The counts of some notebooks"
    exported: int   # cells
    shown: int      # of them, followed by a demonstration
    over_20: int    # of them, longer than 20 lines
    longest: int    # lines of the longest
    first: int      # most exported lines before the first demonstration of a notebook
    lines: int      # exported lines
    over_120: int   # of them, wider than 120 characters
    over_110: int   # of them, wider than 110
    semicolons: int # statements joined by one
    deep: int       # continuation lines that begin with 60 spaces or more

    @property
    def share_shown(self) -> float: return self.shown / max(1, self.exported)
    @property
    def share_over_20(self) -> float: return self.over_20 / max(1, self.exported)
    @property
    def share_over_120(self) -> float: return self.over_120 / max(1, self.lines)


def measure(paths: list[Path]) -> Rhythm:
    "Count some notebooks as one"
    all_cells = [cells(p) for p in paths]
    own = [c for found in all_cells for c in found if c.exported]
    lines = [l for c in own for l in c.code.splitlines()]
    return Rhythm(len(own), sum(sum(shown(f)) for f in all_cells), sum(c.lines > 20 for c in own), max([c.lines for c in own], default=0),
                  max([first_look(f) for f in all_cells if any(c.exported for c in f)], default=0), len(lines),
                  sum(len(l) > 120 for l in lines), sum(len(l) > 110 for l in lines), sum(joined(c.code) for c in own),
                  sum(l.startswith(' ' * 60) for l in lines))


def notebooks() -> list[Path]:
    "Those that export"
    found = sorted(p for p in (ROOT / 'nbs').rglob('*.ipynb') if not any(x[0] in '._' for x in p.relative_to(ROOT).parts))
    return [p for p in found if 'default_exp' in p.read_text(encoding='utf-8')]


def is_method(path: Path) -> bool: return path.parent.name in METHODS


def table() -> list[tuple[str, str, str]]: # what, ours, wanted
    "The points that a test holds"
    every = measure(notebooks())
    methods = measure([p for p in notebooks() if is_method(p)])
    return [('exported cell followed by a demonstration', f'{every.share_shown:.0%}', '≥ 65%'),
            ('the same in method notebooks', f'{methods.share_shown:.0%}', '≥ 75%'),
            ('exported cells over 20 lines', f'{every.share_over_20:.0%} ({every.over_20} of {every.exported})', '≤ 15%'),
            ('longest exported cell, lines', str(every.longest), '≤ 40'),
            ('most exported lines before the first demonstration', str(every.first), '≤ 80'),
            ('exported lines over 120 characters', f'{every.share_over_120:.1%}', '≤ 1%'),
            ('exported lines over 110 characters', f'{every.over_110} of {every.lines}', ''),
            ('statements joined by a semicolon', str(every.semicolons), '0'),
            ('lines wrapped to 60 and more leading spaces', str(every.deep), '0')]


def each(paths: list[Path]) -> str:
    "A line a notebook"
    rows = ['shown  >20  longest  first  >120  >110  ;  deep  notebook']
    for p in paths:
        r = measure([p])
        rows.append(f'{r.share_shown:5.0%}  {r.over_20:3}  {r.longest:7}  {r.first:5}  {r.over_120:4}  {r.over_110:4}  {r.semicolons}  {r.deep:4}  '
                    f'{p.resolve().relative_to(ROOT)} ({r.exported} exported)')
    return '\n'.join(rows)


if __name__ == '__main__':
    if names := [a for a in sys.argv[1:] if not a.startswith('-')]: print(each([Path(n) for n in names]))
    elif '--each' in sys.argv: print(each(notebooks()))
    else:
        print(f'| {"point":<50} | ours | wanted |\n| --- | --- | --- |')
        for what, ours, wanted in table(): print(f'| {what:<50} | {ours} | {wanted} |')
