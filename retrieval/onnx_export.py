"""From a torch model to ONNX, in float32 and in int8; needs torch, so no server imports it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any


def export_onnx(model: Any, inputs: tuple[Any, ...], names: tuple[str, ...], output: tuple[str, int], to: Path) -> None:
    """Trace a model.

    Args:
        model: Takes the inputs by place and gives one tensor.
        inputs: Examples, [batch, tokens]. Two different tensors each: one passed twice would silently tie the inputs.
        names: Of the inputs.
        output: Name of the output, and how many of its axes vary: batch, then tokens.
        to: The file that is written.
    """
    import torch

    axes = {0: "batch", 1: "tokens"}
    name, varying = output
    # The tracer warns of values that it takes for constants; whoever exports compares the results with the model's.
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            model,
            inputs,
            str(to),
            input_names=list(names),
            output_names=[name],
            dynamic_axes={**dict.fromkeys(names, axes), name: {at: axes[at] for at in range(varying)}},
            opset_version=17,
            dynamo=False,
        )


def quantise(source: Path, target: Path) -> None:
    """Weights to int8, channel by channel; activations are scaled while it runs."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(source, target, weight_type=QuantType.QInt8, per_channel=True)
