"""Brands that people make in the browser: templates, their files, and how a running gateway takes them up."""
