"""What was tried to break the channels: one module an experiment, on the real gateway as a process of its own.

    python -m benchmarks.chaos [NAME ...] [--seed 7] [--short] [--out FILE]

`rig.py` is what they share: the gateway (`benchmarks/gateway_under_test.py`, killed where `points.py` says), the engine
(`benchmarks/fake_engine.py`) and the platforms, which take replies (`provider.py`) and deliver messages again when they
are not taken (`delivery.py`).
"""
