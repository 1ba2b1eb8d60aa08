"""The book: which page stands in which of its four parts, and the pages that are made from the package itself.

Start, Learn, Do, Look up. How-tos are files in `do/`, decisions files in `decisions/`; everything else on these pages is read
from what the program knows: its commands, settings, formats, prompts, worlds, methods, imports.
"""
import ast
import html
import json
import re
import tomllib
from functools import cached_property
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import api
import yaml
from text import ROOT

DOCS = 'nbs/_docs'
START = 'install documents model row study stages'.split()  # files of start/, in the order in which they are read
TASKS = dict(  # group → its how-tos, as files of do/
    sources=('Read what I have', 'pdf word code saved reader'),
    models=('Reach a model', 'ollama vllm provider limits budget elsewhere'),
    tooling=('Rows with tools', 'openapi mcp world'),
    running=('Run and go on', 'resume ablate seed ray'),
    quality=('Judge and choose', 'duplicates judge label dropped'),
    changing=('Change what is made', 'method rubric prompt'),
    using=('Train and publish', 'train hub'),
    coming=('Come from elsewhere', 'distilabel synthetic_data_kit toucan curator'))
CHOOSING = ('core/evidence select/dedup select/diversity select/coverage select/leakage select/worth evaluate/exam evaluate/agreement '
            'evaluate/compare evaluate/student experiments/lab experiments/study').split()
FLOORS = dict(core='Core', corpus='Corpus', specs='Descriptions of tools', select='Select', worlds='Worlds', export='Export', qa='QA methods',
    tools='Tool-use methods', evaluate='Evaluate', experiments='Experiments', cli='Command line', offline='The stand-in model')


def first_steps() -> list[str]: return [f'{DOCS}/start/{n}.md' for n in START]
def how_tos() -> list[str]: return [f'{DOCS}/do/{n}.md' for _, names in TASKS.values() for n in names.split() if Path(DOCS, 'do', f'{n}.md').exists()]
def decisions() -> list[str]: return [p.as_posix() for p in sorted(Path(DOCS, 'decisions').glob('*.md'))]


def opening(text: str) -> tuple[str, str]:
    "Title and first sentence of a page in Markdown"
    title, _, rest = text.strip().partition('\n')
    first = next((p for p in rest.strip().split('\n\n') if p and p[0] not in '`|#<:'), '')
    return title.lstrip('# '), ' '.join(first.removeprefix('> ').split())


def toc(entries: list[str], caption: str = '') -> str:
    return '```{toctree}\n:hidden:\n' + f':caption: {caption}\n'*bool(caption) + '\n' + '\n'.join(entries) + '\n```'


def listing(title: str, told: str, rows: list[tuple[str, str, str]], at: str = '') -> str:
    "A page that leads to others: (page, title, sentence); `at`: its own folder"
    up = '../'*at.count('/')
    table = api.table(('page', 'what it says'), [(f'[{t}]({up}{page}.{kind(page)})', s) for page, t, s in rows])
    return f'# {title}\n\n{told}\n\n{table}\n\n' + toc([f'/{page}' for page, *_ in rows])


def kind(page: str) -> str: return 'md' if re.match(r'(start|do|commands|lookup|decisions|project|learn|floors)/|papers|records|house', page) else 'ipynb'


class Book:
    "All pages that no file stands for: name → Markdown, and the sidebar"
    def __init__(self, site, about):  # about(page) → (title, sentence) of a page that is there
        from synthgen_nb.core.methods import methods
        self.site, self.about = site, about
        self.module = {exported(p): at.rsplit('.', 1)[0] for p, at in site.pages.items() if p.endswith('.ipynb') and p.startswith('nbs/')}
        self.chapters = [self.module[m.module] for m in methods().values() if m.module in self.module]
        self.pages: dict[str, str] = {}

    def row(self, page: str) -> tuple[str, str, str]: return (page, *self.about(page))

    @cached_property
    def made(self) -> dict[str, str]:
        there = {at.rsplit('.', 1)[0] for at in self.site.pages.values()}
        part = lambda folder: [p for p in there if p.startswith(folder + '/')]
        out = {'papers': papers(self), 'records': records(self)}
        rest = [c for c in self.chapters if c.split('/')[0] not in ('qa', 'tools')]
        taught = {'questions': ('Questions and answers', [c for c in self.chapters if c.startswith('qa/')]),
            'tools': ('Tool use', [c for c in self.chapters if c.startswith('tools/')]),
            'choosing': ('Choose and compare', [c for c in dict.fromkeys([*CHOOSING, *rest]) if c in there]),
            'pipelines': ('Pipelines', sorted(part('pipelines'))), 'benchmarks': ('Benchmarks', sorted(part('benchmarks')))}
        for n, (title, pages) in taught.items():
            out[f'learn/{n}'] = listing(title, LEARN[n], [self.row(p) for p in pages], 'learn/')
        for n, (title, files) in TASKS.items():
            rows = [self.row(f'do/{x}') for x in files.split() if f'do/{x}' in there]
            if rows: out[f'do/group_{n}'] = listing(title, DO[n], rows, 'do/')
        own = {p for _, ps in taught.values() for p in ps}
        for n, title in FLOORS.items():
            out[f'floors/{n}'] = listing(title, FLOOR[n], [self.row(p) for p in self.order(part(n)) if p not in own], 'floors/')
        out |= commands() | {f'lookup/{n}': make() for n, make in LOOKUP.items()} | {'lookup/api': names(self)}
        if decisions(): out['decisions/index'] = listing('Decisions', DECISIONS, [self.row(f'decisions/{Path(d).stem}') for d in decisions()], 'decisions/')
        why, own = ['decisions/index'] if decisions() else [], [f'project/{n}' for n in ('contributing', 'security', 'changelog')]
        out['house'] = house([*(f'floors/{n}' for n in FLOORS), *why, *own])
        return out

    def order(self, pages: list[str]) -> list[str]:
        at = {v.rsplit('.', 1)[0]: i for i, v in enumerate(self.site.pages.values())}
        return sorted(pages, key=at.__getitem__)

    def contents(self, made: dict[str, str]) -> str:
        "The sidebar"
        learn, do = [k for k in made if k.startswith('learn/')], [k for k in made if k.startswith('do/')]
        look = ['commands/index', *(f'lookup/{n}' for n in LOOKUP if f'lookup/{n}' in made), 'project/faults', 'lookup/api', 'house']
        return '\n\n'.join([toc(['Overview <self>', *(f'start/{n}' for n in START), 'records'], 'Start'), toc(['papers', *learn], 'Learn'),
            toc([*do, 'project/cluster'], 'Do'), toc(look, 'Look up')])


LINKED = re.compile(r'\[([^\]]*)\]\([^)]*\)')

def llms(book: Book, made: dict[str, str]) -> str:
    "llms.txt: what this is, and every page of the book as Markdown"
    parts = ['# synthgen_nb', '> A notebook-first workbench for synthetic fine-tuning data: documents or tools in, checked training rows out, '
             'and a record of how each row came about.', 'Each page is here as Markdown, too: put `.md` in place of `.html`. Commands print their '
             'options with `-h` and, where they print a table, JSON with `--json`. Nothing is sent to a model until a provider is chosen.']
    groups = [('Start', [*(f'start/{n}' for n in START), 'project/faults']), ('How-tos', [p.removesuffix('.md').removeprefix(f'{DOCS}/') for p in how_tos()]),
        ('Look up', ['commands/index', *(f'lookup/{n}' for n in LOOKUP), 'lookup/api']), ('Chapters', ['papers', *book.chapters]),
        ('Optional', ['house', 'records'])]
    for title, pages in groups:
        told = [(p, *(opening(made[p]) if p in made else book.about(p))) for p in pages]
        parts.append(f'## {title}\n\n' + '\n'.join(f'- [{t}]({p}.md)' + f': {LINKED.sub(chr(92) + "1", s)}'*bool(s) for p, t, s in told))
    return '\n\n'.join(parts) + '\n'


def exported(page: str) -> str:
    "The module that a notebook makes; '' if it makes none"
    found = re.search(r'#\| *default_exp ([\w.]+)', (ROOT/page).read_text(encoding='utf-8')) if page.endswith('.ipynb') else None
    return f'synthgen_nb.{found[1]}' if found else ''


LEARN = dict(questions='Rows of a question and an answer, by the methods of their papers. Each chapter has the claim, the method in ten lines, '
    'each step called and looked at, a check against the paper, and knobs: change their values and run the chapter again.',
    tools='Rows in which a request is solved by calls of tools. The calls run; what a chapter differs in from its paper, it says.',
    choosing='What is kept: evidence for each claim, duplicates, coverage, test sets that must not leak, what the judge is worth, '
    'and whether one set is better than another.',
    pipelines='The notebooks behind `synthgen pipeline`, `synthgen tool-pipeline`, `synthgen study` and `synthgen student`. A run executes one of '
    'them into a record.',
    benchmarks='What is measured about the program itself: speed, memory, faults, beside other programs where that is fair.')
DO = dict(sources='Documents of any kind become chunks that can be asked about.', models='Where the language model is, and what it may cost.',
    tooling='Descriptions of tools, and places where their calls run.', running='Runs that were stopped, repeated, compared or spread over machines.',
    quality='Which rows are kept, and how to know that it is right.', changing='Another method, rubric or prompt, without a fork.',
    using='From rows to a trained student, or to a folder for a hub.', coming='The same job in the other program and here, side by side.')
FLOOR = dict(core='What travels, what is set, what is asked, what was paid for, the door to a model, evidence.',
    corpus='From documents to chunks in a store.', specs='From any description of tools to tools.', select='Which rows stand for the others.',
    worlds='Where calls of tools run.', export='From rows to training files.',
    qa='The rooms of the papers on questions and answers, beside the chapters of *Learn*.',
    tools='The rooms of the papers on tools, beside the chapters of *Learn*.',
    evaluate='What judges, sets and students are worth.', experiments='Runs as data, studies, reports.', cli='The commands: thin, no logic of their own.',
    offline='The stand-in for a language model: rules. It answers every prompt, so that each command, notebook and test runs everywhere.')
DECISIONS = 'What was decided, why, and what would change our mind. One page each, of a few lines.'


def papers(book: Book) -> str:
    "Paper → notebook → command → check → fidelity, from what the notebooks declare"
    from synthgen_nb.core.methods import methods
    rows = []
    for m in methods().values():
        page, arxiv = book.module.get(m.module), re.fullmatch(r'arXiv (\d+\.\d+)', m.paper)
        source = f'[{m.paper}](https://arxiv.org/abs/{arxiv[1]})' if arxiv else m.paper or 'ours'
        rows.append((f'[{m.title}]({page}.ipynb)' if page else m.title, source, f'`{m.command}`' if m.command else '', m.check or m.claim, m.faithful))
    head = '# Papers\n\nWhat is implemented here, in reading order: the chapter, where the method is described, the command that runs it, what it is ' \
           'held against, and how near it comes to its paper. Each notebook declares its own line.'
    return f'{head}\n\n' + api.table(('chapter', 'paper', 'command', 'held against', 'fidelity'), rows)


def records(book: Book) -> str:
    "The gallery of runs: title, sentence, figures"
    parts = ['# Records', 'Every run leaves a document: the notebook as it ran, parameters, counts, figures, cost. These are kept in the repository; '
             '[what each is](runs/about.md) says how it was made. Those of the offline model show what a record holds, and no result.']
    pages = [at for p, at in book.site.pages.items() if p.startswith('runs/') and p.endswith('.ipynb')]
    for at in pages:
        page = at.rsplit('.', 1)[0]
        title, said = book.about(page)
        named = next(x for x in page.split('/')[1:] if x != 'report')
        if named not in title: title = f'{named}: {title}'
        figures = [f for f in sorted((ROOT/at).parent.glob('*.*')) if f.suffix in ('.png', '.svg')][:2]
        for f in figures: book.site.link(f.name, at)  # takes it along
        shown = " ".join(f"[![{title}: {f.stem}]({Path(at).parent.as_posix()}/{f.name})]({at})" for f in figures)
        parts.append(f'## {title}\n\n{said}\n\n[Open the record]({at})\n\n{shown}')
    return '\n\n'.join(parts) + '\n\n' + toc(['runs/about', *(p.rsplit('.', 1)[0] for p in pages)])


def commands() -> dict[str, str]:
    "A page for each command, from its own help"
    import click
    import typer
    from synthgen_nb.cli import main as cli
    cli.register([])
    top = typer.main.get_command(cli.app)
    given = Path(DOCS, 'examples.yaml')
    examples = yaml.safe_load(given.read_text(encoding='utf-8')) if given.exists() else {}
    out, panels = {}, dict[str, list]()
    def visit(c, name, parent):
        ctx = click.Context(c, info_name=name.split()[-1], parent=parent, terminal_width=88, max_content_width=88)
        for sub in c.list_commands(ctx) if hasattr(c, 'list_commands') else ():
            visit(c.get_command(ctx, sub), f'{name} {sub}', ctx)
        if parent is None: return
        page = 'commands/' + name.removeprefix('synthgen ').replace(' ', '-')
        out[page] = command(name, c, ctx, examples.get(name.removeprefix('synthgen '), {}))
        panels.setdefault(str(getattr(c, 'rich_help_panel', '') or 'More'), []).append((page, name, ' '.join((c.help or '').split('\n\n')[0].split())))
    visit(top, 'synthgen', None)
    told = 'A page for each, from its own help, in the order of work. All of them read `synthgen.yaml`; `synthgen COMMAND -h` says the same in the terminal.'
    rows = lambda found: api.table(('command', 'what it does'), [(f'[`{name}`]({page.partition("/")[2]}.md)', said) for page, name, said in found])
    index = '\n\n'.join(['# Commands', told, *(f'## {panel}\n\n{rows(found)}' for panel, found in panels.items())])
    return {'commands/index': index + '\n\n' + toc([f'/{page}' for found in panels.values() for page, *_ in found])} | out


def command(name: str, c, ctx, example: dict) -> str:
    "One command: what it does, an example with its output, arguments and options with default and unit"
    said = [' '.join(p.split()) for p in (c.help or '').split('\n\n')]
    parts = [f'# {name}', said[0], f'```text\n{" ".join(c.get_usage(ctx).split())}\n```', *said[1:]]
    lines = [f'$ synthgen {x}' for x in (c.epilog or '').splitlines() if x and f'synthgen {x}' != example.get('run')]
    if example: lines += [f'$ {example["run"]}', example['prints'].rstrip()]
    if lines: parts.append('## Example\n\n```text\n' + '\n'.join(lines) + '\n```')
    shown = [p for p in c.get_params(ctx) if not getattr(p, 'hidden', False) and p.name != 'help']
    told = [(p, p.get_help_record(ctx) or (p.name, getattr(p, 'help', '') or '')) for p in shown]
    for title, what in (('Arguments', 'argument'), ('Options', 'option')):
        rows = [(f'`{flags.strip()}`', html.escape(meaning.partition('  [')[0], quote=False), meaning.partition('  [')[2].rstrip(']'))
                for p, (flags, meaning) in told if p.param_type_name == what]
        if rows: parts.append(f'## {title}\n\n' + api.table((title.lower().rstrip('s'), 'meaning', 'default'), rows))
    return '\n\n'.join(filter(None, parts))


UNITS = re.compile(r'\b(seconds|megabytes|tokens|US dollars|calls)\b')

def settings() -> str:
    "Every key of synthgen.yaml with default, unit and meaning"
    m = api.module(ROOT, 'synthgen_nb.core.settings')
    blocks = dict(Settings='', LLM='llm.', Provider='llm.NAME.', Temperatures='temperatures.', Thresholds='thresholds.', Limits='limits.',
        Corpus='corpus.', QA='qa.', Paths='paths.', Price='prices.PROVIDER/MODEL.', Rule='rules.NAME.')
    parts = ['# Settings', 'One optional file, `synthgen.yaml`, looked for upwards from the folder you are in; `synthgen init` writes one with '
             'comments. The environment overrides it (`llm.openai.model` is `SYNTHGEN_LLM_OPENAI_MODEL`), and options of a command override '
             'both. Keys of services are named as `${NAME}` and stay in the environment.']
    def row(prefix, n, t, d, x):
        unit = UNITS.search(x)
        kind = ast.unparse(api.bare(ast.parse(t, mode='eval').body))
        return f'`{prefix}{n}`', f'`{d or "none"}`', unit[1] if unit else '', html.escape(x, quote=False), f'`{kind}`'
    for cls, prefix in blocks.items():
        rows = [row(prefix, *f) for f in api.fields(m, m.defs[cls]) if f[2] != f'{f[1]}()' and f[1] not in blocks]
        doc = ast.get_docstring(m.defs[cls]) or ''
        if rows: parts.append(f'## {prefix.rstrip(".") or "At the top"}\n\n{doc}\n\n' + api.table(('key', 'default', 'unit', 'meaning', 'type'), rows))
    return '\n\n'.join(parts)


def formats() -> str:
    "Each training format with a row"
    from synthgen_nb.core.records import Pair
    from synthgen_nb.export.formats import DEFAULT, FORMATS
    from synthgen_nb.export.pairs import PAIR_FORMATS
    p = Pair.model_construct(id='6f3c', question='What is a chunk?', answer='The unit in which a dataset is read and written.')
    said = dict(hf='messages and tools as columns, arguments as objects: what chat templates take', trl='messages and tools for TRL',
        openai='the provider\'s own form, arguments as JSON text', chatml='roles and contents; the default for pairs',
        alpaca='instruction, input, output; LLaMA-Factory and Axolotl read it', sharegpt='conversations with from and value; LLaMA-Factory reads it',
        jsonl='our own records with evidence, scores and origin', functiongemma='the calls as FunctionGemma writes them', text='one text with the calls inside')
    parts = ['# Formats', 'What `-f` writes (`synthgen export`, both pipelines). Each row is rendered with real chat templates and read back, so '
             'that a row which a template would bend is named. The loss mask: a turn that is not to be learnt is marked where the format has a '
             'place for it (`train_on` in hf and trl, `weight: 0` in openai, `train: false` in sharegpt); elsewhere the row is split or cut.']
    rows = [(f'`{n}`', 'yes'*f.pairs, 'yes'*f.conversations, said.get(n, '')) for n, f in FORMATS.items()]
    parts.append(api.table(('format', 'pairs', 'tool calls', 'what it is'), rows))
    for n, make in PAIR_FORMATS.items():
        row = make(p, '', 'think')
        parts.append(f'## {n}\n\n```json\n{json.dumps(row, ensure_ascii=False, indent=1, default=str)}\n```')
    return '\n\n'.join(parts)


def rubrics() -> str:
    "Each rubric with its criteria and anchors"
    parts = ['# Rubrics', 'What the judge is asked to rate, one file each in `prompts/rubrics/`. The model rates, the program adds up. '
             '[A rubric of your own](../do/rubric.md) is a copy of one.']
    for f in sorted(Path('prompts/rubrics').glob('*.yaml')):
        d = yaml.safe_load(f.read_text(encoding='utf-8'))
        parts += [f'## {f.stem}', f'{d["purpose"]}. Source: {d["source"]}. Combined by `{d.get("combine", "sum")}`, threshold {d.get("threshold")}.']
        parts.append(api.table(('criterion', 'scale', 'question'), [(f'`{c["name"]}`', f'{c["low"]}–{c["high"]}', c['question']) for c in d['criteria']]))
    return '\n\n'.join(parts)


def prompts() -> str:
    "Each prompt with its purpose, source and inputs"
    rows = []
    for f in sorted(Path('prompts').glob('*.yaml')):
        d = yaml.safe_load(f.read_text(encoding='utf-8'))
        rows.append((f'`{f.stem}`', d['purpose'], f'{d.get("paper") or ""} · {d.get("faithful") or ""}', ', '.join(f'`{k}`' for k in d.get('inputs') or {})))
    return '# Prompts\n\nWhat the model is sent, one file each in `prompts/`; the hash of each is in every row it made. `synthgen prompts NAME` prints one, ' \
           '[a prompt of your own](../do/prompt.md) takes its place.\n\n' + api.table(('prompt', 'purpose', 'paper, fidelity', 'inputs'), rows)


def worlds() -> str:
    "Each world: how it is named, what it is"
    from synthgen_nb.core.declared import declared
    rows = [(f'`{w["name"]}`', f'`{w["usage"]}`', w['help'], 'yes' if w.get('own_tools') else 'no') for w in declared('worlds', 'WORLD').values()]
    return '# Worlds\n\nWhere calls of tools run (`--world`). What a world answers is marked: what really ran is *executed*, what was made up is not.\n\n' + \
           api.table(('world', 'written', 'what it is', 'brings its tools'), rows)


def providers() -> str:
    "Each provider: its block, where it is, what it needs"
    from synthgen_nb.core.providers import PROVIDERS
    code = lambda v: f'`{v}`' if v else ''
    rows = [(f'`{n}`', code(r.model), code(r.base_url or r.home), code(r.api_key)) for n, r in PROVIDERS.items()]
    return '# Providers\n\nA block each in `synthgen.yaml`, and names of your own for whatever speaks OpenAI\'s protocol. ' \
           '`synthgen list-providers` says what is set up. [Add a provider](../do/provider.md).\n\n' + \
           api.table(('provider', 'model if none is named', 'address', 'key'), rows)


def errors() -> str:
    "Codes and statuses a command ends with"
    from synthgen_nb.cli.app import CODES
    told = 'An error is one line on standard error: what is wrong, where, and what to do. A code that stays ends the line where there is ' \
           'more to do than to read it, and a command with `--json` prints it as well: `{"error": {"code": …, "message": …, "status": …}}`. ' \
           'Tools of `synthgen mcp` begin their errors with it. What became of single rows is told by `synthgen why`, ' \
           'what each fault of a server leads to by [When things go wrong](../project/faults.md).'
    rows = [(f'`{code}`', f'`{status}`', meaning) for code, status, meaning in CODES.values()]
    return f'# Errors\n\n{told}\n\n' + api.table(('code', 'status', 'meaning'), [('', '`0`', 'It did what it says.'), *rows])


def licence(name: str) -> tuple[str, str]: # of a package that is installed; ('', …) where it is not
    "Version and licence, as its author states them"
    try: told = metadata(name)
    except PackageNotFoundError: return '', 'not installed where this page was made'
    classified = [c.rpartition(' :: ')[2] for c in told.get_all('Classifier') or [] if c.startswith('License ::')]
    said = told.get('License-Expression') or '; '.join(classified) or (told.get('License') or '').strip().partition('\n')[0]
    return told['Version'], said[:60] or 'not stated'


def licences() -> str:
    "What is installed directly, with its licence"
    project = tomllib.loads(Path('pyproject.toml').read_text(encoding='utf-8'))['project']
    groups = {'A plain install': project['dependencies']} | {f'Extra {n}': found for n, found in project['optional-dependencies'].items()}
    parts = ['# Licences', 'The program itself is under Apache-2.0. These packages are installed with it; `make sbom` lists those that they '
             'need in turn, as CycloneDX and as a table. Pages in `runs/` name the licences of their sources.']
    named = lambda found: sorted({re.match(r'[\w.-]+', d)[0] for d in found} - {project['name']}, key=str.lower)
    for title, found in groups.items():
        rows = [(f'`{n}`', *licence(n)) for n in named(found)]
        if rows: parts.append(f'## {title}\n\n' + api.table(('package', 'version', 'licence'), rows))
    return '\n\n'.join(parts)


GLOSSARY = {
    'acceptance': 'A condition of your own beside the threshold: `--accept "rating >= 8"`.',
    'answer': 'What the door gives for a request: a value *or* a reason, with raw text, usage and cost. Never an exception for one bad reply.',
    'arm': 'One of the settings that a study compares; in other words a condition or variant.',
    'budget': 'Most US dollars (`limits.max_budget`) or calls (`limits.max_calls`) that one command may spend.',
    'chunk': 'A piece of a document that is asked about, with its place.',
    'claim': 'A statement of an answer. Each is held against its source, by the program.',
    'drop': 'A row that is not kept, with its stage and a reason a program can count: `synthgen why` tells it.',
    'evidence': 'The span of a source on which a claim rests, or the result on which a tool answer does.',
    'faithful': 'How near a method comes to its paper: `paper`, `approximation` or `heuristic`.',
    'judge': 'The model that rates rows by a rubric. It is not the guard: evidence is.',
    'loss mask': 'Which tokens of a row are learnt; results of tools and the user\'s words are not.',
    'observation': 'What a tool gave back. It says whether it was executed or simulated.',
    'offline': 'The stand-in model, rules instead of a language model; no figure made with it is a result.',
    'origin': 'What made a row: method, model, prompt version, calls.',
    'pair': 'A question with its answer.',
    'record': 'The folder a run leaves: executed notebook, `run.json`, rows of each stage, training file, card.',
    'rubric': 'Criteria with scales and worded anchors, and how they combine.',
    'store of calls': 'Every reply, on disk before it is counted. Asking again costs nothing; so everything resumes.',
    'study': 'Arms over a shared base, with a comparison at the end; also called an ablation.',
    'trajectory': 'A conversation with calls of tools and what they gave.',
    'world': 'Where calls run: reset, call, state.'}

def glossary() -> str:
    return '# Glossary\n\nThe words as they are used here.\n\n' + '\n\n'.join(f'**{k}**\n: {v}' for k, v in sorted(GLOSSARY.items()))


LOOKUP = dict(settings=settings, providers=providers, formats=formats, rubrics=rubrics, prompts=prompts, worlds=worlds,
    errors=errors, glossary=glossary, licences=licences)


def public(m: api.Module) -> list[str]: return [n for n in m.defs if '.' not in n and n[0] != '_']


def names(book: Book) -> str:
    "What `import synthgen_nb as sg` gives, then every module with its public names"
    front = api.module(ROOT, 'synthgen_nb.cli.front')
    parts = ['# API', 'The short names of `import synthgen_nb as sg`, then every module; each name is explained on its notebook\'s page.']
    if front:
        told = lambda d: html.escape((ast.get_docstring(d) or '').split('\n')[0], quote=False)
        shown = [(f'{{py:obj}}`{n} <synthgen_nb.cli.front.{n}>`', told(front.defs[n])) for n in public(front)]
        parts.append(api.table(('name', 'what it does'), shown))
    for floor, title in FLOORS.items():
        rows = [(f'[`{mod.partition(".")[2]}`](../{page}.ipynb)', ', '.join(public(m)))
                for mod, page in book.module.items() if mod.startswith(f'synthgen_nb.{floor}.') and (m := api.module(ROOT, mod))]
        if rows: parts.append(f'## {title}\n\n' + api.table(('module', 'names'), rows))
    return '\n\n'.join(parts)


IMPORT = re.compile(r'^\s*from (?:\.\.|synthgen_nb\.)([a-z_]+)[\w.]* import', re.M)

def imports() -> dict[tuple[str, str], int]:
    "(floor, floor it imports from) → how many import lines"
    out: dict[tuple[str, str], int] = {}
    for f in sorted(Path('synthgen_nb').rglob('*.py')):
        own = f.parts[1] if len(f.parts) > 2 else ''
        for to in IMPORT.findall(f.read_text(encoding='utf-8')) if own in FLOORS else ():
            if to in FLOORS and to != own: out[own, to] = out.get((own, to), 0) + 1
    return out


STOREYS = [['cli'], ['experiments'], ['qa', 'tools', 'evaluate'], ['worlds', 'export'], ['corpus', 'specs', 'select'], ['core']]

def drawn(between: dict[tuple[str, str], int]) -> str:
    "The house as SVG: a room for each folder, a line for its imports, as thick as they are many"
    place, w, h = {}, 720, 92
    for y, rooms in enumerate(STOREYS):
        for x, r in enumerate(rooms): place[r] = (w*(x + 1)/(len(rooms) + 1), 30 + y*h)
    line = lambda a, b, n: (f'<path d="M{place[a][0]:.0f} {place[a][1] + 17}L{place[b][0]:.0f} {place[b][1] - 17}" stroke-width="{.5 + n**.5/3:.1f}" '
        f'opacity=".35"><title>{a} imports from {b} {n} times</title></path>')
    box = 'width="116" height="34" rx="6" fill="var(--color-background-secondary)"'
    room = lambda r, x, y: (f'<a href="floors/{r}.html"><rect x="{x - 58:.0f}" y="{y - 17}" {box}/>'
        f'<text x="{x:.0f}" y="{y + 5}" text-anchor="middle" fill="currentColor" stroke="none" font-size="15">{r}</text></a>')
    lines = ''.join(line(a, b, n) for (a, b), n in sorted(between.items()) if a in place and b in place)
    told = 'Which folder imports from which; each only from those below it'
    return f'<svg viewBox="0 0 {w} {h*len(STOREYS)}" role="img" aria-label="{told}" fill="none" stroke="currentColor" style="max-width:100%">' \
           f'{lines}{"".join(room(r, *xy) for r, xy in place.items())}</svg>'


def house(entries: list[str]) -> str:
    between = imports()
    order = lambda a: sorted((b for x, b in between if x == a), key=lambda b: -between[a, b])
    rows = [(a, ', '.join(f'{b} ({between[a, b]})' for b in order(a))) for a in FLOORS]
    told = 'For those who work on the program itself. A notebook in `nbs/` defines, explains and checks a part and exports it as a module; ' \
           'a folder imports only from folders below it. Drawn from the imports when this page was made.'
    def link(e):
        folder, _, name = e.partition('/')
        return f'- [{FLOORS[name]}]({e}.md): {FLOOR[name]}' if folder == 'floors' else f'- [{(folder if name == "index" else name).capitalize()}]({e}.md)'
    links = '\n'.join(map(link, entries))
    return f'# The house\n\n{told}\n\n{drawn(between)}\n\n{links}\n\n' + api.table(('folder', 'imports from (lines)'), rows) + \
        '\n\n' + toc([f'/{e}' for e in entries])
