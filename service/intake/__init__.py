"""Files that people bring and pages that they name, taken into a brand's knowledge while they watch."""
