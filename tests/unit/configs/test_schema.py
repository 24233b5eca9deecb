"""What is known about our own models: keys at a place, leaves, kinds in plain words."""

from __future__ import annotations

from configs.brand import Brand
from configs.schema import exists, fields, keys_at, type_name
from configs.service import Secret, ServiceConfig


def test_keys_are_found_through_sections_free_names_and_unions() -> None:
    assert "port" in keys_at(ServiceConfig, ("service",))
    assert keys_at(ServiceConfig, ("apps", "slack", "any", "bot_token")) == ["env", "file"]
    assert "team_id" in keys_at(Brand, ("channels", 0, "slack"))
    assert "phone_number_id" not in keys_at(Brand, ("channels", 0, "slack"))
    assert not exists(ServiceConfig, ("service", "nothing"))


def test_every_leaf_of_the_service_has_a_description() -> None:
    named = dict(fields(ServiceConfig, whole=(Secret,)))
    assert len(named) > 25
    undescribed = [name for name, field in named.items() if not field.description]
    # An app's secrets are named by their keys, and the platform's own pages say what they are.
    assert all("_secret" in name or "_token" in name for name in undescribed), undescribed


def test_kinds_are_told_in_an_operators_words() -> None:
    kinds = {name: type_name(field.annotation) for name, field in fields(Brand)}
    assert kinds["display_name"] == "text"
    assert kinds["conversations"] == "path"
    assert kinds["widget.starters"] == "list of text"
    assert kinds["check"] == "`before` \\| `after` \\| `off`"
