"Whatever travels shows itself: in a notebook as HTML that is safe and whole, in a terminal as text"

import importlib
import inspect
import io
import pkgutil
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from IPython.core.formatters import DisplayFormatter
from pydantic import BaseModel
from rich.console import Console

import synthgen_nb
from synthgen_nb.core.display import MOST, Displayed, Part, Story, as_html, as_text, brief, listing, page, story_of
from synthgen_nb.core.judge import Verdict
from synthgen_nb.core.models import Answer
from synthgen_nb.core.prompts import load_prompt
from synthgen_nb.core.records import Chunk, Drop, Evidence, Origin, Outcome, Pair, Record, Row, Score, Source, drop
from synthgen_nb.core.settings import Provider, Settings, load_settings
from synthgen_nb.corpus.read import Document
from synthgen_nb.specs.tool import Tool
from synthgen_nb.specs.trajectory import Call, Observation, Ref, Trajectory, Turn

BAD = "<script>alert(1)</script><img src=x onerror=y>&\"'\x1b[31m\u202e"
FLOORS = ("core", "corpus", "specs", "select", "worlds", "export", "qa", "tools", "evaluate", "experiments")
MODULES = [m.name for f in FLOORS for m in pkgutil.iter_modules([f"{synthgen_nb.__path__[0]}/{f}"], f"synthgen_nb.{f}.")]


def public(base):
    "The public classes of the package that inherit from one"
    found = (c for m in map(importlib.import_module, MODULES) for c in vars(m).values() if inspect.isclass(c) and c.__module__ == m.__name__)
    return {c for c in found if issubclass(c, base) and c is not base and c.__name__[0] != "_"}


def test_every_record_has_a_display_of_its_own():
    records = {c for c in public(Record)}
    assert {"Chunk", "Joined", "Pair", "Trajectory", "Tool", "Preference", "Task", "Blueprint", "Intent"} <= {c.__name__ for c in records}
    bare = [c.__name__ for c in records if c._story in (Record._story, Displayed._story, Row._story) and c is not Row]
    assert not bare and all(issubclass(c, Displayed) for c in public(BaseModel))
    assert not [c.__name__ for c in records if c._brief is Displayed._brief and c is not Row]


class Tags(HTMLParser):
    "What a page is made of"

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.open, self.data = set(), set(), [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {k for k, _ in attrs}
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.data += data if not self.open or self.open[-1] != "style" else ""


KNOWN = set("div style p b i span pre mark ins del details summary section table thead tbody tr th td".split())


def read(html):
    found = Tags()
    found.feed(html)
    assert not found.open and found.tags <= KNOWN and found.attributes <= {"class"}, (found.tags - KNOWN, found.attributes)
    return found.data


def some_chunk(text):
    return Chunk(text=text, sources=(Source(path=BAD, end=len(text), section=(BAD,)),), language=BAD)


def some_pair(c, text):
    scores = (Score(criterion=BAD, value=2, scale=(0, 3), judge=BAD, rubric=BAD, rationale=BAD), Score(criterion="overall", scale=(0, 10), status="unrated"))
    origin = (Origin(method=BAD, faithful="paper", model=BAD, prompt=BAD, prompt_hash=BAD, note=BAD),)
    more = dict(original_answer=BAD, reasoning=(BAD, BAD), evidence=(Evidence(claim=BAD, chunk=c.id, start=0, end=9),), meta={BAD: BAD}, parents=(BAD,))
    return Pair(question=text, answer=text, chunk_id=c.id, sources=(BAD,), section=BAD, corpus=BAD, scores=scores, origin=origin, **more)


def some_trajectory(text):
    call = Call(id=BAD, tool=BAD, arguments={BAD: text}, refs=(Ref(param=BAD, call=BAD, path=BAD),))
    seen = Observation(call=BAD, status="ok", source="simulated", world=BAD, content={BAD: [text]}, mismatch=(BAD,))
    failed = seen.model_copy(update=dict(status="error", error=text))
    turns = Turn(role="user", text=text), Turn(role="assistant", thought=BAD, text=text, calls=(call, call), observations=(seen, failed), train=False)
    return Trajectory(turns=turns, tools=(BAD,), world=BAD, own=(some_tool(text),), meta={BAD: BAD})


def some_tool(text):
    parameters = {"type": "object", "properties": {BAD: {"type": "string", "description": BAD, "enum": [BAD], "default": BAD}}, "required": [BAD]}
    return Tool(name="t", description=text, parameters=parameters, returns={BAD: BAD}, category=BAD, docs=text, source=BAD, examples=(BAD,), binding={BAD: BAD})


def every_kind(text):
    "One of each, with the same text in all its fields"
    c = some_chunk(text)
    p, t = some_pair(c, text), some_trajectory(text)
    answer = Answer(value={BAD: text}, text=text, calls=(BAD,), model=BAD, cost=0.5)
    settings, ask = Settings(topic=text), load_prompt("rewrite").render(question=text, answer=text, text=text, section=BAD)
    rows = [c, p, t, some_tool(text), answer, Answer(error=BAD, text=text), settings, ask, load_prompt("judge"), Document(path=BAD, text=text, kind="text")]
    rows += [*t.turns, *t.observations, *t.calls, *p.scores, *p.evidence, *p.origin, *c.sources, Verdict(p.scores, None, answer, p.origin[0])]
    dropped = [drop(x, BAD, f"{BAD}:{BAD}", text) for x in (c, p, t)] + [Drop(id="x", stage="load", reason="invalid_row", record={BAD: text})]
    return c, [*rows, *dropped, Outcome([p, p], dropped, BAD), Row(scores=p.scores)]


def test_nothing_that_is_shown_is_acted_on():
    _held, some = every_kind(BAD)
    for x in some:
        html = x._repr_html_()
        read(html)
        assert "<script" not in html and "<img" not in html and "\x1b" not in html and "\u202e" not in html
        shown = [as_text(x._story()), as_text(x._story(), full=True), printed(x)]
        assert not [s for s in shown if "\x1b" in s or "\u202e" in s]
    read(as_html(listing(some)))


def printed(x, width=100):
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=False).print(x)
    return out.getvalue()


def test_a_long_text_can_be_seen_to_its_end():
    text = " ".join(f"Word {i} of a long text." for i in range(3000))
    _held, some = every_kind(text)
    shows = [x for x in some if not isinstance(x, (Score, Evidence, Origin, Source, Row)) or isinstance(x, (Pair, Trajectory))]
    for x in shows:
        said = re.sub(r"\s+", "", read(x._repr_html_()))
        if "Word0of" in said:
            assert "Word2999of" in said, type(x).__name__
        assert len(as_text(x._story())) < 12_000, f"{type(x).__name__} fills a terminal"
    assert sum("Word2999of" in re.sub(r"\s+", "", read(x._repr_html_())) for x in shows) >= 14


def test_a_text_as_long_as_a_book_says_how_much_is_left():
    p = Pair(question="What?", answer="word " * 100_000)
    html = p._repr_html_()
    assert len(html) < 2 * MOST and f"{500_000 - MOST:,} characters more" in html
    assert len(as_text(p._story())) < 8000


def test_a_pair_shows_its_evidence_in_the_chunk():
    c = Chunk(text="A chunk is cached. It is the unit of I/O.", sources=(Source(path="guide.md"),))
    p = Pair(question="What is it?", answer="The unit of I/O.", chunk_id=c.id, evidence=(Evidence(claim="The unit of I/O.", chunk=c.id, start=19, end=41),))
    assert "<mark>It is the unit of I/O.</mark>" in p._repr_html_() and "⟦It is the unit of I/O.⟧" in as_text(p._story())
    id = c.id
    del c
    shown = p._repr_html_()
    assert "<mark>" not in shown and id in shown and "not at hand" in shown


def test_an_outcome_shows_both_sides():
    pairs = [Pair(question=f"Question {i}?", answer="Yes.") for i in range(9)]
    o = Outcome(pairs[:5], [drop(p, "judge", f"reason_{i % 2}:x") for i, p in enumerate(pairs[5:])])
    for shown in (read(o._repr_html_()), as_text(o._story()), printed(o)):
        assert all(x in shown for x in ("Question 0?", "3 of 5", "reason_0", "reason_1", "2 of 4"))
    nothing = Outcome()
    assert "kept 0, dropped 0" in read(nothing._repr_html_()) and as_text(nothing._story())


def test_rows_of_a_list_open():
    pairs = [Pair(question=f"Question {i}?", answer=f"Answer {i}.") for i in range(30)]
    html = as_html(listing(pairs, n=25))
    assert html.count("<details") >= 25 and "Question 24?" in html and "Question 25?" not in html and "25 of 30" in html
    assert "Question 29?" in as_text(listing(pairs, n=30), full=True)
    assert read(as_html(listing([]))) and read(as_html(listing([{"a": 1}, {"b": [2]}])))


def test_a_conversation_says_what_is_learnt_and_what_is_masked():
    t = some_trajectory("text")
    said = as_text(t._story())
    assert "masked, not learnt" in said and "simulated" in said and "sg-masked" in t._repr_html_()
    learnt = t.but(turns=(t.turns[0], t.turns[1].model_copy(update=dict(train=True))))
    assert "masked" not in as_text(learnt._story()) and "sg-assistant" in learnt._repr_html_()


KEY = "sk-very-secret-0123456789"


@pytest.mark.parametrize("given", [dict(api_key=KEY), dict(base_url=f"https://me:{KEY}@gpu/v1?key={KEY}"), dict(extra=dict(headers=dict(auth=KEY), k=KEY))])
def test_keys_are_never_shown(given):
    block = Provider(model="m", **given)
    s = load_settings(environ={}, llm__vllm__model="m", **{f"llm__vllm__{k}": v for k, v in given.items()})
    for x in (block, s, s.llm):
        assert KEY not in x._repr_html_() + as_text(x._story(), full=True) + printed(x)
    assert "${MY_KEY}" in as_text(Provider(model="m", api_key="${MY_KEY}")._story())


def test_a_prompt_shows_its_slots_and_what_fills_them():
    p = load_prompt("rewrite")
    assert "<mark>{{ question" in p._repr_html_()
    ask = p.render(question="What is a chunk?", answer="A unit.", text="A chunk is a unit.", section="")
    assert "<mark>What is a chunk?</mark>" in ask._repr_html_()


def test_a_world_shows_its_tools_and_no_secret():
    from synthgen_nb.worlds.world import Local, unsecret

    world = Local("lesson:token=hush", [Tool(name="add", description="Adds.")], {}, make=lambda _: None)
    shown = world._repr_html_()
    assert "add" in shown and "Adds." in shown and "executed" in shown and "hush" not in shown
    assert "hush" not in unsecret("mcp:KEY=hush cmd --api-key hush") + unsecret("mcp:https://a.b/c?token=hush") and unsecret("hdf5:3") == "hdf5:3"


def test_what_a_notebook_and_a_terminal_ask_for():
    p = Pair(question="What is a chunk?", answer="The unit of I/O.")
    data, _ = DisplayFormatter().format(p)
    assert set(data) == {"text/plain", "text/html"} and data["text/plain"].startswith("What is a chunk?\n")
    for x in (Outcome([p]), Answer(value="x"), Settings()):  # with a `__repr__` of their own
        assert DisplayFormatter().format(x)[0]["text/plain"] == as_text(x._story())
    nested, _ = DisplayFormatter().format([p])
    assert nested["text/plain"].startswith("[Pair(id="), "a list stays a list of Python"
    assert repr(p).startswith("Pair(id=") and "What is a chunk?" in printed(p)
    assert printed(Pair(question="[bold]x[/bold] [/oops]", answer="[red]")).count("[") == 4, "rich's own markup is text"


def test_a_page_needs_nothing_else_and_follows_the_dark():
    shown = page(story_of(Pair(question="What?", answer="This.")))
    assert "color-scheme:light dark" in shown and "--jp-" in shown and not re.search(r"<script|<link|src=|@import|url\(", shown)
    colours = re.findall(r"(?<![-\w])(?:color|background):([^;}]+)", shown)
    fixed = [c for c in colours if not re.match(r"inherit|none|var\(|rgba\(", c.strip()) and c.strip() != "light dark"]
    assert colours and not fixed, "a colour of its own would be unreadable in the other theme"


def test_what_does_not_know_us_is_shown_as_well():
    assert "x" in as_text(story_of({"x": 1})) and as_text(story_of(3)) == "3" and brief({"a": (1, 2)}) == {"a": "[1, 2]"}
    assert "2 × 3" in as_text(story_of({"matrix": __import__("numpy").zeros((2, 3))}))
    assert as_text(Story("", (Part("p", inside=(Story("inner", (Part("q", text="deep"),)),)),))).endswith("│ deep")


def test_the_import_stays_cheap():
    code = "import sys, synthgen_nb as sg; sg.Outcome; print([m for m in ('rich', 'html', 'difflib', 'IPython') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
