"""Whether an adapter may speak: what the gate said of it, or the name and reason of who overrides the gate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from configs.adapter_manifest import AdapterManifest, Approval
from configs.brand import Brand
from configs.errors import AdapterInvalid
from configs.home import Home
from configs.verdict import BASE_VERSION, Conditions, RecordedVerdict, conditions, read_verdict
from service.errors import PromotionRefused, RequestInvalid

GATE = "gate"
"""Who approves where the gate passed a candidate."""


@dataclass(frozen=True, slots=True)
class Override:
    """Somebody answers for a candidate that the gate did not pass."""

    by: str
    reason: str

    def __post_init__(self) -> None:
        if not self.by.strip() or not self.reason.strip():
            raise RequestInvalid("An override is kept with a name and a reason: give both.", param="override")


def evaluation_folder(home: Home, brand: str, version: str) -> Path:
    """Where the evaluation of a candidate lies."""
    return home.evaluations / brand / version


def approval(
    home: Home,
    brand: Brand,
    manifest: AdapterManifest,
    *,
    active: str | None,
    base_sha256: str | None,
    override: Override | None = None,
) -> Approval:
    """Who lets this adapter speak, and why.

    Args:
        home: The state folder.
        brand: Whose adapter.
        manifest: The candidate's.
        active: The version that speaks now; None where the base model does.
        base_sha256: Digest of the base model that serves; None where another machine serves it.
        override: Asked for only where the gate does not pass the candidate.

    Raises:
        PromotionRefused: The gate said no, did not know enough, or was asked about something else.
    """
    against = _against(home, brand, manifest, active, base_sha256)
    now = datetime.now(UTC)
    if isinstance(against, RecordedVerdict):
        return Approval(by=GATE, at=now, note="; ".join(against.reasons))
    if override is None:
        raise against
    return Approval(by=override.by.strip(), at=now, note=f"{override.reason.strip()} (against the gate: {against})")


def _against(
    home: Home, brand: Brand, manifest: AdapterManifest, active: str | None, base_sha256: str | None
) -> RecordedVerdict | PromotionRefused:
    """The verdict that passed it, or what stands against it."""
    name = f"{brand.name}@{manifest.version}"
    ask = f"Ask the gate: `brandvoice eval --brand {brand.name} --candidate {manifest.version}`."
    try:
        found = read_verdict(evaluation_folder(home, brand.name, manifest.version))
    except AdapterInvalid as error:
        return PromotionRefused(f"The gate's verdict on {name} cannot be used: {error}. {ask}", (str(error),))
    if found is None:
        return PromotionRefused(f"The gate has not judged {name} yet. {ask}", ("not judged yet",))
    now = conditions(home, brand, manifest, active or BASE_VERSION, base_sha256)
    stale = _changed(found.conditions, now)
    if stale:
        return PromotionRefused(f"The gate's verdict on {name} is out of date: {stale}. {ask}", (stale,))
    if found.verdict != "passed":
        why = "; ".join(found.reasons)
        return PromotionRefused(f"The gate says of {name}: {found.verdict}: {why}", found.reasons)
    return found


def _changed(then: Conditions, now: Conditions) -> str:
    """What is different now from what was judged; empty where nothing is."""
    if then.candidate != now.candidate:
        return "the candidate's weights are others"
    if then.current != now.current:
        return f"it was compared with {then.current.version}, and {now.current.version} speaks now"
    if then.base_sha256 and now.base_sha256 and then.base_sha256 != now.base_sha256:
        return "another base model serves"
    if then.questions_sha256 != now.questions_sha256:
        return "the held-out questions are others"
    if then.gate_sha256 != now.gate_sha256:
        return "margins or floors were changed"
    return ""
