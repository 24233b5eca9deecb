"""What is worth knowing of a version: data, changes, scores, who let it speak. Made when it is read.

Nothing is kept for it: the manifest, the verdict and the job are what there is, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ConfigDict

from configs.adapter_manifest import AdapterManifest, read_adapter
from configs.errors import AdapterInvalid
from configs.home import Home
from configs.verdict import RecordedVerdict, read_verdict
from service.engines.adapters import active_version
from service.engines.promotion import evaluation_folder
from service.errors import AdapterUnknown
from service.trainings.terms import Job


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure of the gate."""

    name: str
    before: float | None
    after: float | None
    better: bool | None
    """None where it did not move, or nobody can say."""
    verdict: str
    worst: float | None = None
    """What the difference is at worst (95 %); a share where `relative`."""
    margin: float | None = None
    """What it may lose."""
    relative: bool = False


@dataclass(frozen=True, slots=True)
class Let:
    """Who let a version speak."""

    by: str
    at: datetime
    note: str


@dataclass(frozen=True, slots=True)
class Notes:
    """The release notes of one version, as the API gives them too."""

    __pydantic_config__ = ConfigDict(use_attribute_docstrings=True)

    brand: str
    version: str
    active: bool
    made_at: datetime
    started_by: str | None
    """None where it was not trained here."""
    base: str
    recipe: str
    settings: Mapping[str, Any]
    """Values of the recipe that differ from those of the version that it was compared with."""
    compared_with: str | None
    knowledge_version: str | None
    same_data: bool | None
    """Whether it learnt from the same data as the version that it was compared with; None where nothing says."""
    corrections: Mapping[str, int]
    """Accepted corrections that it learnt from, by kind."""
    metrics: Mapping[str, Any]
    verdict: str | None
    reasons: Sequence[str]
    measures: Sequence[Measure]
    approvals: Sequence[Let]
    library: Mapping[str, str] = field(default_factory=dict)


def notes(home: Home, brand: str, version: str, job: Job | None) -> Notes:
    """The release notes of a version.

    Args:
        home: The state folder.
        brand: Whose.
        version: Which.
        job: That trained it, where one did.

    Raises:
        AdapterUnknown: There is no such version, or it cannot be read.
    """
    manifest = _manifest(home, brand, version)
    if manifest is None:
        raise AdapterUnknown(f"Brand {brand!r} has no adapter {version!r} that can be read.")
    verdict = read_verdict(evaluation_folder(home, brand, version))
    before = verdict.conditions.current.version if verdict else None
    other = _manifest(home, brand, before) if before else None
    recipe = manifest.provenance.recipe if manifest.provenance else {}
    old = other.provenance.recipe if other and other.provenance else {}
    return Notes(
        brand=brand,
        version=version,
        active=active_version(home, brand) == version,
        made_at=manifest.created_at,
        started_by=job.started_by if job else None,
        base=manifest.base.name,
        recipe=str(recipe.get("name", "")) or (job.chosen.recipe if job else ""),
        settings=_changed(old, recipe) if old else {},
        compared_with=before,
        knowledge_version=manifest.knowledge_version,
        same_data=manifest.data_sha256 == other.data_sha256 if other else None,
        corrections={kind: len(ids) for kind, ids in (job.data.get("corrections") or {}).items()} if job else {},
        metrics=manifest.metrics,
        verdict=verdict.verdict if verdict else None,
        reasons=verdict.reasons if verdict else (),
        measures=measures(verdict) if verdict else (),
        approvals=[Let(one.by, one.at, one.note) for one in manifest.approvals],
        library=manifest.provenance.libraries if manifest.provenance else {},
    )


def measures(verdict: RecordedVerdict) -> list[Measure]:
    """What got better and what got worse, in the order of the gate."""
    found = []
    for one in verdict.measures:
        before, after, less = one.get("current"), one.get("candidate"), bool(one.get("less_is_better"))
        grew = None if before is None or after is None or before == after else after > before
        better = None if grew is None else grew != less
        found.append(
            Measure(
                str(one["measure"]),
                before,
                after,
                better,
                verdict=str(one.get("verdict", "")),
                worst=one.get("worst"),
                margin=one.get("margin"),
                relative=bool(one.get("relative")),
            )
        )
    return found


def as_text(one: Notes) -> str:
    """The notes in Markdown."""
    lines = [f"# {one.brand}@{one.version}", ""]
    lines.append(f"Made {one.made_at:%Y-%m-%d %H:%M} UTC" + (f" by {one.started_by}" if one.started_by else "") + ".")
    lines += ["", "## Data", "", f"- base model: {one.base}", f"- recipe: {one.recipe or 'not known'}"]
    if one.same_data is not None:
        lines.append(f"- {'the same data as' if one.same_data else 'other data than'} {one.compared_with}")
    lines += [f"- accepted corrections, {kind}: {count}" for kind, count in one.corrections.items()]
    lines += [f"- knowledge: {one.knowledge_version}"] if one.knowledge_version else []
    if one.settings:
        lines += ["", "## Changes", ""]
        lines += [f"- {name}: {value[0]} -> {value[1]}" for name, value in one.settings.items()]
    lines += ["", "## Scores", ""]
    lines += [f"- {name}: {value}" for name, value in one.metrics.items()]
    if one.verdict:
        lines += ["", f"The gate: {one.verdict}, against {one.compared_with}.", ""]
        lines += [f"- {reason}" for reason in one.reasons]
        lines += ["", "| measure | before | after | gate |", "|---|---|---|---|"]
        lines += [f"| {m.name} | {_figure(m.before)} | {_figure(m.after)} | {m.verdict} |" for m in one.measures]
    lines += ["", "## Who let it speak", ""]
    lines += [f"- {let.by}, {let.at:%Y-%m-%d %H:%M} UTC: {let.note}" for let in one.approvals] or ["- nobody yet"]
    return "\n".join(lines) + "\n"


def _manifest(home: Home, brand: str, version: str) -> AdapterManifest | None:
    if version.startswith(".") or "/" in version:
        return None
    try:
        return read_adapter(home.adapters / brand / version, verify=False)
    except AdapterInvalid:
        return None


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, list[Any]]:
    before, after = dict(_flat(old)), dict(_flat(new))
    names = sorted(before.keys() | after.keys())
    return {name: [before.get(name), after.get(name)] for name in names if before.get(name) != after.get(name)}


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", value))
    return found


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
