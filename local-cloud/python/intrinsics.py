"""CloudFormation's functions, as far as they can be computed before anything of the stack exists."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

VARIABLE = re.compile(r"\$\{([^!{}][^{}]*)\}")


class Unresolved(Exception):
    """The value depends on something that is not known here."""


class NoValue:
    """AWS::NoValue: the member that has it is left out."""


NO_VALUE = NoValue()


@dataclass
class Known:
    """A resource that exists already: what `Ref` gives and what `Fn::GetAtt` gives."""

    ref: str
    attributes: dict[str, str] = field(default_factory=dict)


class Intrinsics:
    def __init__(self, template: Mapping[str, Any], parameters: Mapping[str, str], pseudo: Mapping[str, str]) -> None:
        self._conditions: Mapping[str, Any] = template.get("Conditions", {})
        self._mappings: Mapping[str, Any] = template.get("Mappings", {})
        self._variables: dict[str, Any] = dict(pseudo) | {"AWS::NoValue": NO_VALUE}
        declared: Mapping[str, Any] = template.get("Parameters", {})
        if unknown := sorted(set(parameters) - set(declared)):
            raise ValueError(f"the template has no parameter {', '.join(unknown)}")
        for name, described in declared.items():
            kind, value = described["Type"], parameters.get(name, described.get("Default"))
            if value is None:
                raise ValueError(f"parameter {name} has no value")
            if kind.startswith("AWS::SSM::Parameter"):
                continue  # its value is CloudFormation's to look up
            is_list = kind == "CommaDelimitedList" or kind.startswith("List<")
            self._variables[name] = [part.strip() for part in str(value).split(",")] if is_list else str(value)
        self.known: dict[str, Known] = {}

    def holds(self, condition: str) -> bool:
        if condition not in self._conditions:
            raise ValueError(f"the template has no condition {condition}")
        return bool(self.resolve(self._conditions[condition]))

    def resolve(self, value: Any) -> Any:
        """The value without functions. Raises `Unresolved` where a resource of the stack is named."""
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            if name == "Ref":
                return self._ref(argument)
            if name == "Condition" and isinstance(argument, str) and argument in self._conditions:
                return self.holds(argument)
            if name.startswith("Fn::"):
                return self._function(name.removeprefix("Fn::"), argument)
        resolved = {name: self.resolve(item) for name, item in value.items()}
        return {name: item for name, item in resolved.items() if item is not NO_VALUE}

    def _ref(self, name: str) -> Any:
        if name in self._variables:
            return self._variables[name]
        if name in self.known:
            return self.known[name].ref
        raise Unresolved(name)

    def _attribute(self, resource: str, attribute: str) -> str:
        if resource in self.known and attribute in self.known[resource].attributes:
            return self.known[resource].attributes[attribute]
        raise Unresolved(f"{resource}.{attribute}")

    def _function(self, name: str, argument: Any) -> Any:
        match name:
            case "GetAtt":
                resource, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
                return self._attribute(resource, attribute)
            case "Sub":
                text, local = argument if isinstance(argument, list) else (argument, {})
                local = self.resolve(local)
                return VARIABLE.sub(lambda found: self._substituted(found[1].strip(), local), text).replace("${!", "${")
            case "If":
                condition, yes, no = argument
                return self.resolve(yes if self.holds(condition) else no)
            case "Join":
                return argument[0].join(str(item) for item in self.resolve(argument[1]))
            case "Split":
                return self.resolve(argument[1]).split(argument[0])
            case "Select":
                return self.resolve(argument[1])[int(self.resolve(argument[0]))]
            case "FindInMap":
                first, second, third = self.resolve(argument)[:3]
                return self._mappings[first][second][third]
            case "GetAZs":
                region = self.resolve(argument) or self._variables["AWS::Region"]
                return [f"{region}{zone}" for zone in "abc"]
            case "Equals":
                left, right = self.resolve(argument)
                return str(left) == str(right)
            case "Not":
                return not self.resolve(argument[0])
            case "And":
                return all(self.resolve(argument))
            case "Or":
                return any(self.resolve(argument))
        raise Unresolved(f"Fn::{name}")

    def _substituted(self, variable: str, local: Mapping[str, Any]) -> str:
        if variable in local:
            return str(local[variable])
        resource, dot, attribute = variable.partition(".")
        return str(self._attribute(resource, attribute) if dot else self._ref(variable))


def mentions(value: Any, names: set[str]) -> set[str]:
    """Which of these resources the value refers to."""
    if isinstance(value, list):
        return set().union(*(mentions(item, names) for item in value))
    if not isinstance(value, dict):
        return set()
    found: set[str] = set()
    for key, item in value.items():
        if key == "Ref" and isinstance(item, str):
            found |= {item} & names
        elif key == "Fn::GetAtt":
            found |= {item.split(".")[0] if isinstance(item, str) else item[0]} & names
        elif key == "Fn::Sub":
            text, local = item if isinstance(item, list) else (item, {})
            used = {variable.strip().split(".")[0] for variable in VARIABLE.findall(text)} - set(local)
            found |= (used & names) | mentions(local, names)
        else:
            found |= mentions(item, names)
    return found


def substitute(value: Any, known: Mapping[str, Known]) -> Any:
    """The template's value with every use of the known resources replaced by what CloudFormation would give."""
    if isinstance(value, list):
        return [substitute(item, known) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        name, argument = next(iter(value.items()))
        if name == "Ref" and argument in known:
            return known[argument].ref
        if name == "Fn::GetAtt":
            resource, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
            if resource in known:
                return known[resource].attributes[attribute]
        if name == "Fn::Sub":
            text, local = argument if isinstance(argument, list) else (argument, {})

            def literal(found: re.Match[str]) -> str:
                resource, dot, attribute = found[1].strip().partition(".")
                if resource not in known or found[1] in local:
                    return found[0]
                return known[resource].attributes[attribute] if dot else known[resource].ref

            text = VARIABLE.sub(literal, text)
            return {"Fn::Sub": [text, substitute(local, known)] if local else text}
    return {key: substitute(item, known) for key, item in value.items()}
