"sdg_hub: a flow of its own blocks; its checkpoints lie in this folder"

import json
import sys

import pandas
from sdg_hub import Flow

PROMPT = """- role: user
  content: |
    Write one question that this passage answers, and its answer, each after its own mark:
    [QUESTION]
    ...
    [ANSWER]
    ...
    [END]

    {{ text }}
"""
BLOCKS = [
    ("PromptBuilderBlock", "ask", "text", "messages", dict(prompt_config_path="prompt.yaml")),
    ("LLMChatBlock", "call", "messages", "replies", dict(async_mode=True)),
    ("LLMResponseExtractorBlock", "read", "replies", None, dict(extract_content=True)),
    ("TagParserBlock", "parse", "read_content", ["question", "answer"], dict(start_tags=["[QUESTION]", "[ANSWER]"], end_tags=["[ANSWER]", "[END]"])),
]


def flow() -> str:
    "Writes the flow and its prompt; gives its path"
    blocks = [
        dict(block_type=kind, block_config=dict(block_name=name, input_cols=i, **(dict(output_cols=o) if o else {}), **more))
        for kind, name, i, o, more in BLOCKS
    ]
    with open("prompt.yaml", "w") as f:
        f.write(PROMPT)
    with open("flow.yaml", "w") as f:  # JSON is YAML
        json.dump(dict(metadata=dict(id="plain-lamp-101", name="Pairs", description="Pairs", version="1.0.0"), blocks=blocks), f)
    return "flow.yaml"


def main(url: str, out: str, in_flight: str):
    pairs = Flow.from_yaml(flow())
    pairs.set_model_config(model="hosted_vllm/mock", api_base=url, api_key="none")
    rows = pandas.read_json("passages.jsonl", lines=True)
    made = pairs.generate(rows, checkpoint_dir="checkpoints", save_freq=int(in_flight), max_concurrency=int(in_flight))
    made[["question", "answer"]].to_json(out, orient="records", lines=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
