"Sphinx: the pages that build.py wrote, as they are stored; nothing is executed and nothing is fetched"
import re
from functools import cached_property

from docutils import nodes
from latex2mathml.converter import convert
from nbdev.config import get_config
from sphinx.domains.python import PythonDomain
from sphinx.util import logging

cfg = get_config()
project = html_title = cfg.title
author, copyright, release = cfg.author, cfg.copyright, cfg.version
html_baseurl = cfg.doc_host + cfg.doc_baseurl + '/'

extensions = ['myst_nb', 'sphinx_copybutton']
root_doc = 'index'
exclude_patterns = []
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
toc_object_entries_show_parents = 'hide'

html_theme = 'furo'
html_static_path = ['_static']
html_css_files = ['nb.css']
html_theme_options = dict(navigation_with_keys=True,
    light_css_variables={'color-brand-primary': '#2a6a8f', 'color-brand-content': '#2a6a8f', 'color-brand-visited': '#5a5a9a',
        'color-api-name': '#1d4f6e', 'color-api-pre-name': '#6b7280', 'color-code-background': '#f5f6f8'},
    dark_css_variables={'color-brand-primary': '#7fb8d8', 'color-brand-content': '#8fc3e0', 'color-brand-visited': '#b3a5d8',
        'color-api-name': '#9fd0ea', 'color-api-pre-name': '#8b929c', 'color-code-background': '#1b1d21'})
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


PLAIN = re.compile(r'<span class="(?:n|p|w)">([^<]*)</span>')  # names, brackets, spaces

def lighter(app, page, template, context, doctree):
    "Code without the marks that no style colours: a third of the page"
    if 'body' in context: context['body'] = PLAIN.sub(r'\1', context['body'])


LISTS: dict[str, str] = {}  # folder of a page → all pages, as linked from there
OTHER, HERE = '<a class="reference internal" href="{}.html">', '<a class="current reference internal" href="#">'
ITEM, CURRENT = '<li class="toctree-l1">', '<li class="toctree-l1 current">'

def listed(app, page, template, context, doctree):
    "The list of all pages made once a folder, where each page marks itself; made for each, its cost is the square of the pages"
    if 'toctree' not in context: return
    real, (folder, _, name) = context['toctree'], page.rpartition('/')
    own = ITEM + OTHER.format(name)
    def toctree(**how):
        if folder not in LISTS: LISTS[folder] = real(**how).replace(CURRENT + HERE, own).replace('<ul class="current">', '<ul>')
        return LISTS[folder].replace(own, CURRENT + HERE)
    context['toctree'] = toctree


class Names(PythonDomain):
    "Python's names; what no module of ours defines, such as `str`, is not held against each of theirs"
    @cached_property
    def ends(self): return {full.rpartition('.')[2] for full in self.objects}  # all pages are read before names are sought
    def find_obj(self, env, modname, classname, name, *how):
        return super().find_obj(env, modname, classname, name, *how) if name.rpartition('.')[2] in self.ends else []


def setup(app):
    app.add_domain(Names, override=True)
    app.connect('html-page-context', lighter)
    app.connect('html-page-context', listed, priority=400)  # furo, at 500, asks for it
    app.add_html_math_renderer('mathml', inline_renderers=(formula, None), block_renderers=(formula, None))
    app.config.html_math_renderer = 'mathml'
