"""A chart with its way out: SVG and PNG at publication size, and the table it was drawn from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from app import charts, charts_lasso
from app.components import look
from app.components.saving import save

_HTML = '<div class="row"></div>'
_CSS = """
.row { display: flex; flex-wrap: wrap; gap: 0.25rem; font-family: var(--st-font); min-height: 2rem; }
button { font: inherit; font-size: 0.8rem; padding: 0.2rem 0.6rem; color: var(--st-text-color); cursor: pointer;
  background: transparent; border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius, 0.5rem); }
button:hover { border-color: var(--st-primary-color); color: var(--st-primary-color); }
button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; }
"""
_JS = """
const SCALE = 4;  // 4 pixels a point: 300 dots an inch at the size seen
function save(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob); link.download = name; link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
function drawn(key) {
  const box = document.querySelector('.st-key-' + key), plot = box && box.querySelector('.js-plotly-plot');
  const svg = box && (plot ? joined([...plot.querySelectorAll('svg.main-svg')]) : box.querySelector('svg.marks'));
  return box && { svg, canvas: box.querySelector('canvas.marks') };
}
function joined(parts) {  // Plotly's dots and its words are pictures of their own, one upon the other
  const { width, height } = parts[0].getBoundingClientRect();
  const whole = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  for (const [name, value] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` })) {
    whole.setAttribute(name, value);
  }
  for (const part of parts) whole.append(...part.cloneNode(true).childNodes);
  whole.querySelectorAll('.draglayer, .hoverlayer, .zoomlayer, .selectionlayer').forEach((each) => each.remove());
  return whole;
}
function svgText(svg) {
  const copy = svg.cloneNode(true);
  copy.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  return '<?xml version="1.0" encoding="UTF-8"?>\\n' + new XMLSerializer().serializeToString(copy);
}
function wrapped(canvas) {  // tens of thousands of dots as a picture: an SVG of them could not be opened
  const box = canvas.getBoundingClientRect(), size = `width="${box.width}" height="${box.height}"`;
  return `<?xml version="1.0" encoding="UTF-8"?>\\n<svg xmlns="http://www.w3.org/2000/svg" ${size}>` +
    `<image ${size} href="${canvas.toDataURL('image/png')}"/></svg>`;
}
function png(svg, name) {
  const image = new Image(), box = { width: svg.width.baseVal.value, height: svg.height.baseVal.value };
  image.onload = () => {
    const canvas = document.createElement('canvas');
    canvas.width = box.width * SCALE; canvas.height = box.height * SCALE;
    const paint = canvas.getContext('2d');
    paint.fillStyle = getComputedStyle(document.querySelector('.stApp')).backgroundColor;
    paint.fillRect(0, 0, canvas.width, canvas.height);
    paint.drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => save(blob, name));
  };
  image.src = URL.createObjectURL(new Blob([svgText(svg)], { type: 'image/svg+xml' }));
}
function button(text, label, onclick) {
  const b = document.createElement('button');
  b.type = 'button'; b.textContent = text; b.setAttribute('aria-label', label); b.onclick = onclick;
  return b;
}
export default function ({ parentElement, data }) {
  const row = parentElement.querySelector('.row');
  const buttons = [];
  buttons.push(button('SVG', 'Save this chart as SVG: ' + data.title, () => {
    const it = drawn(data.chart);
    if (it && it.svg) save(new Blob([svgText(it.svg)], { type: 'image/svg+xml' }), data.file + '.svg');
    else if (it && it.canvas) save(new Blob([wrapped(it.canvas)], { type: 'image/svg+xml' }), data.file + '.svg');
  }));
  buttons.push(button('PNG', 'Save this chart as PNG: ' + data.title, () => {
    const it = drawn(data.chart);
    if (it && it.svg) png(it.svg, data.file + '.png');
    else if (it && it.canvas) it.canvas.toBlob((blob) => save(blob, data.file + '.png'));
  }));
  row.replaceChildren(...buttons);
}
"""
_exports = st.components.v2.component("crossview_exports", html=_HTML, css=_CSS, js=_JS)


BOX = "box"  # what a chart calls the box that is drawn on it


def figure(
    chart: Any,
    *,
    key: str,
    alt: str,
    table: pd.DataFrame | None = None,
    file: str = "",
    chart_key: str = "",
    on_drawn: Callable[[], None] | None = None,
) -> None:
    """A chart by its stable key, with a description for screen readers and buttons to save it.

    chart: Altair's, or a figure of Plotly's as a dictionary. table: what it was drawn from, offered whole as CSV and
    Parquet. on_drawn: called when a box, on Plotly's also a lasso, was drawn on it, which then stands in the session
    under `chart_key`.
    """
    if not isinstance(chart, dict):
        chart = charts.dressed(chart, dark=look.dark())
    chart_key = chart_key or f"{key}-chart"
    with st.container(key=key, gap="small"):  # the class by which the buttons find their chart
        if isinstance(chart, dict):
            st.plotly_chart(
                chart, key=chart_key, alt=alt, on_select=on_drawn or "ignore", selection_mode=("lasso", "box"),
                config=charts_lasso.CONFIG,
            )  # fmt: skip
        elif on_drawn is None:
            st.altair_chart(chart, key=chart_key, alt=alt, width="stretch")
        else:
            st.altair_chart(chart, key=chart_key, alt=alt, width="stretch", on_select=on_drawn, selection_mode=BOX)
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            said = {"chart": key, "file": file or key, "title": alt}
            _exports(key=f"{key}-exports", data=said, width="content")
            if table is not None:
                save(table, key=f"{key}-table", file=file or key)
