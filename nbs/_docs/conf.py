"Sphinx: the pages that build.py wrote, as they are stored; nothing is executed and nothing is fetched"
import html
import json
import re
from functools import cached_property
from hashlib import sha256
from itertools import groupby
from pathlib import Path

import sphinx.search
from docutils import nodes
from latex2mathml.converter import convert
from nbdev.config import get_config
from pygments.formatters import HtmlFormatter
from pygments.token import Comment, Generic, Keyword, Name, Operator, String
from sphinx import addnodes
from sphinx.domains.python import PythonDomain
from sphinx.highlighting import PygmentsBridge
from sphinx.search import WordCollector
from sphinx.search.en import SearchEnglish
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

cfg = get_config()
project = html_title = cfg.title
author, copyright, release = cfg.author, cfg.copyright, cfg.version
html_baseurl = cfg.doc_host + cfg.doc_baseurl + '/'

extensions = ['myst_nb', 'sphinx_copybutton']
root_doc = 'index'
myst_enable_extensions = ['attrs_inline', 'colon_fence', 'deflist', 'dollarmath', 'amsmath', 'html_image', 'strikethrough', 'tasklist']
myst_heading_anchors = 4
myst_dmath_allow_space = myst_dmath_allow_digits = False  # so that $5 stays money
nb_execution_mode = 'off'
nb_merge_streams = True
nb_render_markdown_format = 'gfm'
nb_code_prompt_show = nb_code_prompt_hide = 'Source'
nb_ipywidgets_js = {}  # else from a CDN
suppress_warnings = ['myst.header', 'myst.strikethrough', 'mystnb.unknown_mime_type', 'ref.python', 'misc.highlighting_failure']
python_maximum_signature_line_length = 72
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries = False

html_theme = 'furo'
html_static_path = ['_static']
html_css_files = ['nb.css']
html_theme_options = dict(navigation_with_keys=True)
templates_path = ['_templates']
html_search_scorer = str(Path(__file__).parent/'_static/scorer.js')
made_by = sha256(Path(__file__).read_bytes()).hexdigest()
html_context = dict(made_by=made_by)  # pages are made anew when what makes them changed
html_show_sphinx = html_copy_source = html_use_index = html_domain_indices = False
html_permalinks_icon = '#'
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

def navigation(app, failed):
    "The sidebar as one script; in each page it would be a fifth of the site"
    if failed: return
    parts = json.dumps(tree(app.env), ensure_ascii=False, separators=(',', ':'))
    script = (Path(__file__).parent/'nav.js').read_text(encoding='utf-8').replace('PARTS', parts, 1)
    (Path(app.outdir)/'_static/nav.js').write_text(script, encoding='utf-8')


def bare(app, page, template, context, doctree): context.pop('toctree', None)  # furo, at 500, would draw the tree of all pages
class Marks(HtmlFormatter):
    "Code with four marks, for keywords, comments, texts and names; with one for each kind of token, they outweigh the code"
    TAGS = ((Keyword, 'b'), (Operator.Word, 'b'), (Name.Tag, 'b'), (Comment, 'i'), (String, 'u'), (Name.Function, 'em'), (Name.Class, 'em'))
    def _format_lines(self, tokens):
        out = []
        mark = lambda kind: next((tag for k, tag in self.TAGS if kind in k), self._get_css_class(kind)*(kind in Generic))
        for kind, run in groupby(tokens, lambda t: mark(t[0])):
            text = html.escape(''.join(v for _, v in run), quote=False)
            tag, close = (kind, kind) if len(kind) < 2 or kind == 'em' else (f'span class="{kind}"', 'span')
            out.append(f'<{tag}>{text}</{close}>' if kind and text.strip() else text)
        yield 1, ''.join(out)

PygmentsBridge.html_formatter = Marks


class Writer(HTML5Translator):
    "Signatures and code in a text without a mark for each word"
    def visit_desc_signature(self, node): super().visit_desc_signature(node); self.protect_literal_text -= 1
    def depart_desc_signature(self, node): self.protect_literal_text += 1; super().depart_desc_signature(node)
    def visit_desc_sig_element(self, node): pass
    def depart_desc_sig_element(self, node): pass
    def visit_literal(self, node): self.body.append('<code class="literal">')
    def depart_literal(self, node): self.body.append('</code>')


class Words(WordCollector):
    "What the search looks through: prose, not code and what it printed; names of functions are found as names"
    def dispatch_visit(self, node):
        if isinstance(node, nodes.literal_block | addnodes.desc): raise nodes.SkipNode
        super().dispatch_visit(node)

sphinx.search.WordCollector = Words


class English(SearchEnglish):
    "Questions as people ask them: `how do I add a provider` looks for *add* and *provider*"
    ASKING = 'how do does can could should i my me we you your it is was were what when where which why who has have'
    stopwords = SearchEnglish.stopwords | set(ASKING.split())

sphinx.search.languages['en'] = English


class Names(PythonDomain):
    "Python's names; what no module of ours defines, such as `str`, is not held against each of theirs"
    @cached_property
    def ends(self): return {full.rpartition('.')[2] for full in self.objects}  # all pages are read before names are sought
    def find_obj(self, env, modname, classname, name, *how):
        return super().find_obj(env, modname, classname, name, *how) if name.rpartition('.')[2] in self.ends else []


def setup(app):
    app.add_domain(Names, override=True)
    app.set_translator('html', Writer)
    app.connect('html-page-context', bare, priority=400)
    app.connect('build-finished', navigation)
    app.add_html_math_renderer('mathml', inline_renderers=(formula, None), block_renderers=(formula, None))
    app.config.html_math_renderer = 'mathml'
