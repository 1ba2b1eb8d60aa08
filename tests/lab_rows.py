"""Pairs for the mutation lab: from documents that are not part of the repository, and from texts of our own."""

import json
import random
import re
from collections import defaultdict
from pathlib import Path

from lab_own import OWN, OWN_PAIRS

from synthgen_nb.core.records import Pair
from synthgen_nb.evaluate.mutations import Surroundings

ELSEWHERE = """corpus/numpy_tutorials/mooreslaw-tutorial.md corpus/numpy_tutorials/tutorial-ma.md
    prototype/hdf5_docs_md/cmake-presets_html.md prototype/hdf5_docs_md/h5_p_l_u_g_html.md prototype/hdf5_docs_md/h5_a_u_g_html.md
    prototype/hdf5_docs_md/predefined_datatypes_tables_html.md corpus/h5py/high_group.rst corpus/h5py/high_attr.rst""".split()
LEANS = re.compile(r"(?:This|These|It|That|They|There's|Here|Note that|However|For more|Now|The following|Let|In addition|Look)\b")
UNSEEN = re.compile(
    r"\b(?:this|these|the (?:\w+ )?(?:loop|line|code|script|section|class|function|method|test|snippet|note|constructor|parser|executor|flag))\b", re.I
)
NO_CLAIM = re.compile(r"[\[\]<>{}|]|::|http|\bfollowing\b|\bbelow\b|\babove\b|\bthis\b")


def foreign(data: Path) -> tuple[str, ...]:
    "Sentences of documents that are about something else"
    out: dict[str, None] = {}
    for f in ELSEWHERE:
        text = re.sub(r"\]\([^)]*\)", "]", (data / f).read_text(encoding="utf-8"))
        for s in re.split(r"(?<=[.!?]) (?=[A-Z])", " ".join(text.split())):
            begins = re.match(r"(?:The|A|An|Each|Every|All|If|When|[A-Z]\w+ (?:is|are|can|has)) ?", s)
            if 50 < len(s) < 170 and begins and s.endswith(".") and not NO_CLAIM.search(s):
                out[s] = None
    return tuple(out)


def sections(text: str) -> list[tuple[str, str]]:
    "Headings of reST or Markdown, each with what stands below it"
    rest = re.compile(r"^(\w[^\n]{3,70})\n(?:={4,}|-{4,}|\^{4,}|~{4,}|\+{4,})$", re.M)
    heads = sorted((m.start(), m.end(), m[1]) for p in (rest, re.compile(r"^#{1,3} (\w[^\n]{3,70})$", re.M)) for m in p.finditer(text))
    ends = [h[0] for h in heads[1:]] + [len(text)]
    return [(h, text[b:end].strip()) for (_, b, h), end in zip(heads, ends, strict=True)]


def written(data: Path) -> list[tuple[str, str, str, str]]:
    "Paragraphs that people wrote, asked for by their heading: file, source, question, answer"
    out = []
    for f in sorted([*(data / "corpus/h5py").glob("*.rst"), *(data / "corpus/numpy_tutorials").glob("*.md")]):
        text = f.read_text(encoding="utf-8")
        for h, section in sections(text) if f.name != "licenses.rst" else ():
            whole = [p for p in re.split(r"\n\s*\n", section) if re.match(r"[A-Z][a-z]", p) and 90 < len(p) < 700 and p.rstrip().endswith(".")]
            if alone := [p for p in whole if not LEANS.match(p)]:
                asked = h if h.endswith("?") else f"What is {h}?" if h.isupper() else f"What does the documentation say about {h[0].lower() + h[1:]}?"
                at = text.find(section)
                source = section[:4000] if len(section) > 400 else text[max(0, at - 800) : at + 3000]
                out.append((f.name, source, asked, alone[0].strip()))
    return out


def of_a_model(data: Path, n: int = 110, seed: int = 7) -> list[tuple[str, str, str, str]]:
    "Answers of a model that its judge liked, to questions that stand alone; the source is a page of all that it said of one chunk"
    by = defaultdict(list)
    for line in (data / "prototype/qa/jarvis_qa_curated.jsonl").read_text(encoding="utf-8").splitlines():
        r = json.loads(line)
        by[r["source_file"], r["chunk_id"]].append(r)
    groups = [g for g in by.values() if 3 <= len(g) <= 12]
    rng, out = random.Random(seed), []
    for g in rng.sample(groups, len(groups)):
        best = [r for r in g if r["rating"] >= 8 and len(r["answer"]) > 60 and r["accuracy"] >= 3 and not UNSEEN.search(r["question"])]
        for r in best[:1] if len(out) < n else ():
            source = "\n\n".join(dict.fromkeys(f"### {x['question']}\n\n{x['answer']}" for x in rng.sample(g, len(g))))
            out += [(r["chunk_id"], source, x["question"], x["answer"]) for x in (r, *best[1:2])]
    return out


def by_hand(data: Path, size: int = 3500) -> list[tuple[str, str, str, str]]:
    "Pairs that were written by hand from the documents, where their file is at hand (`lab/pairs.jsonl`)"
    file, out = data / "lab/pairs.jsonl", []
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        r = json.loads(line)
        text = (data / r["file"]).read_text(encoding="utf-8")
        i = text.index(r["anchor"])
        a, b = max(0, i - size // 2), i + size // 2
        if a:
            blank = text.find("\n\n", a) + 2
            a = blank if 1 < blank < i else text.rfind("\n", 0, i) + 1
        end = max(text.rfind("\n\n", i, b), i + len(r["anchor"]) + 400) if b < len(text) else len(text)
        out.append((r["file"], text[a:end].strip(), r["question"], r["answer"]))
    return out


def pairs(data: Path) -> list[tuple[Pair, Surroundings]]:
    "Every pair that the data holds, with its source, its neighbours and sentences of elsewhere"
    own = [(f, OWN[f], q, a) for f, q, a in OWN_PAIRS]
    told, elsewhere = [*by_hand(data), *own, *written(data), *of_a_model(data)], foreign(data)
    made = [(Pair(question=q, answer=a, sources=(f,)), source) for f, source, q, a in told]
    near = lambda p, source: tuple(n for n, s in made if n.sources == p.sources and n.id != p.id and (s == source or n.answer in source))
    return [(p, Surroundings(source, near(p, source), elsewhere)) for p, source in made]
