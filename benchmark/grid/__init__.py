"""Running many cells: their order, the workers, the cluster, and running published ones again."""
