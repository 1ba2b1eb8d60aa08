"DataDesigner: a structured column over a seed file; a row group is written when it is done, and resumed from there"

import os
import sys

os.environ |= dict(DATA_DESIGNER_HOME="home", NEMO_TELEMETRY_ENABLED="false")

import data_designer.config as dd  # noqa: E402
from data_designer.interface import DataDesigner  # noqa: E402
from pydantic import BaseModel  # noqa: E402


class Pair(BaseModel):
    question: str
    answer: str


def main(url: str, out: str, in_flight: str):
    calls = dd.ChatCompletionInferenceParams(max_parallel_requests=int(in_flight))
    model = dd.ModelConfig(alias="mock", model="mock", provider="mock", inference_parameters=calls, skip_health_check=True)
    config = dd.DataDesignerConfigBuilder(model_configs=[model])
    config.with_seed_dataset(dd.LocalFileSeedSource(path="passages.jsonl"))
    ask = "Write one question that this passage answers, and its answer.\n\n{{ text }}"
    config.add_column(dd.LLMStructuredColumnConfig(name="pair", model_alias="mock", prompt=ask, output_format=Pair))
    designer = DataDesigner("artifacts", model_providers=[dd.ModelProvider(name="mock", endpoint=url, api_key="none")])
    designer.set_run_config(dd.RunConfig(buffer_size=int(in_flight), otel_metrics_port=None))
    with open("passages.jsonl") as f:
        n = len(f.readlines())
    made = designer.create(config, num_records=n, dataset_name="pairs", resume=dd.ResumeMode.IF_POSSIBLE)
    pairs = made.load_dataset()["pair"]
    import pandas

    pandas.DataFrame(list(pairs)).to_json(out, orient="records", lines=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
