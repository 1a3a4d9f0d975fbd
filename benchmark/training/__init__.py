"""One cell trained and evaluated: model, loop, learning rate, metrics, checkpoints."""
