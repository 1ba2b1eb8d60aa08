"""DeepFabric: a generator of conversations of one turn over given topics; its checkpoints lie in this folder

The provider is `ollama`, whose address can be set; of `openai` the address is not passed on.
"""

import json
import os
import sys

os.environ |= dict(ANONYMIZED_TELEMETRY="False", OPENAI_API_KEY="none")

from deepfabric import DataSetGenerator, Tree  # noqa: E402


def main(url: str, out: str, in_flight: str):
    with open("passages.jsonl") as f:
        passages = [json.loads(line)["text"] for line in f]
    together = max(n for n in range(1, int(in_flight) + 1) if len(passages) % n == 0)  # it makes whole batches
    ask = dict(generation_system_prompt="Write one question that the passage answers, and its answer.", conversation_type="basic")
    keep = dict(checkpoint_interval=together, checkpoint_path="checkpoints", output_save_as=out, checkpoint_retry_failed=True)
    generator = DataSetGenerator(provider="ollama", model_name="mock", base_url=url, **ask, **keep)
    generator.load_checkpoint(retry_failed=True)
    topics = Tree(topic_prompt="Lamps", provider="ollama", model_name="mock", base_url=url)
    topics.from_dict_list([dict(path=["Lamps", text]) for text in passages])
    made = generator.create_data(num_steps=len(passages) // together, batch_size=together, topic_model=topics, sys_msg=False)
    with open(out, "w") as f:
        for row in made:
            said = {m["role"]: m["content"] for m in row["messages"]}
            f.write(json.dumps(dict(question=said["user"], answer=said["assistant"])) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
