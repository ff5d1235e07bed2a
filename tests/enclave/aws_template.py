"""Reads a CloudFormation template as CloudFormation would resolve it, as far as ours needs it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

TOP = Path(__file__).resolve().parents[2]
AWS = TOP / "examples" / "aws"
NOTHING = object()
"""What AWS::NoValue leaves: the property is not there."""

PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::StackName": "sentinel",
    "AWS::NoValue": NOTHING,
}


class _Loader(yaml.SafeLoader):
    """With the short forms of the template's functions."""


def _function(loader: _Loader, name: str, node: yaml.Node) -> Any:
    key = name if name in {"Ref", "Condition"} else f"Fn::{name}"
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        return {key: value.split(".", 1) if key == "Fn::GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {key: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {key: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _function)


def _default(row: dict[str, Any], name: str) -> Any:
    found = row.get("Default", f"<{name}>")
    return found.split(",") if row["Type"] == "CommaDelimitedList" else found


class Template:
    """A template with its parameters given."""

    def __init__(self, name: str, **given: Any) -> None:
        self.body: dict[str, Any] = yaml.load((AWS / name).read_text(), _Loader)
        self.parameters = {
            key: given.get(key, _default(row, key)) for key, row in self.body["Parameters"].items()
        }
        assert set(given) <= set(self.parameters), given

    def condition(self, name: str) -> bool:
        return bool(self.resolve(self.body["Conditions"][name]))

    def resource(self, name: str) -> dict[str, Any]:
        found = self.resolve(self.body["Resources"][name]["Properties"])
        assert isinstance(found, dict)
        return found

    def of_type(self, kind: str) -> list[str]:
        rows = self.body["Resources"].items()
        return [name for name, row in rows if row["Type"] == kind]

    def resolve(self, value: Any) -> Any:
        """The value with every function applied."""
        if isinstance(value, list):
            return [each for each in map(self.resolve, value) if each is not NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((key, argument),) = value.items()
            if key == "Ref" or key.startswith("Fn::"):
                return self._apply(key.removeprefix("Fn::"), argument)
        found = {key: self.resolve(each) for key, each in value.items()}
        return {key: each for key, each in found.items() if each is not NOTHING}

    def _apply(self, function: str, argument: Any) -> Any:
        if function == "Ref":
            return self._named(argument)
        if function == "GetAtt":
            return f"<{'.'.join(argument)}>"
        if function == "Sub":
            return re.sub(r"\$\{([\w:]+)\}", lambda m: str(self._named(m[1])), argument)
        if function == "Base64":
            return self.resolve(argument)
        if function == "If":
            name, then, other = argument
            return self.resolve(then if self.condition(name) else other)
        if function == "Join":
            between, parts = argument
            return between.join(self.resolve(parts))
        if function == "Not":
            return not self.resolve(argument[0])
        assert function == "Equals", function
        one, other = self.resolve(argument)
        return one == other

    def _named(self, name: str) -> Any:
        if name in PSEUDO:
            return PSEUDO[name]
        return self.parameters.get(name, f"<{name}>")
