"""How a brand speaks: told from another, described as a profile, scored text by text. No torch anywhere.

`masking` hides the subject and `telling` tells brands apart, with the standard library alone. `marks` counts what a
text does, `profile` says what the brand's own texts do, `scorer` is the small trained part, `model` joins both to a
score with reasons, `brand` makes the model of a configured brand and keeps it. `measuring` says how well it holds.

The one package of training that service may import. Start reading at `model.py`.
"""

from training.errors import TrainingError
from training.voice.masking import MASK, mask
from training.voice.telling import Accuracy, VoiceClassifier, two_way_accuracy

__all__ = ["MASK", "Accuracy", "TrainingError", "VoiceClassifier", "mask", "two_way_accuracy"]
