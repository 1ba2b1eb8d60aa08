"A research workbench for synthetic fine-tuning data; `import synthgen_nb as sg` brings both pipelines by some twenty names, see `cli.front`"

__version__ = "0.1.0"

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cli.front import calls as calls, curate as curate, dedup as dedup, diff as diff, export as export, generate as generate
    from .cli.front import ground as ground, load as load, open_model as open_model, plan as plan, publish as publish, read as read
    from .cli.front import read_tools as read_tools, reason as reason, rewrite as rewrite, rows as rows, run as run, runs as runs
    from .cli.front import save as save, show as show, step as step, study as study, tool_rows as tool_rows, why as why
    from .core.records import Outcome as Outcome, SynthgenError as SynthgenError

FRONT = ('read', 'read_tools', 'load', 'save', 'show', 'open_model', 'generate', 'rewrite', 'ground', 'curate', 'reason', 'dedup', 'step', 'tool_rows',
         'export', 'run', 'runs', 'rows', 'calls', 'why', 'diff', 'plan', 'study', 'publish')
__all__ = [*FRONT, 'Outcome', 'SynthgenError']


def __getattr__(name: str) -> Any:
    "Fetched when it is first used"
    from importlib import import_module
    if name not in __all__: raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module('.cli.front' if name in FRONT else '.core.records', __name__), name)


def __dir__() -> list[str]: return sorted({*globals(), *__all__})
