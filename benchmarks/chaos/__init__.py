"""What was tried to break the channels: one module an experiment, on the real gateway as a process of its own.

    python -m benchmarks.chaos [NAME ...] [--seed 7] [--short] [--out FILE]

`rig.py` is what they share: gateway (`gateway.py`, killed where `points.py` says), engine (`engine.py`) and the
platforms, which take replies (`provider.py`) and deliver messages again when they are not taken (`delivery.py`).
"""
