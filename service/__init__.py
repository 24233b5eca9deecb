"""The gateway: one pipeline, thin routes, one composition root, the command line, the widget.

Async. May import everything but `training`, save for the torch-free `training.voice`.
Start reading at `pipeline.py` (how a question is answered), then `bootstrap.py` (what is wired to what).
"""
