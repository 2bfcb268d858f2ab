"""Read a YAML file into an SftSpec, or say what is wrong with which key."""

from typing import Any

from jobs.prepare_model import packaged_location
from jobs.spec_file import validated
from jobs.spec_yaml import read_mapping
from schemas.errors import LocationError
from schemas.sft_spec import SftSpec


def load_sft(location: str) -> SftSpec:
    """The spec in a file; `SpecError` names the key, what was found and what was expected."""
    expected = (
        "`model:`, `output:`, `parts:` and what else a training needs; jobs/specs/sft-demo.yaml is "
        "one to start from"
    )
    return parse_sft(read_mapping(location, expected), name=location)


def parse_sft(content: dict[str, Any], *, name: str) -> SftSpec:
    """The spec in a mapping, its packaged models by their directories."""
    spec = validated(SftSpec, content, name)
    if "://" in spec.output.removeprefix("file://"):
        raise LocationError(
            f"{name}: output: found {spec.output}, expected a folder of this machine's; copy the "
            "model on when it is done."
        )
    teacher = spec.teacher and packaged_location(spec.teacher)
    return spec.model_copy(update={"teacher": teacher})
