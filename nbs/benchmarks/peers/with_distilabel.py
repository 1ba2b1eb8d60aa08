"distilabel: a text generation task with a structured output; the pipeline's cache lies in this folder"

import json
import sys

from datasets import load_dataset  # noqa: F401  (slow to import)
from distilabel.models import OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import TextGeneration
from pydantic import BaseModel


class Pair(BaseModel):
    question: str
    answer: str


def main(url: str, out: str, in_flight: str):
    with open("passages.jsonl") as f:
        rows = [dict(instruction=f"Write one question that this passage answers, and its answer.\n\n{json.loads(x)['text']}") for x in f]
    with Pipeline(name="pairs", cache_dir="cache") as pipeline:
        load = LoadDataFromDicts(data=rows, batch_size=int(in_flight))
        llm = OpenAILLM(model="mock", base_url=url, api_key="none", structured_output=dict(schema=Pair))
        load >> TextGeneration(llm=llm, input_batch_size=int(in_flight))
    made = pipeline.run(use_cache=True)["default"]["train"]
    with open(out, "w") as f:
        for row in made:
            if row["generation"]:  # a request that failed leaves a row without one
                f.write(row["generation"] + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
