"""The documentation site: processed notebooks → MyST notebooks → Sphinx → _site/. Nothing is executed, and only what changed is made anew.

    python nbs/_docs/build.py [FOLDER …]

A folder, such as runs/study-mine, is a run or a study in this checkout that is shown beside the reference records.
"""
import ast
import gc
import io
import json
import os
import posixpath
import re
import shutil
import struct
import sys
from base64 import b64decode, b64encode
from functools import cached_property
from itertools import groupby
from pathlib import Path
import nbformat
import yaml
from nbdev.config import get_config
from nbdev.serve import proc_nbs
from sphinx.cmd.build import main as sphinx

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import api
import book
from lean import lean
from synthgen_nb.core.display import STYLE
from text import ROOT, callouts, directives, github, local, relative, rewrite, undirected

os.chdir(ROOT)  # nbdev looks for settings.ini from here
CFG = get_config()
PROC, SRC, OUT = ROOT/'_proc', ROOT/'_proc'/'_myst', ROOT/'_site'

PROJECT = f'{book.DOCS}/faults.md', f'{book.DOCS}/cluster.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md'
ADMONITIONS = 'note', 'tip', 'warning', 'caution', 'important'


# nbformat's own read, write and new_markdown_cell validate each time, which took a sixth of the build
def read(file: Path): return nbformat.v4.reads(file.read_text(encoding='utf-8'))
def md(source: str, id: str): return nbformat.from_dict(dict(cell_type='markdown', id=id, metadata={}, source=source))
def box(kind: str, body: str) -> str: return f':::{{container}} {kind}\n{body}\n:::' if body else ''
def fold(label: str, language: str, text: str) -> str:
    return f'<details class="source"><summary>{label}</summary>\n\n````{language}\n{text}\n````\n\n</details>'


class Site:
    "Which file of the repository becomes which page"
    def __init__(self, folders: list[str]):  # of runs and studies that are shown as well
        self.pages: dict[str, str] = {}  # file in the repository → file of the site's source
        self.shown: set[str] = set()     # full names of what is documented already
        nbs = [p for p in (p.relative_to('nbs') for p in Path('nbs').rglob('*.ipynb')) if not any(x[0] in '._' for x in p.parts)]
        for p in sorted(nbs): self.pages[f'nbs/{p}'] = (p.parent/self.stem(p)).as_posix() + '.ipynb'
        if Path('runs/README.md').exists(): self.pages['runs/README.md'] = 'runs/about.md'
        more = [Path(f).resolve().relative_to(ROOT) for f in folders]
        for f in sorted({*Path('runs').glob('reference-*'), *((f/'report' if (f/'report').is_dir() else f) for f in more)}):
            if f in more and not list(f.glob('*.ipynb')): raise SystemExit(f'{f}: no executed notebook in it')
            for p in sorted(f.glob('*.ipynb')): self.pages[p.as_posix()] = p.as_posix()
        for p in PROJECT:
            if Path(p).exists(): self.pages[p] = f'project/{Path(p).name.lower()}'
        for p in (*book.first_steps(), *book.how_tos(), *book.decisions()): self.pages[p] = p.removeprefix(f'{book.DOCS}/')
        self.book = book.Book(self, self.about)

    def about(self, page: str) -> tuple[str, str]:
        "Title and first sentence of a page that stands for a file"
        file = next(f for f, at in self.pages.items() if at.rsplit('.', 1)[0] == page)
        if file.endswith('.md'): return book.opening((ROOT/file).read_text(encoding='utf-8'))
        first = next(c.source for c in read(ROOT/file).cells if c.cell_type == 'markdown')
        return book.opening(first)

    def stem(self, p: Path) -> str:
        "A page's name without the number that orders the notebooks"
        return Path(front(read(PROC/p)).get('output-file') or re.sub(r'^\d+[a-z]?_', '', p.name)).stem

    @cached_property
    def names(self) -> dict[str, set[str]]:
        "Every dotted ending of a public name → full names"
        out: dict[str, set[str]] = {}
        for f in sorted(p for p in CFG.lib_path.rglob('*.py') if p.name[0] != '_'):
            mod = '.'.join(f.relative_to(CFG.lib_path.parent).with_suffix('').parts)
            for full in (mod, *(f'{mod}.{n}' for n in api.module(ROOT, mod).defs)):
                parts = full.split('.')
                if any(x.startswith('_') for x in parts): continue
                for i in range(len(parts)): out.setdefault('.'.join(parts[i:]), set()).add(full)
        return out

    def find(self, name: str, mod: str) -> str | None:
        "What `name` means on the page of `mod`: its own first, else a name that only one module has"
        here = f'{mod}.{name}'
        if here in self.names.get(name, ()): return here
        full = self.names.get(name, set())
        return next(iter(full)) if len(full) == 1 else None

    def link(self, url: str, page: str) -> str:
        "A link as written in the repository's file `page`, for the site"
        if not (there := local(url, page)): return url
        path, frag = there
        at = self.pages[page]
        html = {re.sub(r'\.\w+$', '.html', v): v for v in self.pages.values()}
        inside = [k for k in self.pages if k.startswith(f'{path}/')] if path.startswith('runs/') else []
        if dst := self.pages.get(path) or html.get(path.removeprefix('nbs/')) or (len(inside) == 1 and self.pages[inside[0]]):
            return relative(dst, at) + frag
        if not (ROOT/path).exists(): return url  # Sphinx complains, which fails the build
        if Path(path).suffix not in ('.png', '.svg', '.jpg', '.gif'): return github(CFG, path) + frag
        dst = path.removeprefix('nbs/')
        raw = (ROOT/path).read_bytes()
        put(SRC/dst, smaller(raw) if path.endswith('.png') else raw)
        return relative(dst, at)

    def page(self, url: str, page: str) -> str:
        "The same for a place where Sphinx does not look"
        new = self.link(url, page)
        return new if new == url or '://' in new else re.sub(r'\.(ipynb|md)(?=#|$)', '.html', new)

    def prose(self, s: str, page: str, mod: str = '') -> str:
        "The text of a Markdown cell in MyST"
        def code(c):
            name = c.removesuffix('()')
            # a plain word is a name only where its module is the subject: `run` in other prose is just a word
            if not re.fullmatch(r'[\w.]+', name) or not (full := self.find(name, mod)): return None
            if c == name and name.islower() and not set(name) & {'_', '.'} and not full.startswith(f'{mod}.'): return None
            return f'{{py:obj}}`{c} <{full}>`'
        def admonition(kind, title, body):
            kind = kind if kind in ADMONITIONS else 'note'
            return f':::{{admonition}} {title}\n:class: {kind}\n\n{body}\n:::' if title else f':::{{{kind}}}\n{body}\n:::'
        s = re.sub(r'(\]\([^)\s]*\))\{target=[^}]*\}', r'\1', callouts(s, admonition))
        return sized(rewrite(s, lambda u: self.link(u, page), code), self.pages[page])


def front(nb) -> dict:
    "What nbdev made of a notebook's title cell"
    raw = next((c.source for c in nb.cells if c.cell_type == 'raw' and c.source.startswith('---')), '')
    return yaml.safe_load(raw.strip().strip('-')) or {}


def png_width(data: bytes) -> int | None:
    "CSS pixels of a PNG that was drawn for paper or a dense screen; None where its own size is right"
    if data[:8] != b'\x89PNG\r\n\x1a\n' or (i := data.find(b'pHYs')) < 0: return None
    dpi = struct.unpack('>I', data[i + 4:i + 8])[0]*.0254
    return round(struct.unpack('>I', data[16:20])[0]*96/dpi) if dpi > 110 else None


def smaller(png: bytes) -> bytes:
    "A drawing in 128 colours, which is what it has, where that takes less"
    from PIL import Image
    made = io.BytesIO()
    Image.open(io.BytesIO(png)).convert('RGB').quantize(128, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(made, 'PNG', optimize=True)
    return min(png, made.getvalue(), key=len)


def denser(folder: Path) -> set[str]: # names without ending
    "Pictures as WebP without loss, where that takes less"
    from PIL import Image
    out = set()
    for f in folder.glob('*.png'):
        made = io.BytesIO()
        Image.open(f).convert('RGBA').save(made, 'WEBP', lossless=True, quality=60)
        if len(made.getvalue()) >= f.stat().st_size: continue
        f.with_suffix('.webp').write_bytes(made.getvalue())
        f.unlink()
        out.add(f.stem)
    return out


LABELS = 'suptitle', 'set_title', 'title', 'set_xlabel', 'xlabel', 'set_ylabel', 'ylabel', 'set'

def in_words(source: str) -> str:
    "What a figure shows, from the titles and labels that its code gives it"
    try: calls = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr in LABELS]
    except SyntaxError: return ''
    text = lambda v: ''.join(str(x.value) if isinstance(x, ast.Constant) else '…' for x in (v.values if isinstance(v, ast.JoinedStr) else [v]))
    said = lambda v: isinstance(v, ast.JoinedStr) or (isinstance(v, ast.Constant) and isinstance(v.value, str))
    found = [v for n in calls for v in (*n.args[:1], *(k.value for k in n.keywords if k.arg in ('title', 'xlabel', 'ylabel'))) if said(v)]
    return '; '.join(dict.fromkeys(' '.join(text(v).split()) for v in found if text(v).strip('… ')))


def sized(s: str, at: str) -> str:
    "Pictures of a text at the size they were drawn for"
    def one(m):
        f = SRC/Path(at).parent/m[1]
        w = png_width((ROOT/'nbs'/f.relative_to(SRC)).read_bytes()) if f.suffix == '.png' and (ROOT/'nbs'/f.relative_to(SRC)).is_file() else None
        return m[0] + (f'{{width={w}px}}' if w else '')
    return re.sub(r'!\[[^\]]*\]\(([^()\s]+)\)(?!\{)', one, s)


def cut(text: str, most: int = 6000) -> str:
    "The beginning of what programs read; the file that a page names at its top has it all"
    whole = text[:most].rpartition('\n')[0]
    return text if len(text) <= most else f'{whole}\n… and {len(text) - len(whole):,} more characters there'


BAR = re.compile(r'^.*\d+%\|.*\|.*\d+/\d+ \[.*\n?', re.M)  # tqdm

def outputs(c, said: str = '') -> None:
    "Outputs as a page can show them: JSON as text, no progress bars, pictures at the size they were drawn for"
    for a, b in zip(c.outputs[::-1][1:], c.outputs[::-1], strict=False):  # one stream may come in several pieces
        if a.output_type == b.output_type == 'stream' and a.name == b.name: a.text, b.text = a.text + b.text, ''
    for o in c.outputs:
        if o.output_type == 'stream': o.text = BAR.sub('', re.sub(r'[^\n]*\r(?!\n)', '', o.text))
        data = o.get('data', {})
        if 'application/json' in data and not {'text/html', 'text/markdown', 'image/png'} & set(data):
            o.data = {'text/markdown': fold('JSON', 'json', cut(json.dumps(data['application/json'], indent=2, ensure_ascii=False)))}
        if text := data.get('text/markdown'):  # front matter and rules stand only at the top of a page
            text = re.sub(r'\A---\n(.*?\n)---\n', r'```yaml\n\1```\n', ''.join(text), flags=re.S)
            data['text/markdown'] = re.sub(r'(?<=\n\n)([-*_])\1{2,}[ ]*$', '<hr>', text, flags=re.M)
        if 'text/html' in data: data['text/html'] = ''.join(data['text/html']).replace(STYLE, '')  # once for all pages, in site.css
        if 'image/svg+xml' in data:
            c.metadata['mystnb'] = {'image': {'alt': o.metadata.get('image/svg+xml', {}).get('alt') or ''.join(data.get('text/plain', said))}}
        if png := data.get('image/png'):
            told, raw = o.metadata.get('image/png', {}), b64decode(png)
            w, alt = told.get('width') or png_width(raw), told.get('alt') or in_words(c.source) or said
            data['image/png'] = b64encode(smaller(raw)).decode()
            c.metadata['mystnb'] = {'image': {'alt': alt} | ({'width': f'{w}px'} if w else {})}
    empty = lambda o: not (o.text if o.output_type == 'stream' else ''.join(o.get('data', {}).get('text/markdown', ' x'))).strip()
    c.outputs = [o for o in c.outputs if not empty(o)]  # an empty table is nothing, not the name of an object


def tagged(c, d: dict[str, str]) -> None:
    "Quarto's display directives as myst-nb's tags"
    tags = c.metadata.setdefault('tags', [])
    if d.get('echo') == 'false': tags.append('remove-input')
    if d.get('output') == 'false': tags.append('remove-output')
    if d.get('code-fold') == 'true': tags.append('hide-input')


def definition(site: Site, name: str, mod: str, page: str, folded: bool, here: frozenset[str]) -> str:
    "What stands for a `show_doc(name)`"
    full = site.find(name, mod) or f'{mod}.{name}'
    m = api.module(ROOT, full.removesuffix(f'.{name}'))
    if not m or name not in m.defs: raise SystemExit(f'{page}: the package has no {full}. Run nbdev_export, or correct the notebook.')
    again = ['no-index:'] if full in site.shown else []
    site.shown.add(full)
    return api.describe(m, name, lambda s: site.prose(s, page, mod), *again, folded=folded, skip=here)


def head(site: Site, page: str, title: str, told: str, mod: str = '') -> list:
    "Title, sentence, and where it all comes from"
    origin = f'[{page}]({github(CFG, page)})' + (f' · `{mod}`' if mod else '')
    parts = f'# {title}', f'```{{py:module}} {mod}\n:no-index-entry:\n```' if mod else '', box('lead', site.prose(told, page, mod)), box('origin', origin)
    return [md('\n\n'.join(filter(None, parts)), 'title')]


def exports(codes: list[str]) -> tuple[str, set[str]]:
    "The module that a notebook makes, and the names whose source it shows"
    exp = next((d['default_exp'] for d in map(directives, codes) if 'default_exp' in d), '')
    bodies = [ast.parse(undirected(s)).body for s in codes if 'exports' in directives(s)]
    return f'{CFG.lib_name}.{exp}' if exp else '', {n.name for b in bodies for n in b if isinstance(n, api.FUNCTION | ast.ClassDef)}


def exercises(page: str) -> str:
    "What a chapter's knobs answer"
    src = next((c.source for c in read(ROOT/page).cells if 'parameters' in c.metadata.get('tags', [])), '')
    rows = [(f'`{k}`', f'`{v}`', told) for k, (v, told) in assignments(undirected(src)).items()]
    if not rows: return ''
    first = rows[0][0].strip('`')
    told = f'Give a knob another value, say beforehand which way the figures above will move, and look: run the notebook again, or ' \
           f'`synthgen run {page} -p {first}=VALUE` and then `synthgen runs`. A study over it (`pipeline: {page}`) adds the spread over seeds.'
    return f'## Exercises\n\n{told}\n\n' + api.table(('knob', 'value', 'meaning'), rows)


SHOW = re.compile(r'^show_doc\(([\w.]+)', re.M)

def notebook(site: Site, page: str):
    "A processed notebook as a MyST one"
    nb = read(PROC/page.removeprefix('nbs/'))
    codes = [c.source for c in read(ROOT/page).cells if c.cell_type == 'code']  # with the directives that nbdev has acted on
    fm, (mod, open_) = front(nb), exports(codes)
    asked = frozenset(n for s in codes for n in SHOW.findall(s))
    lesson = site.pages[page].rsplit('.', 1)[0] in site.book.chapters  # of other pages the source is where `head` says
    cells = head(site, page, fm.get('title', Path(page).stem), fm.get('description', ''), mod)
    for c in in_order(nb.cells, mod):
        if c.cell_type == 'raw' or c.source.startswith('<!-- WARNING'): continue
        if c.cell_type == 'markdown': cells.append(md(site.prose(c.source, page, mod), c.id))
        elif names := SHOW.findall(c.source):
            cells.append(md('\n\n'.join(definition(site, n, mod, page, lesson and n not in open_, asked) for n in names), c.id))
        else:
            for o in c.outputs: # what a cell wrote for the reader links like prose, but Sphinx does not resolve it
                if text := o.get('data', {}).get('text/markdown'): o.data['text/markdown'] = rewrite(''.join(text), lambda u: site.page(u, page))
            if lesson or c.outputs or not only_imports(undirected(c.source)): cells += shown(c, before(cells))
    if lesson and (asked_of := exercises(page)): cells.append(md(asked_of, 'exercises'))
    return save(nb, cells)


def in_order(cells: list, mod: str) -> list:
    "nbdev shows the definitions of one cell last first"
    m, out = api.module(ROOT, mod), []
    line = lambda c: m.defs[n].lineno if m and (n := SHOW.findall(c.source)[0]) in m.defs else 0
    for shows, group in groupby(cells, lambda c: c.cell_type == 'code' and bool(SHOW.search(c.source))):
        group = list(group)
        out += sorted(group, key=line) if shows else group
    return out


def before(cells: list) -> str:
    "The last sentence said, for a figure that says nothing of itself"
    text = next((c.source for c in reversed(cells) if c.cell_type == 'markdown' and c.source.strip()), '')
    return ' '.join(re.sub(r'[#*`{}\[\]|<>]|\(\S+\)|:py:\w+:', '', text.strip().split('\n\n')[-1]).split())[:200]


def shown(c, said: str = '') -> list:
    "A code cell as the cells that stand for it"
    tagged(c, directives(c.source)); outputs(c, said); c.source = undirected(c.source)
    lang, out = c.metadata.get('language', 'python'), []
    if lang != 'python':  # a %%bash cell, whose magic nbdev removed
        out, c.source = [md(f'```{lang}\n{c.source}\n```', f'{c.id}-{lang}')], ''
    if not c.source: c.metadata.tags.append('remove-input')
    return out + [c]*bool(c.source or c.outputs)


def save(nb, cells):
    nb.cells, nb.nbformat_minor = cells, 5
    nb.metadata = dict(kernelspec=dict(name='python3', display_name='python3', language='python'),
        language_info=dict(name='python', pygments_lexer='ipython3'))
    return nb


def assignments(src: str) -> dict[str, tuple[str, str]]:
    "name → (value, help) of a parameters cell"
    lines, out = src.splitlines(), {}
    for x in ast.parse(src).body:
        if not isinstance(x, ast.Assign | ast.AnnAssign) or x.value is None: continue
        target = x.targets[0] if isinstance(x, ast.Assign) else x.target
        tail = lines[x.end_lineno - 1].encode()[x.end_col_offset:].decode()
        out[ast.unparse(target)] = ast.unparse(x.value), tail.partition('#')[2].strip()
    return out


def settings(default: str, injected: str) -> str:
    "The parameters of a run as a table: what was set, beside what would have been"
    was, now = assignments(default), assignments(injected)
    lit = lambda d, k: f'`{d[k][0]}`' if k in d else ''
    rows = [(f'**`{k}`**' if k in now else f'`{k}`', lit(was | now, k), lit(was, k)*(k in now), was.get(k, ('', ''))[1]) for k in was | now]
    return api.table(('parameter', 'value', 'default', 'meaning'), rows) if rows else ''


def facts(run: dict) -> str:
    "The small values of run.json as a table"
    plain = lambda v: v not in (None, '') and not isinstance(v, dict | list)
    say = lambda v: f'{v:,}' if type(v) is int else f'{v:.4g}' if isinstance(v, float) else str(v)
    group = lambda d: ' · '.join(f'{k.replace("_", " ")} {say(v)}' for k, v in d.items() if plain(v))
    rows = [(k.replace('_', ' '), say(v)) for k, v in run.items() if plain(v) and len(str(v)) < 100]
    rows += [(k, group(run[k])) for k in ('counts', 'usage', 'tokens') if isinstance(run.get(k), dict) and group(run[k])]
    return api.table(('what', 'value'), rows) if rows else ''


def record(site: Site, page: str):
    "An executed notebook as a report: facts, parameters, then prose, tables and figures with the code folded"
    nb, folder = read(ROOT/page), Path(page).parent
    run = folder/'run.json'
    named = folder.parent if folder.name == 'report' else folder
    name = named.name if len(list(folder.glob('*.ipynb'))) == 1 else f'{named.name}: {Path(page).stem}'
    first = nb.cells[0].source if nb.cells and nb.cells[0].cell_type == 'markdown' else ''
    title = re.match(r'# (.+)', first)
    lead = ' — '.join(m[1] for m in (title, re.search(r'^> (.+)$', first, re.M)) if m)
    cells = head(site, page, name, lead)
    if run.exists():
        d = json.loads(run.read_text(encoding='utf-8'))
        cells.append(md(box('facts', facts(d)) + '\n\n' + fold('run.json', 'json', cut(json.dumps(d, indent=2, ensure_ascii=False))), 'facts'))
    for c in nb.cells[bool(title):]: cells += reported(site, page, nb, c)
    return save(nb, cells)


def reported(site: Site, page: str, nb, c) -> list:
    "A cell of a record as the cells that stand for it"
    tag = lambda c, t: t in c.metadata.get('tags', [])
    if c.cell_type == 'raw' or (tag(c, 'injected-parameters') and any(tag(x, 'parameters') for x in nb.cells)): return []
    if c.cell_type == 'markdown': return [md(site.prose(c.source, page), c.id)]
    if tag(c, 'parameters') or tag(c, 'injected-parameters'):
        given = [undirected(''.join(x.source for x in nb.cells if tag(x, t))) for t in ('parameters', 'injected-parameters')]
        return [md(box('settings', settings(*given)), c.id)]
    d = directives(c.source)
    if 'hide' in d or d.get('include') == 'false': return []
    c.metadata = dict(tags=[*c.metadata.get('tags', []), 'hide-input'], mystnb={})
    out = shown(c, title_of(nb))
    return out if c.outputs or not only_imports(c.source) else []


def title_of(nb) -> str: return nb.cells[0].source.split('\n')[0].lstrip('# ') if nb.cells else ''


def only_imports(src: str) -> bool:
    try: return all(isinstance(x, ast.Import | ast.ImportFrom) for x in ast.parse(src).body)
    except SyntaxError: return False  # a magic


def put(file: Path, text: str | bytes) -> None:
    "Write what has changed; Sphinx goes by the time of a file"
    data = text.encode() if isinstance(text, str) else text
    WRITTEN.add(file)
    if file.is_file() and file.read_bytes() == data: return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)

WRITTEN: set[Path] = set()


def write(site: Site) -> None:
    "Every page, as Sphinx's source"
    made = site.book.made
    for page, at in site.pages.items():
        if page.endswith('.md'): put(SRC/at, site.prose((ROOT/page).read_text(encoding='utf-8'), page)); continue
        nb = (record if page.startswith('runs/') else notebook)(site, page)
        if at == 'index.ipynb': nb.cells.append(md(site.book.contents(made), 'contents'))
        put(SRC/at, nbformat.v4.writes(nb) + '\n')
    for name, text in made.items(): put(SRC/f'{name}.md', text + '\n')
    for f in (x for x in SRC.rglob('*') if x.is_file() and x not in WRITTEN): f.unlink()


ROLE = re.compile(r'\{py:obj\}`([^`<]+?) <[^`>]*>`')
OPTION = 'module|no-index|no-index-entry|async|classmethod|staticmethod|type'
IDLE = re.compile(rf'^(`{{3}}|:{{3,}})\{{(?:toctree|py:module)\}}.*?^\1[ ]*\n?|^:{{3,}}[^\n]*(?:\n|\Z)|^:(?:{OPTION}):[^\n]*\n', re.M | re.S)
SOURCES = re.compile(r'<details class="source">.*?</details>\n*', re.S)
OBJECT = re.compile(r'^:{3,}\{py:\w+\} (.*)$', re.M)

def plain(text: str) -> str:
    "A page's MyST as Markdown that needs no Sphinx: signatures as code, links to the copies"
    text = OBJECT.sub(lambda m: f'`{m[1]}`\n', ROLE.sub(r'`\1`', text))
    text = re.sub(r'(\]\([^)\s:]+)\.ipynb(?=[)#])', r'\1.md', SOURCES.sub('', IDLE.sub('', text)))
    return re.sub(r'\n{3,}', '\n\n', re.sub(r'!\[([^\]]*)\]\([^)]*\)(\{[^}]*\})?', r'(figure: \1)', text)).strip()


def copied(nb) -> str:
    "A page's notebook as Markdown: prose, code, and what it gave"
    out = []
    for c in nb.cells:
        if c.cell_type == 'markdown': out.append(plain(c.source)); continue
        tags = c.metadata.get('tags', [])
        if c.source and not {'remove-input', 'hide-input'} & set(tags): out.append(f'```python\n{c.source}\n```')
        for o in () if 'remove-output' in tags else c.outputs:
            data, alt = o.get('data', {}), c.metadata.get('mystnb', {}).get('image', {}).get('alt', '')
            if 'text/markdown' in data: out.append(plain(''.join(data['text/markdown'])))
            elif any(k.startswith('image/') for k in data): out.append(f'(figure: {alt})')
            elif text := o.get('text') or ''.join(data.get('text/plain', '')): out.append(f'```text\n{text.rstrip()}\n```')
    return '\n\n'.join(filter(None, out)) + '\n'


def copies(site: Site, built: Path) -> None:
    "llms.txt, and beside each page of the book its text; of the internals the repository's own files are that"
    made = site.book.made
    listed = lambda page: re.findall(r'^/(\S+)$', made[page], re.M)
    house = listed('house')
    floors = {*house, *(p for part in house if part in made for p in listed(part))}
    for f in sorted(SRC.rglob('*.*')):
        page = f.relative_to(SRC).with_suffix('').as_posix()
        if page in floors or f.suffix not in ('.md', '.ipynb'): continue
        text = plain(f.read_text(encoding='utf-8')) + '\n' if f.suffix == '.md' else copied(read(f))
        there = lambda m, at=page: f'({m[1]}.html' if posixpath.normpath(posixpath.join(posixpath.dirname(at), m[1])) in floors else m[0]
        (built/page).with_suffix('.md').write_text(re.sub(r'(?<=\])\(([^)\s:]+)\.md(?=[)#])', there, text), encoding='utf-8')
    (built/'llms.txt').write_text(book.llms(site.book, made), encoding='utf-8')


UNUSED = '*-stemmer.js doc*.js sphinx_highlight.js clip*.js copybutton*.js minus.png plus.png file.png copy-button.svg check-solid.svg'.split()

def main() -> int:
    # our own links and signatures stand in for nbdev's, so no cell has to be executed and the package need not be installed
    CFG['skip_procs'] = 'exec_show_docs,add_links'
    gc.disable()  # trees of pages live until they are written, and looking through them for rubbish finds little
    proc_nbs(n_workers=0)
    site = Site(sys.argv[1:])
    write(site)
    built = PROC/'_html'
    pages = {f.relative_to(SRC).with_suffix('.html') for f in SRC.rglob('*') if f.suffix in ('.md', '.ipynb')} | {Path('search.html')}
    if {f.relative_to(built) for f in built.rglob('*.html')} - pages: shutil.rmtree(built)  # a page that is no more
    status = sphinx(['-q', '-W', '--keep-going', '-b', 'html', '-c', str(HERE), '-d', str(PROC/'_doctrees'), str(SRC), str(built)])
    shutil.rmtree(OUT, ignore_errors=True)
    shutil.copytree(built, OUT, ignore=shutil.ignore_patterns('_sources', '.*', '*.map', 'scripts', 'styles', '[!s]*.css', 'skeleton.css', *UNUSED))
    drawn = denser(OUT/'_images')
    for f in OUT.rglob('*.html'):
        page = re.sub(r'_images/([\w-]+)\.png"', lambda m: f'_images/{m[1]}.{"webp" if m[1] in drawn else "png"}"', f.read_text(encoding='utf-8'))
        f.write_text(lean(page), encoding='utf-8')
    copies(site, OUT)
    return status


if __name__ == '__main__': sys.exit(main())
