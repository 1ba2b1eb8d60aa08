"Sphinx: the pages that build.py wrote, as they are stored; nothing is executed and nothing is fetched"
import html
import json
import re
from functools import cache, cached_property
from hashlib import sha256
from itertools import groupby
from pathlib import Path

import sphinx.builders.html
import sphinx.search
from docutils import nodes
from latex2mathml.converter import convert
from nbdev.config import get_config
from pygments.formatters import HtmlFormatter
from pygments.token import Comment, Generic, Keyword, Name, Operator, String
from sphinx import addnodes
from sphinx.domains.python import PythonDomain
from sphinx.highlighting import PygmentsBridge
from sphinx.search.en import SearchEnglish
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

from synthgen_nb.core.display import STYLE

cfg = get_config()
project = html_title = cfg.title
author, copyright, release = cfg.author, cfg.copyright, cfg.version

extensions = ['myst_nb', 'sphinx_copybutton']
root_doc = 'index'
myst_enable_extensions = ['attrs_inline', 'colon_fence', 'deflist', 'dollarmath', 'amsmath', 'html_image', 'smartquotes', 'strikethrough', 'tasklist']
myst_heading_anchors = 4
myst_dmath_allow_space = myst_dmath_allow_digits = False  # so that $5 stays money
nb_execution_mode = 'off'
nb_merge_streams = True
smartquotes = False  # MyST sets them, without a walk through every tree
nb_render_markdown_format = 'gfm'
nb_code_prompt_show = nb_code_prompt_hide = 'Source'
nb_ipywidgets_js = {}  # else from a CDN
suppress_warnings = ['myst.header', 'myst.strikethrough', 'mystnb.unknown_mime_type', 'ref.python', 'misc.highlighting_failure']
python_maximum_signature_line_length = 72
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries = False

html_theme = 'furo'
html_static_path = ['_static/nb.css']
html_css_files = ['nb.css']
html_theme_options = dict(navigation_with_keys=True)
templates_path = ['_templates']
html_search_scorer = str(Path(__file__).parent/'_static/scorer.js')
made_by = sha256(Path(__file__).read_bytes()).hexdigest()
html_context = dict(made_by=made_by)  # pages are made anew when what makes them changed
html_show_sphinx = html_copy_source = html_use_index = html_domain_indices = False
html_permalinks = False  # frame.js adds them
pygments_style, pygments_dark_style = 'friendly', 'github-dark'
copybutton_exclude = '.linenos, .gp, .go'
copybutton_selector = 'div.cell_input pre, div[class^="highlight-"]:not(.cell_output *) pre'


def formula(self, node):
    "TeX as MathML, which browsers draw themselves"
    made = convert(node.astext(), display='block' if isinstance(node, nodes.math_block) else 'inline')
    if unknown := re.search(r">\\(\w+)", made): # what it does not know it passes on as text
        logging.getLogger(__name__).warning('formula: unknown command \\%s', unknown[1], location=node)
    self.body.append(made)
    raise nodes.SkipNode


def tree(env) -> list:
    "The four parts: [caption, [[page, title, pages below], …]]"
    def item(doc, title=''): return [doc, title or env.titles[doc].astext(), [item(d) for d in env.toctree_includes.get(doc, ())]]
    return [[t['caption'], [['index', title, []] if doc == 'self' else item(doc, title) for title, doc in t['entries']]]
            for t in env.tocs['index'].findall(addnodes.toctree)]

def assets(app, failed):
    "One sheet of styles and two scripts for all pages, of which one draws what stands around them; in each page that would be a fifth of the site"
    if failed: return
    static = Path(app.outdir)/'_static'
    parts = json.dumps(tree(app.env), ensure_ascii=False, separators=(',', ':'))
    script = (Path(__file__).parent/'frame.js').read_text(encoding='utf-8').replace('PARTS', parts, 1)
    (static/'frame.js').write_text(script.replace('TITLE', cfg.title).replace('COPYRIGHT', cfg.copyright), encoding='utf-8')
    def read(files, kind):
        names = [str(f.filename).removeprefix('_static/') for f in sorted(files, key=lambda f: f.priority)]
        return [(static/name).read_text(encoding='utf-8') for name in names if name.endswith(kind)]
    styles = COLOURED.sub('', '\n'.join(read(app.builder._css_files, '.css'))).replace('table.docutils', '.table-wrapper>table')
    (static/'site.css').write_text(styles + re.sub('</?style>', '', STYLE), encoding='utf-8')  # and that of records in outputs
    (static/'site.js').write_text(';\n'.join(read(app.builder._js_files, '.js')), encoding='utf-8')

COLOURED = re.compile(r'^[^\n{}]*(?:\.highlight \.(?!g)\w+|\.-Color\[[^{]*) \{[^}]*\}[^\n]*\n', re.M)  # marks that `Marks` does not make


def bare(app, page, template, context, doctree): context.pop('toctree', None)  # furo, at 500, would draw the tree of all pages


class Marks(HtmlFormatter):
    "Code with four marks, for keywords, comments, texts and names; with one for each kind of token, they outweigh the code"
    TAGS = ((Keyword, 'b'), (Operator.Word, 'b'), (Name.Tag, 'b'), (Comment, 'i'), (String, 'u'), (Name.Function, 'em'), (Name.Class, 'em'))
    def _format_lines(self, tokens):
        out = []
        mark = cache(lambda kind: next((tag for k, tag in self.TAGS if kind in k), self._get_css_class(kind)*(kind in Generic)))
        for kind, run in groupby(tokens, lambda t: mark(t[0])):
            text = html.escape(''.join(v for _, v in run), quote=False)
            tag, close = (kind, kind) if len(kind) < 2 or kind == 'em' else (f'span class="{kind}"', 'span')
            out.append(f'<{tag}>{text}</{close}>' if kind and text.strip() else text)
        yield 1, ''.join(out)



class Writer(HTML5Translator):
    "Signatures and code in a text without a mark for each word"
    def visit_desc_signature(self, node): super().visit_desc_signature(node); self.protect_literal_text -= 1
    def depart_desc_signature(self, node): self.protect_literal_text += 1; super().depart_desc_signature(node)
    def visit_desc_sig_element(self, node): pass
    def depart_desc_sig_element(self, node): pass
    def visit_literal(self, node): self.body.append('<code class="literal">')
    def depart_literal(self, node): self.body.append('</code>')


feed = sphinx.search._feed_visit_nodes

def prose(node, word_store, **how):
    "What the search looks through: not code and what it printed, since names are found as names; of internals their titles and first words"
    if isinstance(node, nodes.literal_block | addnodes.desc | nodes.raw): return
    if isinstance(node, nodes.document):
        env = node.settings.env
        page = env.path2doc(node['source'])
        word_store.first = any(page in pages for floor, pages in env.toctree_includes.items() if floor.startswith('floors/'))
    if word_store.first and isinstance(node, nodes.paragraph | nodes.table) and 'lead' not in node.parent.get('classes', ()): return
    feed(node, word_store=word_store, **how)

sphinx.search._feed_visit_nodes = prose  # which calls itself by this name


class English(SearchEnglish):
    "Questions as people ask them: `how do I add a provider` looks for *add* and *provider*"
    ASKING = 'how do does can could should i my me we you your it is was were what when where which why who has have'
    stopwords = SearchEnglish.stopwords | set(ASKING.split())
    stems = cache(SearchEnglish.stem)
    def stem(self, word): return self.stems(word)

sphinx.search.languages['en'] = English


class Names(PythonDomain):
    "Python's names, found by their last part: Sphinx would hold each that is looked for against all of them"
    @cached_property
    def ends(self):  # all pages are read before names are sought
        out = {}
        for full, entry in self.objects.items(): out.setdefault(full.rpartition('.')[2], {})[full] = entry
        return out
    def find_obj(self, env, modname, classname, name, *how):
        near = self.ends.get(name.rpartition('.')[2])
        if not near: return []
        everything, self.data['objects'] = self.data['objects'], near
        try: return super().find_obj(env, modname, classname, name, *how)
        finally: self.data['objects'] = everything


class Bridge(PygmentsBridge):
    "Lexers and the formatter are made once, not for every piece of code"
    html_formatter = Marks
    @cached_property
    def made(self): return self.html_formatter(**self.formatter_args)
    def get_formatter(self, **kwargs): return self.made
    @cached_property
    def lexers(self): return {}
    def get_lexer(self, source, lang, opts=None, force=False, location=None):
        key = lang, source.startswith('>>>')
        if key not in self.lexers: self.lexers[key] = super().get_lexer(source, lang, opts, True, location)  # what is odd is shown as it is
        return self.lexers[key]

sphinx.builders.html.PygmentsBridge = Bridge


IDLE = set('AliasTransform ApplySourceWorkaround AutoIndexUpgrader CitationDefinitionTransform CitationReferenceTransform DoctestTransform '
           'FootnoteDocnameUpdater GlossarySorter PreserveTranslatableMessages RemoveTranslatableInline TrimDoctestFlagsTransform'.split())

def swift(app, *more):
    "No walk through every tree for what none of our pages has"
    for found in (app.registry.transforms, app.registry.post_transforms): found[:] = [t for t in found if t.__name__ not in IDLE]


def setup(app):
    app.add_domain(Names, override=True)
    app.set_translator('html', Writer)
    app.connect('builder-inited', swift)
    app.connect('html-page-context', bare, priority=400)
    app.connect('build-finished', assets)
    app.add_html_math_renderer('mathml', inline_renderers=(formula, None), block_renderers=(formula, None))
    app.config.html_math_renderer = 'mathml'
