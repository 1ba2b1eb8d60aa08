"The workbench: two commands. Its store of calls lies in this folder, so the same command goes on where it stopped."

import os
import sys

from synthgen_nb.cli.main import main as synthgen


def main(url: str, out: str, in_flight: str):
    os.environ |= dict(SYNTHGEN_LLM_VLLM_BASE_URL=url, SYNTHGEN_LLM_VLLM_MODEL="mock", SYNTHGEN_LLM_VLLM_API_KEY="none")
    run("ingest", "docs", "-o", "db", "--chunk-tokens", "8-512")
    run("generate", "db", "-o", out, "--n-pairs", "1", "--provider", "vllm", "--workers", in_flight)


def run(*line: str):
    "One command; a status other than 0 is this program's"
    sys.argv[1:] = line
    try:
        synthgen()
    except SystemExit as e:
        if e.code:
            raise


def warm():
    "Import what is slow, before a fork"
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../tests"))
    import forks

    forks.warm()


if __name__ == "__main__":
    main(*sys.argv[1:])
