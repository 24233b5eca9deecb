"""How good a trained model's answers are, and whether it may speak: measures, comparison with what serves, the gate."""
