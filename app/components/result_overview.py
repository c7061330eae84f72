"""Overview: measured and predicted maps side by side, or the searched gene or peak on them and compared."""

from __future__ import annotations

import streamlit as st

from app import readings
from app.components import result_binned
from app.components.compared import compared
from app.components.maps import feature_maps, maps
from app.components.result import Result, one_feature
from jobs.bootstrap import current_client
from jobs.names import Modality
from jobs.views import FeatureHit


def overview(result: Result, hit: FeatureHit | None) -> None:
    cells = result.cells()
    labels = result.columns().labels
    label = labels[0] if labels else None
    if hit is None:
        maps(result, cells, colour=label)
        st.caption(
            "Each map is laid out on its own: where kinds of cells that lie apart on the left lie apart on the right "
            "too, the prediction tells them apart."
        )
        return
    if result_binned.is_large(result.job):
        result_binned.show(current_client(), result.job, result.direction, hit)
        return
    table = one_feature(result.values([hit.name]), cells)
    unit = readings.scale_words(str(result.report().get("scale", "")), Modality(hit.modality))
    feature_maps(result, table, hit, unit)
    compared(result, table, hit, unit, label)
