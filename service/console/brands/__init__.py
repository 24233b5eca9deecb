"""Brands: made of a template, changed, shown as visitors see them."""
