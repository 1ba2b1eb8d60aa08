"A folder of modules that can also be called: `synthgen_nb.export(rows, file)` is `cli.front.export`, whatever was imported before"

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    def __call__(self, *args: Any, **options: Any) -> Any:
        from synthgen_nb.cli.front import export
        return export(*args, **options)


sys.modules[__name__].__class__ = _Callable
