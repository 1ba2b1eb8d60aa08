"Definitions as a reader wants them: signature, meaning of each parameter, source; read from the text, nothing is imported"
import ast
import copy
import html
import inspect
import io
import re
import tokenize
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    "A parsed module"
    name: str                 # dotted
    lines: tuple[str, ...]    # its source
    comments: dict[int, str]  # line → trailing comment
    defs: dict[str, ast.AST]  # `f`, `Class`, `Class.method` → definition


@cache
def module(root: Path, name: str) -> Module | None:
    "The module of that name under `root`"
    path = root/(name.replace('.', '/') + '.py')
    if not path.is_file(): return None
    src = path.read_text(encoding='utf-8')
    comments = {t.start[0]: t.string.lstrip('# ').strip() for t in tokenize.generate_tokens(io.StringIO(src).readline)
                if t.type == tokenize.COMMENT and t.line[:t.start[1]].strip() and not re.match(r'#\s*(type:|noqa|pragma)', t.string)}
    defs: dict[str, ast.AST] = {}
    for node in ast.parse(src).body:
        if not isinstance(node, FUNCTION | ast.ClassDef): continue
        defs[node.name] = node
        if isinstance(node, ast.ClassDef): defs |= {f'{node.name}.{m.name}': m for m in node.body if isinstance(m, FUNCTION)}
    return Module(name, tuple(src.splitlines()), {n: c.split(' # type:')[0] for n, c in comments.items()}, defs)


def short(node: ast.AST | None, n: int = 60) -> str:
    "An expression as text; a long one is left out"
    s = ast.unparse(node) if node else ''
    return s if len(s) <= n else '...'


def parameters(f) -> list[tuple[ast.arg, ast.expr | None, str]]:
    "(argument, default, stars) in order"
    a = f.args
    pos = [*a.posonlyargs, *a.args]
    return ([(x, d, '') for x, d in zip(pos, [None]*(len(pos) - len(a.defaults)) + a.defaults, strict=True)]
        + ([(a.vararg, None, '*')] if a.vararg else []) + [(x, d, '') for x, d in zip(a.kwonlyargs, a.kw_defaults, strict=True)]
        + ([(a.kwarg, None, '**')] if a.kwarg else []))


def bare(annotation):
    "A type without what `Annotated` says beside it, which is for the command line"
    named = isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == 'Annotated'
    return annotation.slice.elts[0] if named else annotation


def signature(f, name: str, method: bool = False) -> str:
    "One line; Sphinx breaks it where it is long"
    a = copy.deepcopy(f.args)
    if method and (own := a.posonlyargs or a.args) and own[0].arg in ('self', 'cls'): del own[0]
    for x in (*a.posonlyargs, *a.args, *a.kwonlyargs): x.annotation = bare(x.annotation)
    cut = lambda d: d if d is None or len(ast.unparse(d)) <= 60 else ast.Constant(...)
    a.defaults, a.kw_defaults = [cut(d) for d in a.defaults], [cut(d) for d in a.kw_defaults]
    return f'{name}({ast.unparse(a)})' + (f' -> {ast.unparse(f.returns)}' if f.returns else '')


def remarks(m: Module, f) -> list[tuple[str, str]]:
    "(parameter, the comment beside it), then the comment beside the return type"
    ps = [p for p in parameters(f) if p[0].arg not in ('self', 'cls')]
    ends = [max(x.end_lineno, d.end_lineno if d else 0) for x, d, _ in ps]
    closing = f.returns.end_lineno if f.returns else 0
    own = lambda n: m.comments.get(n, '') if ends.count(n) == 1 and n != closing else ''  # a comment beside two names is about neither
    rows = [(stars + x.arg, own(n)) for (x, _, stars), n in zip(ps, ends, strict=True)]
    told = m.comments.get(closing, '')
    return [(n, c) for n, c in rows if c] + ([('returns', told)] if told else [])


def fields(m: Module, c: ast.ClassDef) -> list[tuple[str, str, str, str]]:
    "(field, type, default, the comment beside it) of a record-like class"
    if any(ast.unparse(b).endswith('Enum') for b in c.bases):
        return [(x.targets[0].id, '', short(x.value), m.comments.get(x.end_lineno, '')) for x in c.body if isinstance(x, ast.Assign)]
    return [(x.target.id, ast.unparse(x.annotation), default(x.value), m.comments.get(x.end_lineno, '')) for x in c.body
            if isinstance(x, ast.AnnAssign) and isinstance(x.target, ast.Name) and not x.target.id.startswith('_')
            and x.target.id != 'model_config' and not ast.unparse(x.annotation).startswith('ClassVar')]


def default(v: ast.expr | None) -> str:
    "What a field holds when nobody sets it"
    if isinstance(v, ast.Call) and ast.unparse(v.func).split('.')[-1] in ('field', 'Field'):
        kw = {k.arg: k.value for k in v.keywords}
        if f := kw.get('default_factory'): return short(f.body) if isinstance(f, ast.Lambda) else f'{short(f)}()'
        v = kw.get('default', v.args[0] if v.args else None)
        if isinstance(v, ast.Constant) and v.value is ...: v = None
    return short(v)


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    "A Markdown table whose empty columns are left out"
    keep = [i for i in range(len(head)) if any(r[i] for r in rows)]
    line = lambda r: '| ' + ' | '.join(r[i].replace('|', r'\|') for i in keep) + ' |'
    return '\n'.join([line(head), '|' + ' --- |'*len(keep), *map(line, rows)])


def literal(s: str) -> str: return f'`{s}`' if s else ''


def source(m: Module, node) -> str:
    "A definition's own lines, folded"
    lo = min([node.lineno, *[d.lineno for d in node.decorator_list]]) - 1
    code = inspect.cleandoc('\n' + '\n'.join(m.lines[lo:node.end_lineno]))
    return f'<details class="source"><summary>Source</summary>\n\n````python\n{code}\n````\n\n</details>'


def kind(c: ast.ClassDef) -> str:
    "What a reader should know about a class before its fields"
    deco = next((ast.unparse(d) for d in c.decorator_list if 'dataclass' in ast.unparse(d)), '')
    bases = [f'<code>{html.escape(ast.unparse(b))}</code>' for b in c.bases if not ast.unparse(b).startswith('Generic')]
    said = ['frozen ' * ('frozen=True' in deco) + 'dataclass'] * bool(deco) + ['a kind of ' + ', '.join(bases)] * bool(bases)
    return f'<p class="kind">{" · ".join(said)}</p>' if said else ''


def echoes(f) -> bool:
    "A second definition of a name: a property's setter, an overload's variant"
    return any(ast.unparse(d).split('.')[-1] in ('setter', 'deleter', 'overload') for d in f.decorator_list)


def directive(name: str, arg: str, m: Module, parts: list[str], *options: str, depth: int = 8) -> str:
    "One object of Sphinx's Python domain"
    opts = '\n'.join((f':module: {m.name}', ':no-index-entry:', *(f':{o}' for o in options)))
    body = '\n\n'.join(filter(None, parts))
    return f'{":"*depth}{{py:{name}}} {arg}\n{opts}\n\n{body}\n{":"*depth}'


def describe(
    m: Module,       # where it is defined
    name: str,       # `f`, `Class` or `Class.method`
    prose,           # Markdown → Markdown, for docstrings and comments
    *options: str,   # of the directive, e.g. `no-index:`
    folded: bool = True, # with the source below
    skip: frozenset[str] = frozenset(), # methods that the page shows elsewhere
) -> str: # MyST
    "A function or class as its documentation"
    node = m.defs[name]
    doc = prose(ast.get_docstring(node) or '')
    if isinstance(node, ast.ClassDef): return _class(m, node, doc, prose, options, folded, skip)
    return _function(m, node, name, doc, prose, options, folded)


def _function(m, f, name, doc, prose, options, folded, depth=8) -> str:
    marks = {ast.unparse(d).split('.')[-1] for d in f.decorator_list}
    what = 'function' if '.' not in name else 'property' if marks & {'property', 'cached_property'} else 'method'
    opts = [*options, *(f'{o}:' for o in ('classmethod', 'staticmethod') if o in marks)]
    if isinstance(f, ast.AsyncFunctionDef): opts.append('async:')
    if what == 'property': arg, opts = name, opts + ([f'type: {ast.unparse(f.returns)}'] if f.returns else [])
    else: arg = signature(f, name, method='.' in name)
    rows = [(literal(n) if n != 'returns' else '*returns*', prose(c)) for n, c in remarks(m, f)]
    told = table(('parameter', 'meaning'), rows) if rows else ''
    return directive(what, arg, m, [doc, told, source(m, f) if folded else ''], *opts, depth=depth)


def _class(m, c, doc, prose, options, folded, skip) -> str:
    init = m.defs.get(f'{c.name}.__init__')
    arg = signature(init, c.name, method=True).split(' -> ')[0] if init else c.name
    rows = [(literal(n), literal(t), literal(d), prose(x)) for n, t, d, x in fields(m, c)]
    told = [(literal(n), prose(x)) for n, x in remarks(m, init)] if init else []
    methods = [_function(m, f, f'{c.name}.{f.name}', prose(ast.get_docstring(f) or ''), prose, options, False, depth=6) for f in c.body
               if isinstance(f, FUNCTION) and not f.name.startswith('_') and f'{c.name}.{f.name}' not in skip and not echoes(f)]
    return directive('class', arg, m, [
        kind(c), doc,
        table(('field', 'type', 'default', 'meaning'), rows) if rows else '',
        table(('parameter', 'meaning'), told) if told else '',
        *methods, source(m, c) if folded else ''], *options)

