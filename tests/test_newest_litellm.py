"""litellm writes the requests of two providers, keeps the prices and carries a vocabulary: its newest release must do all three."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT

WORK = """
import json, os, sys, urllib.request
from importlib.util import find_spec
import synthgen_nb as sg
from synthgen_nb.core.models import open_model
from synthgen_nb.core.settings import load_settings
from synthgen_nb.core.transport import price_of
from synthgen_nb.corpus.chunk import token_counter

chunks, made = sg.read('docs'), {}
for provider, env in json.loads(sys.argv[1]).items():
    for k in [k for k in os.environ if k.startswith('SYNTHGEN_LLM_')]: del os.environ[k]
    os.environ |= env
    for temperature in (0.7, None):
        out = sg.generate(chunks, open_model(load_settings(), temperature=temperature))
        with urllib.request.urlopen(sys.argv[2] + '/control') as r: last = json.load(r)['last']['body']
        made[f'{provider} {temperature}'] = [len(out.kept), [d.reason for d in out.dropped], last]
price = price_of('anthropic/claude-haiku-4-5', None, {})
print(json.dumps(dict(made=made, price=price and price.input, tokens=token_counter('cl100k')('The chunk cache'), file=find_spec('litellm').origin)))
"""


@pytest.fixture(scope="module")
def newest(tmp_path_factory):
    "A folder with the newest release, beside the one that is installed"
    folder = tmp_path_factory.mktemp("newest")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps"]
    r = subprocess.run([*pip, "--target", folder, "litellm<2"], capture_output=True, text=True, timeout=600)
    if r.returncode:
        pytest.skip("no registry answers here, so the newest litellm could not be tried")
    return folder


def test_bodies_prices_and_vocabulary_with_the_newest_release(newest, server, docs, tmp_path):
    providers = {p: server.as_(p) for p in ("anthropic", "gemini")}
    env = dict(os.environ, PYTHONPATH=os.pathsep.join([str(newest), str(ROOT)]))
    r = subprocess.run([sys.executable, "-c", WORK, json.dumps(providers), server.url], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert not r.returncode, r.stderr
    said = json.loads(r.stdout.splitlines()[-1])
    assert said["file"].startswith(str(newest))
    assert said["price"] == 1e-6 and said["tokens"] == 3
    for name, (kept, dropped, body) in said["made"].items():
        options = body.get("generationConfig", body)
        assert kept and not dropped, name
        assert "response_json_schema" in options or "output_format" in options or "tool_choice" in options, "the schema travels along"
        assert str(options.get("temperature")) == name.split()[1], "a temperature is sent as it was given, and none where none was"
