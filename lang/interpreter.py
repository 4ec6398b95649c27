"""`StreamExecutor` and `ProgramState` under the module name that SGLang programs import."""

from .executor import StreamExecutor
from .group import ProgramStateGroup
from .state import ProgramState

__all__ = ["ProgramState", "ProgramStateGroup", "StreamExecutor"]
