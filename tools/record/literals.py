"""Read the `config.py` of a run folder without running it: names, and values of plain data.

mmengine wrote it: assignments of numbers, texts, lists, tuples, dicts, and calls of `dict` with
keywords.
"""

from __future__ import annotations

import ast
import io
import keyword
import math
import token
import tokenize
from typing import Any

from models.process.text import shown
from tools.record.files import DEEPEST

NAMES = {"inf": math.inf, "nan": math.nan}  # how a float that is not finite is written
SIGNS, BEFORE_A_VALUE = ("-", "+"), ("=", ",", ":", "(", "[", "{")
CONSTANTS = ("None", "True", "False")
BRACKETS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}


def settings(source: str) -> dict[str, Any]:
    """Return the settings of a config that is data.

    Raises:
        ValueError: with the line that holds something else, or SyntaxError from Python's parser.
    """
    _check_plain(source)
    values: dict[str, Any] = {}
    for node in ast.parse(source).body:
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            continue  # a docstring
        if not (
            isinstance(node, ast.Assign)
            and len(node.targets) == 1
            and isinstance(node.targets[0], ast.Name)
        ):
            raise _error(node, source)
        values[node.targets[0].id] = _value(node.value, source)
    return values


def _check_plain(source: str) -> None:
    """Refuse tokens that no such config has.

    On some of them Python's own parser takes all memory, or crashes.
    """
    depth = 0
    before = ""
    for word in tokenize.generate_tokens(io.StringIO(source).readline):
        odd = False
        if word.type == token.OP:
            depth += BRACKETS.get(word.string, 0)
            odd = word.string not in (*SIGNS, *BEFORE_A_VALUE, *BRACKETS) or depth > DEEPEST
            # no sums, and no sign of a sign
            odd |= word.string in SIGNS and before not in BEFORE_A_VALUE
        elif word.type == token.NAME:
            odd = keyword.iskeyword(word.string) and word.string not in CONSTANTS
        elif word.type == token.STRING:
            odd = word.string[0].isalpha()  # f"{...}" is code, and b"..." no text
        if odd:
            raise ValueError(
                f"line {word.start[0]}: expected plain data, which is read and not run, but got "
                f"{shown(word.line.strip())}"
            )
        if word.type not in (tokenize.NL, tokenize.COMMENT):
            before = word.string


def _value(node: ast.expr, source: str) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | None):
        return node.value
    if isinstance(node, ast.Name) and node.id in NAMES:
        return NAMES[node.id]
    if isinstance(node, ast.UnaryOp):
        if isinstance(node.operand, ast.Constant | ast.Name):
            number = _value(node.operand, source)
        else:
            number = None
        if isinstance(number, int | float) and isinstance(node.op, ast.USub):
            return -number
        if isinstance(number, int | float) and isinstance(node.op, ast.UAdd):
            return number
    if isinstance(node, ast.List):
        return [_value(item, source) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(item, source) for item in node.elts)
    if isinstance(node, ast.Dict) and all(key is not None for key in node.keys):
        keys = [
            _value(key, source) for key in node.keys if isinstance(key, ast.Constant | ast.UnaryOp)
        ]
        if len(keys) == len(node.values):
            return dict(zip(keys, [_value(item, source) for item in node.values], strict=True))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        if len(node.args) == 1 and not node.keywords and isinstance(node.args[0], ast.Dict):
            return _value(node.args[0], source)  # where keys are no names
        named = {
            item.arg: _value(item.value, source) for item in node.keywords if item.arg is not None
        }
        if len(named) == len(node.keywords) and not node.args:
            return named
    raise _error(node, source)


def _error(node: ast.AST, source: str) -> ValueError:
    line = getattr(node, "lineno", 0)
    text = shown(source.splitlines()[line - 1].strip())
    return ValueError(
        f"line {line}: expected plain data, which is read and not run, but got {text}"
    )
