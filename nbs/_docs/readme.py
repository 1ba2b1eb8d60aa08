"""README.md from nbs/index.ipynb, with its links as they are seen from the top of the repository.

    python nbs/_docs/readme.py [--check]
"""
import os
import re
import sys
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter
from nbdev.config import get_config

sys.path.insert(0, str(Path(__file__).resolve().parent))
from text import ROOT, callouts, directives, local, rewrite, site, undirected

NB, README = 'nbs/index.ipynb', ROOT/'README.md'
NOTE = f'<!-- Made from {NB} by nbs/_docs/readme.py: edit the notebook, then run it. -->\n\n'
HIDDEN = {'hide', 'export', 'exporti', 'default_exp'}


def link(url: str) -> str:
    "A link of the notebook as the README needs it: files of the repository as they lie, pages on the site"
    if not (there := local(url, NB)): return url
    path, frag = there
    if (ROOT/path).exists(): return path + frag
    if path.endswith('.html'): return f"{site(get_config())}/{path.removeprefix('nbs/').removesuffix('index.html')}{frag}"
    raise SystemExit(f'{NB} links to {url}, and there is no {path}. Correct the link.')


def alert(kind: str, title: str, body: str) -> str:
    "A callout as GitHub draws it"
    lines = [f'[!{kind.upper()}]', *([f'**{title}**', ''] if title else []), *body.splitlines()]
    return '\n'.join(f'> {x}'.rstrip() for x in lines)


def cells(nb) -> list:
    "What a reader of the README sees"
    out = []
    for c in nb.cells:
        d = directives(c.source) if c.cell_type == 'code' else {}
        if HIDDEN & set(d) or d.get('include') == 'false' or c.cell_type == 'raw': continue
        if c.cell_type == 'markdown': c.source = rewrite(callouts(c.source, alert), link)
        else:
            c.source = undirected(c.source)
            if d.get('output') == 'false': c.outputs = []
            for o in c.outputs:
                if md := o.get('data', {}).get('text/markdown'): o['data']['text/markdown'] = rewrite(md, link)
                if 'sg-story' in ''.join(o.get('data', {}).get('text/html', '')): del o['data']['text/html']  # its text reads better there
            if any(m.startswith('image/') for o in c.outputs for m in o.get('data', {})):
                raise SystemExit(f'{NB}: cell {c.id} draws a picture; GitHub shows only files. Save the picture, and link to it.')
            if shell := re.match(r'%%(bash|sh)\n', c.source):
                out.append(nbformat.v4.new_markdown_cell(f'```{shell[1]}\n{c.source[shell.end():]}\n```'))
            if shell or d.get('echo') == 'false': c.metadata['transient'] = {'remove_source': True}
        out.append(c)
    return out


def readme() -> str:
    "The whole text"
    nb = nbformat.read(ROOT/NB, 4)
    nb.cells, nb.metadata.language_info = cells(nb), {'name': 'python'}
    body, _ = MarkdownExporter().from_notebook_node(nb)
    body = re.sub(r'<style scoped>.*?</style>\n?', '', body, flags=re.S)  # GitHub would print it
    return NOTE + re.sub(r'\n{3,}', '\n\n', re.sub(r'[ \t]+$', '', body, flags=re.M)).strip() + '\n'


def main(check: bool) -> int:
    os.chdir(ROOT)
    new, old = readme(), README.read_text(encoding='utf-8') if README.exists() else ''
    if not check: README.write_text(new, encoding='utf-8')
    elif new != old: print(f'README.md is not what {NB} says. Run: python nbs/_docs/readme.py', file=sys.stderr); return 1
    return 0


if __name__ == '__main__': sys.exit(main('--check' in sys.argv[1:]))
