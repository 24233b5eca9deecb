"""Which encoder searches for a brand: the one of the deployment, or one that was trained on the brand's own pages.

Routes, checks and intents keep the deployment's encoder: what they decide by was fitted on its vectors.
"""

from __future__ import annotations

from configs.brand import Brand
from configs.home import Home
from configs.yaml_file import did_you_mean
from retrieval.encoder import Encoder, OnnxEncoder
from retrieval.errors import EncoderInvalid


def search_encoder(home: Home, brand: Brand, shared: Encoder) -> Encoder:
    """The encoder that a brand's knowledge is embedded and searched with.

    Args:
        home: Where trained encoders lie.
        brand: Whose; `retrieval.encoder` names a version.
        shared: The encoder of the deployment.

    Raises:
        EncoderInvalid: There is no such version, or it is not what was trained.
    """
    version = brand.retrieval.encoder
    if version is None:
        return shared
    below = home.encoders / brand.name
    if not (below / version).is_dir():
        known = sorted(one.name for one in below.glob("[!.]*") if one.is_dir())
        raise EncoderInvalid(
            f"retrieval.encoder of {brand.name!r} names {version!r}{did_you_mean(version, known)}; there "
            f"{'are ' + ', '.join(known) if known else 'is none yet'}. "
            f"Correct it, or make one: `brandvoice train retriever --brand {brand.name}`."
        )
    return OnnxEncoder.load(below / version)
