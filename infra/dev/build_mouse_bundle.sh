#!/usr/bin/env bash
# Rebuild pretrained/mouse-cortex-snareseq: build_mouse_bundle.sh RNA.h5ad ATAC.h5ad
# The pair: raw counts of GEO GSE126074's adult mouse cortex as scMoMaT distributes them (1,677 genes, 25,734 regions);
# the split, by batch, lies in the bundle. Where the settings come from: infra/decisions/0007.
set -euo pipefail
rna=$(realpath "$1") atac=$(realpath "$2")
cd "$(dirname "$0")/../.."
out=pretrained/mouse-cortex-snareseq
.venv/bin/crossview train --rna "$rna" --atac "$atac" --model crossmp --genome mm10 --device cpu \
  --split $out/split.json --out $out --id mouse-cortex-snareseq --seed 0 --fresh \
  --set min_genes=1 --set batch=128 --set learning_rate=0.003 --set patience=6 --set half=true \
  --licence "Weights: MIT. Trained on data of GEO GSE126074, no licence stated, as distributed by scMoMaT (repository: MIT)."
