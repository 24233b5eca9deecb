"""Thin routes: parse, call, answer. Each module gives one router for an open gateway."""
