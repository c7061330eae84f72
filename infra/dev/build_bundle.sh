#!/usr/bin/env bash
# Rebuild pretrained/human-cell-lines-snareseq: the pair from scPECA 2.0, then CrossMP on the split's training cells.
# Where the settings come from: infra/decisions/0004; the test cells are scored for the card.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=pretrained/human-cell-lines-snareseq
.venv/bin/python infra/dev/build_example.py --split $out/split.json --part all --out "$work" "$@"
.venv/bin/crossview train --rna "$work/rna.h5ad" --atac "$work/atac.h5ad" --model crossmp --genome hg38 --device cpu \
  --split $out/split.json --out $out --id human-cell-lines-snareseq --seed 0 \
  --set filters=none --set batch=64 --set learning_rate=0.003 --set patience=15 --set half=true \
  --licence "Weights: MIT. Cells: package scPECA 2.0 (MIT licence text); the measured data are GEO GSE126074, no licence stated."
