"""Trainings as jobs: processes that outlive the page and the gateway that started them, and what came of each."""
