"""Documents -> chunks -> vectors -> passages -> prompt with numbered sources.

Sync, no web framework, no torch at run time. May import `configs` only.
Start reading at `knowledge_base.py` (search) and `prompt.py` (what the model sees); `grounding.py` decides which
sentences a customer may read.
"""
