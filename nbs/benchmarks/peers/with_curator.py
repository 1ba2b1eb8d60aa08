"bespokelabs-curator: an LLM with a prompt and a parse function over rows; its cache lies in this folder"

import json
import os
import sys

os.environ |= dict(CURATOR_CACHE_DIR="cache", TELEMETRY_ENABLED="false", CURATOR_DISABLE_RICH_DISPLAY="1", HF_HUB_OFFLINE="1")

import litellm  # noqa: E402

os.environ["TIKTOKEN_CACHE_DIR"] = os.path.join(os.path.dirname(litellm.__file__), "litellm_core_utils", "tokenizers")  # no download

from bespokelabs import curator  # noqa: E402
from pydantic import BaseModel  # noqa: E402


class Pair(BaseModel):
    question: str
    answer: str


class Asker(curator.LLM):
    response_format = Pair

    def prompt(self, row):
        return f"Write one question that this passage answers, and its answer.\n\n{row['text']}"

    def parse(self, row, pair):
        return dict(question=pair.question, answer=pair.answer)


def main(url: str, out: str, in_flight: str):
    limits = dict(max_concurrent_requests=int(in_flight), max_requests_per_minute=100_000, max_tokens_per_minute=100_000_000)
    asker = Asker(model_name="mock", backend="openai", backend_params=dict(base_url=url, api_key="none", **limits))
    with open("passages.jsonl") as f:
        made = asker([json.loads(line) for line in f])
    made.dataset.to_json(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
