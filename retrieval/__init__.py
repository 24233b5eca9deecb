"""Documents -> chunks -> vectors -> passages -> prompt with numbered sources.

Sync, no web framework, no torch at run time. May import `configs` only.
Rooms, lowest first, each knowing only those below it: `language`, `documents`, `knowledge`, `search`, `routing` and
`grounding`, `evaluation`. Start reading at `search/knowledge_base.py` and `prompt.py` (what the model sees);
`grounding/check.py` decides which sentences a customer may read.
"""
