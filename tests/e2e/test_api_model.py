"""The served operations against the AWS service models that botocore ships.

docs/api-model.json is made from the operation list; a Rust test keeps it fresh.
"""

import json
from pathlib import Path

import botocore.session
import pytest
from botocore.loaders import Loader

DESCRIBED = json.loads((Path(__file__).parents[2] / "docs/api-model.json").read_text())
OPERATIONS = [(service, name) for service, operations in DESCRIBED.items() for name in operations]
BOUNDS = ("min", "max", "pattern", "enum")


def input_members(shape, prefix: str = "") -> dict[str, dict]:
    """Every member with what the model demands of it, by its dotted path."""
    found = {}
    for name, member in shape.members.items():
        kind = {"long": "integer"}.get(member.type_name, member.type_name)
        entry = {"name": prefix + name, "kind": kind, "required": name in shape.required_members}
        if kind == "structure":
            found |= input_members(member, f"{prefix}{name}.")
        else:
            traits = {**member.metadata, **({"enum": member.enum} if getattr(member, "enum", None) else {})}
            entry |= {bound: traits[bound] for bound in BOUNDS if bound in traits}
        found[prefix + name] = entry
    return found


def output_members(shape, prefix: str = "") -> set[str]:
    if shape is None:
        return set()
    if shape.type_name == "list":
        return output_members(shape.member, prefix + "[]")
    if shape.type_name != "structure":
        return set()
    dot = prefix + "." if prefix else ""
    return {dot + name for name in shape.members}.union(
        *(output_members(member, dot + name) for name, member in shape.members.items())
    )


def is_within(path: str, others: set[str]) -> bool:
    return any(path.startswith((other + ".", other + "[")) for other in others)


def status(service: str, shape) -> int:
    """Services with JSON 1.1 leave it open: 400, and 500 for the service's own faults."""
    told = shape.metadata.get("error", {}).get("httpStatusCode")
    fault = Loader().load_service_model(service, "service-2")["shapes"][shape.name].get("fault")
    return told or (500 if fault else 400)


@pytest.mark.parametrize("service,name", OPERATIONS)
def test_an_operation_is_what_aws_says_it_is(service, name):
    """What is not offered, or never answered, is named by the model, and its own members count for nothing."""
    ours = DESCRIBED[service][name]
    refused = {member["name"] for member in ours["input"] if member.pop("not_offered", False)}
    never = set(ours.get("never_answered", []))
    aws = botocore.session.get_session().get_service_model(service).operation_model(name)
    assert (ours["method"], ours["path"]) == (aws.http["method"], aws.http["requestUri"])
    members, answered = input_members(aws.input_shape), output_members(aws.output_shape)
    assert never <= answered
    members = {path: member for path, member in members.items() if not is_within(path, refused)}
    answered = {path for path in answered - never if not is_within(path, never)}
    assert {member["name"]: member for member in ours["input"]} == members
    assert set(ours["output"]) == answered
    errors = {shape.error_code or shape.name: status(service, shape) for shape in aws.error_shapes}
    assert ours["errors"] == errors
