"""A brand's voice watched, and trained anew without anybody pressing a button: always through the gate."""
