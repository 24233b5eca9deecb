"""The encoder's files, and the real encoder once it is prepared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from retrieval.encoder import FILES, OnnxEncoder
from retrieval.errors import EncoderInvalid


def test_absent_encoder_is_refused_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(EncoderInvalid, match=r"python -m retrieval\.encoder"):
        OnnxEncoder.load(tmp_path)


def test_changed_file_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).write_bytes(b"something")
    manifest = {"name": "x", "dim": 3, "files": dict.fromkeys(FILES, "0" * 64)}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(EncoderInvalid, match="not the file that was prepared"):
        OnnxEncoder.load(tmp_path)


def test_gateway_side_of_the_package_loads_no_torch() -> None:
    code = (
        "import sys, retrieval.encoder, retrieval.search.knowledge_base\n"
        "import retrieval.grounding.check, retrieval.routing.route\n"
        "print(sorted({'torch', 'transformers', 'sentence_transformers'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def encoder() -> OnnxEncoder:
    home = Path(os.environ.get("BRANDVOICE_HOME", "var"))
    folder = home / "models" / "all-minilm-l6-v2"
    subprocess.run([sys.executable, "-m", "retrieval.encoder", str(folder)], check=True, capture_output=True)
    return OnnxEncoder.load(folder)


@pytest.mark.e2e
def test_prepared_encoder_finds_the_meaning(encoder: OnnxEncoder) -> None:
    documents = encoder.encode_documents(["A refund is paid within 5 business days.", "The scarf is made of silk."])
    query = encoder.encode_query("When do I get my money back?")
    assert documents.shape == (2, encoder.dim)
    assert np.allclose(np.linalg.norm(documents, axis=1), 1, atol=1e-5)
    assert documents[0] @ query > documents[1] @ query + 0.2


@pytest.mark.e2e
def test_int8_query_is_near_the_float_document_and_padding_changes_nothing(encoder: OnnxEncoder) -> None:
    short, long = "gift cards", "Express delivery takes 1 business day when the order is placed before 2 pm. " * 3
    both = encoder.encode_documents([short, long])
    alone = encoder.encode_documents([short])[0]
    assert both[0] @ alone > 0.99999
    assert all(encoder.encode_query(text) @ row > 0.93 for text, row in zip((short, long), both, strict=True))


@pytest.mark.e2e
def test_query_vectors_are_shared_and_cannot_be_changed(encoder: OnnxEncoder) -> None:
    vector = encoder.encode_query("silk")
    assert encoder.encode_query("silk") is vector
    with pytest.raises(ValueError, match="read-only"):
        vector[0] = 0
    assert encoder.is_word("return")
    assert not encoder.is_word("retrun")
