"""What the comparison of models cannot say: repeated folds, few training cells, kinds of cells left out."""
