#!/usr/bin/env bash
# Rebuild a mouse cortex model: build_mouse_bundle.sh crossview|crossmp RNA.h5ad ATAC.h5ad
# The pair: raw counts of GEO GSE126074's adult mouse cortex as scMoMaT distributes them (1,677 genes, 25,734 regions);
# the split, by batch, lies in the bundle. crossview has its defaults; CrossMP's settings: infra/decisions/0007.
set -euo pipefail
model=${1:?crossview or crossmp} rna=$(realpath "${2:?RNA.h5ad}") atac=$(realpath "${3:?ATAC.h5ad}")
cd "$(dirname "$0")/../.."
case $model in
  crossview) out=pretrained/mouse-cortex-snareseq settings=() ;;
  crossmp)
    out=pretrained/mouse-cortex-crossmp
    settings=(--set min_genes=1 --set batch=128 --set learning_rate=0.003 --set patience=6 --set half=true)
    ;;
  *) echo "$model: crossview or crossmp" >&2 && exit 2 ;;
esac
.venv/bin/crossview train --rna "$rna" --atac "$atac" --model "$model" --genome mm10 --device cpu \
  --split $out/split.json --out $out --id "$(basename $out)" --seed 0 --fresh "${settings[@]}" \
  --licence "Weights: MIT. Trained on data of GEO GSE126074, no licence stated, as distributed by scMoMaT (repository: MIT)."
