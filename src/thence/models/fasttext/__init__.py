"""Models in fastText's format: files, predictions, training and quantisation, without torch."""
