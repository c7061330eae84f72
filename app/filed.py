"""What opens a file of a job, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

OPENS: Mapping[str, str] = {
    ".h5ad": "scanpy and anndata (`read_h5ad`), CELLxGENE, R's anndataR",
    ".json": "any text editor; `json.load`, R's jsonlite",
    ".csv": "any spreadsheet; `pandas.read_csv`, R's read.csv",
    ".tsv": "any spreadsheet; `pandas.read_csv(sep='\\t')`, R's read.delim",
    ".parquet": "`pandas.read_parquet`, DuckDB, R's arrow",
    ".npz": "`numpy.load`",
    ".safetensors": "`safetensors.numpy.load_file`",
    ".zip": "any unpacker; `crossview models add` where it is a model",
    ".md": "any text editor",
    ".txt": "any text editor",
    ".toml": "any text editor",
}


def opens(name: str) -> str:
    """report.json -> "any text editor; …"; "" where nothing is known."""
    return OPENS.get(PurePosixPath(name).suffix.lower(), "").replace("`", "")
