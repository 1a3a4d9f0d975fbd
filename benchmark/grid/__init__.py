"""Running many cells: their order, workers and time limits, the cluster, published cells again."""
