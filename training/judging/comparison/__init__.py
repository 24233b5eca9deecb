"""Is a candidate better? Asked through the running gateway, measured, judged, and told in a report.

`asking` puts the held-out questions to the base model, to what speaks now and to the candidate, from the same passages;
`measuring` turns answers into values a case; `training.judging.gate` judges; `report` draws; `run` joins them:

    python -m training.judging.comparison --brand velmora --candidate 20260101-120000 --url http://127.0.0.1:8000
"""
