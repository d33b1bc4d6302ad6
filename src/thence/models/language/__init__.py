"""Language models: one file per family."""
