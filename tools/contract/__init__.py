"""The contract of `tasks.base.Task` as checks that run on any adapter.

`tools/check_task.py` is their command line.
"""

from tools.contract.report import CHECKS, ContractError, Verdict, verdicts
from tools.contract.subject import Subject

__all__ = ["CHECKS", "ContractError", "Subject", "Verdict", "verdicts"]
