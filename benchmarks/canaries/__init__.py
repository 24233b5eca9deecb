"""Strings that only one brand has, and mixed requests of two brands: none of them may come out at the other one."""
