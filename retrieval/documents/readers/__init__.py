"""Readers: the bytes of a file to Markdown-like text, in a process of their own.

`sandbox.py` starts `worker.py` with limits and speaks JSON with it; the worker calls the reader of the format. A reader
is a function `read(data, limits) -> Extract`, and imports its library only when it is called.
"""
