"""How good a prediction is: scores streamed by blocks, nulls beside them, intervals over cells."""

from engine.metrics.atac import score_atac
from engine.metrics.calibration import Calibration
from engine.metrics.ceiling import Ceiling, noise_ceiling
from engine.metrics.curves import Curve, roc
from engine.metrics.normalise import log_normalised, median_depth
from engine.metrics.rna import score_rna
from engine.metrics.scores import Gain, Histogram, Score, Scores, plain
from engine.metrics.sources import ArraySource, ChosenSource, H5Source, Source, chosen
from engine.metrics.verdict import Level, Verdict, verdict

__all__ = [
    "ArraySource",
    "Calibration",
    "Ceiling",
    "ChosenSource",
    "Curve",
    "Gain",
    "H5Source",
    "Histogram",
    "Level",
    "Score",
    "Scores",
    "Source",
    "Verdict",
    "chosen",
    "log_normalised",
    "median_depth",
    "noise_ceiling",
    "plain",
    "roc",
    "score_atac",
    "score_rna",
    "verdict",
]
