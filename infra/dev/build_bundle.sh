#!/usr/bin/env bash
# Rebuild a human cell-line model: build_bundle.sh crossview|crossmp [options of build_example.py]
# The pair comes from scPECA 2.0; fitted on the split's training cells, test cells scored for the card.
# crossview has its defaults; where CrossMP's settings come from: infra/decisions/0004.
set -euo pipefail
model=${1:?crossview or crossmp}
shift
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case $model in
  crossview) out=pretrained/human-cell-lines-snareseq settings=() ;;
  crossmp)
    out=pretrained/human-cell-lines-crossmp
    settings=(--set filters=none --set batch=64 --set learning_rate=0.003 --set patience=15 --set half=true)
    ;;
  *) echo "$model: crossview or crossmp" >&2 && exit 2 ;;
esac
.venv/bin/python infra/dev/build_example.py --split $out/split.json --part all --out "$work" "$@"
.venv/bin/crossview train --rna "$work/rna.h5ad" --atac "$work/atac.h5ad" --model "$model" --genome hg38 --device cpu \
  --split $out/split.json --out $out --id "$(basename $out)" --seed 0 --fresh "${settings[@]}" \
  --licence "Weights: MIT. Cells: package scPECA 2.0 (MIT licence text); the measured data are GEO GSE126074, no licence stated."
