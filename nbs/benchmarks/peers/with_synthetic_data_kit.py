"""synthetic-data-kit: `process_file` on one document of all passages, a chunk each

Its calls run in parallel within a document and never across documents, and it keeps nothing to resume from.
"""

import json
import os
import sys
from pathlib import Path

import yaml
from synthetic_data_kit.core.create import process_file
from synthetic_data_kit.utils.config import DEFAULT_CONFIG_PATH  # noqa: F401


def main(url: str, out: str, in_flight: str):
    with open("passages.jsonl") as f:
        passages = [json.loads(line)["text"].strip().split("\n\n")[1] for line in f]
    Path("all.txt").write_text("\n\n".join(passages))
    config = Path("config.yaml")
    import synthetic_data_kit

    settings = yaml.safe_load((Path(synthetic_data_kit.__file__).parent / "config.yaml").read_text())
    settings["api-endpoint"] |= dict(api_base=url, api_key="none", model="mock")
    settings["generation"] |= dict(chunk_size=max(map(len, passages)), overlap=0, batch_size=int(in_flight))
    config.write_text(yaml.safe_dump(settings))
    made = process_file("all.txt", "generated", config, num_pairs=len(passages), content_type="qa", provider="api-endpoint")
    with open(made) as f, open(out, "w") as g:
        for pair in json.load(f)["qa_pairs"]:
            g.write(json.dumps(pair) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
