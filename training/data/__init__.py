"""Data in: files of many forms to rows, and the doctor that says which of them should not be learnt from, and why.

`containers` reads files, `forms` reads rows, `doctor` applies the rules, `card` and `score` sum up, `split` keeps
training and evaluation apart. Sync, no torch. Start reading at `doctor.py`; `docs/data.md` explains each rule.
"""
