"""What a parts file may hold."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from topologies.files.reading import nearest
from topologies.files.validated import RuleError, StrictModel
from topologies.part_attributes import ATTRIBUTES, Attribute
from topologies.parts import PartClass

__all__ = ["AttributeValue", "PartEntry", "PartsFile"]

_Text = Annotated[str, Field(min_length=1)]
_BY_FILE_NAME = {attribute.file_name: attribute for attribute in ATTRIBUTES}


class AttributeValue(StrictModel):
    """The value of one attribute, and where it comes from."""

    value: float | int | str
    source: Annotated[_Text, Field(description="A key of `sources`, or the source itself.")]
    verified: Annotated[bool, Field(description="False if the value was not checked against its source.")] = True


class PartEntry(StrictModel):
    """One part."""

    part_class: Annotated[PartClass, Field(alias="class")]
    vendor: str = ""
    description: str = ""
    note: str = ""
    attributes: Annotated[
        dict[str, AttributeValue],
        Field(json_schema_extra={"propertyNames": {"enum": [attribute.file_name for attribute in ATTRIBUTES]}}),
    ]

    @model_validator(mode="after")
    def _check_attributes(self) -> PartEntry:
        for name, given in self.attributes.items():
            attribute = _BY_FILE_NAME.get(name)
            if attribute is None:
                match = nearest(name, list(_BY_FILE_NAME))
                raise RuleError(
                    what="unknown attribute",
                    found=name,
                    allowed=", ".join(_BY_FILE_NAME),
                    fix=f"did you mean {match}?" if match else "take it out",
                    key=("attributes", name),
                )
            allowed = _fault_in(attribute, given.value)
            if allowed:
                raise RuleError(
                    what="wrong kind of value", found=given.value, allowed=allowed, key=("attributes", name, "value")
                )
        return self


def _fault_in(attribute: Attribute, value: float | str) -> str:
    """Return what is allowed if the value is not; an empty string if it is."""
    if attribute.is_text:
        return "" if isinstance(value, str) and value else "text"
    if isinstance(value, str) or value <= 0:
        return f"a number above 0, in {attribute.unit}"
    if attribute.is_count and not isinstance(value, int):
        return f"a whole number above 0, in {attribute.unit}"
    return ""


class PartsFile(StrictModel):
    """A parts file."""

    schema_version: Literal[1]
    sources: Annotated[dict[str, _Text], Field(description="Where values come from, by a short key.")] = Field(
        default_factory=dict
    )
    parts: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")], PartEntry]
