"""DataFlow: a batched pipeline of one operator with a schema; it resumes from its last batch

The operator gives texts and does not read them; what is not JSON is left out here, as its user would have to.
"""

import json
import os
import sys

os.environ |= dict(DF_API_KEY="none")

from dataflow.operators.core_text import PromptedGenerator  # noqa: E402
from dataflow.pipeline import BatchedPipelineABC  # noqa: E402
from dataflow.serving import APILLMServing_request  # noqa: E402
from dataflow.utils.storage import BatchedFileStorage  # noqa: E402

TEXT = dict(type="string")
PAIR = dict(type="object", properties=dict(question=TEXT, answer=TEXT), required=["question", "answer"], additionalProperties=False)


class Pairs(BatchedPipelineABC):
    def __init__(self, url: str, in_flight: int):
        super().__init__()
        self.storage = BatchedFileStorage("passages.jsonl", cache_path="cache", file_name_prefix="pairs", cache_type="jsonl")
        serving = APILLMServing_request(f"{url}/chat/completions", model_name="mock", max_workers=in_flight)
        ask = "Write one question that this passage answers, and its answer.\n\n"
        self.generate = PromptedGenerator(serving, user_prompt=ask, json_schema=PAIR)

    def forward(self):
        self.generate.run(self.storage.step(), input_key="text", output_key="pair")


def main(url: str, out: str, in_flight: str):
    pipeline = Pairs(url, int(in_flight))
    pipeline.compile()
    pipeline.forward(batch_size=int(in_flight), resume_from_last=True)
    with open("cache/pairs_step1.jsonl") as f, open(out, "w") as g:
        for line in f:
            try:
                g.write(json.dumps(json.loads(json.loads(line)["pair"])) + "\n")
            except (TypeError, ValueError):
                continue


if __name__ == "__main__":
    main(*sys.argv[1:])
