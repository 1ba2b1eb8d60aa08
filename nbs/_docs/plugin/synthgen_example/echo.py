"""A provider: where it is and how it is spoken to, as a row of the table in `synthgen_nb.core.providers`."""
from synthgen_nb.core.providers import Service

PROVIDER = Service(
    model='echo-1', send='synthgen_nb.core.transport:answer_here', priced=False,
    answer='synthgen_example.echo:reply', identity='synthgen_example.echo:version')


def reply(task: str, inputs: dict) -> dict:
    "The same inputs, as the reply to any prompt"
    return {k: v for k, v in inputs.items() if isinstance(v, str)}


def version() -> str:
    "Stands for an address in the keys of stored calls"
    return 'echo 1'
