"Markdown that moves: the links, code spans and directives of a notebook's text, for the site and for the README"
import posixpath
import re
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

FENCE = r'(?P<fence>^[ ]*(?P<ticks>`{3,}|~{3,}).*?(?:^[ ]*(?P=ticks)[`~]*[ ]*$|\Z))'
LINK = r'(?P<label>!?\[(?:`[^`\n]*`|!?\[[^\]\n]*\](?:\([^()\s]*\))?|[^\[\]`])*\])\((?P<url>[^()\s]+)(?P<title>\s+"[^"\n]*")?\)'
HTML = r'(?P<attr>\b(?:src|href)=")(?P<value>[^"\s]+)"'
CODE = r'(?<![`}\\])(?P<tick>`+)(?!`)(?P<code>[^\n]+?)(?<!`)(?P=tick)(?!`)'
TOKEN = re.compile('|'.join((FENCE, r'(?P<heading>^#{1,6} [^\n]*$)', LINK, HTML, CODE)), re.M | re.S)


def rewrite(
    md: str,                             # Markdown
    link: Callable[[str], str],          # URL → URL
    code: Callable[[str], str | None] = lambda s: None, # text of a code span → what stands in its place
) -> str:
    "Markdown with its links and code spans changed; fenced code and headings stay as they are"
    def one(m):
        if m['label']:  # a label may hold a picture of its own
            return (rewrite(m['label'], link) if m['label'].startswith('[!') else m['label']) + f"({link(m['url'])}{m['title'] or ''})"
        if m['attr']: return f'{m["attr"]}{link(m["value"])}"'
        return (code(m['code']) if m['code'] else None) or m[0]
    return TOKEN.sub(one, md)


def local(
    url: str,  # as written
    page: str, # the file it is written in, from the root of the repository
) -> tuple[str, str] | None: # (path from the root, '#fragment' or ''); None for a URL that leads elsewhere
    "Where a relative link leads"
    if re.match(r'[a-z][a-z0-9+.-]*:|[#/]', url, re.I): return None
    path, hash_, frag = url.partition('#')
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), path)), hash_ + frag


def relative(path: str, page: str) -> str:
    "`path` as a link in `page`, both from the same root"
    return posixpath.relpath(path, posixpath.dirname(page) or '.')


def github(cfg, path: str) -> str:
    "A file or folder of the repository on its host"
    return f"{cfg.git_url}/{'tree' if (ROOT/path).is_dir() else 'blob'}/{cfg.branch}/{path}"


def site(cfg) -> str:
    "Address of the documentation"
    return (cfg.doc_host.rstrip('/') + '/' + cfg.doc_baseurl.strip('/')).rstrip('/')


DIRECTIVE = re.compile(r'^[ ]*#\|[ ]*([\w-]+):?[ ]*(.*)\n?', re.M)

def directives(src: str) -> dict[str, str]:
    "The `#|` lines of a cell"
    return {k: v.strip() for k, v in DIRECTIVE.findall(src)}


def undirected(src: str) -> str:
    "A cell's source without its `#|` lines"
    return DIRECTIVE.sub('', src).strip('\n')


CALLOUT = re.compile(r'^(:{3,})[ ]*\{\.callout-(\w+)[^}\n]*\}[ ]*\n(.*?)^\1[ ]*$', re.M | re.S)

def callouts(
    md: str,
    render: Callable[[str, str, str], str], # (kind, title or '', body) → Markdown
) -> str:
    "Quarto's callouts, as nbdev notebooks write them, in another dialect"
    def one(m):
        head = re.match(r'\s*#+ (.+)\n', m[3])
        return render(m[2], head[1] if head else '', m[3][head.end() if head else 0:].strip())
    return CALLOUT.sub(one, md)
