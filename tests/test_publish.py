"""A run as a folder to share: the library loads it, nothing of the machine is in it, and it is sent only with a token, to a loopback hub here."""

import base64
import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, SYNTHGEN, command, rows

from synthgen_nb.core.records import Pair, SynthgenError, save, write_rows
from synthgen_nb.experiments.publish import publish, said_by
from synthgen_nb.export.card import about_pairs, card, languages, size_class

REFERENCE = ROOT / "runs" / "reference-qa"
TOKEN = "hf_" + "x" * 30


def load(folder, cache, name=None):
    import datasets

    return datasets.load_dataset(str(folder), name, split="train", cache_dir=str(cache))


def a_run(folder, train, final=(), file="train.jsonl", **record):
    (folder / "records").mkdir(parents=True)
    write_rows(train, folder / file, native=True)
    save(final, folder / "records" / "final.jsonl")
    (folder / "README.md").write_text(card("set", final, about_pairs(final), "chatml", file, []))
    (folder / "run.json").write_text(
        json.dumps(dict(name="r", status="done", parameters={}, export=dict(file=file, format="chatml", rows=len(train))) | record)
    )
    return folder


def test_the_library_loads_both_configurations_and_the_card_says_what_they_are(tmp_path):
    files = publish(str(REFERENCE), tmp_path / "out", "cc-by-4.0")
    assert [f.relative_to(tmp_path / "out").as_posix() for f in files] == ["data/train.jsonl", "rows/rows.jsonl", "README.md"]
    said, text = said_by((tmp_path / "out" / "README.md").read_text())
    assert said["license"] == "cc-by-4.0" and said["size_categories"] == ["n<1K"] and "It is published as cc-by-4.0." in text
    known = [json.loads(x)["messages"] for x in (REFERENCE / "train.jsonl").read_text().splitlines()]
    assert [r["messages"] for r in load(tmp_path / "out", tmp_path / "cache")] == known, "the training rows are what one gets without a name"
    full = load(tmp_path / "out", tmp_path / "cache", "rows")
    assert [r["question"] for r in full] == [m[-2]["content"] for m in known] and full[0]["evidence"][0]["chunk"]
    (tmp_path / "out" / "data" / "notes.txt").write_text("mine")
    assert publish(str(REFERENCE), tmp_path / "out")[0].exists() and said_by((tmp_path / "out" / "README.md").read_text())[0]["license"] == "unknown"


@pytest.mark.parametrize("file", ["train.jsonl", "train.json", "train.parquet"])
def test_every_kind_of_training_file_loads(tmp_path, file):
    final = [Pair(question=f"Frage {i}?", answer="Die Antwort steht im dritten Abschnitt des Dokuments.", sources=("a.md",)) for i in range(3)]
    run = a_run(tmp_path / "run", [dict(messages=[dict(role="user", content=p.question)], id=p.id) for p in final], final, file)
    publish(str(run), tmp_path / "out")
    assert load(tmp_path / "out", tmp_path / "cache")["id"][:] == [p.id for p in final]
    assert load(run, tmp_path / "cache2")["id"][:] == [p.id for p in final], "a run's own folder is one too"
    assert said_by((tmp_path / "out" / "README.md").read_text())[0]["language"] == ["de"] == languages(final)


def test_tool_rows_keep_their_arguments(tmp_path):
    given = [dict(file="a.h5", path="/x"), dict(rows=[1, 2], deep=dict(of=dict(what=None))), {}]
    call = lambda i, args: dict(id=f"call_{i}", type="function", function=dict(name=f"tool_{i}", arguments=args))
    asked = dict(role="user", content="Do it.")
    lines = [dict(messages=[asked, dict(role="assistant", content="", tool_calls=[call(i, args)])]) for i, args in enumerate(given)]
    run = a_run(tmp_path / "run", [], ())
    (run / "train.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    publish(str(run), tmp_path / "out")
    assert [r["messages"] for r in load(tmp_path / "out", tmp_path / "cache")] == [x["messages"] for x in lines]


def test_what_is_not_ours_or_not_done_is_refused_and_no_path_of_the_machine_goes_along(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("private")
    with pytest.raises(SynthgenError, match="holds other files"):
        publish(str(REFERENCE), tmp_path / "mine")
    here = tmp_path / "documents" / "a.md"
    here.parent.mkdir()
    here.write_text("x")
    row = Pair(question="Is it?", answer="It is.", sources=(str(here),))
    run = a_run(tmp_path / "run", [dict(messages=[])], [row], parameters=dict(source=[str(here.parent)]))
    publish(str(run), tmp_path / "out")
    assert str(tmp_path) not in (tmp_path / "out" / "rows" / "rows.jsonl").read_text() and "a.md" in (tmp_path / "out" / "rows" / "rows.jsonl").read_text()
    for status in ("failed", "waiting", "running"):
        other = a_run(tmp_path / status, [dict(messages=[])], [row], status=status, pid=1)
        with pytest.raises(SynthgenError, match=f"the run is {status}"):
            publish(str(other), tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_sizes_are_classes_of_the_hub():
    assert [size_class(n) for n in (0, 999, 1000, 99_999, 10**6, 10**9, 10**12)] == ["n<1K", "n<1K", "1K<n<10K", "10K<n<100K", "1M<n<10M", "n>1B", "n>1B"]


@pytest.fixture
def hub():
    "A loopback hub: it makes a data set, takes its files, and remembers who asked"
    seen = dict(tokens=set(), made=[], files={}, refuse=False)

    class Hub(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen["tokens"].add(self.headers.get("Authorization"))
            here, status = f"http://{self.headers['Host']}/datasets/me/storage", 403 if seen["refuse"] else 200
            if self.path.endswith("/create"):
                seen["made"].append(json.loads(body))
                said = dict(url=here, id="me/storage", name="me/storage")
            elif "/preupload/" in self.path:
                said = dict(files=[dict(path=f["path"], uploadMode="regular", shouldIgnore=False) for f in json.loads(body)["files"]])
            elif "/commit/" in self.path:
                for line in map(json.loads, body.splitlines()):
                    if line["key"] == "file":
                        seen["files"][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                said = dict(commitUrl=here, commitOid="a" * 40, hookOutput="")
            else:
                said = dict(errors=[], warnings=[])
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(dict(error=f"no right with {self.headers.get('Authorization')}") if seen["refuse"] else said).encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    seen["env"] = dict(HF_ENDPOINT=f"http://127.0.0.1:{server.server_port}", HF_HOME="hf", NO_PROXY="127.0.0.1")
    yield seen
    server.shutdown()


def test_it_is_sent_only_with_a_token_and_the_token_is_kept_nowhere(tmp_path, hub):
    shutil.copytree(REFERENCE, tmp_path / "run")
    run = command(tmp_path, [SYNTHGEN])
    send = lambda **more: run("publish", "run", "out", "--to", "me/storage", env=dict(PATH="/usr/bin") | hub["env"] | more, ok=None)
    refused = send()
    assert refused.returncode == 1 and "set HF_TOKEN" in refused.stderr and not hub["tokens"] and not (tmp_path / "out").exists()
    publish("run", "out")
    (tmp_path / "out" / "diary.txt").write_text("added later, and not for others")
    done = send(HF_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    assert f"sent to {hub['env']['HF_ENDPOINT']}/datasets/me/storage, where it is private" in done.stdout and hub["tokens"] == {f"Bearer {TOKEN}"}
    assert "private" in (hub["made"][0].get("visibility"), *[k for k, v in hub["made"][0].items() if v is True]) and hub["made"][0]["type"] == "dataset"
    sent = ("README.md", "data/train.jsonl", "rows/rows.jsonl")
    assert hub["files"] == {name: (tmp_path / "out" / name).read_bytes() for name in sent}
    hub["refuse"] = True
    failed = send(HF_TOKEN=TOKEN)
    assert failed.returncode == 1 and "the hub did not take me/storage" in failed.stderr
    kept = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert TOKEN not in failed.stderr + done.stdout + done.stderr and TOKEN.encode() not in kept
    assert "USER/NAME" in run("publish", "run", "out", "--to", "storage", ok=False).stderr


def test_the_citation_file_names_what_is_there():
    said = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert said["cff-version"] == "1.2.0" and said["title"] == "synthgen_nb" and said["type"] == "software" and said["message"]
    assert said["authors"] == [dict(name="the synthgen_nb developers")] and said["license"] == "Apache-2.0"
    assert "url" not in said and "doi" not in said and Path(ROOT / "LICENSE").is_file()
