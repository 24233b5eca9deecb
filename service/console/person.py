"""Who works in the console, and what they may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from service.console.said import Said, _
from service.errors import Forbidden

EVERY = "*"
"""In place of a brand's name: all brands, those to come included."""


class Role(StrEnum):
    """What a person may do in a brand; each role includes those before it."""

    AGENT = "agent"
    """Reads and answers conversations, compares voices, sees why an answer is what it is."""
    EDITOR = "editor"
    """Corrects, edits knowledge."""
    ADMIN = "admin"
    """Lets an adapter speak, invites people, overrides."""

    def includes(self, needed: Role) -> bool:
        """Whether whoever has this role may do what needs the other one."""
        order = tuple(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Person:
    """Whoever asks: a person with a session, or a machine with an API key, which may do everything."""

    id: str | None
    """None for a machine."""
    name: str
    email: str = ""
    language: str = "en"
    roles: Mapping[str, Role] = field(default_factory=dict)
    """Brand, or `*`, to role."""
    csrf: str = ""
    """What this session's forms must bring along."""
    session: str = ""
    """Digest of the session's token."""

    def may(self, role: Role, brand: str | None = None) -> bool:
        """Whether they have this role in a brand; without one, in any brand."""
        wanted = self.roles.values() if brand is None else [self.roles[b] for b in (EVERY, brand) if b in self.roles]
        return any(had.includes(role) for had in wanted)

    def may_everywhere(self, role: Role) -> bool:
        """Whether they have this role in all brands, those to come included."""
        return EVERY in self.roles and self.roles[EVERY].includes(role)

    def must(self, role: Role, brand: str | None = None) -> None:
        """Raise Forbidden unless they may."""
        if not self.may(role, brand):
            if brand is None:
                raise Forbidden(Said(_("This needs the role %(role)s. Ask an admin for it."), role=role.value))
            text = _("This needs the role %(role)s in %(brand)s. Ask an admin for it.")
            raise Forbidden(Said(text, role=role.value, brand=brand))

    def only(self, role: Role, known: Mapping[str, object]) -> tuple[str, ...] | None:
        """What a list is narrowed to: None for whoever has this role in all brands."""
        return None if self.may_everywhere(role) else self.brands(role, known)

    def brands(self, role: Role, known: Mapping[str, object]) -> tuple[str, ...]:
        """Those of the brands that exist in which they have this role."""
        return tuple(brand for brand in sorted(known) if self.may(role, brand))


MACHINE = Person(id=None, name="API key", roles={EVERY: Role.ADMIN})
