"""Whether a request or an answer is of its service's model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from botocore.model import Shape
from botocore.validate import ParamValidator


def violations(value: Any, shape: Shape) -> list[str]:
    """How a value differs from its shape: types and required members by botocore, then what botocore leaves to the service."""
    report = ParamValidator().validate(value, shape)
    return [report.generate_report()] if report.has_errors() else list(_constraints(value, shape, ""))


def _constraints(value: Any, shape: Shape, path: str) -> Iterator[str]:
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            if name in value:
                yield from _constraints(value[name], member, f"{path}.{name}")
    elif shape.type_name == "list":
        yield from _within(len(value), shape, f"length of {path}")
        for index, item in enumerate(value):
            yield from _constraints(item, shape.member, f"{path}[{index}]")
    elif shape.type_name == "map":
        for key, item in value.items():
            yield from _constraints(item, shape.value, f"{path}.{key}")
    elif shape.type_name == "string":
        yield from _within(len(value), shape, f"length of {path}")
        if (allowed := shape.metadata.get("enum")) and value not in allowed:
            yield f"{path} is {value!r}, not one of {', '.join(allowed)}"
        if (pattern := shape.metadata.get("pattern")) and not re.search(_in_python(pattern), value):
            yield f"{path} is {value!r}, which does not match {pattern}"
    elif shape.type_name in ("integer", "long"):
        yield from _within(value, shape, path)


def _in_python(pattern: str) -> str:
    """Java's names for letters, spaces and numbers, nearly."""
    return pattern.replace(r"\p{L}", r"\w").replace(r"\p{Z}", r"\s").replace(r"\p{N}", r"\d")


def _within(number: int, shape: Shape, what: str) -> Iterator[str]:
    if "min" in shape.metadata and number < shape.metadata["min"]:
        yield f"{what} is {number}, less than {shape.metadata['min']}"
    if "max" in shape.metadata and number > shape.metadata["max"]:
        yield f"{what} is {number}, more than {shape.metadata['max']}"
