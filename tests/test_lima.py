"LIMA: quotas to the example, rules that spare technical writing, and agreement that discounts ties"

import asyncio
import json
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core import curate as curation
from synthgen_nb.core.methods import method
from synthgen_nb.core.records import Pair, SynthgenError
from synthgen_nb.qa import lima

few = settings(max_examples=25, deadline=None)


def test_published_size_and_filters():
    quotas = {"stem": 200, "other": 200, "wiki": 200, "prompts": 150, "tasks": 50, "authors": 200}
    pool = [Pair(question=f"{s} {i}?", answer="So.", sources=(s,)) for s, n in quotas.items() for i in range(n + 7)]
    out = lima.lima_select(pool, 1000, curation.document, quotas=quotas)
    assert Counter(map(curation.document, out.kept)) == quotas and out.reasons == {"over_quota": 42} and out.note == "quotas filled"
    with pytest.raises(SynthgenError, match="add up to 1000, more than the budget"):
        lima.lima_select(pool, 999, curation.document, quotas=quotas)
    text = ("A chunk is read as a whole. " * 50)[:1200]
    why = lambda a: [d.reason for d in curation.apply_rules([Pair(question="q?", answer=a)], lima.STACK_EXCHANGE).dropped]
    assert (why(text), why(text[:-1]), why((text * 4)[:4096]), why((text * 4)[:4097])) == (
        [],
        ["rule:long_enough"],
        [],
        ["rule:not_too_long"],
    )
    assert why(text + " I think.") == ["rule:no_first_person"] and why(text + " As @bob said.") == ["rule:no_other_answers"]


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 50), max_size=6), st.integers(0, 120), st.sampled_from([1, 2, 3, 50]))
@few
def test_a_budget_is_shared_out_to_the_pair(sizes, budget, flatten):
    got = lima.share_out(sizes, budget, flatten)
    assert sum(got.values()) == min(budget, sum(sizes.values())) and all(0 <= got[s] <= n for s, n in sizes.items())


def test_selection_is_diverse_and_repeatable():
    pairs = [
        Pair(question=f"How is {w} stored, case {i}?", answer="It is.", sources=("a.md",), meta=dict(votes=i))
        for w in ("alpha", "beta", "gamma", "delta")
        for i in range(9)
    ]
    select = lambda **kw: lima.lima_select(pairs, 8, curation.document, rules={}, **kw)
    one = select(seed=1)
    assert one.kept == select(seed=1).kept and len(one.kept) == 8
    capped = select(per_cluster=1)
    assert len(capped.kept) == 6 and capped.note == "quota not filled: a.md 6 of 8" and capped.reasons["cluster_full"]
    votes = select(worth=lambda p: p.meta["votes"])
    assert sum(p.meta["votes"] for p in votes.kept) > sum(p.meta["votes"] for p in one.kept)


def test_agreement_discounts_ties():
    a, b = ["win", "win", "win", "tie", "tie", "lose"], ["win", "tie", "lose", "tie", "lose", "lose"]
    assert lima.tie_discounted(a, b) == (1 + 0.5 + 0 + 1 + 0.5 + 1) / 6
    with pytest.raises(SynthgenError):
        lima.tie_discounted([], [])


PERSON = [
    "I think so.",
    "It works, I've tried.",
    "It works, I’m sure.",
    "In my opinion it is.",
    "Do it myself.",
    "That works for me.",
    "A friend of mine says so.",
    "When I open it, it fails.",
    "Usually I would resize it.",
    "So do I.",
    "I, too, saw this.",
    "Here I use gzip.",
    "As far as I know, no.",
    "My dataset is large.",
    "It tells me that the file is open.",
    "I always use chunks.",
    "I was wrong.",
    "If I recall correctly, it is.",
    "My HDF5 file grows.",
    "I guess so.",
    "On Linux I would use mmap.",
    "i think it is",
    "I `chunk` it and I wait.",
    "Should I say it? No.",
    "(I tested it.)",
    "- I use the core driver",
    "**I recommend** gzip.",
    "Yours is faster than mine.",
    "I just pass the name",
    "What I do is this.",
    "Mine is larger.",
    "That is what I'd do.",
    "Let me explain.",
    "I process files daily",
    "The article I found is long.",
    "The book I read says so.",
    "The class I use is new.",
    "the step I took",
    "I never use it",
    "Shall I close it?",
]
NO_PERSON = [
    "Set I/O to async, or use MPI I/O.",
    "The I²C bus has two lines.",
    "I2C is a bus.",
    "Part I of the manual says why.",
    "A Type I error is a false alarm.",
    "World War I began in 1914.",
    "Elizabeth I was queen.",
    "I. Newton wrote the Principia.",
    "Newton, I. wrote it.",
    "I. First step\nII. Second step",
    "I) open the file",
    "(I) open",
    "Pass -I to the compiler.",
    "Use `-I include`.",
    "The root is 2 + 3I.",
    "In SymPy, I is the imaginary unit.",
    "where I denotes the identity matrix",
    "The current I flows through R.",
    "V = I R",
    "Press I to insert.",
    "Phases I and II are done.",
    "Let I be an ideal.",
    "the I channel",
    "The `I` flag",
    '"I think so", she said.',
    "He wrote 'I do not know'.",
    "> I think it works\n\nIt does.",
    '```\nprint("I am")\n# my file\n```\nDone.',
    "Run:\n\n    echo I am my own\n\nIt prints.",
    "Activate my-env with my_env and /my/path.",
    "Path: my/data.",
    "Mail me@example.com.",
    "See example.me for it.",
    "Open my.cnf.",
    "Data mining: mine the logs.",
    "A gold mine is deep.",
    "MySQL and myFunc and MyClass",
    "Open My Documents.",
    "A class I device",
    "level I cache",
    "I-frames are keys",
    "the inverse of I can be found",
    "I/Q and I & Q samples",
    "Apollo I was lost.",
    "ME is an engine",
    "about:me",
    "Section I",
    "<code>I am</code>",
    "I × R is the voltage",
    "Step I requires gzip.",
    "Volume I, chapter 2",
    "if I = 5",
    "multiply by I",
    "Ramses I ruled",
    "read-me file",
    "Table I shows",
    "the read/me.txt",
    "Roman numeral I equals one",
    "I and II",
    "The variable I holds the count.",
    "self.me()",
    "The type I error rate",
    "A Type I can",
    "Phase I used gzip.",
]
OTHERS = [
    "As @bob said, it is.",
    "@alice's idea is better.",
    "@alice’s idea",
    "Thanks to @bob it works.",
    "As Bob pointed out, it is.",
    "The accepted answer is wrong.",
    "See the other answers.",
    "As mentioned, it is cached.",
    "As others have mentioned, it is.",
    "As already mentioned in the comments, no.",
    "See my answer here.",
    "See my other answer.",
    "@bob: that is wrong.",
    "@bob, you are right.",
    "+1 to @bob",
    "I agree with @bob here.",
    "As mentioned by Bob, no.",
    "like @bob said",
    "Credit goes to @bob.",
    "@bob is right about it.",
    "Bob's answer explains it.",
    "As I said in my previous answer",
    "the answer above shows",
    "Expanding on the answer by Bob",
    "as someone suggested",
    "In addition to the previous answer",
    "This was asked on Stack Exchange.",
    "As noted in the comments above, no.",
    "the top answer",
    "as pointed out by @bob",
    "see the answer below",
    "(credits: @bob)",
    "as per @bob's comment",
    "As stated in the other answers",
    "See this answer by Bob",
    "@user1234 suggested gzip.",
]
NO_OTHERS = [
    "Load hdf5@1.14.0 first.",
    "Use hermes@master.",
    "uses: actions/checkout@v4",
    "Mail me@example.com.",
    "git@github.com:a/b",
    "Add @property above it.",
    "Put @property or @jit above it, then @1.",
    "Install @babel/core and @types/node.",
    "Like @babel/core, it compiles.",
    "The product A @ B is a matrix.",
    "A@B",
    "git rebase @{u}",
    "git log @{1}",
    "HEAD@{2}",
    "user@host",
    "ssh root@10.0.0.1",
    "Use `@bob said` there.",
    "```\n@bob says\n```",
    "Pin it @latest.",
    "Use the version @master.",
    "@staticmethod is right for it.",
    "@media rules",
    "@param name: the name",
    "@return: the value",
    '@app.route("/") is one',
    "As @staticmethod says, no instance is needed.",
    "Decorators like @retry wrap it.",
    "As previously mentioned, it is cached.",
    "As mentioned above, it is.",
    "As mentioned in section 2, it is.",
    "The parameters mentioned are optional.",
    "directly reply to other comments",
    "the previous reply of the server",
    "A stack overflow ends it.",
    "the answer above 90 is wrong",
    "@Override marks it.",
    "@property's getter",
    "such as @cache",
    "x @= y",
    "the answer to the request",
    "Other posts hold the beam.",
    "pip install x@git+https://y",
    "As the manual mentioned",
    "As mentioned in the documentation",
    "the accepted answers are 1 to 5",
]


@pytest.mark.parametrize(
    "text, rule, fires",
    [(t, "no_first_person", True) for t in PERSON]
    + [(t, "no_first_person", False) for t in NO_PERSON]
    + [(t, "no_other_answers", True) for t in OTHERS]
    + [(t, "no_other_answers", False) for t in NO_OTHERS],
)
def test_patterns_spare_technical_writing(text, rule, fires):
    out = curation.apply_rules([Pair(question="q?", answer=text)], {rule: lima.STACK_EXCHANGE[rule]})
    assert [d.reason for d in out.dropped] == ([f"rule:{rule}"] if fires else [])


@pytest.mark.parametrize("piece", ['"', "`a", "<code>", "I ", " @a", "```\n", "a ", "as mentioned in the ", "    x\n", "said already "])
def test_long_answers_are_read_in_one_pass(piece):
    text = piece * (20_000 // len(piece)) + " I think so."
    out = curation.apply_rules([Pair(question="q?", answer=text)], {"i": lima.STACK_EXCHANGE["no_first_person"]})
    assert len(out.kept) + len(out.dropped) == 1


def test_on_real_answers_the_rules_find_people_and_no_code(data):
    words = re.compile(r"\b(?:I|[Mm]y)\b")
    read = lambda f: f.read_text().splitlines()
    technical = [json.loads(x)["answer"] for x in read(data / "prototype" / "qa" / "jarvis_qa_curated.jsonl")]
    general = [r["output"] for r in json.loads((data / "qa" / "alpagasus_random_9k.json").read_text())]
    found = lambda answers: [a for a in answers if re.search(lima.FIRST_PERSON, curation.own_words(a))]
    assert not found(technical) and sum(bool(words.search(a)) for a in technical) > 30
    named = [a for a in general if words.search(curation.own_words(a))]
    assert len(set(found(general)) & set(named)) > 0.9 * len(named)


def test_the_step_is_the_selection_by_document():
    pairs = [Pair(question=f"What is {w} {i}?", answer="So.", sources=(f"{w}.md",)) for w in "ab" for i in range(9)]
    step = method("lima").function()
    assert asyncio.run(step(pairs, None, budget=6)).kept == lima.lima_select(pairs, 6, curation.document).kept
    out = asyncio.run(step(pairs, None, budget=6, forum=True))
    assert not out.kept and out.reasons == {"rule": 18}
