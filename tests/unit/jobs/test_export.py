"""What a conversation looks like to others."""

import pytest

from jobs.export import as_row
from schemas.curation_spec import CurationSpec
from tests.unit.samples import make_candidate

ASKS = "My address is ada.lovelace@gmail.com, what is yours?"
TELLS = "Write to grace.hopper@gmail.com."
PATH = [
    make_candidate((), "You know ben@gmail.com.", role="system"),
    make_candidate((0,), ASKS),
    make_candidate((0, 0), TELLS),
]


def contents(*roles, action="mask"):
    entry = {"filter": "pii", "action": action, "roles": roles}
    row = as_row(PATH, CurationSpec.model_validate({"filters": [entry] if roles else []}))
    return [message["content"] for message in row["messages"]]


def test_turns_are_exported_as_they_are_unless_the_spec_masks_them():
    assert contents() == [node.text for node in PATH]
    assert contents("user", action="drop") == [node.text for node in PATH]


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_personal_data_of_masked_roles_are_replaced(role):
    _, asks, tells = contents(role)
    assert ("ada.lovelace" in asks) == (role != "user")
    assert ("grace.hopper" in tells) == (role != "assistant")
    assert "<EMAIL>" in (asks if role == "user" else tells)
