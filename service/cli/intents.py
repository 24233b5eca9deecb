"""`brandvoice intents`: train, show, eval."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from service.cli import output
from service.cli.deployment import open_deployment
from service.cli.failures import WRONG_USE, Failure


def run_train(brand: str, data: Path | None, *, as_json: bool) -> None:
    """Train the classifier of a brand, and put it where the gateway looks when it starts."""
    from retrieval.routing.intent_examples import read_examples
    from retrieval.routing.intent_training import train

    deployment = open_deployment()
    source = data or deployment.brand(brand).intents
    deployment.brand(brand)
    if source is None:
        raise Failure(
            f"{brand} has no labelled messages",
            f"configs/brands/{brand}.yaml has no `intents`",
            "name a file there, or with --data FILE",
            code=WRONG_USE,
        )
    classifier = train(read_examples(source), deployment.encoder(output.note), output.note)
    folder = deployment.home.intents / brand
    classifier.save(folder)
    classifier.check_routes(deployment.brand(brand).intents_routes)
    manifest = classifier.manifest
    if as_json:
        output.data({"folder": str(folder), **manifest.model_dump(mode="json")})
        return
    output.line(f"{len(manifest.labels)} intents from {manifest.examples} messages: {folder}")
    for name, value in manifest.metrics.items():
        output.line(f"  {name:20} {'-' if value is None else f'{value:.3f}'}   (cross-validated)")
    output.note("a gateway that runs takes it up when it starts again")


def run_show(brand: str, text: str, *, as_json: bool) -> None:
    """What the classifier of a brand makes of a message."""
    from retrieval.routing.intents import IntentClassifier

    deployment = open_deployment()
    deployment.brand(brand)
    classifier = IntentClassifier.load(deployment.home.intents / brand, deployment.encoder(output.note))
    seen = classifier.read(text)
    if as_json:
        output.data(asdict(seen))
        return
    output.line(f"{seen.intent}  {seen.probability:.3f}" + ("  rejected: out of scope" if seen.rejected else ""))
    output.line(f"out of scope: {seen.out_of_scope:.3f}, rejected from {classifier.manifest.threshold:.3f}")
    for near in seen.nearest:
        output.line(f"  {near.similarity:.2f}  {near.intent or 'out of scope'}: {near.text}")


def run_eval(train_file: Path, test_file: Path, *, as_json: bool) -> None:
    """Train on one file, measure on another; nothing is kept."""
    from retrieval.routing.intent_evaluation import measure
    from retrieval.routing.intent_examples import read_examples
    from retrieval.routing.intent_training import train

    examples, held_out = read_examples(train_file), read_examples(test_file)
    classifier = train(examples, open_deployment().encoder(output.note), output.note)
    unknown = {one.intent for one in held_out} - {None, *classifier.manifest.labels}
    if unknown:
        output.note(f"{len(unknown)} intents of {test_file} are not in {train_file}: their messages count as wrong")
    seen = classifier.classify([one.text for one in held_out])
    report = asdict(measure(held_out, seen.intents, seen.out_of_scope))
    if as_json:
        output.data({name: None if value is None else round(value, 4) for name, value in report.items()})
    else:
        output.table(
            ("figure", "value"), [(name, "-" if value is None else f"{value:.4f}") for name, value in report.items()]
        )
